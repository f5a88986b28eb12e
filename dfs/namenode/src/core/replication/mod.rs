//! Keeps every block at its wanted number of good replicas: copies what is missing, deletes surplus, stale and corrupt ones.
//!
//! | file | decides |
//! |---|---|
//! | `census` | how many replicas of a block count, and how urgent it is |
//! | `copying` | which block is copied next, from where to where |
//! | `removing` | which corrupt and surplus replicas go |
//!
//! What must never happen: deleting the last good copy. Surplus is deleted only while all counted holders are in contact and nothing is
//! in flight; corrupt copies only while a good one is known, and where there is room elsewhere only after the repair.

mod census;
mod copying;
mod removing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quarry_dfs_wire::block::{Block, BlockId};

use super::Core;
use super::command::FsStats;
use super::datanodes::{DataNodes, NodeIx};
use super::id_set::IdSet;
use super::replicas::StorageIx;

pub use census::Census;

/// Blocks in one order to delete, and orders looked at per round: keeps a round's work short.
const BATCH: usize = 1000;
/// Blocks looked at per tick when all of them, or all of a node, must be: a tick's work stays in milliseconds.
pub(crate) const SLICE: usize = 20_000;
/// Corrupt replicas remembered after they are gone.
const HISTORY: usize = 10_000;

#[derive(Debug)]
struct Copy {
    target: StorageIx,
    /// Who was told to copy; none for the nodes of a writer's pipeline.
    source: Option<NodeIx>,
    deadline_tick_ms: u64,
    /// The target came back with a new connection: what it holds by its next full report is all that will come.
    until_report: bool,
}

#[derive(Debug)]
struct Corrupt {
    replica: Block,
    delete_ordered_tick_ms: Option<u64>,
}

/// A replica that was found to be bad, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptFound {
    /// The file's path then.
    pub path: String,
    /// When, milliseconds since the epoch.
    pub unix_ms: u64,
    /// The replica.
    pub replica: Block,
    /// Where.
    pub storage: StorageIx,
    /// When it was replaced or removed, milliseconds since the epoch.
    pub gone_unix_ms: Option<u64>,
}

/// How badly a block needs a copy. The order and the names are HDFS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// One good replica left, or all on nodes that leave.
    Highest = 0,
    /// Less than a third.
    VeryLow = 1,
    /// Less than wanted.
    Low = 2,
    /// Enough, but on too few racks.
    BadlyDistributed = 3,
    /// No good replica: nothing to copy from.
    Missing = 4,
}

const LEVELS: [Urgency; 5] = [
    Urgency::Highest,
    Urgency::VeryLow,
    Urgency::Low,
    Urgency::BadlyDistributed,
    Urgency::Missing,
];

/// Blocks that need a copy, by urgency.
#[derive(Debug, Default)]
struct Queues {
    levels: [IdSet; 5],
    /// Where the last round stopped on each level, so that blocks that cannot be copied do not keep the others waiting.
    cursors: [u64; 5],
    /// Missing blocks of which one replica was wanted.
    missing_one: IdSet,
}

impl Queues {
    fn set(&mut self, id: BlockId, urgency: Option<Urgency>) {
        for level in LEVELS {
            if Some(level) == urgency {
                self.levels[level as usize].insert(id);
            } else {
                self.levels[level as usize].remove(id);
            }
        }
        if urgency != Some(Urgency::Missing) {
            self.missing_one.remove(id);
        }
    }

    fn len(&self) -> usize {
        self.levels.iter().map(IdSet::len).sum()
    }

    /// The next up to `count` blocks of a level, round robin.
    fn take(&mut self, level: Urgency, count: usize) -> Vec<BlockId> {
        let (set, cursor) = (&self.levels[level as usize], &mut self.cursors[level as usize]);
        let from = BlockId(*cursor);
        let mut ids: Vec<BlockId> = set.iter_from(from).take(count).collect();
        let rest = count - ids.len();
        ids.extend(set.iter().take_while(|id| *id < from).take(rest));
        *cursor = ids.last().map_or(0, |last| last.0 + 1);
        ids
    }
}

/// Blocks to look at, copies on their way, replicas known to be bad.
#[derive(Debug, Default)]
pub struct Replication {
    queues: Queues,
    surplus: IdSet,
    surplus_cursor: u64,
    copies: BTreeMap<BlockId, Vec<Copy>>,
    corrupt: BTreeMap<BlockId, BTreeMap<StorageIx, Corrupt>>,
    corrupt_found: VecDeque<CorruptFound>,
    corrupt_cursor: u64,
    to_delete: BTreeMap<NodeIx, VecDeque<Block>>,
    next_round_tick_ms: u64,
    /// Position in the block map from which all blocks are still to be looked at.
    sweep_from: Option<u32>,
    /// Storages all of whose blocks are to be looked at, from this block on.
    recheck: BTreeMap<StorageIx, BlockId>,
    /// Open files without a writer that are closed once their blocks are complete.
    pub(crate) closing: BTreeSet<u64>,
}

