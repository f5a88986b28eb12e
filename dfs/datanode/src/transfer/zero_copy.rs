//! Bytes from files and memory to a socket, without a copy through this process where there is one to save.

use std::fs::File;
use std::io;

use rustix::fs::sendfile;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Sends all of `bytes`.
pub(super) async fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    send_flagged(socket, bytes, SendFlags::NOSIGNAL).await
}

/// Sends all of `bytes`, which more follow at once: the last ones may wait for them and share a segment.
pub(super) async fn send_with_more(socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    send_flagged(socket, bytes, SendFlags::NOSIGNAL | SendFlags::MORE).await
}

async fn send_flagged(socket: &TcpStream, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
    while !bytes.is_empty() {
        let attempt = || Ok(rustix::net::send(socket, bytes, flags)?);
        let sent = socket.async_io(Interest::WRITABLE, attempt).await?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Sends the bytes of `file` from `at` to `end`, and moves `at`. Waits for the disk on the caller's thread if they are not in the page cache.
///
/// # Errors
/// Those of the socket and the disk; `UnexpectedEof` when the file ends before `end`.
pub(super) async fn send_file(socket: &TcpStream, file: &File, at: &mut u64, end: u64) -> io::Result<()> {
    while *at < end {
        let wanted = (end - *at) as usize;
        let attempt = || Ok(sendfile(socket, file, Some(&mut *at), wanted)?);
        if socket.async_io(Interest::WRITABLE, attempt).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
