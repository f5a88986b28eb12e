//! Which workers are near the replicas of a split: looked up by name, so that a thousand workers cost a split no more than three.

use std::collections::HashMap;

use quarry_engine::split::Hosts;

use super::{Candidate, PlacedSplit};

/// Workers by what replicas name. It agrees with [`Candidate::locality`].
pub(in crate::planning) struct Nearby<'a> {
    /// By the DataNode beside them.
    by_datanode: HashMap<&'a str, Vec<usize>>,
    /// Those that name no DataNode, by address.
    by_address: HashMap<&'a str, Vec<usize>>,
    /// All of them, by rack.
    by_rack: HashMap<&'a str, Vec<usize>>,
}

/// The workers that hold each of many splits.
pub(in crate::planning) struct Holders {
    /// Those of all splits, one split after the other.
    workers: Vec<usize>,
    /// Where each split's begin, and the end.
    borders: Vec<usize>,
}

impl Holders {
    /// Those of a split, each once.
    pub(in crate::planning) fn of(&self, split: usize) -> &[usize] {
        &self.workers[self.borders[split]..self.borders[split + 1]]
    }
}

impl<'a> Nearby<'a> {
    /// An index of `workers`.
    pub(in crate::planning) fn to(workers: &'a [Candidate]) -> Self {
        let mut nearby = Self {
            by_datanode: HashMap::new(),
            by_address: HashMap::new(),
            by_rack: HashMap::new(),
        };
        for (index, worker) in workers.iter().enumerate() {
            let holder = match &worker.datanode_uuid {
                Some(uuid) => nearby.by_datanode.entry(uuid),
                None => nearby.by_address.entry(&worker.host),
            };
            holder.or_default().push(index);
            nearby.by_rack.entry(&worker.rack).or_default().push(index);
        }
        nearby
    }

    /// The workers that hold each of `splits`.
    pub(in crate::planning) fn holders(&self, splits: &[PlacedSplit]) -> Holders {
        let mut workers = Vec::new();
        let mut borders = vec![0];
        for split in splits {
            self.add_holders(&split.hosts, &mut workers);
            borders.push(workers.len());
        }
        Holders { workers, borders }
    }

    /// Adds the workers that hold a replica on `hosts`, each once.
    pub(in crate::planning) fn add_holders(&self, hosts: &Hosts, workers: &mut Vec<usize>) {
        let begin = workers.len();
        for host in hosts.iter() {
            let beside = self.by_datanode.get(host.datanode_uuid.as_str());
            let at = self.by_address.get(host.ip.as_str());
            for &worker in [beside, at].into_iter().flatten().flatten() {
                if !workers[begin..].contains(&worker) {
                    workers.push(worker);
                }
            }
        }
    }

    /// The workers in the racks of `hosts`, each once.
    pub(in crate::planning) fn in_racks(&self, hosts: &Hosts) -> Vec<usize> {
        let mut racks: Vec<&str> = hosts.iter().map(|host| host.rack.as_str()).collect();
        racks.sort_unstable();
        racks.dedup();
        let workers = racks.iter().filter_map(|rack| self.by_rack.get(rack));
        workers.flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quarry_engine::split::ReplicaHost;

    use super::*;
    use crate::planning::placement::Locality;

    fn any_worker() -> impl Strategy<Value = Candidate> {
        let names = (proptest::option::of(0..4u8), 0..4u8, 0..3u8);
        names.prop_map(|(datanode, host, rack)| Candidate {
            datanode_uuid: datanode.map(|number| format!("node{number}")),
            host: format!("10.0.0.{host}"),
            rack: format!("/rack{rack}"),
            weight: 1,
        })
    }

    fn any_split() -> impl Strategy<Value = PlacedSplit> {
        let host = (0..4u8, 0..4u8, 0..3u8).prop_map(|(datanode, host, rack)| ReplicaHost {
            datanode_uuid: format!("node{datanode}"),
            ip: format!("10.0.0.{host}"),
            rack: format!("/rack{rack}"),
        });
        proptest::collection::vec(host, 0..4).prop_map(|hosts| PlacedSplit {
            path: "f".into(),
            offset: 0,
            bytes: 1,
            hosts: hosts.into(),
        })
    }

    proptest! {
        #[test]
        fn looking_up_finds_whom_comparing_finds(
            workers in proptest::collection::vec(any_worker(), 1..8),
            splits in proptest::collection::vec(any_split(), 1..8),
        ) {
            let nearby = Nearby::to(&workers);
            let holders = nearby.holders(&splits);
            for (index, split) in splits.iter().enumerate() {
                let within = |locality: Locality| -> Vec<usize> {
                    (0..workers.len()).filter(|&worker| workers[worker].locality(&split.hosts) <= locality).collect()
                };
                let mut found = holders.of(index).to_vec();
                found.sort_unstable();
                prop_assert_eq!(&found, &within(Locality::SameHost));
                found.extend(nearby.in_racks(&split.hosts));
                found.sort_unstable();
                found.dedup();
                prop_assert_eq!(&found, &within(Locality::SameRack));
            }
        }
    }
}
