//! Orders the deletion of replicas: of blocks that are gone, corrupt ones, surplus ones, and those on decommissioned nodes.

use std::collections::BTreeSet;

use quarry_dfs_wire::block::{Block, BlockId};

use super::BATCH;
use crate::core::Core;
use crate::core::block_map::BlockInfo;
use crate::core::command::Order;
use crate::core::datanodes::{AdminState, NodeIx};
use crate::core::locate::block_of;
use crate::core::placement::{PlacementRequest, choose_excess, choose_targets};
use crate::core::replicas::StorageIx;

/// An order to delete a corrupt replica is repeated if it is not reported as done by then.
const REPEAT_DELETE_MS: u64 = 60_000;

impl Core {
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
        for storage in block.replicas.as_slice() {
            self.holdings.remove(*storage, block.id);
        }
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

    pub(super) fn send_deletions(&mut self) {
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

    pub(super) fn delete_corrupt(&mut self) {
        let from = BlockId(self.replication.corrupt_cursor);
        let ids: Vec<BlockId> = self
            .replication
            .corrupt
            .range(from..)
            .take(BATCH)
            .map(|(id, _)| *id)
            .collect();
        self.replication.corrupt_cursor = ids.last().filter(|_| ids.len() == BATCH).map_or(0, |last| last.0 + 1);
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
        let holders = info.replicas.as_slice().iter();
        let live: Vec<StorageIx> = holders
            .copied()
            .filter(|ix| self.datanodes.is_storage_live(*ix))
            .collect();
        if live.is_empty() {
            return false;
        }
        let wanted = self.wanted(info);
        if live.len() >= wanted {
            return true;
        }
        let coming = self.replication.in_flight(id).iter().map(|copy| copy.target);
        let node_of = |ix: StorageIx| self.datanodes.storage(ix).node;
        let existing: Vec<NodeIx> = live.iter().copied().chain(coming).map(node_of).collect();
        let bad = self.replication.corrupt_holders(id).into_iter().map(node_of);
        let excluded: Vec<NodeIx> = bad.chain(self.unreported_nodes()).collect();
        let request = PlacementRequest {
            count: 1,
            block_size: info.length,
            writer_ip: None,
            existing: &existing,
            excluded: &excluded,
            favored: &[],
            must_spread: false,
        };
        existing.len() < wanted && choose_targets(&self.datanodes, &mut self.rng, &request).is_empty()
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

    pub(super) fn delete_surplus(&mut self) {
        let from = BlockId(self.replication.surplus_cursor);
        let (ids, next) = self.replication.surplus.slice(from, BATCH);
        self.replication.surplus_cursor = next.map_or(0, |next| next.0);
        for id in ids {
            self.delete_surplus_of(id);
        }
    }

    /// Whether a replica is there for sure: its node is in contact, was heard of lately, and said all that it holds.
    pub(crate) fn is_certain(&self, storage: StorageIx) -> bool {
        let node = self.datanodes.node(self.datanodes.storage(storage).node);
        self.datanodes.is_storage_live(storage) && !node.stale && node.unreported.is_empty()
    }

    fn delete_surplus_of(&mut self, id: BlockId) {
        let Some(info) = self.state.blocks.find(id).filter(|block| block.is_committed()) else {
            return;
        };
        let block = block_of(info);
        let wanted = self.wanted(info).max(1);
        let all = info.replicas.as_slice();
        let mut counted: Vec<StorageIx> = all.iter().copied().filter(|ix| self.counts(*ix)).collect();
        let settled = !self.replication.is_in_flight(id) && counted.iter().all(|ix| self.is_certain(*ix));
        if !settled {
            return;
        }
        let mut gone = Vec::new();
        if counted.len() >= self.enough(wanted) {
            let left = |ix: &StorageIx| {
                let node = self.datanodes.node(self.datanodes.storage(*ix).node);
                node.admin == AdminState::Decommissioned
            };
            gone.extend(all.iter().copied().filter(left));
        }
        while counted.len() > wanted {
            let Some(excess) = choose_excess(&self.datanodes, &counted) else {
                break;
            };
            counted.retain(|ix| *ix != excess);
            gone.push(excess);
        }
        for storage in gone {
            self.remove_replica(id, storage);
            self.replication
                .delete_later(self.datanodes.storage(storage).node, block);
        }
    }
}
