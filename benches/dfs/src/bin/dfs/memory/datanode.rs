//! A DataNode that only reports: what it claims to hold exists nowhere.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use quarry_dfs_wire::proto::dfs_v1::data_node_link_client::DataNodeLinkClient;
use quarry_dfs_wire::proto::dfs_v1::{
    FromDataNode, FullBlockReport, Register, Replica, ReplicaState, Storage, ToDataNode, from_data_node, to_data_node,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use super::namespace::{LENGTH, Shape, block};

/// Replicas per part of a report, as real DataNodes send them.
const PART: u64 = 10_000;
/// Size of the simulated disk, in bytes.
const CAPACITY: u64 = 1 << 50;

/// One storage of one DataNode.
pub(crate) struct SimulatedDataNode {
    storage: String,
    outgoing: mpsc::Sender<FromDataNode>,
    incoming: Streaming<ToDataNode>,
    sequence: u64,
}

impl SimulatedDataNode {
    /// Connects and registers.
    pub(crate) async fn connect(link: SocketAddr, number: u16) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{link}"))?.connect().await?;
        let (outgoing, messages) = mpsc::channel(4);
        let storage = format!("DS-{number}");
        let register = Register {
            datanode_uuid: format!("simulated-{number}"),
            ip: "127.0.0.1".to_owned(),
            hostname: "localhost".to_owned(),
            xfer_port: 10_000 + u32::from(number),
            ipc_port: 20_000 + u32::from(number),
            storages: vec![Storage {
                storage_id: storage.clone(),
                capacity: CAPACITY,
                remaining: CAPACITY,
                ..Storage::default()
            }],
            ..Register::default()
        };
        outgoing.send(wrap(from_data_node::Message::Register(register))).await?;
        let mut client = DataNodeLinkClient::new(channel);
        let mut incoming = client.connect(ReceiverStream::new(messages)).await?.into_inner();
        let first = incoming.message().await?.and_then(|first| first.message);
        match first.context("the NameNode says nothing to a registration")? {
            to_data_node::Message::Registered(_) => Ok(Self {
                storage,
                outgoing,
                incoming,
                sequence: 0,
            }),
            other => bail!("the NameNode answers a registration with {other:?}"),
        }
    }

    /// Reports a replica of every file's block and waits until the NameNode has taken all of them in.
    pub(crate) async fn report(&mut self, shape: Shape) -> Result<()> {
        for first in (0..shape.files).step_by(PART as usize) {
            let end = (first + PART).min(shape.files);
            self.sequence += 1;
            let report = FullBlockReport {
                sequence: self.sequence,
                storage_id: self.storage.clone(),
                replicas: (first..end).map(replica).collect(),
                last_part: end == shape.files,
            };
            let message = from_data_node::Message::FullBlockReport(report);
            self.outgoing.send(wrap(message)).await?;
            self.acknowledged().await?;
        }
        Ok(())
    }

    async fn acknowledged(&mut self) -> Result<()> {
        loop {
            let message = self.incoming.message().await?.context("the NameNode closed the link")?;
            match message.message {
                Some(to_data_node::Message::ReportAck(ack)) if ack.sequence == self.sequence => return Ok(()),
                // Orders are not carried out: there is nothing to copy or delete.
                _ => {}
            }
        }
    }
}

fn replica(n: u64) -> Replica {
    let (block_id, generation_stamp) = block(n);
    Replica {
        block_id,
        generation_stamp,
        length: LENGTH,
        state: ReplicaState::Finalized as i32,
    }
}

fn wrap(message: from_data_node::Message) -> FromDataNode {
    FromDataNode { message: Some(message) }
}