impl Replication {
    fn in_flight(&self, id: BlockId) -> &[Copy] {
        self.copies.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Looks at the queue at the next tick rather than after the usual interval.
    pub(crate) fn retry_soon(&mut self) {
        self.next_round_tick_ms = 0;
    }

    /// All blocks of a storage are to be looked at, a slice per tick.
    pub(crate) fn recheck_storage(&mut self, storage: StorageIx) {
        self.recheck.insert(storage, BlockId(0));
    }

    /// All blocks are to be looked at, a slice per tick.
    pub(crate) fn recheck_all(&mut self) {
        self.sweep_from = Some(0);
    }

    /// Whether nothing waits to be copied or looked at, but for blocks that have no good replica.
    pub(crate) fn is_settled(&self) -> bool {
        let low = self.queues.len() - self.queues.levels[Urgency::Missing as usize].len();
        low == 0 && self.copies.is_empty() && self.sweep_from.is_none() && self.recheck.is_empty()
    }

    /// Whether any copy of the block is on its way.
    pub(crate) fn is_in_flight(&self, id: BlockId) -> bool {
        self.copies.contains_key(&id)
    }

    /// Blocks without any good replica, in order, from `id` on.
    pub(crate) fn missing_from(&self, id: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        self.queues.levels[Urgency::Missing as usize].iter_from(id)
    }

    /// Blocks that wait for copies, the most urgent first, those without a good replica last.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.queues.levels.iter().flat_map(IdSet::iter)
    }

    /// Whether a block waits for copies, and how urgently.
    pub(crate) fn urgency(&self, id: BlockId) -> Option<Urgency> {
        LEVELS
            .into_iter()
            .find(|level| self.queues.levels[*level as usize].contains(id))
    }

    /// Bad replicas found lately, also those that are replaced by now.
    pub(crate) fn corrupt_found(&self) -> impl Iterator<Item = &CorruptFound> {
        self.corrupt_found.iter()
    }

    /// Copies under way and replicas to delete that were not ordered yet.
    pub(crate) fn pending_counts(&self) -> (usize, usize) {
        (self.copies.len(), self.to_delete.values().map(VecDeque::len).sum())
    }

    /// Whether a replica is known to be bad.
    pub(crate) fn is_corrupt(&self, id: BlockId, storage: StorageIx) -> bool {
        self.corrupt.get(&id).is_some_and(|bad| bad.contains_key(&storage))
    }

    /// Whether any replica of a block is known to be bad.
    pub(crate) fn has_corrupt(&self, id: BlockId) -> bool {
        self.corrupt.contains_key(&id)
    }

    /// The storages with a bad replica.
    pub(crate) fn corrupt_holders(&self, id: BlockId) -> Vec<StorageIx> {
        self.corrupt
            .get(&id)
            .map(|bad| bad.keys().copied().collect())
            .unwrap_or_default()
    }

    /// A bad replica is gone or was replaced.
    pub(crate) fn clear_corrupt(&mut self, id: BlockId, storage: StorageIx, unix_ms: u64) {
        let Some(bad) = self.corrupt.get_mut(&id) else { return };
        if bad.remove(&storage).is_some() {
            let found = self.corrupt_found.iter_mut().rev();
            let mut ended = found.filter(|found| found.replica.id == id && found.storage == storage);
            if let Some(ended) = ended.next() {
                ended.gone_unix_ms = Some(unix_ms);
            }
        }
        if bad.is_empty() {
            self.corrupt.remove(&id);
        }
    }

    /// Forgets bad replicas on a storage that no longer has them; `None` for a storage that is gone.
    pub(crate) fn retain_corrupt_on(&mut self, storage: StorageIx, present: Option<&IdSet>) {
        self.corrupt.retain(|id, bad| {
            bad.retain(|other, _| *other != storage || present.is_some_and(|present| present.contains(*id)));
            !bad.is_empty()
        });
    }

    /// Has a replica deleted at the next tick.
    pub(crate) fn delete_later(&mut self, node: NodeIx, block: Block) {
        self.to_delete.entry(node).or_default().push_back(block);
    }

