//! Evening out the volumes of one DataNode: after a disk was added, or many files deleted, new blocks alone take long.
//!
//! Finalized replicas move from the fullest volume to the emptiest while the two differ by more than a threshold, slowly. A move
//! copies and verifies the bytes, fsyncs and renames the copy into place, and only then changes the map and removes the old
//! files: at any moment at least one whole replica is where the map says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quarry_dfs_wire::block::BlockId;
use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;

use super::throttle::Throttle;
use super::{Job, Progress};
use crate::error::Result;
use crate::node::Node;
use crate::replica::ReplicaState;
use crate::storage::volume::Room;

/// Pause when there is nothing to even out.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Replicas that are looked at for one to move.
const CANDIDATES: usize = 100;

/// The job.
#[derive(Debug)]
pub(crate) struct Balance {
    throttle: Arc<Throttle>,
    /// Where the search for a replica to move goes on.
    after: BlockId,
}

impl Balance {
    /// At the configured rate.
    pub(crate) fn new(node: &Node) -> Self {
        Self {
            throttle: Arc::new(Throttle::new(node.config.volume_balance_bytes_per_second.as_u64())),
            after: BlockId(0),
        }
    }
}

/// The volumes to move from and to, and how many bytes would bring both to the same share; `None` if they are near enough.
fn unbalanced(rooms: &[Option<Room>], threshold_percent: f64) -> Option<(usize, usize, u64)> {
    let share = |room: &Room| room.used as f64 / (room.used + room.remaining).max(1) as f64;
    let usable = || {
        let known = rooms.iter().enumerate();
        known.filter_map(|(index, room)| room.as_ref().map(|room| (index, room)))
    };
    let fullest = usable().max_by(|a, b| share(a.1).total_cmp(&share(b.1)))?;
    let emptiest = usable().min_by(|a, b| share(a.1).total_cmp(&share(b.1)))?;
    let apart = share(fullest.1) - share(emptiest.1);
    if apart * 100.0 <= threshold_percent {
        return None;
    }
    let size = |room: &Room| (room.used + room.remaining) as f64;
    let (from, to) = (size(fullest.1), size(emptiest.1));
    let bytes = apart * from * to / (from + to);
    Some((fullest.0, emptiest.0, bytes as u64))
}

#[async_trait]
impl Job for Balance {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let threshold = node.config.volume_balance_threshold_percent;
        if threshold == 0 || node.membership().is_none() {
            return Ok(Progress::Idle(LOOK_AGAIN));
        }
        let (worker, after) = (Arc::clone(node), self.after);
        let moved = Node::blocking(move || move_one(&worker, f64::from(threshold), after)).await?;
        match moved {
            Some((id, bytes)) => {
                self.after = id;
                Ok(Progress::More { bytes })
            }
            None => {
                self.after = BlockId(0);
                Ok(Progress::Idle(LOOK_AGAIN))
            }
        }
    }

    fn throttle(&self) -> Option<Arc<Throttle>> {
        Some(Arc::clone(&self.throttle))
    }
}

/// Moves one replica that is small enough not to tip the balance; answers which, and its bytes.
fn move_one(node: &Node, threshold: f64, after: BlockId) -> Result<Option<(BlockId, u64)>> {
    let room = |volume: &Arc<crate::storage::volume::Volume>| (!volume.is_failed()).then(|| volume.room());
    let rooms: Vec<_> = node.dataset.volumes().iter().map(room).collect();
    let Some((from, to, bytes)) = unbalanced(&rooms, threshold) else {
        return Ok(None);
    };
    let candidates = node.dataset.finalized_after(from, after, CANDIDATES);
    for replica in candidates.into_iter().filter(|replica| replica.on_disk <= bytes) {
        let Some((old, new)) = node.dataset.move_to_volume(&replica, from, to)? else {
            continue;
        };
        // In this order the NameNode never sees two replicas here, of which it would delete one.
        for (gone, change) in [(old, ReplicaChange::Deleted), (new, ReplicaChange::Received)] {
            node.reports
                .push(&gone.storage_id, change, ReplicaState::Finalized, gone.block);
        }
        return Ok(Some((replica.id, replica.on_disk)));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(used: u64, remaining: u64) -> Option<Room> {
        Some(Room {
            capacity: used + remaining,
            used,
            remaining,
        })
    }

    #[test]
    fn fullest_gives_to_the_emptiest_until_they_are_near() {
        let apart = unbalanced(&[room(50, 50), room(90, 10), None, room(10, 90)], 10.0);
        assert_eq!(apart, Some((1, 3, 40)));
        assert_eq!(unbalanced(&[room(50, 50), room(45, 55)], 10.0), None);
        assert_eq!(unbalanced(&[None, room(45, 55)], 10.0), None);
        assert_eq!(unbalanced(&[room(0, 0), room(0, 0)], 10.0), None);
    }
}
