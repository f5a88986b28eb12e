//! What the holders of a block agree upon when its writer is gone. Pure.
//!
//! HDFS's rules, from the replicas' states and lengths:
//!
//! - the best state counts: FINALIZED before RBW before RWR
//! - FINALIZED: that length; an RBW of the same length takes part
//! - RBW: the shortest of them, since each byte that was acknowledged is on all of them
//!
//! Three rules are ours, for the promise that no acknowledged byte is lost while one good replica lives:
//!
//! - no replica takes part that is shorter than what the NameNode knows to be durable, or than what another holder has promised
//!   to readers. HDFS's own holders may be behind such a promise: a packet is passed on before it is stored
//! - among finalized replicas of different lengths the longest counts; HDFS gives up, and the file stays open for ever
//! - among RWR the longest counts; HDFS takes the shortest. A restart cuts a replica to the bytes that match their checksums:
//!   one damaged chunk on one disk must not shorten the other replicas

use crate::replica::{Replica, ReplicaState};

/// What one holder said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Position among the holders that were asked.
    pub(crate) holder: usize,
    /// Its replica.
    pub(crate) replica: Replica,
}

/// What becomes of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Nobody has a byte of it.
    Empty,
    /// The participants keep this many bytes.
    Keep {
        /// Bytes.
        length: u64,
        /// Holders that have them, in the order in which they were asked.
        participants: Vec<usize>,
    },
}

/// Agrees on a length. `durable` is what the NameNode knows to be acknowledged as persistent.
///
/// # Errors
/// What is missing, for the NameNode's log; it tries again when more holders may be there.
pub(crate) fn agree(durable: u64, truncate: Option<u64>, holdings: &[Holding]) -> Result<Agreement, String> {
    let with_bytes: Vec<&Holding> = holdings.iter().filter(|h| h.replica.on_disk > 0).collect();
    if let Some(length) = truncate {
        let having = with_bytes.iter().filter(|h| h.replica.on_disk >= length);
        return keep(length, having.map(|h| h.holder).collect(), || {
            format!("no holder has the {length} bytes that the block is to be truncated to")
        });
    }
    let floor = with_bytes
        .iter()
        .filter_map(|h| promised(&h.replica))
        .fold(durable, u64::max);
    if floor == 0 && with_bytes.is_empty() {
        return Ok(Agreement::Empty);
    }
    let good: Vec<&Replica> = with_bytes
        .iter()
        .map(|h| &h.replica)
        .filter(|r| r.on_disk >= floor)
        .collect();
    let missing = || format!("{floor} bytes were acknowledged, and no holder that answered has them all");
    let best = good.iter().map(|r| quality(r.state)).min().ok_or_else(missing)?;
    let lengths = good.iter().filter(|r| quality(r.state) == best).map(|r| r.on_disk);
    let length = if best == quality(ReplicaState::Rbw) {
        lengths.min()
    } else {
        lengths.max()
    }
    .ok_or_else(missing)?;
    let takes_part = |replica: &Replica| match replica.state {
        ReplicaState::Finalized => replica.on_disk == length,
        ReplicaState::Rbw if best == quality(ReplicaState::Rbw) => replica.on_disk >= length,
        ReplicaState::Rbw => replica.on_disk == length,
        _ => best == quality(ReplicaState::Rwr) && replica.on_disk == length,
    };
    let participants = with_bytes
        .iter()
        .filter(|h| takes_part(&h.replica))
        .map(|h| h.holder)
        .collect();
    keep(length, participants, missing)
}

fn keep(length: u64, participants: Vec<usize>, missing: impl FnOnce() -> String) -> Result<Agreement, String> {
    if participants.is_empty() {
        return Err(missing());
    }
    Ok(Agreement::Keep { length, participants })
}

/// Bytes that readers or the writer were told to be there. A replica that waits since a restart has forgotten what it
/// promised.
fn promised(replica: &Replica) -> Option<u64> {
    match replica.state {
        ReplicaState::Finalized | ReplicaState::Rbw => Some(replica.acked),
        ReplicaState::Rwr | ReplicaState::Rur | ReplicaState::Temporary => None,
    }
}

