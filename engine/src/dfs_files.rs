//! The distributed file system as the engine sees it: through `quarry-dfs-client`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::error::{DataFusionError, Result};
use object_store::ObjectStore;
use quarry_dfs_client::{
    CreateOptions, DataNodeInfo, DfsClient, DfsClientConfig, DfsObjectStore, Error as DfsError, FileWriter,
    LocatedFile, MkdirOptions, ReadStats, RenameOptions,
};

use crate::error::STORAGE_WRITE_FAILED;
use crate::files::{ByteCounts, DataFile, DirectoryEntry, FileSystem, FileSystems, NewFile, Renamed};
use crate::split::{BlockSpan, Hosts, ReplicaHost};

/// The distributed file system, through its client.
#[derive(Clone)]
pub struct DfsFileSystem {
    store: DfsObjectStore,
}

impl DfsFileSystem {
    /// Reads with `client`; locally, if it was given local replicas.
    #[must_use]
    pub fn new(client: DfsClient) -> Self {
        Self {
            store: DfsObjectStore::new(client, "/").expect("the root directory is a path"),
        }
    }
}

impl fmt::Debug for DfsFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DfsFileSystem").finish_non_exhaustive()
    }
}

impl ByteCounts for ReadStats {
    fn local(&self) -> u64 {
        self.local_bytes()
    }

    fn remote(&self) -> u64 {
        self.remote_bytes()
    }
}

#[async_trait]
impl FileSystem for DfsFileSystem {
    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.store.clone())
    }

    fn counted_store(&self) -> (Arc<dyn ObjectStore>, Arc<dyn ByteCounts>) {
        let stats = Arc::new(ReadStats::default());
        (Arc::new(self.store.with_stats(Arc::clone(&stats))), stats)
    }

    async fn list_located(&self, path: &str) -> Result<Vec<DataFile>> {
        let files = self.store.client().list_located(path, true).await;
        let files = files.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(files.into_iter().map(data_file).collect())
    }

    async fn entries(&self, path: &str) -> Result<Option<Vec<DirectoryEntry>>> {
        match self.store.client().list(path).await {
            Ok(entries) => Ok(Some(entries.iter().map(directory_entry).collect())),
            Err(DfsError::NotFound { .. }) => Ok(None),
            Err(error) => Err(external(error)),
        }
    }

    async fn is_file(&self, path: &str) -> Result<bool> {
        let status = self.store.client().status(path).await.map_err(external)?;
        Ok(status.is_some_and(|status| !status.is_directory()))
    }

    async fn block_size(&self) -> Result<u64> {
        if let Some(size) = self.store.client().config().block_size {
            return Ok(size.as_u64());
        }
        let defaults = self.store.client().server_defaults().await.map_err(external)?;
        Ok(defaults.block_size)
    }

    async fn create(&self, path: &str) -> Result<Box<dyn NewFile>> {
        let options = CreateOptions {
            create_parent: false,
            ..CreateOptions::default()
        };
        let writer = self.store.client().create(path, options).await.map_err(write_failed)?;
        Ok(Box::new(NewDfsFile(writer)))
    }

    async fn make_directory(&self, path: &str, with_parents: bool) -> Result<()> {
        let options = MkdirOptions {
            create_parent: with_parents,
            ..MkdirOptions::default()
        };
        self.store
            .client()
            .mkdir_with(path, options)
            .await
            .map_err(write_failed)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<Renamed> {
        let options = RenameOptions { overwrite: false };
        match self.store.client().rename(from, to, options).await {
            Ok(()) => Ok(Renamed::Done),
            Err(DfsError::AlreadyExists { .. }) => Ok(Renamed::TargetExists),
            Err(DfsError::NotFound { .. } | DfsError::ParentNotDirectory { .. }) => Ok(Renamed::Missing),
            Err(error) => Err(external(error)),
        }
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        self.store.client().delete(path, true).await.map_err(external)
    }

    async fn delete_empty(&self, path: &str) -> Result<()> {
        match self.store.client().delete(path, false).await {
            Ok(_) | Err(DfsError::DirectoryNotEmpty { .. }) => Ok(()),
            Err(error) => Err(external(error)),
        }
    }
}

struct NewDfsFile(FileWriter);

#[async_trait]
impl NewFile for NewDfsFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write(bytes).await.map_err(write_failed)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.0.close().await.map(drop).map_err(write_failed)
    }
}

fn external(error: DfsError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// In words that survive the way to the coordinator.
fn write_failed(error: DfsError) -> DataFusionError {
    external(error).context(STORAGE_WRITE_FAILED)
}

fn time(milliseconds: u64) -> DateTime<Utc> {
    let time = i64::try_from(milliseconds)
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    time.unwrap_or_default()
}

fn directory_entry(status: &quarry_dfs_client::FileStatus) -> DirectoryEntry {
    DirectoryEntry {
        name: status.name().to_owned(),
        is_directory: status.is_directory(),
        modified: time(status.modification_time_ms),
    }
}

fn data_file(file: LocatedFile) -> DataFile {
    let blocks = file.blocks.blocks.iter().map(|block| BlockSpan {
        offset: block.offset,
        length: block.block.block.length,
        hosts: block.datanodes.iter().map(|node| replica_host(node)).collect::<Hosts>(),
    });
    DataFile {
        path: file.status.path.clone(),
        size: file.blocks.length,
        modified: time(file.status.modification_time_ms),
        blocks: blocks.collect(),
    }
}

fn replica_host(node: &DataNodeInfo) -> ReplicaHost {
    ReplicaHost {
        datanode_uuid: node.uuid.clone(),
        ip: node.ip.clone(),
        rack: node.rack.clone(),
    }
}

impl FileSystems {
    /// Those that `client` reaches; foreign NameNodes are met with the same settings but without local replicas.
    #[must_use]
    pub fn of_client(client: &DfsClient) -> Arc<Self> {
        let config = client.config().clone();
        let authority = config.namenode.clone();
        let opener = move |namenode: &str| {
            let config = DfsClientConfig {
                namenode: namenode.to_owned(),
                ..config.clone()
            };
            Arc::new(DfsFileSystem::new(DfsClient::new(config))) as Arc<dyn FileSystem>
        };
        Self::new(Arc::new(DfsFileSystem::new(client.clone())), &authority, opener)
    }
}
