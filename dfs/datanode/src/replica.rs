//! The states of a replica and the conditions under which a writer may have it. Pure: no files, no clocks.
//!
//! ```text
//!            create                     last packet
//!  (absent) ────────▶ RBW ─────────────────────────────▶ FINALIZED
//!     │                │ ▲ append, append recovery            │
//!     │                │ └────────────────────────────────────┘
//!     │ copy           │ process restart
//!     ▼                ▼
//!  TEMPORARY          RWR   waits for block recovery
//!     └─▶ FINALIZED or RBW when the copy is complete; removed at restart
//!
//!  FINALIZED, RBW, RWR ──▶ RUR ──▶ FINALIZED      block recovery; at a restart RUR is again what it was before
//! ```
//!
//! The checks are those of HDFS for each stage of a write pipeline. "Block generation stamp" is the one the writer knows,
//! "new generation stamp" the one under which the pipeline is set up.

use std::fmt;
use std::ops::RangeInclusive;

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaState {
    /// Being copied from another DataNode; never visible, removed at restart.
    Temporary,
    /// Replica being written: a pipeline appends to it, or may do so after recovery.
    Rbw,
    /// Replica waiting to be recovered: an `Rbw` that was found on disk after a restart.
    Rwr,
    /// Replica under recovery: its length is being agreed upon with the other holders.
    Rur,
    /// Complete, durable and immutable until the next append.
    Finalized,
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temporary => "TEMPORARY",
            Self::Rbw => "RBW",
            Self::Rwr => "RWR",
            Self::Rur => "RUR",
            Self::Finalized => "FINALIZED",
        })
    }
}

/// What is known of one replica. `acked <= on_disk <= received` always; all three are equal unless it is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// The block that it is a copy of.
    pub id: BlockId,
    /// Version of the block's contents.
    pub generation_stamp: GenerationStamp,
    /// Where it is in its life.
    pub state: ReplicaState,
    /// Bytes taken from the writer, written to the file or not.
    pub received: u64,
    /// Bytes in the block file.
    pub on_disk: u64,
    /// Bytes that the whole rest of the pipeline has confirmed: what a reader of an open file is promised.
    pub acked: u64,
}

impl Replica {
    /// The block as it is stored here.
    #[must_use]
    pub fn block(&self) -> Block {
        Block {
            id: self.id,
            generation_stamp: self.generation_stamp,
            length: self.on_disk,
        }
    }
}

/// Why a replica cannot be used as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// There is no such replica here.
    #[error("block {0}: no replica on this DataNode")]
    NotFound(BlockId),
    /// A replica is in the way.
    #[error("block {id}: a replica in state {state} already exists and cannot be created again")]
    AlreadyExists {
        /// The block.
        id: BlockId,
        /// The state of the existing replica.
        state: ReplicaState,
    },
    /// The replica's state does not allow the operation.
    #[error("block {id}: replica is {found}, expected {expected}")]
    WrongState {
        /// The block.
        id: BlockId,
        /// Its state.
        found: ReplicaState,
        /// The states that would do.
        expected: &'static str,
    },
    /// The replica is of another version than the caller can use.
    #[error("block {id}: replica has generation stamp {found}, expected {} to {}", expected.start(), expected.end())]
    GenerationStamp {
        /// The block.
        id: BlockId,
        /// The stored stamp.
        found: GenerationStamp,
        /// The stamps that would do.
        expected: RangeInclusive<GenerationStamp>,
    },
    /// The replica's length contradicts what the writer knows.
    #[error("block {id}: replica has {found} bytes {what}, expected {expected}")]
    Length {
        /// The block.
        id: BlockId,
        /// Which of the three lengths.
        what: &'static str,
        /// The stored length in bytes.
        found: u64,
        /// The length that would do.
        expected: String,
    },
    /// A read outside of the replica.
    #[error("block {id}: read of {length} bytes at {offset} is outside of the replica's {available} bytes")]
    Range {
        /// The block.
        id: BlockId,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        length: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The block's former replica is still being removed.
    #[error("block {0}: its former replica is still being removed; retry")]
    BeingDeleted(BlockId),
    /// The previous writer did not let go in time.
    #[error("block {0}: its previous writer did not stop in time; retry the recovery")]
    WriterBusy(BlockId),
    /// A newer recovery has taken the replica over.
    #[error("block {id}: recovery {asked} is superseded by recovery {current}")]
    Superseded {
        /// The block.
        id: BlockId,
        /// The stamp of the recovery that asked.
        asked: GenerationStamp,
        /// The stamp of the recovery under way.
        current: GenerationStamp,
    },
}

