//! Which worker reads which split.
//!
//! [`assign`] is a pure function of splits and workers: no clock, no randomness, and the order of its input does not matter. It
//! places a split with a worker that holds a replica while that worker has room, and keeps the workers balanced by bytes.

pub(super) mod nearby;

use std::cmp::Reverse;
use std::hash::{Hash, Hasher};

use quarry_engine::split::Hosts;

use nearby::{Holders, Nearby};

/// A split to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSplit {
    /// File it belongs to.
    pub path: String,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes that will be read.
    pub bytes: u64,
    /// Who holds it.
    pub hosts: Hosts,
}

/// A worker that may be given splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// DataNode whose replicas it reads without a socket.
    pub datanode_uuid: Option<String>,
    /// IP address, matched when the worker names no DataNode.
    pub host: String,
    /// Network location.
    pub rack: String,
    /// Share of the work relative to the others: its partitions.
    pub weight: usize,
}

/// How near a worker is to the bytes of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locality {
    /// It holds a replica.
    SameHost,
    /// A node of its rack does.
    SameRack,
    /// Neither.
    Any,
}

impl Candidate {
    /// How near it is to a range held by `hosts`.
    #[must_use]
    pub fn locality(&self, hosts: &Hosts) -> Locality {
        let holds = |host: &quarry_engine::split::ReplicaHost| match &self.datanode_uuid {
            Some(uuid) => *uuid == host.datanode_uuid,
            None => self.host == host.ip,
        };
        if hosts.iter().any(holds) {
            Locality::SameHost
        } else if hosts.iter().any(|host| host.rack == self.rack) {
            Locality::SameRack
        } else {
            Locality::Any
        }
    }
}

/// How much more than its fair share a worker may be given to keep reads local, in percent.
const SLACK_PERCENT: u64 = 10;
/// Loads that differ by less than this part of the cap count as equal: then the same split goes to the same worker from query to
/// query, whose page cache holds it.
const NEAR_TIE: u64 = 16;

/// Distributes `splits` over `workers`; the result has for each worker the indexes of its splits, by path and offset.
///
/// 1. A worker's cap is its fair share of the bytes and [`SLACK_PERCENT`], at least the largest split.
/// 2. Splits with the fewest holders among the workers choose first (those without any, last), larger ones before smaller ones.
/// 3. A split goes to a holder with room, the least loaded one; of nearly equal ones to the one that a hash of the split prefers.
/// 4. Without such a holder, to a worker with room in a holder's rack; without that, to the least loaded worker.
///
/// A split with a holder costs a look at its holders, not at all workers.
///
/// # Panics
/// If there are splits but no workers.
#[must_use]
pub fn assign(splits: &[PlacedSplit], workers: &[Candidate]) -> Vec<Vec<usize>> {
    assert!(!workers.is_empty() || splits.is_empty(), "splits need a worker");
    let nearby = Nearby::to(workers);
    let holders = nearby.holders(splits);
    let by_place = by_place(splits);
    let mut loads = Loads {
        workers,
        bytes: vec![0; workers.len()],
        caps: caps(splits, workers),
    };
    let mut takers = vec![0; splits.len()];
    for index in order(splits, &holders, &by_place) {
        let split = &splits[index];
        takers[index] = choose(split, holders.of(index), &nearby, &loads);
        loads.bytes[takers[index]] += split.bytes;
    }
    let mut lists = vec![Vec::new(); workers.len()];
    for index in by_place {
        lists[takers[index]].push(index);
    }
    lists
}

fn caps(splits: &[PlacedSplit], workers: &[Candidate]) -> Vec<u64> {
    let total: u64 = splits.iter().map(|split| split.bytes).sum();
    let largest = splits.iter().map(|split| split.bytes).max().unwrap_or(0);
    let weights: u64 = workers.iter().map(|worker| worker.weight.max(1) as u64).sum();
    let cap = |worker: &Candidate| {
        let share = u128::from(total) * worker.weight.max(1) as u128 * u128::from(100 + SLACK_PERCENT);
        let share = share.div_ceil(u128::from(weights) * 100);
        u64::try_from(share).unwrap_or(u64::MAX).max(largest)
    };
    workers.iter().map(cap).collect()
}

