//! Replicas under recovery (RUR): HDFS's `initReplicaRecovery` and `updateReplicaUnderRecovery`.
//!
//! A recovery first takes hold of a replica, which lets no writer in any more, and later, when all holders have said what they
//! have, cuts it to the agreed length. In between a newer recovery may take hold of it; the older one can then change
//! nothing. Readers see the replica as it was.

use std::sync::Arc;

use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::block_file::{PacketData, PacketError};
use super::dataset::{Dataset, Entry, FinalizedReplica};
use super::open_replica::ReplicaWriter;
use super::reader::{ReadError, ReadableReplica};
use crate::error::{Error, Result};
use crate::replica::{self, RecoveryEntry, Replica, ReplicaError, ReplicaState};

/// Bytes that are copied at a time.
const COPY_SPAN: u64 = 1 << 20;

impl Dataset {
    /// Takes hold of a replica for a recovery and answers what it is. Its writer must have been stopped.
    pub(crate) fn begin_recovery(
        &self,
        id: BlockId,
        block_stamp: GenerationStamp,
        recovery: GenerationStamp,
    ) -> Result<Replica, ReplicaError> {
        let mut map = self.map.lock();
        let entry = map.entries.get(&id).ok_or(ReplicaError::NotFound(id))?;
        let replica = entry.replica(id);
        let current = map.recovering.get(&id).copied();
        match replica::check_init_recovery(&replica, current, block_stamp, recovery)? {
            RecoveryEntry::Finished => return Ok(replica),
            RecoveryEntry::Begin => {}
        }
        if matches!(entry, Entry::Open(open) if open.has_writer()) {
            return Err(ReplicaError::WriterBusy(id));
        }
        map.recovering.insert(id, recovery);
        Ok(replica)
    }

    /// Cuts a replica that this recovery holds to `length`, gives it the recovery's stamp and finalizes it.
    ///
    /// # Durability
    /// As [`Dataset::finalize`].
    pub(crate) fn end_recovery(
        self: &Arc<Self>,
        id: BlockId,
        recovery: GenerationStamp,
        length: u64,
    ) -> Result<FinalizedReplica> {
        if let Some(finished) = self.finished_before(id, recovery, length)? {
            return Ok(finished);
        }
        let writer = self.take(id, recovery, |map| {
            let entry = map.entries.get(&id).ok_or(ReplicaError::NotFound(id))?;
            let current = map.recovering.get(&id).copied();
            replica::check_update_recovery(&entry.replica(id), current, recovery, length).map(|()| length)
        })?;
        let finalized = self.finalize(writer)?;
        self.let_go(id, recovery);
        Ok(finalized)
    }

    /// Leaves a replica that this recovery holds as it is, and copies its first `length` bytes to a new, final replica of the
    /// block `new_id`.
    pub(crate) fn copy_recovered(
        self: &Arc<Self>,
        id: BlockId,
        recovery: GenerationStamp,
        length: u64,
        new_id: BlockId,
    ) -> Result<FinalizedReplica> {
        if let Some(finished) = self.finished_before(new_id, recovery, length)? {
            return Ok(finished);
        }
        let seen = {
            let map = self.map.lock();
            let entry = map.entries.get(&id).ok_or(ReplicaError::NotFound(id))?;
            let seen = entry.replica(id);
            replica::check_update_recovery(&seen, map.recovering.get(&id).copied(), recovery, length)?;
            seen
        };
        let source = self.open_for_read(id, seen.generation_stamp)?;
        let mut copy = self.create(new_id, recovery, ReplicaState::Temporary, source.checksum, length)?;
        copy_bytes(&source, &mut copy, length).map_err(|detail| Error::Corrupt {
            what: format!("replica of block {id}"),
            detail,
        })?;
        let finalized = self.finalize(copy)?;
        self.let_go(id, recovery);
        Ok(finalized)
    }

    /// Ends the hold of a recovery, unless a newer one has it.
    fn let_go(&self, id: BlockId, recovery: GenerationStamp) {
        let mut map = self.map.lock();
        if map.recovering.get(&id) == Some(&recovery) {
            map.recovering.remove(&id);
        }
    }

    /// The result of this very recovery, if it has been reached before.
    fn finished_before(&self, id: BlockId, recovery: GenerationStamp, length: u64) -> Result<Option<FinalizedReplica>> {
        let Ok(replica) = self.replica(id) else { return Ok(None) };
        if replica.state != ReplicaState::Finalized || replica.generation_stamp != recovery {
            return Ok(None);
        }
        if replica.on_disk != length {
            return Err(ReplicaError::Length {
                id,
                what: "in the result of this recovery",
                found: replica.on_disk,
                expected: format!("exactly {length}"),
            }
            .into());
        }
        Ok(self.storage_id(id).map(|storage_id| FinalizedReplica {
            block: replica.block(),
            storage_id,
        }))
    }
}

/// Copies whole chunks, and the last one as far as it goes; the bytes are verified on their way.
fn copy_bytes(source: &ReadableReplica, copy: &mut ReplicaWriter, length: u64) -> Result<(), String> {
    let chunks = source.chunks();
    let span = chunks.floor(COPY_SPAN).max(chunks.size());
    let text = |error: ReadError| error.to_string();
    let mut at = 0;
    while at < length {
        let end = length.min(at + span);
        let (mut data, mut sums) = (Vec::new(), Vec::new());
        source.read_data(at, end, &mut data).map_err(text)?;
        let whole = if end == source.length { end } else { chunks.floor(end) };
        source.read_sums(at, whole, &mut sums).map_err(text)?;
        if whole < end && chunks.sum_size() != 0 {
            sums.extend_from_slice(&source.cut_chunk_sum(whole, end).map_err(text)?.to_be_bytes());
        }
        let packet = PacketData {
            offset: at,
            data: &data,
            sums: &sums,
            checksum: source.checksum,
        };
        copy.write(&packet).map_err(|error: PacketError| error.to_string())?;
        at = end;
    }
    Ok(())
}
