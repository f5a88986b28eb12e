//! The socket's file: taken over from a DataNode that died, never from one that lives.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// What stands for the transfer port in the configured path, as in HDFS.
const PORT: &str = "_PORT";
/// Everybody who can reach the file may connect, as with HDFS and as with the transfer port: its directory is the guard.
const MODE: u32 = 0o666;

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

/// The path that `pattern` means for the DataNode at this transfer port.
pub(crate) fn path(pattern: &Path, xfer_port: u16) -> PathBuf {
    pattern.to_string_lossy().replace(PORT, &xfer_port.to_string()).into()
}

impl Socket {
    /// Listens at `path`.
    ///
    /// # Errors
    /// Somebody listens there, something that is no socket is there, or the system refuses: paths have about 100 bytes at most.
    pub(crate) fn bind(path: PathBuf) -> io::Result<Self> {
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(MODE))?;
        Ok(Self { listener, path })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "domain socket was gone already");
        }
    }
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let text = "it exists and is no socket; it was left as it is";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens on it; stop that process or configure another path",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_port_is_part_of_the_path() {
        assert_eq!(path(Path::new("/run/dn._PORT"), 9866), Path::new("/run/dn.9866"));
        assert_eq!(path(Path::new("/run/dn"), 9866), Path::new("/run/dn"));
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dn");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(path.clone()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(Socket::bind(path.clone()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert_eq!(
            Socket::bind(path.clone()).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }
}
