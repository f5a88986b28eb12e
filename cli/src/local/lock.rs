//! One cluster per directory at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long to wait for the processes of a cluster that was just killed to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Held while a cluster runs; the operating system releases it however the process ends.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// Another cluster runs in it, or it cannot be written.
    pub(super) async fn take(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let path = dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => bail!(
                    "another cluster runs in {}; end it or choose another --dir",
                    dir.display()
                ),
                Err(TryLockError::Error(error)) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_second_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).await.unwrap();
        let refused = DirLock::take(dir.path()).await.unwrap_err().to_string();
        assert!(refused.contains("another cluster runs in"), "{refused}");
        drop(first);
        DirLock::take(dir.path()).await.unwrap();
    }
}
