//! The packets of a write, on their way through this DataNode.
//!
//! ```text
//!                 ┌ next node ◀── raw packet ──┐
//! upstream ──▶ receive ──▶ store ──▶ acknowledge ──▶ upstream
//!                          (disk)        ▲
//!                    next node's acks ───┘
//! ```
//!
//! The three steps run at the same time on one task, joined by short queues. Each packet goes to the next node before it is
//! stored here. The last packet's bytes are fsynced in `store`, on all nodes at the same time; when the next node has
//! confirmed it, `acknowledge` finalizes the replica, reports it, waits for the NameNode's receipt, and only then confirms it
//! in turn. So whoever sees the last ack knows that the block is durable on every node of the pipeline and known to the
//! NameNode.
//!
//! What ends a pipeline early: the writer goes away, sends nonsense or is silent; the disk fails; a recovery takes the
//! replica. The replica then stays RBW with the bytes it has, for the recovery. A broken *next* node does not: packets are
//! still stored, and each ack names the failure until the writer has rebuilt the pipeline.

mod acknowledge;
mod receive;
mod store;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, Status};
use quarry_dfs_wire::transfer::packet::Packet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Next};
use super::error::TransferError;
use super::write::WriterKind;
use crate::jobs::throttle::Throttle;
use crate::node::Node;
use crate::storage::ReplicaWriter;

/// Bytes of packets that wait for the disk, and the number of packets and of acks that may wait.
const STORE_BUDGET_BYTES: usize = 8 << 20;
const QUEUE_PACKETS: usize = 256;
/// Packets whose memory is kept for the next ones: more are seldom under way at a time.
const SPARE_PACKETS: usize = 8;

/// What becomes of the replica with its last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It is complete.
    Finalize,
    /// It is a copy of a replica that is being written, and goes on being written.
    ConvertToRbw,
}

/// A pipeline that is set up.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) kind: WriterKind,
    pub(crate) finish: Finish,
    /// How the writer computes checksums.
    pub(crate) checksum: DataChecksum,
    /// The next node.
    pub(crate) mirror: Option<Connection>,
    /// How long the next node may be silent, or not take a packet.
    pub(crate) mirror_timeout: Duration,
    /// The replica moves here from another DataNode.
    pub(crate) takes_over: Option<TakeOver>,
}

/// What is different when a replica moves here.
#[derive(Debug, Clone)]
pub(crate) struct TakeOver {
    /// The DataNode whose replica goes once this one is in place, for the NameNode.
    pub(crate) replaces: String,
    /// A limit that the bytes count against.
    pub(crate) throttle: Arc<Throttle>,
}

/// A packet on its way to the disk, with its share of the budget.
struct Received {
    packet: Packet,
    _budget: Option<OwnedSemaphorePermit>,
    spare: Arc<Spare>,
}

impl Received {
    /// Gives the packet's memory to one that is yet to come.
    fn recycle(self) {
        let Packet {
            raw, checksums, data, ..
        } = self.packet;
        drop((checksums, data));
        if let Ok(buffer) = raw.try_into_mut() {
            self.spare.put(buffer);
        }
    }
}

/// Memory of packets that are done with: fresh memory for each would cost page faults and zeros.
#[derive(Debug, Default)]
struct Spare(Mutex<Vec<BytesMut>>);

impl Spare {
    fn take(&self) -> BytesMut {
        self.0.lock().pop().unwrap_or_default()
    }

    fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut spare = self.0.lock();
        if spare.len() < SPARE_PACKETS {
            spare.push(buffer);
        }
    }
}

/// A packet that was stored, or not.
struct Stored {
    seqno: i64,
    status: Status,
    /// The replica's length after the packet.
    end: u64,
    /// With the block's last packet the right to the replica passes on.
    last: Option<ReplicaWriter>,
}

/// What the steps share.
struct Steps {
    /// The next node cannot be written to.
    mirror_broken: CancellationToken,
    /// Nothing more will be acknowledged: all steps may end.
    ended: CancellationToken,
    budget: Arc<Semaphore>,
    spare: Arc<Spare>,
}

/// Runs a pipeline to its end.
pub(crate) async fn run(
    node: &Arc<Node>,
    connection: &mut Connection,
    writer: ReplicaWriter,
    pipeline: Pipeline,
) -> Result<Next, TransferError> {
    let fenced = writer.cancelled();
    let open = Arc::clone(writer.open());
    let steps = Steps {
        mirror_broken: CancellationToken::new(),
        ended: CancellationToken::new(),
        budget: Arc::new(Semaphore::new(STORE_BUDGET_BYTES)),
        spare: Arc::default(),
    };
    let (to_store, received) = mpsc::channel(QUEUE_PACKETS);
    let (to_acknowledge, stored) = mpsc::channel(QUEUE_PACKETS);
    let (mirror_reader, mirror_writer) = pipeline
        .mirror
        .map_or((None, None), |m| (Some(m.reader), Some(m.writer)));
    let (kind, timeout) = (pipeline.kind, node.config.transfer_timeout);
    let receive = receive::Receive {
        upstream: &mut connection.reader,
        mirror: mirror_writer,
        open: &open,
        steps: &steps,
        to_store,
        throttle: pipeline.takes_over.as_ref().map(|over| &*over.throttle),
        timeout,
        mirror_timeout: pipeline.mirror_timeout,
    };
    let acknowledge = acknowledge::Acknowledge {
        node,
        upstream: &mut connection.writer,
        mirror: mirror_reader,
        open: &open,
        steps: &steps,
        kind,
        finish: pipeline.finish,
        replaces: pipeline.takes_over.as_ref().map(|over| &*over.replaces),
        timeout,
        mirror_timeout: pipeline.mirror_timeout,
    };
    let all = async {
        tokio::join!(
            receive.run(),
            store::run(node, writer, pipeline.checksum, received, to_acknowledge),
            acknowledge.run(stored),
        )
    };
    let (received, (), acknowledged) = tokio::select! {
        biased;
        () = fenced.cancelled() => {
            return Err(TransferError::Request("the replica was taken by a recovery".to_owned()));
        }
        ended = all => ended,
    };
    acknowledged?;
    received?;
    if kind == WriterKind::Transfer {
        let reply = BlockOpResponseProto {
            status: Status::Success.into(),
            ..BlockOpResponseProto::default()
        };
        connection.send(&reply, timeout).await?;
    }
    Ok(Next::Close)
}
