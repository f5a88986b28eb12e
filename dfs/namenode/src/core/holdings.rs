//! Which blocks each storage holds a good replica of: the other direction of the replica sets in the block map.
//!
//! Changed together with them, by `add_replica` and its opposites, so that what concerns one storage (its loss, its full report, its
//! decommission) costs what it holds and not what the cluster holds.

use std::collections::VecDeque;

use quarry_dfs_wire::block::BlockId;

use super::Core;
use super::id_set::IdSet;
use super::replicas::StorageIx;
use super::replication::SLICE;

/// The blocks of each storage.
#[derive(Debug, Default)]
pub struct Holdings {
    by_storage: Vec<IdSet>,
    none: IdSet,
    /// Storages that are gone and whose replicas are forgotten slice by slice.
    losing: VecDeque<StorageIx>,
}

impl Holdings {
    /// A storage has a good replica of a block.
    pub fn add(&mut self, storage: StorageIx, id: BlockId) {
        let at = usize::from(storage.0);
        if self.by_storage.len() <= at {
            self.by_storage.resize_with(at + 1, IdSet::default);
        }
        self.by_storage[at].insert(id);
    }

    /// It has it no more.
    pub fn remove(&mut self, storage: StorageIx, id: BlockId) {
        if let Some(set) = self.by_storage.get_mut(usize::from(storage.0)) {
            set.remove(id);
        }
    }

    /// What a storage holds.
    pub fn of(&self, storage: StorageIx) -> &IdSet {
        self.by_storage.get(usize::from(storage.0)).unwrap_or(&self.none)
    }

    /// The storage is there again: what was not yet forgotten stays until its full report.
    pub fn keep(&mut self, storage: StorageIx) {
        self.losing.retain(|other| *other != storage);
    }

    /// Whether replicas of lost storages are still being forgotten.
    pub fn is_losing(&self) -> bool {
        !self.losing.is_empty()
    }
}

impl Core {
    /// A volume is gone with all its replicas. The first ones are forgotten now, the rest a slice per tick.
    pub(crate) fn lose_storage(&mut self, storage: StorageIx) {
        self.forget_reports_of(storage);
        self.replication.retain_corrupt_on(storage, None);
        self.holdings.keep(storage);
        self.holdings.losing.push_back(storage);
        self.forget_slice();
    }

    /// Forgets the next replicas of lost storages.
    pub(crate) fn forget_slice(&mut self) {
        let mut left = SLICE;
        while let Some(storage) = self.holdings.losing.front().copied() {
            let (ids, _) = self.holdings.of(storage).slice(BlockId(0), left);
            for id in &ids {
                self.remove_replica(*id, storage);
                // Even if the block map knows nothing of it, the set must shrink.
                self.holdings.remove(storage, *id);
            }
            left -= ids.len();
            if left == 0 {
                return;
            }
            self.holdings.losing.pop_front();
        }
    }
}
