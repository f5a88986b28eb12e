//! The cluster itself.

use crate::client::{DfsClient, parse};
use crate::cluster::{DataNodeReport, DataNodeState, SafeModeAction};
use crate::error::Result;
use crate::status::{FsStats, ServerDefaults};

impl DfsClient {
    /// Space of the whole file system.
    pub async fn fs_stats(&self) -> Result<FsStats> {
        self.namenode().fs_stats().await
    }

    /// The NameNode's defaults for new files, asked for once.
    pub async fn server_defaults(&self) -> Result<ServerDefaults> {
        self.shared().server_defaults().await
    }

    /// The DataNodes in that state, with their figures.
    pub async fn datanode_report(&self, state: DataNodeState) -> Result<Vec<DataNodeReport>> {
        self.namenode().datanode_report(state).await
    }

    /// Asks for or changes safe mode; whether the NameNode is in it now.
    pub async fn safe_mode(&self, action: SafeModeAction) -> Result<bool> {
        self.namenode().set_safe_mode(action).await
    }

    /// Has the NameNode write an image of its namespace; it must be in safe mode.
    pub async fn save_namespace(&self) -> Result<bool> {
        self.namenode().save_namespace().await
    }

    /// Has the NameNode read again which DataNodes may serve.
    pub async fn refresh_nodes(&self) -> Result<()> {
        self.namenode().refresh_nodes().await
    }

    /// The files at or below `path` that have a block without a good replica.
    pub async fn corrupt_files(&self, path: &str) -> Result<Vec<String>> {
        let path = parse(path)?;
        self.namenode().list_corrupt_files(path.as_str()).await
    }
}
