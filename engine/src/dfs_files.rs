//! The distributed file system as the engine sees it: through `quarry-dfs-client`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use datafusion::error::{DataFusionError, Result};
use object_store::ObjectStore;
use quarry_dfs_client::{DataNodeInfo, DfsClient, DfsClientConfig, DfsObjectStore, LocatedFile, ReadStats};

use crate::files::{ByteCounts, DataFile, FileSystem, FileSystems};
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
}

fn data_file(file: LocatedFile) -> DataFile {
    let modified = i64::try_from(file.status.modification_time_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    let blocks = file.blocks.blocks.iter().map(|block| BlockSpan {
        offset: block.offset,
        length: block.block.block.length,
        hosts: block.datanodes.iter().map(|node| replica_host(node)).collect::<Hosts>(),
    });
    DataFile {
        path: file.status.path.clone(),
        size: file.blocks.length,
        modified: modified.unwrap_or_default(),
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
