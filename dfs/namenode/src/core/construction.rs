//! What is known of blocks whose length is not final: where their pipeline is and what the DataNodes said about it.

use std::collections::{BTreeMap, BTreeSet};

use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::Core;
use super::command::{ReplicaState, ReportedReplica};
use super::replicas::StorageIx;

/// A recovery under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryAttempt {
    /// The stamp that the block gets; tells this attempt's result from an older one's.
    pub generation_stamp: GenerationStamp,
    /// Tick after which another attempt is made.
    pub deadline_tick_ms: u64,
}

/// One block of an open file.
#[derive(Debug, Clone, Default)]
pub struct Construction {
    /// The pipeline, in order.
    pub targets: Vec<StorageIx>,
    /// The last word of each storage.
    pub reported: BTreeMap<StorageIx, ReportedReplica>,
    /// Its recovery, once the writer is gone.
    pub recovery: Option<RecoveryAttempt>,
    /// Who ran an attempt that did not end well, since everybody had a turn.
    pub tried: BTreeSet<StorageIx>,
}

impl Construction {
    /// As [`Self::holders`], without those that stayed behind with an older stamp: readers have no use for them.
    pub fn holders_of(&self, stamp: GenerationStamp) -> Vec<StorageIx> {
        let behind = |ix: &StorageIx| {
            let reported = self.reported.get(ix);
            reported.is_some_and(|replica| replica.block.generation_stamp < stamp) && !self.targets.contains(ix)
        };
        self.holders().into_iter().filter(|ix| !behind(ix)).collect()
    }

    /// Everyone who may hold the block: the pipeline, then others that reported it.
    pub fn holders(&self) -> Vec<StorageIx> {
        let mut holders = self.targets.clone();
        holders.extend(self.reported.keys().filter(|ix| !self.targets.contains(ix)));
        holders
    }
}

impl Core {
    /// Sets the pipeline of a block under construction.
    pub(crate) fn set_pipeline(&mut self, block: BlockId, targets: Vec<StorageIx>) {
        let construction = self.construction.entry(block).or_default();
        construction.targets = targets;
    }

    /// Takes in a report about a block under construction.
    pub(crate) fn report_construction(&mut self, storage: StorageIx, replica: ReportedReplica) {
        let construction = self.construction.entry(replica.block.id).or_default();
        construction.reported.insert(storage, replica);
    }

    /// Ends a block's construction at a final stamp and length: storages that reported just that hold good replicas, those that
    /// finalized something else hold corrupt ones, the rest of the pipeline is expected to report soon.
    pub(crate) fn finish_construction(&mut self, block: BlockId) {
        self.safe_mode.block_added();
        let construction = self.construction.remove(&block).unwrap_or_default();
        for (storage, replica) in &construction.reported {
            if replica.state == ReplicaState::Finalized {
                self.take_replica(*storage, *replica);
            }
        }
        let Some(info) = self.state.blocks.find(block) else {
            return;
        };
        let missing = construction
            .targets
            .into_iter()
            .filter(|target| !info.replicas.contains(*target));
        let missing: Vec<StorageIx> = missing.collect();
        self.expect_replicas(block, missing);
    }
}