/// What the writer that asks for an existing replica knows of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The writer's view of the block's version.
    pub(crate) generation_stamp: GenerationStamp,
    /// The version of the new pipeline.
    pub(crate) new_generation_stamp: GenerationStamp,
    /// Bytes that the writer saw acknowledged: none of them may be missing.
    pub(crate) min_bytes: u64,
    /// Bytes that the writer ever sent: more cannot be its own.
    pub(crate) max_bytes: u64,
}

/// SETUP_CREATE, and a copy from another DataNode: no replica may be there in any state.
pub(crate) fn check_create(existing: Option<&Replica>) -> Result<(), ReplicaError> {
    match existing {
        None => Ok(()),
        Some(replica) => Err(ReplicaError::AlreadyExists {
            id: replica.id,
            state: replica.state,
        }),
    }
}

/// SETUP_APPEND: a finalized replica of exactly the writer's version and length. The new stamp may equal the old one.
pub(crate) fn check_append(replica: &Replica, claim: &Claim) -> Result<(), ReplicaError> {
    if replica.state != ReplicaState::Finalized {
        return Err(wrong_state(replica, "FINALIZED"));
    }
    if claim.new_generation_stamp < claim.generation_stamp {
        let expected = claim.generation_stamp..=GenerationStamp(u64::MAX);
        return Err(ReplicaError::GenerationStamp {
            id: replica.id,
            found: claim.new_generation_stamp,
            expected,
        });
    }
    check_stamp(replica, claim.generation_stamp..=claim.generation_stamp)?;
    check_exact_length(replica, claim.min_bytes)
}

/// APPEND_RECOVERY and CLOSE_RECOVERY: finalized, or being written with nothing in flight; exactly the writer's length.
pub(crate) fn check_append_recovery(replica: &Replica, claim: &Claim) -> Result<(), ReplicaError> {
    if !matches!(replica.state, ReplicaState::Finalized | ReplicaState::Rbw) {
        return Err(wrong_state(replica, "FINALIZED or RBW"));
    }
    check_stamp(replica, claim.generation_stamp..=claim.new_generation_stamp)?;
    if replica.state == ReplicaState::Rbw && (replica.received != replica.on_disk || replica.on_disk != replica.acked) {
        let expected = format!(
            "{} on disk and {} acknowledged to be as many",
            replica.on_disk, replica.acked
        );
        return Err(ReplicaError::Length {
            id: replica.id,
            what: "received",
            found: replica.received,
            expected,
        });
    }
    check_exact_length(replica, claim.min_bytes)
}

/// STREAMING_RECOVERY: being written. Returns the length to cut the replica to: what was acknowledged and no more, since
/// bytes after it may differ between the holders.
pub(crate) fn check_streaming_recovery(replica: &Replica, claim: &Claim) -> Result<u64, ReplicaError> {
    if replica.state != ReplicaState::Rbw {
        return Err(wrong_state(replica, "RBW"));
    }
    check_stamp(replica, claim.generation_stamp..=claim.new_generation_stamp)?;
    if replica.acked < claim.min_bytes {
        let expected = format!("at least the {} that the writer saw acknowledged", claim.min_bytes);
        return Err(ReplicaError::Length {
            id: replica.id,
            what: "acknowledged",
            found: replica.acked,
            expected,
        });
    }
    if replica.received > claim.max_bytes {
        let expected = format!("at most the {} that the writer sent", claim.max_bytes);
        return Err(ReplicaError::Length {
            id: replica.id,
            what: "received",
            found: replica.received,
            expected,
        });
    }
    Ok(replica.acked)
}