/// Smaller is better.
fn quality(state: ReplicaState) -> u8 {
    match state {
        ReplicaState::Finalized => 0,
        ReplicaState::Rbw => 1,
        ReplicaState::Rwr | ReplicaState::Rur | ReplicaState::Temporary => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ReplicaState::{Finalized, Rbw, Rwr};
    use proptest::prelude::*;
    use quarry_dfs_wire::block::{BlockId, GenerationStamp};

    use super::*;

    fn holding(holder: usize, state: ReplicaState, on_disk: u64, acked: u64) -> Holding {
        let replica = Replica {
            id: BlockId(7),
            generation_stamp: GenerationStamp(1001),
            state,
            received: on_disk,
            on_disk,
            acked,
        };
        Holding { holder, replica }
    }

    /// The agreement about replicas of these states and lengths, all acknowledged up to the shortest RBW.
    fn agreed(replicas: &[(ReplicaState, u64)]) -> (u64, Vec<usize>) {
        let shortest = replicas.iter().filter(|r| r.0 == Rbw).map(|r| r.1).min().unwrap_or(0);
        let holdings: Vec<_> = replicas
            .iter()
            .enumerate()
            .map(|(holder, &(state, length))| {
                holding(holder, state, length, if state == Rbw { shortest } else { length })
            })
            .collect();
        match agree(0, None, &holdings).unwrap() {
            Agreement::Empty => (0, Vec::new()),
            Agreement::Keep { length, participants } => (length, participants),
        }
    }

    #[test]
    fn table_of_two_replicas() {
        type Row<'a> = (&'a [(ReplicaState, u64)], (u64, &'a [usize]));
        let table: &[Row<'_>] = &[
            (&[(Finalized, 90), (Finalized, 90)], (90, &[0, 1])),
            (&[(Finalized, 90), (Finalized, 60)], (90, &[0])),
            (&[(Finalized, 90), (Rbw, 90)], (90, &[0, 1])),
            (&[(Finalized, 90), (Rbw, 60)], (90, &[0])),
            (&[(Finalized, 90), (Rwr, 90)], (90, &[0])),
            (&[(Finalized, 90), (Rwr, 60)], (90, &[0])),
            (&[(Rbw, 60), (Rbw, 90)], (60, &[0, 1])),
            (&[(Rbw, 60), (Rwr, 90)], (60, &[0])),
            (&[(Rwr, 60), (Rwr, 90)], (90, &[1])),
            (&[(Rbw, 0), (Rwr, 0)], (0, &[])),
            (&[], (0, &[])),
        ];
        for (replicas, (length, participants)) in table {
            assert_eq!(agreed(replicas), (*length, participants.to_vec()), "{replicas:?}");
        }
    }

    #[test]
    fn holder_behind_a_promise_takes_no_part() {
        let holdings = [holding(0, Rbw, 60, 50), holding(1, Rbw, 90, 80)];
        let expected = Agreement::Keep {
            length: 90,
            participants: vec![1],
        };
        assert_eq!(agree(0, None, &holdings), Ok(expected));
        assert!(agree(100, None, &holdings).unwrap_err().contains("100 bytes"));
        assert!(
            agree(1, None, &[]).is_err(),
            "durable bytes are not dropped as an empty block"
        );
    }

    #[test]
    fn truncation_takes_everybody_who_has_enough() {
        let holdings = [
            holding(0, Finalized, 90, 90),
            holding(1, Rwr, 40, 40),
            holding(2, Finalized, 30, 30),
        ];
        let expected = Agreement::Keep {
            length: 40,
            participants: vec![0, 1],
        };
        assert_eq!(agree(90, Some(40), &holdings), Ok(expected));
        assert!(agree(90, Some(91), &holdings).is_err());
    }

    fn holdings() -> impl Strategy<Value = Vec<Holding>> {
        let state = prop_oneof![Just(Finalized), Just(Rbw), Just(Rwr)];
        proptest::collection::vec((state, 0_u64..100, 0_u64..100), 0..5).prop_map(|all| {
            let one = |(holder, (state, on_disk, acked)): (usize, (ReplicaState, u64, u64))| {
                holding(
                    holder,
                    state,
                    on_disk,
                    if state == Rbw { acked.min(on_disk) } else { on_disk },
                )
            };
            all.into_iter().enumerate().map(one).collect()
        })
    }

    proptest! {
        /// Nothing promised is given up, and every participant has what is kept.
        #[test]
        fn nothing_acknowledged_is_lost(holdings in holdings(), durable in 0_u64..100) {
            if let Ok(Agreement::Keep { length, participants }) = agree(durable, None, &holdings) {
                prop_assert!(length >= durable && !participants.is_empty());
                for h in &holdings {
                    if h.replica.state != Rwr {
                        prop_assert!(length >= h.replica.acked);
                    }
                    prop_assert!(!participants.contains(&h.holder) || h.replica.on_disk >= length);
                }
            }
        }
    }
}
