//! Orders copies of blocks that lack replicas, most urgent first, a few at a time per node.

use quarry_dfs_wire::block::{Block, BlockId};

use super::{BATCH, Copy, Corrupt, CorruptFound, HISTORY, LEVELS, Urgency};
use crate::core::Core;
use crate::core::block_map::BlockInfo;
use crate::core::command::Order;
use crate::core::datanodes::{AdminState, NodeIx};
use crate::core::locate::block_of;
use crate::core::placement::{PlacementRequest, choose_targets};
use crate::core::replicas::StorageIx;

/// A pipeline node that did not report a committed block by then is no longer counted on.
const PIPELINE_REPORT_MS: u64 = 30_000;
/// Time before a copy that failed is ordered anew: what was in its way may pass, as when the target is just starting.
const FAILED_COPY_RETRY_MS: u64 = 3000;

impl Core {
    /// These storages are about to report a block: no copy is needed for them yet.
    pub(crate) fn expect_replicas(&mut self, id: BlockId, storages: Vec<StorageIx>) {
        let deadline_tick_ms = self.now.tick_ms + PIPELINE_REPORT_MS;
        let live = storages.into_iter().filter(|ix| self.datanodes.is_storage_live(*ix));
        let copies: Vec<Copy> = live
            .map(|target| Copy {
                target,
                source: None,
                deadline_tick_ms,
                until_report: self.owes_report(target),
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
        // What was to come there has come, or what came before is in its way.
        self.replication.copy_arrived(id, storage, &mut self.datanodes);
        self.remove_replica(id, storage);
        let bad = self.replication.corrupt.entry(id).or_default();
        if bad.contains_key(&storage) {
            return;
        }
        bad.insert(
            storage,
            Corrupt {
                replica,
                delete_ordered_tick_ms: None,
            },
        );
        let path = self.path_of_block(replica);
        let history = &mut self.replication.corrupt_found;
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(CorruptFound {
            path,
            unix_ms: self.now.unix_ms,
            replica,
            storage,
            gone_unix_ms: None,
        });
        self.replication.retry_soon();
    }

    /// A node could not make the copies of a block that it was told to make. Those that got through in spite of it are reported yet.
    pub(crate) fn copy_failed(&mut self, id: BlockId, source: NodeIx) {
        let retry_tick_ms = self.now.tick_ms + FAILED_COPY_RETRY_MS;
        self.replication.shorten_copies_of(id, source, retry_tick_ms);
    }

    pub(super) fn expire_copies(&mut self) {
        let now = self.now.tick_ms;
        let due = |copies: &&Vec<Copy>| copies.iter().any(|copy| copy.deadline_tick_ms <= now);
        let overdue = self.replication.copies.iter().filter(|(_, copies)| due(copies));
        let ids: Vec<BlockId> = overdue.map(|(id, _)| *id).collect();
        for id in ids {
            self.replication
                .drop_copies(id, &mut self.datanodes, |copy| copy.deadline_tick_ms <= now);
            self.queue_block(id);
        }
    }

    /// Orders copies, in order of urgency, until a round's share is looked at.
    pub(super) fn copy_missing(&mut self) {
        let mut left = BATCH;
        for level in LEVELS.into_iter().filter(|level| *level != Urgency::Missing) {
            // Urgent ones must not keep the others waiting for ever: each level gets some of the round.
            let share = left.min(BATCH.div_ceil(2)).max(BATCH / 10);
            let ids = self.replication.queues.take(level, share);
            left = left.saturating_sub(ids.len());
            for id in ids {
                self.copy_block(id, level);
            }
        }
    }

    /// Tells one holder of a block to copy it to as many nodes as are missing.
    fn copy_block(&mut self, id: BlockId, level: Urgency) {
        let Some(info) = self.state.blocks.find(id) else { return };
        let (block, file) = (block_of(info), info.file);
        let Some(source) = self.idle_source(info, level) else {
            return;
        };
        let census = self.census(info);
        let coming = self.replication.in_flight(id).iter();
        let coming: Vec<NodeIx> = coming.map(|copy| self.datanodes.storage(copy.target).node).collect();
        let lacking = self
            .expected_live(info, &census)
            .saturating_sub(census.live + coming.len());
        let must_spread = level == Urgency::BadlyDistributed;
        let count = if must_spread { 1 } else { lacking };
        // Nodes that count come first: the rack rules are about them. The others must only not be chosen again.
        let (counted, others): (Vec<StorageIx>, Vec<StorageIx>) =
            info.replicas.as_slice().iter().partition(|ix| self.counts(**ix));
        let node_of = |ix: StorageIx| self.datanodes.storage(ix).node;
        let existing: Vec<NodeIx> = counted.into_iter().map(node_of).chain(coming).collect();
        let bad = self.replication.corrupt_holders(id).into_iter().map(node_of);
        let elsewhere = others.into_iter().map(node_of);
        let excluded: Vec<NodeIx> = bad.chain(elsewhere).chain(self.unreported_nodes()).collect();
        let request = PlacementRequest {
            count,
            block_size: self.file(file).block_size.get().min(block.length),
            writer_ip: None,
            existing: &existing,
            excluded: &excluded,
            favored: &[],
            must_spread,
        };
        let targets = choose_targets(&self.datanodes, &mut self.rng, &request);
        self.order_copy(source, block, &targets, false);
        self.queue_block(id);
    }

    /// Has `source` copy a block to `targets` and remembers that they are on their way.
    pub(crate) fn order_copy(&mut self, source: NodeIx, block: Block, targets: &[StorageIx], balancing: bool) -> bool {
        let Some(session) = self.datanodes.session_of(source).filter(|_| !targets.is_empty()) else {
            return false;
        };
        let deadline_tick_ms = self.now.tick_ms + self.settings.copy_timeout_ms;
        self.datanodes.node_mut(source).copies_out += targets.len() as u32;
        let copies = targets.iter().map(|target| Copy {
            target: *target,
            source: Some(source),
            deadline_tick_ms,
            until_report: false,
        });
        self.replication.copies.entry(block.id).or_default().extend(copies);
        for target in targets {
            self.datanodes.storage_mut(*target).scheduled += block.length;
        }
        let targets = targets.iter().map(|ix| self.datanodes.location(*ix)).collect();
        self.send(
            session,
            Order::Replicate {
                block,
                targets,
                bytes_per_second: 0,
                balancing,
            },
        );
        true
    }

    fn owes_report(&self, storage: StorageIx) -> bool {
        let node = self.datanodes.storage(storage).node;
        self.datanodes.node(node).unreported.contains(&storage)
    }

    /// Nodes that have not said yet what they hold: a copy to them may be one that they have.
    pub(super) fn unreported_nodes(&self) -> impl Iterator<Item = NodeIx> + '_ {
        self.datanodes
            .iter()
            .filter(|(_, node)| !node.unreported.is_empty())
            .map(|(ix, _)| ix)
    }

    /// The holder that makes a copy: one that leaves, as it has least else to do, then the least busy. The most urgent blocks may use
    /// streams beyond the usual number.
    fn idle_source(&self, block: &BlockInfo, level: Urgency) -> Option<NodeIx> {
        let limit = match level {
            Urgency::Highest => self.settings.max_copies_per_node_hard,
            _ => self.settings.max_copies_per_node,
        };
        let holders = block.replicas.as_slice().iter();
        let live = holders.filter(|ix| self.datanodes.is_storage_live(**ix));
        let nodes = live.map(|ix| self.datanodes.storage(*ix).node);
        let idle = nodes.filter(|ix| self.datanodes.node(*ix).copies_out < limit);
        idle.min_by_key(|ix| {
            let node = self.datanodes.node(*ix);
            let leaving = node.admin == AdminState::DecommissionInProgress;
            (node.stale, !leaving, node.copies_out, node.load, *ix)
        })
    }
}
