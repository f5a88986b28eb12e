//! First step: packets from upstream, passed on to the next node and to the disk.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::transfer::packet::{self, Packet};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{Received, STORE_BUDGET_BYTES, Steps};
use crate::jobs::throttle::Throttle;
use crate::storage::open_replica::OpenReplica;
use crate::transfer::error::{TransferError, within};

pub(super) struct Receive<'a> {
    pub(super) upstream: &'a mut BufReader<OwnedReadHalf>,
    pub(super) mirror: Option<OwnedWriteHalf>,
    pub(super) open: &'a Arc<OpenReplica>,
    pub(super) steps: &'a Steps,
    pub(super) to_store: mpsc::Sender<Received>,
    pub(super) throttle: Option<&'a Throttle>,
    pub(super) timeout: Duration,
    pub(super) mirror_timeout: Duration,
}

impl Receive<'_> {
    /// Receives until the block's last packet, or until nobody acknowledges any more.
    pub(super) async fn run(mut self) -> Result<(), TransferError> {
        let ended = self.steps.ended.clone();
        let result = tokio::select! {
            biased;
            () = ended.cancelled() => return Ok(()),
            result = self.receive_all() => result,
        };
        // The next node must still be told of the end, by closing; but not before it has acknowledged the last packet.
        if result.is_ok() && self.mirror.is_some() {
            drop(self.to_store);
            ended.cancelled().await;
        }
        result
    }

    async fn receive_all(&mut self) -> Result<(), TransferError> {
        loop {
            let mut buffer = self.steps.spare.take();
            let reading = packet::read_packet(self.upstream, &mut buffer);
            let packet = within(self.timeout, "for the writer's next packet", reading).await?;
            if let Some(throttle) = self.throttle {
                throttle.take(packet.raw.len() as u64).await;
            }
            // What is left of the buffer shares its memory with the packet, which must own it alone to give it back.
            drop(buffer);
            let header = packet.header;
            self.open
                .set_received(header.offset_in_block.saturating_add(header.data_len.into()));
            self.forward(&packet).await;
            if !self.hand_on(packet).await || header.last_packet_in_block {
                return Ok(());
            }
        }
    }

    /// Sends the packet to the next node as it came. A next node that does not take it is given up; that is not the
    /// writer's fault and does not end the pipeline.
    async fn forward(&mut self, packet: &Packet) {
        let Some(mirror) = &mut self.mirror else { return };
        let sent = within(
            self.mirror_timeout,
            "for the next node to take a packet",
            mirror.write_all(&packet.raw),
        )
        .await;
        if let Err(error) = sent {
            tracing::info!(block = %self.open.replica().id, %error, "next node of the pipeline failed");
            self.steps.mirror_broken.cancel();
            self.mirror = None;
        }
    }

    /// `false` when packets are no longer stored.
    async fn hand_on(&mut self, packet: Packet) -> bool {
        let bytes = packet.raw.len().min(STORE_BUDGET_BYTES) as u32;
        let budget = Arc::clone(&self.steps.budget).acquire_many_owned(bytes).await.ok();
        self.to_store
            .send(Received {
                packet,
                _budget: budget,
                spare: Arc::clone(&self.steps.spare),
            })
            .await
            .is_ok()
    }
}
