//! A cluster whose nodes can be killed: each runs in a runtime of its own, which is torn down in the middle of whatever it is doing,
//! with its sockets reset. The DataNodes stand behind [`Toxic`] proxies, for each other too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use quarry_dfs_client::{DfsClient, DfsClientConfig};
use quarry_dfs_datanode::{DataNode, DataNodeConfig, DataNodeHandle};
use quarry_dfs_namenode::{NameNode, NameNodeConfig, NameNodeHandle};
use tokio::runtime::{Builder, Runtime};

use crate::cluster::{BLOCK, PATIENCE, USER, find};
use crate::toxic::{Toxic, Toxin};

/// DataNodes are known by loopback addresses of their own, on which their proxies listen.
static NEXT_ADDRESS: AtomicU16 = AtomicU16::new(1);

/// Something that runs in a runtime of its own.
struct Killable<T> {
    runtime: Option<Runtime>,
    handle: Option<T>,
}

impl<T: Send + 'static> Killable<T> {
    async fn start(start: impl Future<Output = T> + Send + 'static) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let handle = runtime.spawn(start).await.unwrap();
        Self {
            runtime: Some(runtime),
            handle: Some(handle),
        }
    }
}

impl<T> Drop for Killable<T> {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        self.handle = None;
    }
}

/// A DataNode and its proxies.
struct Node {
    address: IpAddr,
    running: Option<Killable<DataNodeHandle>>,
    xfer: Option<Toxic>,
    ipc: Option<Toxic>,
    uuid: String,
}

pub(crate) struct CrashCluster {
    dir: tempfile::TempDir,
    namenode: Option<Killable<NameNodeHandle>>,
    rpc: SocketAddr,
    link: SocketAddr,
    nodes: Vec<Node>,
}

impl CrashCluster {
    pub(crate) async fn start(datanodes: usize) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            namenode: None,
            rpc: any,
            link: any,
            nodes: Vec::new(),
        };
        cluster.start_namenode().await;
        for i in 0..datanodes {
            let n = NEXT_ADDRESS.fetch_add(1, Ordering::Relaxed);
            cluster.nodes.push(Node {
                address: IpAddr::V4(Ipv4Addr::new(127, 77, (n / 250) as u8, (n % 250 + 1) as u8)),
                running: None,
                xfer: None,
                ipc: None,
                uuid: String::new(),
            });
            cluster.start_datanode(i).await;
        }
        cluster
    }

    pub(crate) async fn start_namenode(&mut self) {
        let config = NameNodeConfig {
            dir: self.dir.path().join("namenode"),
            rpc_address: self.rpc,
            link_address: self.link,
            http_address: "127.0.0.1:0".parse().unwrap(),
            superuser: USER.to_owned(),
            min_block_size: ByteSize::b(512),
            lost_grace: Duration::from_millis(500),
            replication_interval: Duration::from_millis(200),
            safe_mode_extension: Duration::from_millis(500),
            ..NameNodeConfig::default()
        };
        let start = async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                // The one before may not have let go of its directory and ports yet.
                match NameNode::start(config.clone()).await {
                    Ok(namenode) => return namenode,
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let namenode = Killable::start(start).await;
        let handle = namenode.handle.as_ref().unwrap();
        (self.rpc, self.link) = (handle.rpc_addr(), handle.link_addr());
        self.namenode = Some(namenode);
    }

    pub(crate) fn kill_namenode(&mut self) {
        self.namenode = None;
    }

    pub(crate) async fn start_datanode(&mut self, i: usize) {
        let config = DataNodeConfig {
            dirs: vec![self.datanode_dir(i)],
            namenode: self.link.to_string(),
            host: self.nodes[i].address,
            transfer_timeout: Duration::from_secs(4),
            ..DataNodeConfig::default()
        };
        let start = async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match DataNode::start(config.clone()).await {
                    Ok(datanode) => return datanode,
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let running = Killable::start(start).await;
        let handle = running.handle.as_ref().unwrap();
        let node = &mut self.nodes[i];
        node.uuid = handle.datanode_uuid().to_string();
        let proxy = |server: SocketAddr| Toxic::start(SocketAddr::new(node.address, server.port()), server);
        let (xfer, ipc) = (proxy(handle.xfer_addr()).await, proxy(handle.ipc_addr()).await);
        (node.xfer, node.ipc) = (Some(xfer.unwrap()), Some(ipc.unwrap()));
        node.running = Some(running);
    }

    /// Waits until a started DataNode serves.
    pub(crate) async fn wait_registered(&self, i: usize) {
        let handle = self.nodes[i].running.as_ref().unwrap().handle.clone().unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        handle.wait_registered(deadline).await.unwrap();
    }

    pub(crate) async fn wait_all_registered(&self) {
        for i in 0..self.nodes.len() {
            self.wait_registered(i).await;
        }
    }

    pub(crate) fn kill_datanode(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        (node.xfer, node.ipc) = (None, None);
        node.running = None;
    }

    pub(crate) fn datanodes(&self) -> usize {
        self.nodes.len()
    }

    /// The proxy of DataNode `i`'s transfer port.
    pub(crate) fn proxy(&self, i: usize) -> &Toxic {
        self.nodes[i].xfer.as_ref().unwrap()
    }

    /// Cuts DataNode `i` off from everybody but its NameNode: nothing is refused, nothing comes through.
    pub(crate) fn silence(&self, i: usize) {
        let node = &self.nodes[i];
        for proxy in [&node.xfer, &node.ipc].into_iter().flatten() {
            proxy.set(Toxin::Hole, Toxin::Hole);
        }
    }

    pub(crate) fn index(&self, uuid: &str) -> usize {
        self.nodes.iter().position(|node| node.uuid == uuid).unwrap()
    }

    fn datanode_dir(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("datanode-{i}"))
    }

    /// The bytes of the replica of block `id` on DataNode `i`, if it has one.
    pub(crate) fn replica(&self, i: usize, id: quarry_dfs_wire::block::BlockId) -> Option<Vec<u8>> {
        find(&self.datanode_dir(i), &format!("blk_{id}")).map(|path| std::fs::read(path).unwrap())
    }

    pub(crate) fn config(&self) -> DfsClientConfig {
        DfsClientConfig {
            user: USER.to_owned(),
            block_size: Some(ByteSize::b(BLOCK)),
            replication: Some(3),
            pipeline_timeout: Duration::from_secs(6),
            datanode_timeout: Duration::from_secs(6),
            ..DfsClientConfig::new(self.rpc.to_string())
        }
    }

    pub(crate) fn client(&self) -> DfsClient {
        DfsClient::new(self.config())
    }
}