/// The splits by path and offset, as a listing has them already.
fn by_place(splits: &[PlacedSplit]) -> Vec<usize> {
    let mut indexes: Vec<usize> = (0..splits.len()).collect();
    indexes.sort_by_key(|&index| (splits[index].path.as_str(), splits[index].offset));
    indexes
}

/// Who chooses before whom; of equals the one that is first `by_place`.
fn order(splits: &[PlacedSplit], holders: &Holders, by_place: &[usize]) -> Vec<usize> {
    let mut order = by_place.to_vec();
    order.sort_by_key(|&index| {
        let count = Some(holders.of(index).len()).filter(|&count| count > 0);
        (count.unwrap_or(usize::MAX), Reverse(splits[index].bytes))
    });
    order
}

fn choose(split: &PlacedSplit, holders: &[usize], nearby: &Nearby<'_>, loads: &Loads<'_>) -> usize {
    let has_room = |worker: &usize| loads.bytes[*worker] + split.bytes <= loads.caps[*worker];
    let local = holders.iter().copied().filter(has_room);
    let chosen = loads.least_loaded(split, local).or_else(|| {
        let near = nearby.in_racks(&split.hosts);
        loads.least_loaded(split, near.into_iter().filter(has_room))
    });
    let chosen = chosen.or_else(|| loads.least_loaded(split, 0..loads.workers.len()));
    chosen.unwrap_or(0)
}

/// What each worker was given so far.
struct Loads<'a> {
    workers: &'a [Candidate],
    bytes: Vec<u64>,
    caps: Vec<u64>,
}

impl Loads<'_> {
    /// The least loaded of `eligible` relative to its cap; among near ties the split's favourite.
    fn least_loaded(&self, split: &PlacedSplit, eligible: impl Iterator<Item = usize> + Clone) -> Option<usize> {
        let least = eligible.clone().map(|worker| self.relative(worker)).min()?;
        let near = least + (1 << 16) / u128::from(NEAR_TIE);
        let favourite = eligible.filter(|&worker| self.relative(worker) <= near);
        let of_split = hash_of(split);
        favourite.max_by_key(|&worker| (affinity(of_split, &self.workers[worker]), Reverse(worker)))
    }

    /// Load in 1/65536 of the cap, so that workers of different weight compare.
    fn relative(&self, worker: usize) -> u128 {
        (u128::from(self.bytes[worker]) << 16) / u128::from(self.caps[worker].max(1))
    }
}

/// The split's part of an [`affinity`].
fn hash_of(split: &PlacedSplit) -> Fnv {
    let mut hasher = Fnv::default();
    split.path.hash(&mut hasher);
    split.offset.hash(&mut hasher);
    hasher
}

/// Rendezvous hash: stable while the worker and the split exist, whoever else comes or goes.
fn affinity(of_split: Fnv, worker: &Candidate) -> u64 {
    let mut hasher = of_split;
    worker.datanode_uuid.hash(&mut hasher);
    worker.host.hash(&mut hasher);
    hasher.finish()
}