/// A move to another DataNode: complete, and of exactly the version that the new holder will call it by. A newer one would be stale at its birth.
pub(crate) fn check_move(replica: &Replica, stamp: GenerationStamp) -> Result<(), ReplicaError> {
    if replica.state != ReplicaState::Finalized {
        return Err(wrong_state(replica, "FINALIZED"));
    }
    check_stamp(replica, stamp..=stamp)
}

/// What a block recovery finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecoveryEntry {
    /// A replica to agree about.
    Begin,
    /// This very recovery has finished the replica before; the order was repeated.
    Finished,
}

/// Block recovery, first step: a replica that is not stale (older than the block) and was not finished by a newer recovery.
/// `current` is the stamp of the recovery that holds the replica already; only a newer one, or the same again, may follow.
pub(crate) fn check_init_recovery(
    replica: &Replica,
    current: Option<GenerationStamp>,
    block_stamp: GenerationStamp,
    recovery: GenerationStamp,
) -> Result<RecoveryEntry, ReplicaError> {
    if replica.state == ReplicaState::Temporary {
        return Err(ReplicaError::NotFound(replica.id));
    }
    if let Some(current) = current.filter(|current| *current > recovery) {
        return Err(ReplicaError::Superseded {
            id: replica.id,
            asked: recovery,
            current,
        });
    }
    check_stamp(replica, block_stamp..=recovery)?;
    if replica.generation_stamp < recovery {
        return Ok(RecoveryEntry::Begin);
    }
    if replica.state == ReplicaState::Finalized {
        return Ok(RecoveryEntry::Finished);
    }
    // A writer of the recovery's own stamp: there cannot be one, so nothing is known about these bytes.
    let expected = block_stamp..=GenerationStamp(recovery.0.saturating_sub(1));
    Err(ReplicaError::GenerationStamp {
        id: replica.id,
        found: replica.generation_stamp,
        expected,
    })
}

/// Block recovery, second step: only the recovery that holds the replica, and no byte that is not there.
pub(crate) fn check_update_recovery(
    replica: &Replica,
    current: Option<GenerationStamp>,
    recovery: GenerationStamp,
    length: u64,
) -> Result<(), ReplicaError> {
    match current {
        Some(current) if current == recovery => {}
        Some(current) => {
            return Err(ReplicaError::Superseded {
                id: replica.id,
                asked: recovery,
                current,
            });
        }
        None => return Err(wrong_state(replica, "RUR")),
    }
    if replica.on_disk < length {
        return Err(ReplicaError::Length {
            id: replica.id,
            what: "on disk",
            found: replica.on_disk,
            expected: format!("at least the {length} agreed upon"),
        });
    }
    Ok(())
}

/// READ: the asked version or a newer one (an append may have overtaken the reader), and all of the range on disk.
pub(crate) fn check_read(
    replica: &Replica,
    stamp: GenerationStamp,
    offset: u64,
    length: u64,
) -> Result<(), ReplicaError> {
    check_readable(replica, stamp)?;
    match offset.checked_add(length) {
        Some(end) if end <= replica.on_disk => Ok(()),
        _ => Err(ReplicaError::Range {
            id: replica.id,
            offset,
            length,
            available: replica.on_disk,
        }),
    }
}

/// The part of [`check_read`] that does not depend on the range.
pub(crate) fn check_readable(replica: &Replica, stamp: GenerationStamp) -> Result<(), ReplicaError> {
    if replica.state == ReplicaState::Temporary {
        return Err(ReplicaError::NotFound(replica.id));
    }
    check_stamp(replica, stamp..=GenerationStamp(u64::MAX))
}

