//! A cluster for one test: a NameNode and some DataNodes on ports that the system chooses, in a directory that goes with it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytesize::ByteSize;
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig, FileStatus, LocalReplica, LocalReplicas};
use quarry_dfs_datanode::{DataNode, DataNodeConfig, DataNodeHandle};
use quarry_dfs_namenode::{NameNode, NameNodeConfig, NameNodeHandle};
use quarry_dfs_wire::block::{BlockId, GenerationStamp};

/// How long a test waits for a condition before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Block size of the tests: small, so that files have many.
pub(crate) const BLOCK: u64 = 1 << 20;

/// The user of the tests, who may do everything.
pub(crate) const USER: &str = "tester";

pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    namenode: Option<NameNodeHandle>,
    /// Where the NameNode listens, kept over restarts.
    rpc: String,
    link: String,
    datanodes: Vec<Option<Arc<DataNodeHandle>>>,
}

impl Cluster {
    pub(crate) async fn start(datanodes: usize) -> Self {
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            namenode: None,
            rpc: "127.0.0.1:0".to_owned(),
            link: "127.0.0.1:0".to_owned(),
            datanodes: Vec::new(),
        };
        cluster.start_namenode().await;
        for i in 0..datanodes {
            cluster.datanodes.push(None);
            cluster.start_datanode(i).await;
        }
        cluster
    }

    /// Starts the NameNode: at first on any ports, later on the same.
    pub(crate) async fn start_namenode(&mut self) {
        let config = NameNodeConfig {
            dir: self.dir.path().join("namenode"),
            rpc_address: self.rpc.parse().unwrap(),
            link_address: self.link.parse().unwrap(),
            http_address: "127.0.0.1:0".parse().unwrap(),
            superuser: USER.to_owned(),
            min_block_size: ByteSize::b(512),
            lost_grace: Duration::from_millis(500),
            replication_interval: Duration::from_millis(200),
            safe_mode_extension: Duration::from_millis(500),
            ..NameNodeConfig::default()
        };
        let namenode = NameNode::start(config).await.unwrap();
        self.rpc = namenode.rpc_addr().to_string();
        self.link = namenode.link_addr().to_string();
        self.namenode = Some(namenode);
    }

    pub(crate) async fn stop_namenode(&mut self) {
        self.namenode.take().unwrap().shutdown().await;
    }

    pub(crate) async fn start_datanode(&mut self, i: usize) {
        let config = DataNodeConfig {
            dirs: vec![self.datanode_dir(i)],
            namenode: self.link.clone(),
            domain_socket: Some(self.domain_socket()),
            ..DataNodeConfig::default()
        };
        let datanode = DataNode::start(config).await.unwrap();
        datanode
            .wait_registered(tokio::time::Instant::now() + PATIENCE)
            .await
            .unwrap();
        self.datanodes[i] = Some(Arc::new(datanode));
    }

    pub(crate) async fn stop_datanode(&mut self, i: usize) {
        self.datanodes[i].take().unwrap().shutdown().await;
    }

    pub(crate) fn datanode_dir(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("datanode-{i}"))
    }

    pub(crate) fn datanode_uuid(&self, i: usize) -> String {
        self.datanodes[i].as_ref().unwrap().datanode_uuid().to_string()
    }

    /// Where DataNode `i` serves blocks.
    pub(crate) fn xfer_addr(&self, i: usize) -> SocketAddr {
        self.datanodes[i].as_ref().unwrap().xfer_addr()
    }

    /// Which DataNode has that uuid.
    pub(crate) fn datanode_index(&self, uuid: &str) -> usize {
        (0..self.datanodes.len())
            .find(|i| self.datanodes[*i].is_some() && self.datanode_uuid(*i) == uuid)
            .unwrap()
    }

    pub(crate) fn config(&self) -> DfsClientConfig {
        DfsClientConfig {
            user: USER.to_owned(),
            block_size: Some(ByteSize::b(BLOCK)),
            // Small, so that what a test writes is under way before the test goes on.
            write_packet_size: ByteSize::kib(64),
            ..DfsClientConfig::new(self.rpc.clone())
        }
    }

    pub(crate) fn client(&self) -> DfsClient {
        DfsClient::new(self.config())
    }

    /// Where the DataNodes hand out the files of their replicas.
    pub(crate) fn domain_socket(&self) -> PathBuf {
        self.dir.path().join("dn._PORT.sock")
    }

    /// A client that asks the DataNodes for the files of their replicas.
    pub(crate) fn client_by_socket(&self) -> DfsClient {
        DfsClient::new(DfsClientConfig {
            domain_socket: Some(self.domain_socket()),
            ..self.config()
        })
    }

    /// A client that reads the replicas of DataNode `i` from its disk.
    pub(crate) fn client_beside(&self, i: usize) -> DfsClient {
        let datanode = Arc::clone(self.datanodes[i].as_ref().unwrap());
        let uuid = datanode.datanode_uuid().to_string();
        self.client().with_local_replicas(Arc::new(Beside { datanode, uuid }))
    }

    /// The bytes of the replica of `block` on DataNode `i`.
    pub(crate) fn replica_bytes(&self, i: usize, block: BlockId) -> Vec<u8> {
        let path = find(&self.datanode_dir(i), &format!("blk_{block}")).unwrap();
        std::fs::read(path).unwrap()
    }

    /// What DataNode `i` stores of a block.
    pub(crate) fn stored(&self, i: usize, block: BlockId) -> Option<Vec<u8>> {
        std::fs::read(find(&self.datanode_dir(i), &format!("blk_{block}"))?).ok()
    }

    /// Changes a bit of a stored replica of `block` on DataNode `i`.
    pub(crate) fn flip_bit(&self, i: usize, block: BlockId, offset: u64) {
        use std::os::unix::fs::FileExt;
        let path = find(&self.datanode_dir(i), &format!("blk_{block}")).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    }
}

struct Beside {
    datanode: Arc<DataNodeHandle>,
    uuid: String,
}

impl LocalReplicas for Beside {
    fn datanode_uuid(&self) -> &str {
        &self.uuid
    }

    fn open(&self, pool: &str, block: BlockId, generation_stamp: GenerationStamp) -> io::Result<Option<LocalReplica>> {
        let files = self.datanode.open_replica(pool, block, generation_stamp)?;
        Ok(files.map(|files| LocalReplica {
            data: files.data,
            meta: files.meta,
            length: files.length,
        }))
    }
}

/// The file of that name somewhere below `dir`.
pub(crate) fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()? {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            if let Some(found) = find(&entry.path(), name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return Some(entry.path());
        }
    }
    None
}

/// `length` bytes that look random and depend on `seed` alone.
pub(crate) fn payload(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Writes a file in one go.
pub(crate) async fn put(client: &DfsClient, path: &str, data: Bytes, replication: u16) -> FileStatus {
    let options = CreateOptions {
        replication: Some(replication),
        overwrite: true,
        ..CreateOptions::default()
    };
    let mut writer = client.create(path, options).await.unwrap();
    writer.write(data).await.unwrap();
    writer.close().await.unwrap()
}

/// Reads a whole file.
pub(crate) async fn get(client: &DfsClient, path: &str) -> Bytes {
    let reader = client.open(path).await.unwrap();
    reader.read_range(0..reader.len()).await.unwrap()
}

/// Waits until `condition` holds, looking again after every short while.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
