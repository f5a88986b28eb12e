//! What the NameNode still has to be told about replicas, and what it has confirmed. Pure but for its two bells.
//!
//! Every change gets a *ticket*, a growing number; batches of changes travel under *sequence numbers* that the NameNode
//! acknowledges in order. A writer's last ack waits until the ticket of its finalized replica is confirmed.
//!
//! When the link breaks, nothing that was under way is sent again as such: the full report that opens the next session covers
//! every change up to its snapshot (the *barrier*), because a replica changes in the dataset before its change is pushed
//! here. Only findings of corruption, which no full report shows, are kept and repeated.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use quarry_dfs_wire::block::Block;
use quarry_dfs_wire::proto::dfs_v1::{self, BlockReport, FullBlockReport, ReplicaChange, ReplicaEvent};
use tokio::sync::{Notify, watch};

use crate::replica::{Replica, ReplicaState};

/// Changes per message.
const MAX_BATCH: usize = 1000;
/// Replicas per part of a full report: some 300 KB, far below the link's message limit of 4 MB.
const MAX_PART: usize = 10_000;

/// Number of a change in the order in which changes were pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The outgoing changes.
#[derive(Debug)]
pub(crate) struct Reports {
    queue: Mutex<Queue>,
    wake: Notify,
    confirmed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Queue {
    connected: bool,
    last_ticket: u64,
    last_sequence: u64,
    /// Changes that are not confirmed, oldest first.
    pending: VecDeque<(u64, ReplicaEvent)>,
    /// Changes up to this ticket have been sent in this session.
    sent: u64,
    /// Messages that are not acknowledged: sequence number, and the ticket that is confirmed with it.
    in_flight: VecDeque<(u64, u64)>,
}

impl Reports {
    /// Nothing to report, no link.
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            confirmed: watch::channel(0).0,
        }
    }

    /// Notes a change that the dataset already shows.
    pub(crate) fn push(&self, storage_id: &str, change: ReplicaChange, state: ReplicaState, block: Block) -> Ticket {
        self.push_event(ReplicaEvent {
            storage_id: storage_id.to_owned(),
            change: change.into(),
            replica: Some(replica_message(&block, state)),
            ..ReplicaEvent::default()
        })
    }

    /// Notes a finalized replica that takes the place of the one on the DataNode with the uuid `replaces`. If the link breaks before the
    /// NameNode has heard of it, the full report says only that the replica is there; the NameNode then chooses itself what goes.
    pub(crate) fn push_replacement(&self, storage_id: &str, block: Block, replaces: &str) -> Ticket {
        self.push_event(ReplicaEvent {
            storage_id: storage_id.to_owned(),
            change: ReplicaChange::Received.into(),
            replica: Some(replica_message(&block, ReplicaState::Finalized)),
            delete_hint: replaces.to_owned(),
        })
    }

    fn push_event(&self, event: ReplicaEvent) -> Ticket {
        let mut queue = self.queue.lock();
        queue.last_ticket += 1;
        let ticket = queue.last_ticket;
        if queue.connected || event.change() == ReplicaChange::Corrupt {
            queue.pending.push_back((ticket, event));
        }
        drop(queue);
        self.wake.notify_one();
        Ticket(ticket)
    }

    /// The change that was noted last.
    pub(crate) fn last(&self) -> Ticket {
        Ticket(self.queue.lock().last_ticket)
    }

    /// Waits until the NameNode has confirmed a change; `false` if it has not in time.
    pub(crate) async fn confirmed(&self, ticket: Ticket, timeout: Duration) -> bool {
        let mut confirmed = self.confirmed.subscribe();
        let reached = confirmed.wait_for(|&confirmed| confirmed >= ticket.0);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Starts a session. The caller takes the full report's snapshot after this.
    pub(crate) fn begin_session(&self) -> Ticket {
        let mut queue = self.queue.lock();
        let barrier = queue.last_ticket;
        let corrupt = i32::from(ReplicaChange::Corrupt);
        let kept: Vec<_> = queue
            .pending
            .drain(..)
            .filter(|(_, event)| event.change == corrupt)
            .collect();
        for (_, event) in kept {
            queue.last_ticket += 1;
            let ticket = queue.last_ticket;
            queue.pending.push_back((ticket, event));
        }
        (queue.connected, queue.sent) = (true, barrier);
        queue.in_flight.clear();
        Ticket(barrier)
    }

    /// Ends a session.
    pub(crate) fn end_session(&self) {
        self.queue.lock().connected = false;
    }

    /// The messages that tell everything about one storage. With `barrier`, their acknowledgement confirms every change up
    /// to it.
    pub(crate) fn full_report(
        &self,
        storage_id: &str,
        replicas: &[Replica],
        barrier: Option<Ticket>,
    ) -> Vec<FullBlockReport> {
        let mut parts: Vec<&[Replica]> = replicas.chunks(MAX_PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        let mut queue = self.queue.lock();
        let mut number = |(index, part): (usize, &[Replica])| {
            let confirms = barrier.filter(|_| index == last).map_or(0, |ticket| ticket.0);
            FullBlockReport {
                sequence: queue.next_sequence(confirms),
                storage_id: storage_id.to_owned(),
                replicas: part.iter().map(stored_message).collect(),
                last_part: index == last,
            }
        };
        parts.into_iter().enumerate().map(&mut number).collect()
    }

    /// The next changes to send, if there are any.
    pub(crate) fn next_batch(&self) -> Option<BlockReport> {
        let mut queue = self.queue.lock();
        let sent = queue.sent;
        let fresh = queue
            .pending
            .iter()
            .skip_while(|(ticket, _)| *ticket <= sent)
            .take(MAX_BATCH);
        let batch: Vec<_> = fresh.cloned().collect();
        let last = batch.last()?.0;
        queue.sent = last;
        let sequence = queue.next_sequence(last);
        Some(BlockReport {
            sequence,
            events: batch.into_iter().map(|(_, event)| event).collect(),
        })
    }

    /// Waits until there may be something to send.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// The NameNode has acted on all messages up to `sequence`.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        let mut queue = self.queue.lock();
        let mut confirmed = 0;
        while let Some(&(_, ticket)) = queue.in_flight.front().filter(|(sent, _)| *sent <= sequence) {
            confirmed = confirmed.max(ticket);
            queue.in_flight.pop_front();
        }
        while queue.pending.front().is_some_and(|(ticket, _)| *ticket <= confirmed) {
            queue.pending.pop_front();
        }
        drop(queue);
        self.confirmed.send_if_modified(|known| {
            let news = confirmed > *known;
            *known = confirmed.max(*known);
            news
        });
    }
}