fn check_stamp(replica: &Replica, expected: RangeInclusive<GenerationStamp>) -> Result<(), ReplicaError> {
    if expected.contains(&replica.generation_stamp) {
        return Ok(());
    }
    Err(ReplicaError::GenerationStamp {
        id: replica.id,
        found: replica.generation_stamp,
        expected,
    })
}

fn check_exact_length(replica: &Replica, expected: u64) -> Result<(), ReplicaError> {
    if replica.received == expected {
        return Ok(());
    }
    let expected = format!("exactly {expected}");
    Err(ReplicaError::Length {
        id: replica.id,
        what: "received",
        found: replica.received,
        expected,
    })
}

fn wrong_state(replica: &Replica, expected: &'static str) -> ReplicaError {
    ReplicaError::WrongState {
        id: replica.id,
        found: replica.state,
        expected,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const ALL: [ReplicaState; 5] = [
        ReplicaState::Temporary,
        ReplicaState::Rbw,
        ReplicaState::Rwr,
        ReplicaState::Rur,
        ReplicaState::Finalized,
    ];

    fn replica(state: ReplicaState, stamp: u64, length: u64) -> Replica {
        Replica {
            id: BlockId(7),
            generation_stamp: GenerationStamp(stamp),
            state,
            received: length,
            on_disk: length,
            acked: length,
        }
    }

    fn claim(stamp: u64, new: u64, min: u64, max: u64) -> Claim {
        Claim {
            generation_stamp: GenerationStamp(stamp),
            new_generation_stamp: GenerationStamp(new),
            min_bytes: min,
            max_bytes: max,
        }
    }

    /// Which of the states a check accepts when everything else fits.
    fn accepted(check: impl Fn(&Replica) -> bool) -> Vec<ReplicaState> {
        ALL.into_iter()
            .filter(|&state| check(&replica(state, 1001, 100)))
            .collect()
    }

    #[test]
    fn each_stage_accepts_its_states_only() {
        let same = claim(1001, 1002, 100, 100);
        assert_eq!(accepted(|r| check_create(Some(r)).is_ok()), []);
        assert!(check_create(None).is_ok());
        assert_eq!(accepted(|r| check_append(r, &same).is_ok()), [ReplicaState::Finalized]);
        assert_eq!(
            accepted(|r| check_append_recovery(r, &same).is_ok()),
            [ReplicaState::Rbw, ReplicaState::Finalized]
        );
        assert_eq!(
            accepted(|r| check_streaming_recovery(r, &same).is_ok()),
            [ReplicaState::Rbw]
        );
    }

    #[test]
    fn append_keeps_or_raises_the_stamp_but_never_lowers_it() {
        let stored = replica(ReplicaState::Finalized, 1001, 100);
        assert!(check_append(&stored, &claim(1001, 1001, 100, 100)).is_ok());
        assert!(check_append(&stored, &claim(1001, 1002, 100, 100)).is_ok());
        assert!(check_append(&stored, &claim(1001, 1000, 100, 100)).is_err());
        assert!(check_append(&stored, &claim(1000, 1002, 100, 100)).is_err());
        assert!(check_append(&stored, &claim(1002, 1003, 100, 100)).is_err());
    }

    #[test]
    fn append_wants_the_exact_length() {
        let stored = replica(ReplicaState::Finalized, 1001, 100);
        for wrong in [0, 99, 101] {
            assert!(check_append(&stored, &claim(1001, 1002, wrong, wrong)).is_err());
        }
    }

    #[test]
    fn append_recovery_refuses_bytes_in_flight() {
        let mut open = replica(ReplicaState::Rbw, 1001, 100);
        let same = claim(1001, 1002, 100, 100);
        assert!(check_append_recovery(&open, &same).is_ok());
        open.acked = 90;
        assert!(check_append_recovery(&open, &same).is_err());
    }

    #[test]
    fn recovery_accepts_stamps_from_the_block_to_the_new_one() {
        for (stored, ok) in [(1000, false), (1001, true), (1002, true), (1003, true), (1004, false)] {
            let open = replica(ReplicaState::Rbw, stored, 100);
            let claim = claim(1001, 1003, 100, 100);
            assert_eq!(
                check_streaming_recovery(&open, &claim).is_ok(),
                ok,
                "streaming, stamp {stored}"
            );
            assert_eq!(
                check_append_recovery(&open, &claim).is_ok(),
                ok,
                "append, stamp {stored}"
            );
        }
    }

    #[test]
    fn recovery_begins_with_any_replica_that_is_not_stale() {
        let init = |r: &Replica, current| check_init_recovery(r, current, GenerationStamp(1001), GenerationStamp(1005));
        let begin = |r: &Replica| init(r, None) == Ok(RecoveryEntry::Begin);
        assert_eq!(
            accepted(begin),
            [
                ReplicaState::Rbw,
                ReplicaState::Rwr,
                ReplicaState::Rur,
                ReplicaState::Finalized
            ]
        );
        for (stamp, expected) in [(1000, false), (1001, true), (1004, true), (1006, false)] {
            assert_eq!(
                begin(&replica(ReplicaState::Rbw, stamp, 100)),
                expected,
                "stamp {stamp}"
            );
        }
        let finished = replica(ReplicaState::Finalized, 1005, 100);
        assert_eq!(init(&finished, None), Ok(RecoveryEntry::Finished));
        assert!(init(&replica(ReplicaState::Rbw, 1005, 100), None).is_err());
    }

    #[test]
    fn newer_recovery_supersedes_older_one() {
        let open = replica(ReplicaState::Rbw, 1001, 100);
        let init = |current, asked| check_init_recovery(&open, Some(current), GenerationStamp(1001), asked);
        let (older, newer) = (GenerationStamp(1004), GenerationStamp(1005));
        assert!(init(older, newer).is_ok());
        assert!(init(newer, newer).is_ok(), "a repeated order");
        assert!(matches!(init(newer, older), Err(ReplicaError::Superseded { .. })));
        let update = |current, length| check_update_recovery(&open, current, older, length);
        assert!(update(Some(older), 100).is_ok());
        assert!(matches!(update(Some(newer), 100), Err(ReplicaError::Superseded { .. })));
        assert!(matches!(update(None, 100), Err(ReplicaError::WrongState { .. })));
        assert!(matches!(update(Some(older), 101), Err(ReplicaError::Length { .. })));
    }

    #[test]
    fn read_serves_newer_but_not_older_replicas() {
        let stored = replica(ReplicaState::Finalized, 1005, 100);
        assert!(check_read(&stored, GenerationStamp(1004), 0, 100).is_ok());
        assert!(check_read(&stored, GenerationStamp(1005), 100, 0).is_ok());
        assert!(check_read(&stored, GenerationStamp(1006), 0, 100).is_err());
        assert!(check_read(&stored, GenerationStamp(1005), 1, 100).is_err());
        assert!(check_read(&stored, GenerationStamp(1005), u64::MAX, 2).is_err());
        assert!(
            check_read(
                &replica(ReplicaState::Temporary, 1005, 100),
                GenerationStamp(1005),
                0,
                1
            )
            .is_err()
        );
    }

    proptest! {
        /// Streaming recovery keeps every byte that the writer saw acknowledged and none that was not.
        #[test]
        fn streaming_recovery_keeps_exactly_the_acked_bytes(
            acked in 0_u64..1000, more in 0_u64..1000, min in 0_u64..2000, max in 0_u64..3000,
        ) {
            let mut open = replica(ReplicaState::Rbw, 1001, acked);
            open.received = acked + more;
            open.on_disk = acked + more;
            match check_streaming_recovery(&open, &claim(1001, 1002, min, max)) {
                Ok(length) => {
                    prop_assert_eq!(length, acked);
                    prop_assert!(length >= min && open.received <= max);
                }
                Err(_) => prop_assert!(acked < min || acked + more > max),
            }
        }
    }
}
