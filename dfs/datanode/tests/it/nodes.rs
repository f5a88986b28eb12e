//! A few DataNodes under one fake NameNode.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quarry_dfs_datanode::{DataNode, DataNodeConfig, DataNodeHandle};
use quarry_dfs_wire::proto::dfs_v1::Target;
use quarry_dfs_wire::proto::hadoop::hdfs::{DatanodeIdProto, DatanodeInfoProto};
use tokio::time::Instant;

use crate::fake_namenode::{FakeNameNode, POOL};

pub(crate) struct Nodes {
    pub(crate) namenode: FakeNameNode,
    pub(crate) nodes: Vec<DataNodeHandle>,
    dir: tempfile::TempDir,
}

impl Nodes {
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, |_| {}).await
    }

    pub(crate) async fn start_with(count: usize, tune: impl Fn(&mut DataNodeConfig)) -> Self {
        let namenode = FakeNameNode::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for index in 0..count {
            let mut config = config(&namenode, &dir.path().join(format!("dn{index}")));
            tune(&mut config);
            nodes.push(start_node(config).await);
        }
        Self { namenode, nodes, dir }
    }

    pub(crate) fn dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("dn{index}"))
    }

    pub(crate) fn pool_dir(&self, index: usize) -> PathBuf {
        self.dir(index).join("current").join(POOL)
    }

    pub(crate) fn config(&self, index: usize) -> DataNodeConfig {
        config(&self.namenode, &self.dir(index))
    }

    pub(crate) fn uuid(&self, index: usize) -> String {
        self.nodes[index].datanode_uuid().to_owned()
    }

    /// The nodes as a writer names them.
    pub(crate) fn infos(&self) -> Vec<DatanodeInfoProto> {
        self.nodes.iter().map(info).collect()
    }

    pub(crate) fn target(&self, index: usize) -> Target {
        let node = &self.nodes[index];
        Target {
            datanode_uuid: node.datanode_uuid().to_owned(),
            ip: "127.0.0.1".to_owned(),
            hostname: "localhost".to_owned(),
            xfer_port: node.xfer_addr().port().into(),
            ipc_port: node.ipc_addr().port().into(),
            storage_id: String::new(),
        }
    }

    /// Stops a node as a crash would leave it, and starts another on its directory.
    pub(crate) async fn restart(&mut self, index: usize) {
        self.nodes[index].shutdown().await;
        let old = self.nodes.remove(index);
        drop(old);
        let node = start_node(self.config(index)).await;
        self.nodes.insert(index, node);
    }
}

pub(crate) fn info(node: &DataNodeHandle) -> DatanodeInfoProto {
    DatanodeInfoProto {
        id: DatanodeIdProto {
            ip_addr: "127.0.0.1".to_owned(),
            host_name: "localhost".to_owned(),
            datanode_uuid: node.datanode_uuid().to_owned(),
            xfer_port: node.xfer_addr().port().into(),
            ipc_port: node.ipc_addr().port().into(),
            ..DatanodeIdProto::default()
        },
        ..DatanodeInfoProto::default()
    }
}

pub(crate) fn config(namenode: &FakeNameNode, dir: &Path) -> DataNodeConfig {
    DataNodeConfig {
        dirs: vec![dir.to_owned()],
        namenode: namenode.address.to_string(),
        ..DataNodeConfig::default()
    }
}

pub(crate) async fn start_node(config: DataNodeConfig) -> DataNodeHandle {
    let node = DataNode::start(config).await.unwrap();
    node.wait_registered(Instant::now() + Duration::from_secs(20))
        .await
        .unwrap();
    node
}