impl Queue {
    fn next_sequence(&mut self, confirms: u64) -> u64 {
        self.last_sequence += 1;
        self.in_flight.push_back((self.last_sequence, confirms));
        self.last_sequence
    }
}

fn stored_message(replica: &Replica) -> dfs_v1::Replica {
    let block = replica.block();
    replica_message(&block, replica.state)
}

/// A replica as the NameNode and other DataNodes are told of it.
pub(crate) fn replica_message(block: &Block, state: ReplicaState) -> dfs_v1::Replica {
    let state = match state {
        ReplicaState::Finalized => dfs_v1::ReplicaState::Finalized,
        ReplicaState::Rbw | ReplicaState::Temporary => dfs_v1::ReplicaState::Rbw,
        ReplicaState::Rwr | ReplicaState::Rur => dfs_v1::ReplicaState::Rwr,
    };
    dfs_v1::Replica {
        block_id: block.id.0,
        generation_stamp: block.generation_stamp.0,
        length: block.length,
        state: state.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use quarry_dfs_wire::block::{BlockId, GenerationStamp};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn push(reports: &Reports, id: u64, change: ReplicaChange) -> Ticket {
        let block = Block {
            id: BlockId(id),
            generation_stamp: GenerationStamp(1),
            length: 1,
        };
        reports.push("DS-1", change, ReplicaState::Finalized, block)
    }

    fn ids(batch: &BlockReport) -> Vec<u64> {
        batch
            .events
            .iter()
            .map(|event| event.replica.unwrap().block_id)
            .collect()
    }

    #[tokio::test]
    async fn change_is_confirmed_by_the_ack_of_its_batch() {
        let reports = Reports::new();
        reports.begin_session();
        let ticket = push(&reports, 1, ReplicaChange::Received);
        assert!(!reports.confirmed(ticket, SOON).await);
        let batch = reports.next_batch().unwrap();
        assert_eq!(ids(&batch), [1]);
        assert!(reports.next_batch().is_none());
        reports.acknowledge(batch.sequence);
        assert!(reports.confirmed(ticket, SOON).await);
    }

    #[tokio::test]
    async fn change_during_an_outage_is_confirmed_by_the_full_report() {
        let reports = Reports::new();
        let ticket = push(&reports, 1, ReplicaChange::Received);
        let barrier = reports.begin_session();
        let parts = reports.full_report("DS-1", &[], Some(barrier));
        assert!(reports.next_batch().is_none(), "the full report says it already");
        reports.acknowledge(parts[0].sequence);
        assert!(reports.confirmed(ticket, SOON).await);
    }

    #[tokio::test]
    async fn lost_batch_is_covered_by_the_next_session() {
        let reports = Reports::new();
        reports.begin_session();
        let ticket = push(&reports, 1, ReplicaChange::Received);
        let lost = reports.next_batch().unwrap();
        reports.end_session();
        let barrier = reports.begin_session();
        reports.acknowledge(lost.sequence);
        assert!(
            !reports.confirmed(ticket, SOON).await,
            "an ack of the old session says nothing"
        );
        let parts = reports.full_report("DS-1", &[], Some(barrier));
        reports.acknowledge(parts[0].sequence);
        assert!(reports.confirmed(ticket, SOON).await);
    }

    #[test]
    fn corruption_is_repeated_until_acknowledged() {
        let reports = Reports::new();
        push(&reports, 1, ReplicaChange::Received);
        push(&reports, 2, ReplicaChange::Corrupt);
        for _ in 0..2 {
            let barrier = reports.begin_session();
            let parts = reports.full_report("DS-1", &[], Some(barrier));
            reports.acknowledge(parts[0].sequence);
            assert_eq!(ids(&reports.next_batch().unwrap()), [2]);
            reports.end_session();
        }
        let barrier = reports.begin_session();
        reports.full_report("DS-1", &[], Some(barrier));
        let batch = reports.next_batch().unwrap();
        reports.acknowledge(batch.sequence);
        reports.end_session();
        reports.begin_session();
        assert!(reports.next_batch().is_none());
    }

    #[test]
    fn large_storage_is_reported_in_parts() {
        let reports = Reports::new();
        let replica = Replica {
            id: BlockId(1),
            generation_stamp: GenerationStamp(1),
            state: ReplicaState::Finalized,
            received: 1,
            on_disk: 1,
            acked: 1,
        };
        let parts = reports.full_report("DS-1", &vec![replica; MAX_PART + 1], None);
        assert_eq!(
            parts.iter().map(|part| part.last_part).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(parts[1].replicas.len(), 1);
    }
}
