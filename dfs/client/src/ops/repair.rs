//! Operations on whole files that end with their last block in another state.

use std::time::{Duration, Instant};

use crate::client::{DfsClient, parse};
use crate::error::{Error, Result};
use crate::location::{BlockLocation, DataNodeInfo};

/// Pause between two questions whether a file is closed yet; HDFS's shell waits a second.
const POLL: Duration = Duration::from_millis(100);

impl DfsClient {
    /// Cuts a closed file to `length` bytes. True: done. False: its last block is cut by the DataNodes in the
    /// background, until which the file is open; see [`Self::wait_closed`].
    pub async fn truncate(&self, path: &str, length: u64) -> Result<bool> {
        let path = parse(path)?;
        self.forget(path.as_str());
        let done = self.namenode().truncate(path.as_str(), length).await;
        self.forget(path.as_str());
        done
    }

    /// Moves the blocks of `sources` to the end of `target`, in that order, and deletes `sources`, in one step.
    pub async fn concat(&self, target: &str, sources: &[&str]) -> Result<()> {
        let target = parse(target)?;
        let parsed = sources.iter().map(|source| Ok(parse(source)?.to_string()));
        let sources = parsed.collect::<Result<Vec<_>>>()?;
        let done = self.namenode().concat(target.as_str(), &sources).await;
        self.forget(target.as_str());
        for source in &sources {
            self.forget(source);
        }
        done
    }

    /// Takes a file away from its writer, which may be dead. True: it is closed. False: its last block is being recovered; ask
    /// again or [`wait`](Self::wait_closed).
    pub async fn recover_lease(&self, path: &str) -> Result<bool> {
        let path = parse(path)?;
        let closed = self.namenode().recover_lease(path.as_str()).await;
        self.forget(path.as_str());
        closed
    }

    /// Whether nobody has the file open for writing.
    pub async fn is_file_closed(&self, path: &str) -> Result<bool> {
        let path = parse(path)?;
        self.namenode().is_file_closed(path.as_str()).await
    }

    /// Waits until nobody has the file open for writing.
    ///
    /// # Errors
    /// [`Error::NotClosed`] if that takes longer than `patience`.
    pub async fn wait_closed(&self, path: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while !self.is_file_closed(path).await? {
            if Instant::now() >= deadline {
                return Err(Error::NotClosed {
                    path: path.to_owned(),
                    seconds: patience.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        self.forget(path);
        Ok(())
    }

    /// Tells the NameNode that replicas do not match their checksums: of each block, the one on that DataNode.
    pub async fn report_bad_blocks(&self, path: &str, replicas: &[(&BlockLocation, &DataNodeInfo)]) -> Result<()> {
        let path = parse(path)?;
        for (location, node) in replicas {
            self.namenode()
                .report_bad_replica(path.as_str(), location, node)
                .await?;
        }
        Ok(())
    }

    /// Fails as an access with the rights in `mode` (the bits `rwx` as a number) would.
    pub async fn check_access(&self, path: &str, mode: u8) -> Result<()> {
        let path = parse(path)?;
        self.namenode().check_access(path.as_str(), mode).await
    }
}
