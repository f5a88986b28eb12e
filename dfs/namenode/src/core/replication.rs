//! Keeps every block at its wanted number of good replicas: copies what is missing, deletes surplus, stale and corrupt ones.
//!
//! What must never happen: deleting the last good copy. Surplus is deleted only while all counted holders are in contact and nothing is
//! in flight; corrupt copies only while a good one is known, and where there is room elsewhere only after the repair.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quarry_dfs_wire::block::{Block, BlockId};

use super::Core;
use super::block_map::BlockInfo;
use super::command::{FsStats, Order};
use super::datanodes::{DataNodes, NodeIx};
use super::locate::block_of;
use super::placement::{PlacementRequest, choose_excess, choose_targets};
use super::replicas::StorageIx;

/// Blocks in one order to delete, and orders looked at per round: keeps a round's work short.
const BATCH: usize = 1000;
/// An order to delete a corrupt replica is repeated if it is not reported as done by then.
const REPEAT_DELETE_MS: u64 = 60_000;
/// A pipeline node that did not report a committed block by then is no longer counted on.
const PIPELINE_REPORT_MS: u64 = 30_000;

#[derive(Debug)]
struct Copy {
    target: StorageIx,
    /// Who was told to copy; none for the nodes of a writer's pipeline.
    source: Option<NodeIx>,
    deadline_tick_ms: u64,
}

#[derive(Debug)]
struct Corrupt {
    replica: Block,
    delete_ordered_tick_ms: Option<u64>,
}

/// Blocks to look at, copies on their way, replicas known to be bad.
#[derive(Debug, Default)]
pub struct Replication {
    /// By urgency: 0 one good replica left, 1 less than a third, 2 less than wanted, 3 none left.
    queue: BTreeSet<(u8, BlockId)>,
    urgency: BTreeMap<BlockId, u8>,
    surplus: BTreeSet<BlockId>,
    copies: BTreeMap<BlockId, Vec<Copy>>,
    corrupt: BTreeMap<BlockId, BTreeMap<StorageIx, Corrupt>>,
    to_delete: BTreeMap<NodeIx, VecDeque<Block>>,
    next_round_tick_ms: u64,
    /// Open files without a writer that are closed once their blocks are complete.
    pub(crate) closing: BTreeSet<u64>,
}

const NONE_LEFT: u8 = 3;

impl Replication {
    fn set_urgency(&mut self, id: BlockId, urgency: Option<u8>) {
        if let Some(old) = self.urgency.remove(&id) {
            self.queue.remove(&(old, id));
        }
        if let Some(new) = urgency {
            self.urgency.insert(id, new);
            self.queue.insert((new, id));
        }
    }

