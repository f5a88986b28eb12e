//! The packets between a writer and its pipeline: queued, sent, acknowledged; and the news that the pipeline broke.
//!
//! The writer pushes and waits for room, the pipeline's task takes packets and acknowledges them. After a failure the
//! packets that were sent and not acknowledged go back to the head of the queue, for the next pipeline of the block.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::packet::Packet;
use crate::error::TransferError;

/// Why a pipeline broke, and who is to blame.
#[derive(Debug)]
pub(crate) struct Breakdown {
    /// Index of the DataNode in the pipeline.
    pub(crate) bad: usize,
    pub(crate) reason: TransferError,
}

/// The pipeline is broken: recover it.
#[derive(Debug)]
pub(crate) struct Broken;

#[derive(Debug, Default)]
struct State {
    unsent: VecDeque<Packet>,
    /// Sent, in order, not yet acknowledged.
    unacked: VecDeque<Packet>,
    /// Data bytes in both queues.
    bytes: usize,
    /// Bytes of the block that every DataNode has.
    acked: u64,
    /// Bytes of the block that some DataNode may have.
    sent: u64,
    breakdown: Option<Breakdown>,
}

/// The packets of one block that are under way.
#[derive(Debug)]
pub(crate) struct Window {
    state: Mutex<State>,
    /// Wakes the pipeline's sender.
    sendable: Notify,
    /// Wakes the writer.
    progress: Notify,
    /// Data bytes that may be under way.
    limit: usize,
}

impl Window {
    /// For a block of which every DataNode has `acked` bytes.
    pub(crate) fn new(limit: usize, acked: u64) -> Self {
        let state = State {
            acked,
            sent: acked,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            sendable: Notify::new(),
            progress: Notify::new(),
            limit,
        }
    }

    /// Waits until another packet may be pushed.
    pub(crate) async fn room(&self) -> Result<(), Broken> {
        self.wait(|state| state.bytes < self.limit).await
    }

    /// Waits until every packet is acknowledged.
    pub(crate) async fn drained(&self) -> Result<(), Broken> {
        self.wait(|state| state.unsent.is_empty() && state.unacked.is_empty())
            .await
    }

    async fn wait(&self, done: impl Fn(&State) -> bool) -> Result<(), Broken> {
        loop {
            {
                let state = self.state.lock();
                if state.breakdown.is_some() {
                    return Err(Broken);
                }
                if done(&state) {
                    return Ok(());
                }
            }
            // A permit is stored if the news came in between.
            self.progress.notified().await;
        }
    }

    pub(crate) fn push(&self, packet: Packet) {
        let mut state = self.state.lock();
        state.bytes += packet.data.len();
        state.unsent.push_back(packet);
        drop(state);
        self.sendable.notify_one();
    }

    /// The next packet to send. Cancel safe: a packet is taken only when it is returned.
    pub(crate) async fn next(&self) -> Packet {
        loop {
            if let Some(packet) = self.take() {
                return packet;
            }
            self.sendable.notified().await;
        }
    }

    fn take(&self) -> Option<Packet> {
        let mut state = self.state.lock();
        let packet = state.unsent.pop_front()?;
        state.sent = state.sent.max(packet.end());
        state.unacked.push_back(packet.clone());
        Some(packet)
    }

    /// Takes an acknowledgement; whether it was the block's last. Acknowledgements come in the order of the packets.
    pub(crate) fn acknowledge(&self, seqno: i64) -> Result<bool, TransferError> {
        let mut state = self.state.lock();
        let expected = state.unacked.front().map(|p| p.seqno);
        if expected != Some(seqno) {
            return Err(TransferError::Protocol(format!(
                "acknowledged packet {seqno}, expected {expected:?}"
            )));
        }
        let packet = state.unacked.pop_front().expect("the front was just looked at");
        state.bytes -= packet.data.len();
        state.acked = state.acked.max(packet.end());
        drop(state);
        self.progress.notify_one();
        Ok(packet.last)
    }

    /// Notes that the pipeline broke; the first news counts.
    pub(crate) fn fail(&self, breakdown: Breakdown) {
        let mut state = self.state.lock();
        state.breakdown.get_or_insert(breakdown);
        drop(state);
        self.progress.notify_one();
    }

    /// Why the pipeline broke; from here on the window waits for another pipeline.
    pub(crate) fn take_breakdown(&self) -> Option<Breakdown> {
        self.state.lock().breakdown.take()
    }

    /// Puts what was not acknowledged back to the head of the queue, for another pipeline to send.
    pub(crate) fn rewind(&self) {
        let mut state = self.state.lock();
        while let Some(packet) = state.unacked.pop_back() {
            state.unsent.push_front(packet);
        }
        drop(state);
        self.sendable.notify_one();
    }

    /// Forgets the packet that ends the block: a recovery has ended it.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        assert!(state.bytes == 0, "only the empty last packet may be forgotten");
        state.unacked.clear();
        state.unsent.clear();
    }

    /// Whether the packet that ends the block was sent: DataNodes may have finalized their replicas.
    pub(crate) fn end_was_sent(&self) -> bool {
        self.state.lock().unacked.back().is_some_and(|p| p.last)
    }

    /// Bytes of the block that every DataNode has, and that some may have.
    pub(crate) fn acked_and_sent(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.acked, state.sent)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;

    fn packet(seqno: i64, data: &'static [u8]) -> Packet {
        Packet {
            seqno,
            offset: seqno as u64 * 4,
            last: data.is_empty(),
            sync: false,
            checksums: Bytes::new(),
            data: Bytes::from_static(data),
        }
    }

    fn broken() -> Breakdown {
        Breakdown {
            bad: 1,
            reason: TransferError::Refused("disk".into()),
        }
    }

    #[tokio::test]
    async fn a_full_window_waits_for_an_acknowledgement() {
        let window = Window::new(4, 0);
        window.push(packet(0, b"abcd"));
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(10), window.room())
                .await
                .is_err()
        );
        assert_eq!(window.next().await.seqno, 0);
        assert!(!window.acknowledge(0).unwrap());
        window.room().await.unwrap();
        window.drained().await.unwrap();
        assert_eq!(window.acked_and_sent(), (4, 4));
    }

    #[tokio::test]
    async fn unacknowledged_packets_are_sent_again_in_order() {
        let window = Window::new(100, 0);
        for (seqno, data) in [&b"abcd"[..], b"efgh", b"ijkl", b""].into_iter().enumerate() {
            window.push(packet(seqno as i64, data));
        }
        for _ in 0..3 {
            window.next().await;
        }
        window.acknowledge(0).unwrap();
        window.fail(broken());
        window.drained().await.unwrap_err();
        window.room().await.unwrap_err();
        assert_eq!(window.take_breakdown().unwrap().bad, 1);
        assert_eq!(window.acked_and_sent(), (4, 12));
        assert!(!window.end_was_sent());
        window.rewind();
        for seqno in 1..4 {
            assert_eq!(window.next().await.seqno, seqno);
        }
        assert!(window.end_was_sent());
    }

    #[tokio::test]
    async fn an_acknowledgement_out_of_order_is_a_protocol_error() {
        let window = Window::new(100, 0);
        window.push(packet(0, b"abcd"));
        assert!(window.acknowledge(0).is_err(), "not sent yet");
        window.next().await;
        assert!(window.acknowledge(1).is_err());
        window.acknowledge(0).unwrap();
    }
}
