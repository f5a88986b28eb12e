//! Descriptors over a Unix socket.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sends one byte that carries the descriptors of both files.
pub(super) async fn send(stream: &UnixStream, byte: u8, data: &File, meta: &File) -> io::Result<()> {
    let attempt = || {
        let descriptors = [data.as_fd(), meta.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = sendmsg(stream, &[IoSlice::new(&[byte])], &mut control, SendFlags::NOSIGNAL);
        sent.map_err(io::Error::from)
    };
    stream.async_io(Interest::WRITABLE, attempt).await.map(drop)
}
