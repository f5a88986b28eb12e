//! A DataNode that only talks.

use std::sync::atomic::{AtomicU64, Ordering};

use quarry_dfs_namenode::NameNodeHandle;
use quarry_dfs_wire::proto::dfs_v1::data_node_link_client::DataNodeLinkClient;
use quarry_dfs_wire::proto::dfs_v1::{
    BlockReport, FromDataNode, FullBlockReport, Heartbeat, Register, Registered, Replica, ReplicaChange, ReplicaEvent,
    ReplicaState, Storage, ToDataNode, VolumesChecked, from_data_node, to_data_node,
};
use quarry_dfs_wire::proto::hadoop::hdfs::ExtendedBlockProto;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::support::DEADLINE;

pub(crate) struct FakeDataNode {
    pub(crate) n: u32,
    outgoing: mpsc::Sender<FromDataNode>,
    incoming: Streaming<ToDataNode>,
    sequence: AtomicU64,
    pub(crate) registered: Registered,
}

fn wrap(message: from_data_node::Message) -> FromDataNode {
    FromDataNode { message: Some(message) }
}

fn storage(n: u32) -> Storage {
    Storage {
        storage_id: format!("DS-{n}"),
        capacity: 1 << 30,
        dfs_used: 0,
        remaining: 1 << 30,
        ..Storage::default()
    }
}

pub(crate) fn register(n: u32) -> Register {
    Register {
        datanode_uuid: format!("uuid-{n}"),
        ip: "127.0.0.1".to_owned(),
        hostname: "localhost".to_owned(),
        xfer_port: 10_000 + n,
        ipc_port: 20_000 + n,
        storages: vec![storage(n)],
        ..Register::default()
    }
}

pub(crate) fn replica(block: &ExtendedBlockProto) -> Replica {
    Replica {
        block_id: block.block_id,
        generation_stamp: block.generation_stamp,
        length: block.num_bytes(),
        state: ReplicaState::Finalized as i32,
    }
}

impl FakeDataNode {
    /// Connects; the refusal's reason if it is refused.
    pub(crate) async fn try_connect(namenode: &NameNodeHandle, n: u32, register: Register) -> Result<Self, String> {
        let channel = Endpoint::from_shared(format!("http://{}", namenode.link_addr()))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client = DataNodeLinkClient::new(channel);
        let (outgoing, messages) = mpsc::channel(64);
        outgoing
            .send(wrap(from_data_node::Message::Register(register)))
            .await
            .unwrap();
        let mut incoming = client
            .connect(ReceiverStream::new(messages))
            .await
            .unwrap()
            .into_inner();
        let first = timeout(DEADLINE, incoming.message()).await.unwrap().unwrap().unwrap();
        match first.message.unwrap() {
            to_data_node::Message::Registered(registered) => Ok(Self {
                n,
                outgoing,
                incoming,
                sequence: AtomicU64::new(0),
                registered,
            }),
            to_data_node::Message::Refused(refused) => Err(refused.reason),
            other => panic!("{other:?}"),
        }
    }

    /// Connects and reports what it holds.
    pub(crate) async fn connect(namenode: &NameNodeHandle, n: u32, holds: &[Replica]) -> Self {
        let mut node = Self::try_connect(namenode, n, register(n)).await.unwrap();
        node.full_report(holds).await;
        node
    }

    async fn send(&self, message: from_data_node::Message) {
        self.outgoing.send(wrap(message)).await.unwrap();
    }

    fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) async fn full_report(&mut self, holds: &[Replica]) {
        let sequence = self.next_sequence();
        let report = FullBlockReport {
            sequence,
            storage_id: format!("DS-{}", self.n),
            replicas: holds.to_vec(),
            last_part: true,
        };
        self.send(from_data_node::Message::FullBlockReport(report)).await;
        self.acknowledged(sequence).await;
    }

    /// Reports a finalized replica without waiting for the acknowledgement.
    pub(crate) async fn received(&self, block: &ExtendedBlockProto) -> u64 {
        self.changed(block, ReplicaChange::Received).await
    }

    /// Reports what became of a replica without waiting for the acknowledgement.
    pub(crate) async fn changed(&self, block: &ExtendedBlockProto, change: ReplicaChange) -> u64 {
        let sequence = self.next_sequence();
        let event = ReplicaEvent {
            storage_id: format!("DS-{}", self.n),
            change: change as i32,
            replica: Some(replica(block)),
            ..ReplicaEvent::default()
        };
        self.send(from_data_node::Message::BlockReport(BlockReport {
            sequence,
            events: vec![event],
        }))
        .await;
        sequence
    }

    /// Answers an order to verify everything.
    pub(crate) async fn volumes_checked(&self, sequence: u64) {
        let blocks_verified = 1;
        let checked = VolumesChecked {
            sequence,
            blocks_verified,
        };
        self.send(from_data_node::Message::VolumesChecked(checked)).await;
    }

    pub(crate) async fn heartbeat(&self) {
        let heartbeat = Heartbeat {
            storages: vec![storage(self.n)],
            ..Heartbeat::default()
        };
        self.send(from_data_node::Message::Heartbeat(heartbeat)).await;
    }

    async fn acknowledged(&mut self, sequence: u64) {
        self.expect(|message| matches!(message, to_data_node::Message::ReportAck(ack) if ack.sequence == sequence))
            .await;
    }

    /// The next message that `wanted` accepts; others are dropped.
    pub(crate) async fn expect(&mut self, wanted: impl Fn(&to_data_node::Message) -> bool) -> to_data_node::Message {
        let search = async {
            loop {
                let message = self
                    .incoming
                    .message()
                    .await
                    .unwrap()
                    .expect("the stream goes on")
                    .message
                    .unwrap();
                if wanted(&message) {
                    return message;
                }
            }
        };
        timeout(DEADLINE, search).await.expect("the message comes in time")
    }
}
