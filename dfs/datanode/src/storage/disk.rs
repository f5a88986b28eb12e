//! The disk under a volume: the calls that writing replicas needs, behind a trait, so that tests can put a disk that fails in its
//! place. Reading goes to the files directly: readers verify what they get.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Name of the file that a probe writes.
const PROBE: &str = "probe.tmp";

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Its size.
    pub total: u64,
    /// What ordinary users may still take.
    pub available: u64,
}

/// What a volume asks of its disk. Every call blocks.
pub trait Disk: Debug + Send + Sync {
    /// Creates a file for reading and writing that must not exist.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Writes all bytes at a position.
    ///
    /// # Errors
    /// Those of the system; some of the bytes may then be written.
    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Makes a file's bytes and length durable.
    ///
    /// # Errors
    /// Those of the system; what is on disk is then not known.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Room on the file system of a directory.
    ///
    /// # Errors
    /// The file system does not answer.
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;

    /// Whether a directory can be listed and a small file in it be written, fsynced, read and removed.
    ///
    /// # Errors
    /// What the system said. A full disk is no reason to give a volume up: `StorageFull` and `QuotaExceeded` are for the caller to
    /// pass over.
    fn probe(&self, dir: &Path) -> io::Result<()>;
}

/// The outcome of a removal by two at a time: somebody else's is as good.
pub(crate) fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The disk that the system has.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(DiskSpace {
            total: stat.f_blocks * stat.f_frsize,
            available: stat.f_bavail * stat.f_frsize,
        })
    }

    fn probe(&self, dir: &Path) -> io::Result<()> {
        fs::read_dir(dir)?.next().transpose()?;
        let path = dir.join(PROBE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        let mut back = [0; PROBE.len()];
        file.write_all_at(PROBE.as_bytes(), 0)?;
        file.sync_all()?;
        file.read_exact_at(&mut back, 0)?;
        // A start clears this directory: the file may be gone already.
        gone_is_fine(fs::remove_file(&path))?;
        if back != PROBE.as_bytes() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the disk gives back other bytes than were written",
            ));
        }
        Ok(())
    }
}

/// Whether an error says that the disk is full, which other volumes and later writes need not be.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error casts doubt on the disk, and not on the request or the room.
pub(crate) fn is_suspicious(error: &io::Error) -> bool {
    let harmless = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Interrupted
    );
    !harmless && !is_full(error)
}
