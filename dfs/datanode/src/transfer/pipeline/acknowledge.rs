//! Third step: acks, from the next node's and our own results, in the order of the packets.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::proto::hadoop::hdfs::Status;
use quarry_dfs_wire::transfer::ack::{self, HEARTBEAT_SEQNO, OUT_OF_BAND_SEQNO, PipelineAck};
use tokio::io::BufReader;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{Finish, Steps, Stored};
use crate::node::Node;
use crate::storage::ReplicaWriter;
use crate::storage::open_replica::OpenReplica;
use crate::transfer::error::{TransferError, within};
use crate::transfer::write::WriterKind;

pub(super) struct Acknowledge<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) upstream: &'a mut OwnedWriteHalf,
    pub(super) mirror: Option<BufReader<OwnedReadHalf>>,
    pub(super) open: &'a Arc<OpenReplica>,
    pub(super) steps: &'a Steps,
    pub(super) kind: WriterKind,
    pub(super) finish: Finish,
    pub(super) replaces: Option<&'a str>,
    pub(super) timeout: Duration,
    pub(super) mirror_timeout: Duration,
}

/// Whether more acks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

impl Acknowledge<'_> {
    /// Acknowledges until the last packet, a failure of our own, or until nothing more is stored.
    pub(super) async fn run(mut self, mut stored: mpsc::Receiver<Stored>) -> Result<(), TransferError> {
        let result = loop {
            let Some(next) = stored.recv().await else { break Ok(()) };
            match self.acknowledge(next).await {
                Ok(Flow::Continue) => {}
                Ok(Flow::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.steps.ended.cancel();
        result
    }

    async fn acknowledge(&mut self, stored: Stored) -> Result<Flow, TransferError> {
        if stored.status != Status::Success {
            // Nobody waits for the next node here: whatever it says, this node is out.
            self.send(PipelineAck::new(stored.seqno, stored.status, &[])).await?;
            return self.out(format!("{:?} while storing", stored.status));
        }
        let downstream = self.downstream(stored.seqno).await?;
        if downstream.first() == Some(&Status::ErrorChecksum) {
            // It took from us what we had verified: our copy or our way to it is bad, not that node.
            return self.out("the next node received damaged bytes from this one".to_owned());
        }
        let confirmed = downstream.iter().all(|status| *status == Status::Success);
        if confirmed && stored.seqno != HEARTBEAT_SEQNO {
            self.open.set_acked(stored.end);
        }
        let Some(writer) = stored.last else {
            self.send(PipelineAck::new(stored.seqno, Status::Success, &downstream))
                .await?;
            return Ok(Flow::Continue);
        };
        let finished = self.finish_replica(writer, confirmed).await;
        if let Err(TransferError::Refused(error)) = &finished {
            self.node.doubt_disks(error);
        }
        let own = match finished {
            Ok(()) => Status::Success,
            Err(error) if self.kind == WriterKind::Client => {
                tracing::error!(block = %self.open.replica().id, %error, "block was not completed");
                Status::Error
            }
            Err(error) => return Err(error),
        };
        self.send(PipelineAck::new(stored.seqno, own, &downstream)).await?;
        Ok(Flow::End)
    }

    /// This node leaves the pipeline by closing it.
    fn out(&self, reason: String) -> Result<Flow, TransferError> {
        match self.kind {
            WriterKind::Client => Ok(Flow::End),
            WriterKind::Transfer | WriterKind::Copy => Err(TransferError::Request(reason)),
        }
    }

    /// The last packet: the replica becomes final, unless a node behind this one failed. Then it stays as it is, for the
    /// recovery that the writer will start.
    async fn finish_replica(&mut self, writer: ReplicaWriter, confirmed: bool) -> Result<(), TransferError> {
        if !confirmed {
            return Ok(());
        }
        let dataset = Arc::clone(&self.node.dataset);
        if self.finish == Finish::ConvertToRbw {
            let id = writer.id();
            Node::blocking(move || dataset.convert_to_rbw(writer)).await?;
            self.node.report_receiving(id);
            return Ok(());
        }
        let finalized = Node::blocking(move || dataset.finalize(writer)).await?;
        match (self.kind, self.replaces) {
            (_, Some(replaces)) => self.node.report_replacement_and_wait(&finalized, replaces).await?,
            (WriterKind::Client, None) => self.node.report_finalized_and_wait(&finalized).await?,
            (WriterKind::Transfer | WriterKind::Copy, None) => {
                self.node.report_finalized(&finalized);
            }
        }
        Ok(())
    }

    /// The next nodes' statuses towards a packet; `[ERROR]` when the next node is gone.
    async fn downstream(&mut self, seqno: i64) -> Result<Vec<Status>, TransferError> {
        if self.kind != WriterKind::Client || (self.mirror.is_none() && !self.steps.mirror_broken.is_cancelled()) {
            return Ok(Vec::new());
        }
        loop {
            let Some(ack) = self.read_mirror().await else {
                return Ok(vec![Status::Error]);
            };
            if ack.seqno == OUT_OF_BAND_SEQNO {
                self.send(PipelineAck::new(OUT_OF_BAND_SEQNO, Status::Success, &ack.statuses))
                    .await?;
                continue;
            }
            if ack.seqno == seqno && !ack.statuses.is_empty() {
                return Ok(ack.statuses);
            }
            tracing::warn!(
                expected = seqno,
                found = ack.seqno,
                "next node's ack is out of order; giving it up"
            );
            self.give_up_mirror();
            return Ok(vec![Status::Error]);
        }
    }

    async fn read_mirror(&mut self) -> Option<PipelineAck> {
        let mirror = self.mirror.as_mut()?;
        let ack = tokio::select! {
            biased;
            ack = within(self.mirror_timeout, "for the next node's ack", ack::read_ack(mirror)) => ack,
            () = self.steps.mirror_broken.cancelled() => return None,
        };
        match ack {
            Ok(ack) => Some(ack),
            Err(error) => {
                tracing::info!(block = %self.open.replica().id, %error, "next node of the pipeline failed");
                self.give_up_mirror();
                None
            }
        }
    }

    fn give_up_mirror(&mut self) {
        self.mirror = None;
        self.steps.mirror_broken.cancel();
    }

    async fn send(&mut self, ack: PipelineAck) -> Result<(), TransferError> {
        if self.kind != WriterKind::Client {
            return Ok(());
        }
        within(
            self.timeout,
            "for the writer to take an ack",
            ack::write_ack(self.upstream, &ack),
        )
        .await
    }
}
