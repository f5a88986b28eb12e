//! A NameNode on a temporary directory and a client for it.

use std::path::Path;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use prost::Message;
use quarry_dfs_namenode::{NameNode, NameNodeConfig, NameNodeHandle};
use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcClient, RpcClientError, RpcClientOptions};

/// Longest that any condition is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Bytes per block.
pub(crate) const BLOCK: u64 = 4096;

pub(crate) fn config(dir: &Path) -> NameNodeConfig {
    NameNodeConfig {
        dir: dir.to_owned(),
        rpc_address: "127.0.0.1:0".parse().unwrap(),
        link_address: "127.0.0.1:0".parse().unwrap(),
        http_address: "127.0.0.1:0".parse().unwrap(),
        min_block_size: ByteSize::b(1),
        superuser: "hdfs".to_owned(),
        heartbeat_interval: Duration::from_millis(200),
        lost_grace: Duration::from_millis(500),
        safe_mode_extension: Duration::ZERO,
        replication_interval: Duration::from_millis(100),
        seed: Some(1),
        ..NameNodeConfig::default()
    }
}

pub(crate) async fn start(dir: &Path) -> NameNodeHandle {
    NameNode::start(config(dir)).await.unwrap()
}

pub(crate) struct Client(pub(crate) RpcClient);

impl Client {
    pub(crate) fn of(namenode: &NameNodeHandle) -> Self {
        Self::as_user(namenode, "hdfs")
    }

    pub(crate) fn as_user(namenode: &NameNodeHandle, user: &str) -> Self {
        let address = namenode.rpc_addr().to_string();
        Self(RpcClient::new(
            address,
            user,
            CLIENT_PROTOCOL,
            RpcClientOptions::default(),
        ))
    }

    pub(crate) async fn call<Resp: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
    ) -> Result<Resp, RpcClientError> {
        self.0.call(method, request).await
    }

    pub(crate) async fn mkdirs(&self, src: &str) -> bool {
        let request = proto::MkdirsRequestProto {
            src: src.to_owned(),
            masked: proto::FsPermissionProto { perm: 0o755 },
            create_parent: true,
            unmasked: None,
        };
        self.call::<proto::MkdirsResponseProto>("mkdirs", &request)
            .await
            .unwrap()
            .result
    }

    pub(crate) async fn status(&self, src: &str) -> Option<proto::HdfsFileStatusProto> {
        let request = proto::GetFileInfoRequestProto { src: src.to_owned() };
        self.call::<proto::GetFileInfoResponseProto>("getFileInfo", &request)
            .await
            .unwrap()
            .fs
    }

    pub(crate) async fn create(&self, src: &str, replication: u32) -> proto::HdfsFileStatusProto {
        let request = proto::CreateRequestProto {
            src: src.to_owned(),
            masked: proto::FsPermissionProto { perm: 0o644 },
            client_name: "writer".to_owned(),
            create_flag: proto::CreateFlagProto::Create as u32,
            create_parent: true,
            replication,
            block_size: BLOCK,
            ..Default::default()
        };
        self.call::<proto::CreateResponseProto>("create", &request)
            .await
            .unwrap()
            .fs
            .unwrap()
    }

    pub(crate) async fn add_block(
        &self,
        src: &str,
        previous: Option<proto::ExtendedBlockProto>,
    ) -> proto::LocatedBlockProto {
        let request = proto::AddBlockRequestProto {
            src: src.to_owned(),
            client_name: "writer".to_owned(),
            previous,
            ..Default::default()
        };
        self.call::<proto::AddBlockResponseProto>("addBlock", &request)
            .await
            .unwrap()
            .block
    }

    pub(crate) async fn complete(&self, src: &str, last: Option<proto::ExtendedBlockProto>) -> bool {
        let request = proto::CompleteRequestProto {
            src: src.to_owned(),
            client_name: "writer".to_owned(),
            last,
            file_id: None,
        };
        self.call::<proto::CompleteResponseProto>("complete", &request)
            .await
            .unwrap()
            .result
    }

    pub(crate) async fn locations(&self, src: &str) -> Result<proto::LocatedBlocksProto, RpcClientError> {
        let request = proto::GetBlockLocationsRequestProto {
            src: src.to_owned(),
            offset: 0,
            length: i64::MAX as u64,
        };
        let response: proto::GetBlockLocationsResponseProto = self.call("getBlockLocations", &request).await?;
        Ok(response.locations.unwrap())
    }

    pub(crate) async fn live_datanodes(&self) -> usize {
        let request = proto::GetDatanodeReportRequestProto {
            r#type: proto::DatanodeReportTypeProto::Live as i32,
        };
        let response: proto::GetDatanodeReportResponseProto = self.call("getDatanodeReport", &request).await.unwrap();
        response.di.len()
    }
}

/// Repeats `check` until it holds.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !check().await {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn exception_class<T: std::fmt::Debug>(result: Result<T, RpcClientError>) -> String {
    match result {
        Err(RpcClientError::Exception(exception)) => exception.simple_class().to_owned(),
        other => panic!("expected an exception, found {other:?}"),
    }
}