    fn in_flight(&self, id: BlockId) -> &[Copy] {
        self.copies.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Looks at the queue at the next tick rather than after the usual interval.
    pub(crate) fn retry_soon(&mut self) {
        self.next_round_tick_ms = 0;
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
    pub(crate) fn clear_corrupt(&mut self, id: BlockId, storage: StorageIx) {
        if let Some(bad) = self.corrupt.get_mut(&id) {
            bad.remove(&storage);
            if bad.is_empty() {
                self.corrupt.remove(&id);
            }
        }
    }

    /// Forgets bad replicas on a storage that no longer has them.
    pub(crate) fn retain_corrupt_on(&mut self, storage: StorageIx, present: &BTreeSet<BlockId>) {
        self.corrupt.retain(|id, bad| {
            bad.retain(|other, _| *other != storage || present.contains(id));
            !bad.is_empty()
        });
    }

    /// Has a replica deleted at the next tick.
    pub(crate) fn delete_later(&mut self, node: NodeIx, block: Block) {
        self.to_delete.entry(node).or_default().push_back(block);
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

    /// A node came back with a new connection: what the old one was told is void.
    pub(crate) fn forget_copies_of(&mut self, node: NodeIx) {
        self.to_delete.remove(&node);
        for copies in self.copies.values_mut() {
            for copy in copies.iter_mut().filter(|copy| copy.source == Some(node)) {
                copy.deadline_tick_ms = 0;
                copy.source = None;
            }
        }
    }

    /// Forgets everything about a block.
    pub(crate) fn forget(&mut self, id: BlockId, nodes: &mut DataNodes) {
        self.set_urgency(id, None);
        self.surplus.remove(&id);
        self.drop_copies(id, nodes, |_| true);
        self.corrupt.remove(&id);
    }

    /// Adds the figures that are known here.
    pub(crate) fn fill_stats(&self, stats: &mut FsStats) {
        stats.missing = self.queue.range((NONE_LEFT, BlockId(0))..).count() as u64;
        stats.under_replicated = self.queue.len() as u64;
        stats.corrupt = self.corrupt.len() as u64;
    }
}

impl Core {
    /// Looks at a block's replicas and notes what is to be done about them.
    pub(crate) fn queue_block(&mut self, id: BlockId) {
        if self.safe_mode.is_startup() {
            return;
        }
        let Some(block) = self.state.blocks.find(id).filter(|block| block.is_committed()) else {
            return self.replication.set_urgency(id, None);
        };
        let wanted = self.wanted(block);
        let good = block.replicas.as_slice().len();
        let coming = self.replication.in_flight(id).len();
        let urgency = match good {
            _ if good + coming >= wanted => None,
            0 => Some(NONE_LEFT),
            1 => Some(0),
            _ if good * 3 < wanted => Some(1),
            _ => Some(2),
        };
        self.replication.set_urgency(id, urgency);
        if good > wanted {
            self.replication.surplus.insert(id);
        } else {
            self.replication.surplus.remove(&id);
        }
    }

    fn wanted(&self, block: &BlockInfo) -> usize {
        self.state
            .namespace
            .get(block.file)
            .file()
            .map_or(0, |file| usize::from(file.replication))
    }

    /// Looks at every block: after safe mode.
    pub(crate) fn queue_all_blocks(&mut self) {
        let ids: Vec<BlockId> = self.state.blocks.iter().map(|block| block.id).collect();
        for id in ids {
            self.queue_block(id);
        }
        self.replication.retry_soon();
    }

    /// These storages are about to report a block: no copy is needed for them yet.
    pub(crate) fn expect_replicas(&mut self, id: BlockId, storages: Vec<StorageIx>) {
        let deadline_tick_ms = self.now.tick_ms + PIPELINE_REPORT_MS;
        let live = storages.into_iter().filter(|ix| self.datanodes.is_storage_live(*ix));
        let copies: Vec<Copy> = live
            .map(|target| Copy {
                target,
                source: None,
                deadline_tick_ms,
            })
            .collect();
        if !copies.is_empty() {
            self.replication.copies.entry(id).or_default().extend(copies);
        }
        self.queue_block(id);
    }

    /// A replica is bad: it does not count from now on.
    pub(crate) fn mark_corrupt(&mut self, storage: StorageIx, replica: Block) {
        let id = replica.id;
        if self.state.blocks.find(id).is_none() {
            return;
        }
        self.remove_replica(id, storage);
        let bad = self.replication.corrupt.entry(id).or_default();
        bad.entry(storage).or_insert(Corrupt {
            replica,
            delete_ordered_tick_ms: None,
        });
        self.replication.retry_soon();
    }

    /// A block is gone from the namespace: so must be its replicas.
    pub(crate) fn forget_block(&mut self, block: BlockInfo) {
        if block.is_committed() {
            self.safe_mode.block_removed(!block.replicas.as_slice().is_empty());
        }
        let under_construction = self
            .construction
            .remove(&block.id)
            .map(|construction| construction.holders())
            .unwrap_or_default();
        let coming = self.replication.in_flight(block.id).iter().map(|copy| copy.target);
        let bad = self.replication.corrupt_holders(block.id);
        let known: BTreeSet<StorageIx> = block
            .replicas
            .as_slice()
            .iter()
            .copied()
            .chain(under_construction)
            .chain(coming)
            .chain(bad)
            .collect();
        for storage in known {
            self.replication
                .delete_later(self.datanodes.storage(storage).node, block_of(&block));
        }
        self.replication.forget(block.id, &mut self.datanodes);
    }

    /// Gives the orders that are due.
    pub(crate) fn check_replication(&mut self) {
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

    fn send_deletions(&mut self) {
        let nodes: Vec<NodeIx> = self.replication.to_delete.keys().copied().collect();
        for node in nodes {
            let Some(session) = self.datanodes.session_of(node) else {
                // It will report what it holds when it comes back, and hear then what to delete.
                self.replication.to_delete.remove(&node);
                continue;
            };
            let Some(pending) = self.replication.to_delete.get_mut(&node) else {
                continue;
            };
            let blocks: Vec<Block> = pending.drain(..pending.len().min(BATCH)).collect();
            if pending.is_empty() {
                self.replication.to_delete.remove(&node);
            }
            self.send(session, Order::Delete { blocks });
        }
    }

    fn expire_copies(&mut self) {
        let now = self.now.tick_ms;
        let ids: Vec<BlockId> = self.replication.copies.keys().copied().collect();
        for id in ids {
            if self
                .replication
                .drop_copies(id, &mut self.datanodes, |copy| copy.deadline_tick_ms <= now)
            {
                self.queue_block(id);
            }
        }
    }

    fn copy_missing(&mut self) {
        let urgent = self.replication.queue.range(..(NONE_LEFT, BlockId(0)));
        let ids: Vec<BlockId> = urgent.take(BATCH).map(|(_, id)| *id).collect();
        for id in ids {
            self.copy_block(id);
        }
    }

    /// Tells one holder of a block to copy it to as many nodes as are missing.
    fn copy_block(&mut self, id: BlockId) {
        let Some(info) = self.state.blocks.find(id) else { return };
        let (block, file) = (block_of(info), info.file);
        let Some(source) = self.idle_source(info) else { return };
        let Some(session) = self.datanodes.session_of(source) else {
            return;
        };
        let coming = self.replication.in_flight(id).iter().map(|copy| copy.target);
        let bad = self.replication.corrupt_holders(id);
        let node_of = |ix: StorageIx| self.datanodes.storage(ix).node;
        let existing: Vec<NodeIx> = info
            .replicas
            .as_slice()
            .iter()
            .copied()
            .chain(coming)
            .map(node_of)
            .collect();
        let excluded: Vec<NodeIx> = bad.into_iter().map(node_of).chain(self.unreported_nodes()).collect();
        let count = self.wanted(info).saturating_sub(existing.len());
        let block_size = self.file(file).block_size.get().min(block.length);
        let request = PlacementRequest {
            count,
            block_size,
            writer_ip: None,
            existing: &existing,
            excluded: &excluded,
            favored: &[],
        };
        let targets = choose_targets(&self.datanodes, &mut self.rng, &request);
        if targets.is_empty() {
            return;
        }
        let deadline_tick_ms = self.now.tick_ms + self.settings.copy_timeout_ms;
        self.datanodes.node_mut(source).copies_out += targets.len() as u32;
        let copies = targets.iter().map(|target| Copy {
            target: *target,
            source: Some(source),
            deadline_tick_ms,
        });
        self.replication.copies.entry(id).or_default().extend(copies);
        let targets = targets.into_iter().map(|ix| self.datanodes.location(ix)).collect();
        self.send(session, Order::Replicate { block, targets });
        self.queue_block(id);
    }

    /// Nodes that have not said yet what they hold: a copy to them may be one that they have.
    fn unreported_nodes(&self) -> impl Iterator<Item = NodeIx> + '_ {
        self.datanodes
            .iter()
            .filter(|(_, node)| !node.unreported.is_empty())
            .map(|(ix, _)| ix)
    }

    /// The least busy holder that may make another copy.
    fn idle_source(&self, block: &BlockInfo) -> Option<NodeIx> {
        let holders = block
            .replicas
            .as_slice()
            .iter()
            .filter(|ix| self.datanodes.is_storage_live(**ix));
        let nodes = holders.map(|ix| self.datanodes.storage(*ix).node);
        let idle = nodes.filter(|ix| self.datanodes.node(*ix).copies_out < self.settings.max_copies_per_node);
        idle.min_by_key(|ix| (self.datanodes.node(*ix).copies_out, self.datanodes.node(*ix).load, *ix))
    }

    fn delete_corrupt(&mut self) {
        let ids: Vec<BlockId> = self.replication.corrupt.keys().copied().take(BATCH).collect();
        for id in ids {
            if self.may_delete_corrupt(id) {
                self.order_corrupt_deletion(id);
            }
        }
    }

    /// A corrupt copy goes when the block is whole without it, or when a good copy lives but has no other place to be copied to.
    fn may_delete_corrupt(&mut self, id: BlockId) -> bool {
        let Some(info) = self.state.blocks.find(id).filter(|block| block.is_committed()) else {
            return false;
        };
        let live: Vec<StorageIx> = info
            .replicas
            .as_slice()
            .iter()
            .copied()
            .filter(|ix| self.datanodes.is_storage_live(*ix))
            .collect();
        if live.is_empty() {
            return false;
        }
        let coming = self.replication.in_flight(id).iter().map(|copy| copy.target);
        let node_of = |ix: StorageIx| self.datanodes.storage(ix).node;
        let existing: Vec<NodeIx> = live.iter().copied().chain(coming).map(node_of).collect();
        if live.len() >= self.wanted(info) {
            return true;
        }
        let bad = self.replication.corrupt_holders(id).into_iter().map(node_of);
        let excluded: Vec<NodeIx> = bad.chain(self.unreported_nodes()).collect();
        let request = PlacementRequest {
            count: 1,
            block_size: info.length,
            writer_ip: None,
            existing: &existing,
            excluded: &excluded,
            favored: &[],
        };
        existing.len() < self.wanted(info) && choose_targets(&self.datanodes, &mut self.rng, &request).is_empty()
    }

    fn order_corrupt_deletion(&mut self, id: BlockId) {
        let now = self.now.tick_ms;
        let Some(bad) = self.replication.corrupt.get_mut(&id) else {
            return;
        };
        let mut orders = Vec::new();
        for (storage, corrupt) in bad {
            if corrupt
                .delete_ordered_tick_ms
                .is_none_or(|at| now >= at + REPEAT_DELETE_MS)
            {
                corrupt.delete_ordered_tick_ms = Some(now);
                orders.push((*storage, corrupt.replica));
            }
        }
        for (storage, replica) in orders {
            self.replication
                .delete_later(self.datanodes.storage(storage).node, replica);
        }
    }

    fn delete_surplus(&mut self) {
        let ids: Vec<BlockId> = self.replication.surplus.iter().copied().take(BATCH).collect();
        for id in ids {
            self.delete_surplus_of(id);
        }
    }

    fn delete_surplus_of(&mut self, id: BlockId) {
        let Some(info) = self.state.blocks.find(id) else { return };
        let block = block_of(info);
        let wanted = self.wanted(info).max(1);
        let mut holders = info.replicas.as_slice().to_vec();
        let settled =
            self.replication.in_flight(id).is_empty() && holders.iter().all(|ix| self.datanodes.is_storage_live(*ix));
        if !settled {
            return;
        }
        while holders.len() > wanted {
            let Some(excess) = choose_excess(&self.datanodes, &holders) else {
                break;
            };
            holders.retain(|ix| *ix != excess);
            self.remove_replica(id, excess);
            self.replication
                .delete_later(self.datanodes.storage(excess).node, block);
        }
    }
}