    /// Whether a copy of the block is on its way there.
    pub(crate) fn is_copied_to(&self, id: BlockId, storage: StorageIx) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copies| copies.iter().any(|copy| copy.target == storage))
    }

    /// A copy that was on its way is there.
    pub(crate) fn copy_arrived(&mut self, id: BlockId, storage: StorageIx, nodes: &mut DataNodes) {
        self.drop_copies(id, nodes, |copy| copy.target == storage);
    }

    fn drop_copies(&mut self, id: BlockId, nodes: &mut DataNodes, done: impl Fn(&Copy) -> bool) -> bool {
        let Some(copies) = self.copies.get_mut(&id) else {
            return false;
        };
        let dropped: Vec<Copy> = copies.extract_if(.., |copy| done(copy)).collect();
        if copies.is_empty() {
            self.copies.remove(&id);
        }
        for source in dropped.iter().filter_map(|copy| copy.source) {
            let node = nodes.node_mut(source);
            node.copies_out = node.copies_out.saturating_sub(1);
        }
        !dropped.is_empty()
    }

    /// Gives up what is on its way to or from a node; the blocks concerned are returned.
    pub(crate) fn forget_node(&mut self, node: NodeIx, nodes: &mut DataNodes) -> Vec<BlockId> {
        self.to_delete.remove(&node);
        let ids: Vec<BlockId> = self.copies.keys().copied().collect();
        let on_node: BTreeSet<StorageIx> = nodes.node(node).storages.iter().copied().collect();
        let touches = |copy: &Copy| on_node.contains(&copy.target) || copy.source == Some(node);
        ids.into_iter()
            .filter(|id| self.drop_copies(*id, nodes, touches))
            .collect()
    }

    /// A node came back with a new connection: what the old one was told is void, and copies to it may have failed meanwhile.
    pub(crate) fn forget_copies_of(&mut self, node: NodeIx, storages: &[StorageIx]) {
        self.to_delete.remove(&node);
        for copy in self.copies.values_mut().flatten() {
            copy.until_report |= storages.contains(&copy.target);
            if copy.source == Some(node) {
                copy.deadline_tick_ms = 0;
                copy.source = None;
            }
        }
    }

    /// Copies of a block that a node makes are waited for no longer than this.
    fn shorten_copies_of(&mut self, id: BlockId, source: NodeIx, deadline_tick_ms: u64) {
        let copies = self.copies.get_mut(&id).into_iter().flatten();
        for copy in copies.filter(|copy| copy.source == Some(source)) {
            copy.deadline_tick_ms = copy.deadline_tick_ms.min(deadline_tick_ms);
        }
    }

    /// A storage that came back has said all that it holds: copies to it that are not among that do not come. The blocks concerned
    /// are returned.
    pub(crate) fn give_up_unreported(
        &mut self,
        storage: StorageIx,
        held: &IdSet,
        nodes: &mut DataNodes,
    ) -> Vec<BlockId> {
        let void = |copy: &Copy| copy.target == storage && copy.until_report;
        let waiting = self.copies.iter().filter(|(_, copies)| copies.iter().any(void));
        let ids: Vec<BlockId> = waiting.map(|(id, _)| *id).filter(|id| !held.contains(*id)).collect();
        for id in &ids {
            self.drop_copies(*id, nodes, void);
        }
        ids
    }

    /// Forgets everything about a block.
    pub(crate) fn forget(&mut self, id: BlockId, nodes: &mut DataNodes) {
        self.queues.set(id, None);
        self.surplus.remove(id);
        self.drop_copies(id, nodes, |_| true);
        self.corrupt.remove(&id);
    }

    /// Adds the figures that are known here.
    pub(crate) fn fill_stats(&self, stats: &mut FsStats) {
        let count = |level: Urgency| self.queues.levels[level as usize].len() as u64;
        stats.missing = count(Urgency::Missing);
        stats.missing_one = self.queues.missing_one.len() as u64;
        stats.highest_priority = count(Urgency::Highest);
        stats.badly_distributed = count(Urgency::BadlyDistributed);
        stats.under_replicated = self.queues.len() as u64;
        stats.corrupt = self.corrupt.len() as u64;
        let (copies, deletions) = self.pending_counts();
        (stats.pending_copies, stats.pending_deletion) = (copies as u64, deletions as u64);
    }
}

impl Core {
    /// Gives the orders that are due.
    pub(crate) fn check_replication(&mut self) {
        self.look_at_slices();
        if self.safe_mode.is_on() {
            return;
        }
        self.send_deletions();
        if self.now.tick_ms < self.replication.next_round_tick_ms {
            return;
        }
        self.replication.next_round_tick_ms = self.now.tick_ms + self.settings.replication_interval_ms;
        self.expire_copies();
        if self.now.tick_ms >= self.copies_from_tick_ms {
            self.copy_missing();
        }
        self.delete_corrupt();
        if self.now.tick_ms >= self.started_tick_ms + self.settings.excess_delay_ms {
            self.delete_surplus();
        }
        self.send_deletions();
    }
}
