//! Counts a block's replicas by what they are worth, and from that says what the block needs.

use quarry_dfs_wire::block::BlockId;

use super::{SLICE, Urgency};
use crate::core::Core;
use crate::core::block_map::BlockInfo;
use crate::core::datanodes::{AdminState, Liveness};
use crate::core::replicas::StorageIx;

/// Good replicas of a block by the state of their nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// On nodes in service. A node that has just lost its connection counts.
    pub live: usize,
    /// On nodes that are being decommissioned.
    pub decommissioning: usize,
    /// On nodes that are decommissioned.
    pub decommissioned: usize,
    /// On nodes in maintenance or about to be.
    pub maintenance: usize,
}

impl Census {
    /// All replicas, wherever.
    pub fn all(&self) -> usize {
        self.live + self.decommissioning + self.decommissioned + self.maintenance
    }

    fn level(&self, expected: usize) -> Urgency {
        match self.live {
            0 if self.all() > 0 => Urgency::Highest,
            0 => Urgency::Missing,
            1 => Urgency::Highest,
            live if live * 3 < expected => Urgency::VeryLow,
            _ => Urgency::Low,
        }
    }
}

impl Core {
    /// Counts the good replicas of a block.
    pub(crate) fn census(&self, block: &BlockInfo) -> Census {
        let mut census = Census::default();
        for storage in block.replicas.as_slice() {
            let node = self.datanodes.node(self.datanodes.storage(*storage).node);
            match node.admin {
                // One that is being forgotten slice by slice counts no more.
                AdminState::Normal if node.liveness == Liveness::Dead => {}
                AdminState::Normal => census.live += 1,
                AdminState::DecommissionInProgress => census.decommissioning += 1,
                AdminState::Decommissioned => census.decommissioned += 1,
                AdminState::EnteringMaintenance | AdminState::InMaintenance => census.maintenance += 1,
            }
        }
        census
    }

    /// Replicas that a block must have on nodes in service: those in maintenance come back and count, but one at least must be there.
    pub(crate) fn expected_live(&self, block: &BlockInfo, census: &Census) -> usize {
        let wanted = self.wanted(block);
        let least = wanted.min(self.settings.maintenance_min_replication);
        wanted.saturating_sub(census.maintenance).max(least)
    }

    /// Replicas that the file of a block wants.
    pub(crate) fn wanted(&self, block: &BlockInfo) -> usize {
        self.state
            .namespace
            .get(block.file)
            .file()
            .map_or(0, |file| usize::from(file.replication))
    }

    /// Looks at a block's replicas and notes what is to be done about them.
    pub(crate) fn queue_block(&mut self, id: BlockId) {
        if self.safe_mode.is_startup() {
            return;
        }
        let Some(block) = self.state.blocks.find(id).filter(|block| block.is_committed()) else {
            self.replication.surplus.remove(id);
            return self.replication.queues.set(id, None);
        };
        let census = self.census(block);
        let (wanted, expected) = (self.wanted(block), self.expected_live(block, &census));
        let coming = self.replication.in_flight(id).len();
        let urgency = if census.live + coming < expected {
            Some(census.level(expected))
        } else if coming == 0 && !self.is_spread(block) {
            Some(Urgency::BadlyDistributed)
        } else {
            None
        };
        let missing_one = urgency == Some(Urgency::Missing) && wanted == 1;
        let surplus = census.live > wanted || (census.decommissioned > 0 && census.live >= self.enough(wanted));
        self.replication.queues.set(id, urgency);
        if missing_one {
            self.replication.queues.missing_one.insert(id);
        }
        if surplus {
            self.replication.surplus.insert(id);
        } else {
            self.replication.surplus.remove(id);
        }
    }

    /// As many replicas as wanted, or one on every node in service where there are fewer nodes. Dead nodes count: they may come back.
    pub(crate) fn enough(&self, wanted: usize) -> usize {
        wanted.min(self.datanodes.in_service_count()).max(1)
    }

    /// Whether the replicas that count are on two racks at least, where there are two.
    pub(crate) fn is_spread(&self, block: &BlockInfo) -> bool {
        if self.datanodes.live_racks() < 2 || self.wanted(block) < 2 {
            return true;
        }
        let counted = block.replicas.as_slice().iter().filter(|ix| self.counts(**ix));
        let mut racks = counted.map(|ix| self.rack_of(*ix));
        match racks.next() {
            Some(first) => {
                let mut others = racks.peekable();
                others.peek().is_none() || others.any(|rack| rack != first)
            }
            None => true,
        }
    }

    /// Whether a replica on this storage counts as one in service.
    pub(crate) fn counts(&self, storage: StorageIx) -> bool {
        let node = self.datanodes.node(self.datanodes.storage(storage).node);
        node.admin == AdminState::Normal && node.liveness != Liveness::Dead
    }

    pub(crate) fn rack_of(&self, storage: StorageIx) -> &str {
        &self
            .datanodes
            .node(self.datanodes.storage(storage).node)
            .descriptor
            .rack
    }

    /// Looks at all blocks: after safe mode. The first ones now, the rest a slice per tick.
    pub(crate) fn queue_all_blocks(&mut self) {
        self.replication.recheck_all();
        self.look_at_slices();
        self.replication.retry_soon();
    }

    /// Looks at the next slices of what is to be looked at.
    pub(super) fn look_at_slices(&mut self) {
        self.forget_slice();
        if self.safe_mode.is_startup() {
            return;
        }
        self.sweep_slice();
        let Some((storage, from)) = self.replication.recheck.iter().next().map(|(ix, id)| (*ix, *id)) else {
            return;
        };
        let (ids, next) = self.holdings.of(storage).slice(from, SLICE);
        for id in ids {
            self.queue_block(id);
        }
        match next {
            Some(next) => self.replication.recheck.insert(storage, next),
            None => self.replication.recheck.remove(&storage),
        };
    }

    fn sweep_slice(&mut self) {
        let Some(from) = self.replication.sweep_from else {
            return;
        };
        let end = self.state.blocks.end();
        let stop = end.min(from.saturating_add(SLICE as u32));
        for slot in from..stop {
            if let Some(id) = self.state.blocks.at(slot).map(|block| block.id) {
                self.queue_block(id);
            }
        }
        self.replication.sweep_from = (stop < end).then_some(stop);
    }
}