/// FNV-1a with a final mix: the standard library's hasher may change between versions, and all coordinators should agree.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use quarry_engine::split::ReplicaHost;

    use super::*;

    fn node(number: usize) -> ReplicaHost {
        let rack = format!("/rack{}", number % 2);
        ReplicaHost {
            datanode_uuid: format!("node{number}"),
            ip: format!("10.0.0.{number}"),
            rack,
        }
    }

    fn worker(number: usize) -> Candidate {
        let host = node(number);
        Candidate {
            datanode_uuid: Some(host.datanode_uuid),
            host: host.ip,
            rack: host.rack,
            weight: 2,
        }
    }

    fn split(index: usize, bytes: u64, nodes: &BTreeSet<usize>) -> PlacedSplit {
        let hosts = nodes.iter().map(|&number| node(number)).collect();
        PlacedSplit {
            path: format!("f{}", index / 4),
            offset: (index % 4) as u64 * 100,
            bytes,
            hosts,
        }
    }

    fn any_splits() -> impl Strategy<Value = Vec<PlacedSplit>> {
        let one = (1u64..200, proptest::collection::btree_set(0usize..6, 0..4));
        proptest::collection::vec(one, 0..60).prop_map(|splits| {
            splits
                .iter()
                .enumerate()
                .map(|(index, (bytes, nodes))| split(index, *bytes, nodes))
                .collect()
        })
    }

    fn load(splits: &[PlacedSplit], list: &[usize]) -> u64 {
        list.iter().map(|&index| splits[index].bytes).sum()
    }

    proptest! {
        #[test]
        fn every_split_is_placed_once(splits in any_splits(), count in 1usize..6) {
            let workers: Vec<Candidate> = (0..count).map(worker).collect();
            let lists = assign(&splits, &workers);
            let mut all: Vec<usize> = lists.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..splits.len()).collect::<Vec<_>>());
        }

        #[test]
        fn no_worker_exceeds_its_cap_by_more_than_a_split(splits in any_splits(), count in 1usize..6) {
            let workers: Vec<Candidate> = (0..count).map(worker).collect();
            let caps = caps(&splits, &workers);
            let largest = splits.iter().map(|split| split.bytes).max().unwrap_or(0);
            for (list, cap) in assign(&splits, &workers).iter().zip(caps) {
                prop_assert!(load(&splits, list) <= cap + largest);
            }
        }

        #[test]
        fn a_split_is_remote_only_if_its_holders_are_full(splits in any_splits(), count in 1usize..6) {
            let workers: Vec<Candidate> = (0..count).map(worker).collect();
            let caps = caps(&splits, &workers);
            let lists = assign(&splits, &workers);
            for (taker, list) in lists.iter().enumerate() {
                for &index in list {
                    let split = &splits[index];
                    if workers[taker].locality(&split.hosts) == Locality::SameHost {
                        continue;
                    }
                    for (holder, candidate) in workers.iter().enumerate() {
                        if candidate.locality(&split.hosts) == Locality::SameHost {
                            prop_assert!(load(&splits, &lists[holder]) + split.bytes > caps[holder]);
                        }
                    }
                }
            }
        }

        #[test]
        fn the_order_of_splits_does_not_matter(splits in any_splits(), count in 1usize..6, seed in any::<u64>()) {
            let workers: Vec<Candidate> = (0..count).map(worker).collect();
            let mut shuffled: Vec<PlacedSplit> = splits.clone();
            let mut state = seed | 1;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(index, (state >> 33) as usize % (index + 1));
            }
            let names = |splits: &[PlacedSplit], lists: Vec<Vec<usize>>| -> Vec<Vec<(String, u64)>> {
                let name = |&index: &usize| (splits[index].path.clone(), splits[index].offset);
                lists.iter().map(|list| list.iter().map(name).collect()).collect()
            };
            prop_assert_eq!(names(&splits, assign(&splits, &workers)), names(&shuffled, assign(&shuffled, &workers)));
        }

        #[test]
        fn replicated_everywhere_all_is_local_and_balanced(sizes in proptest::collection::vec(1u64..50, 30..90)) {
            let workers: Vec<Candidate> = (0..3).map(worker).collect();
            let everywhere: BTreeSet<usize> = (0..3).collect();
            let splits: Vec<PlacedSplit> =
                sizes.iter().enumerate().map(|(index, bytes)| split(index, *bytes, &everywhere)).collect();
            let lists = assign(&splits, &workers);
            let total: u64 = sizes.iter().sum();
            for list in &lists {
                let fair = total as f64 / 3.0;
                prop_assert!(load(&splits, list) as f64 <= fair * 1.1 + 50.0);
                prop_assert!(load(&splits, list) as f64 >= fair * 0.7 - 50.0);
            }
        }
    }

    #[test]
    fn workers_without_a_datanode_are_matched_by_address() {
        let mut local = worker(1);
        local.datanode_uuid = None;
        let hosts: Hosts = [node(1)].into_iter().collect();
        assert_eq!(local.locality(&hosts), Locality::SameHost);
        // On one machine all share an address: then the UUID decides.
        let mut beside_another = worker(1);
        beside_another.datanode_uuid = Some("node9".into());
        assert_ne!(beside_another.locality(&hosts), Locality::SameHost);
    }

    #[test]
    fn the_same_split_goes_to_the_same_worker_again() {
        let workers: Vec<Candidate> = (0..3).map(worker).collect();
        let everywhere: BTreeSet<usize> = (0..3).collect();
        let splits: Vec<PlacedSplit> = (0..12).map(|index| split(index, 10, &everywhere)).collect();
        let whole = assign(&splits, &workers);
        assert_eq!(whole, assign(&splits, &workers));
        assert!(whole.iter().all(|list| list.len() >= 3), "{whole:?}");
    }
}
