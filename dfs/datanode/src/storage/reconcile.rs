//! Disk and memory compared, block by block, and brought together where that is safe.
//!
//! Nothing here removes a file. A replica whose files are gone is forgotten; one whose files are there but unknown is taken in; the
//! rest is for the caller to verify and report.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::dataset::{Dataset, Entry, Finalized, FinalizedReplica};
use super::fingerprint::Fingerprint;
use super::layout;
use super::scan;
use crate::error::{DiskContext, Result};
use crate::replica::{Replica, ReplicaState};

/// What memory says of a volume, in the order of the block ids.
pub(crate) type Known = BTreeMap<BlockId, (Replica, Fingerprint)>;

/// A difference between disk and memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The block file is gone. The replica was forgotten.
    Missing(FinalizedReplica),
    /// Files without a replica. It was taken in.
    Unknown(FinalizedReplica),
    /// The files cannot be the replica's: wrong length, or no checksum file.
    Damaged(FinalizedReplica, String),
    /// Something has written to the files since they were last known to be good.
    Touched(FinalizedReplica),
    /// A second copy of a replica that is elsewhere; left alone.
    Duplicate(PathBuf),
}

impl Dataset {
    /// The finalized replicas of one volume as memory has them.
    pub(crate) fn known_on(&self, volume: usize) -> Known {
        let map = self.map.lock();
        let here = map.entries.iter().filter_map(|(&id, entry)| match entry {
            Entry::Finalized(found) if usize::from(found.volume) == volume => {
                Some((id, (found.replica(id), found.fingerprint)))
            }
            _ => None,
        });
        here.collect()
    }

    /// The first-level directories of a volume's finalized replicas.
    pub(crate) fn finalized_dirs(&self, volume: usize) -> Result<Vec<PathBuf>> {
        scan::subdirs(&self.volumes()[volume].layout()?.finalized())
    }

    /// Blocks of `dir` on which disk and memory seem to differ. Takes the known replicas of that directory out of `known`: what
    /// is left when all directories have been looked at has no directory any more.
    pub(crate) fn suspected_differences(&self, volume: usize, dir: &Path, known: &mut Known) -> Result<Vec<BlockId>> {
        let home = &self.volumes()[volume];
        let mut suspected = Vec::new();
        for (id, found) in scan::list_finalized_below(home.layout()?, dir)? {
            let same = match (known.remove(&id), found.data_length) {
                (Some((replica, fingerprint)), Some(length)) => {
                    length == replica.on_disk
                        && found.stamps.contains(&replica.generation_stamp)
                        && fingerprint == Fingerprint::of(&home.finalized_paths(id, replica.generation_stamp)?)
                }
                // Checksums alone are what a move that was cut in two leaves; the next start completes it.
                (known, length) => known.is_none() && (length.is_none() || found.stamps.is_empty()),
            };
            if !same {
                suspected.push(id);
            }
        }
        let inside = |id: &BlockId| home.layout().is_ok_and(|l| l.finalized_dir(*id).starts_with(dir));
        let gone: Vec<BlockId> = known.keys().filter(|id| inside(id)).copied().collect();
        known.retain(|id, _| gone.binary_search(id).is_err());
        suspected.extend(gone);
        Ok(suspected)
    }

    /// Looks at one block again, nothing else changing it meanwhile, and brings memory and disk together.
    pub(crate) fn reconcile(&self, volume: usize, id: BlockId) -> Result<Option<Difference>> {
        let home = &self.volumes()[volume];
        let dir = home.layout()?.finalized_dir(id);
        let data_path = dir.join(layout::block_file_name(id));
        let mut map = self.map.lock();
        let on_disk = match fs::metadata(&data_path) {
            Ok(metadata) => Some(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).disk("stat", &data_path),
        };
        let told = |found: &Finalized| FinalizedReplica {
            block: found.replica(id).block(),
            storage_id: home.storage_id().to_owned(),
        };
        match (map.entries.get(&id), on_disk) {
            (Some(Entry::Finalized(found)), on_disk) if usize::from(found.volume) == volume => {
                let found = *found;
                let Some(length) = on_disk else {
                    map.entries.remove(&id);
                    map.recovering.remove(&id);
                    home.remove_used(found.length);
                    return Ok(Some(Difference::Missing(told(&found))));
                };
                Ok(
                    difference_of(&found, length, &home.finalized_paths(id, found.stamp)?).map(
                        |problem| match problem {
                            Some(problem) => Difference::Damaged(told(&found), problem),
                            None => Difference::Touched(told(&found)),
                        },
                    ),
                )
            }
            (Some(_), Some(_)) => Ok(Some(Difference::Duplicate(data_path))),
            (None, Some(length)) if !map.deleting.contains(&id) && !home.is_failed() => {
                let Some(stamp) = newest_stamp(&dir, id)? else {
                    return Ok(None);
                };
                let found = Finalized {
                    stamp,
                    length,
                    // Its bytes are not known to be good: the next scan verifies them.
                    fingerprint: Fingerprint::UNKNOWN,
                    volume: u16::try_from(volume).expect("the configuration allows fewer volumes"),
                };
                map.entries.insert(id, Entry::Finalized(found));
                home.add_used(length);
                Ok(Some(Difference::Unknown(told(&found))))
            }
            _ => Ok(None),
        }
    }

    /// The bytes of a replica have been found good, and its files had this fingerprint before they were read.
    pub(crate) fn set_verified(&self, replica: &Replica, seen: Fingerprint) {
        let mut map = self.map.lock();
        if let Some(Entry::Finalized(found)) = map.entries.get_mut(&replica.id)
            && found.stamp == replica.generation_stamp
            && found.length == replica.on_disk
        {
            found.fingerprint = seen;
        }
    }

    /// The fingerprint of a finalized replica's files now.
    pub(crate) fn fingerprint_now(&self, id: BlockId) -> Fingerprint {
        let found = match self.map.lock().entries.get(&id) {
            Some(Entry::Finalized(found)) => *found,
            _ => return Fingerprint::UNKNOWN,
        };
        let paths = self.volumes()[usize::from(found.volume)].finalized_paths(id, found.stamp);
        paths.map_or(Fingerprint::UNKNOWN, |paths| Fingerprint::of(&paths))
    }

    /// Up to `limit` finalized replicas of a volume with ids above `after`, smallest first.
    pub(crate) fn finalized_after(&self, volume: usize, after: BlockId, limit: usize) -> Vec<Replica> {
        let map = self.map.lock();
        // A heap of the smallest: the map may have millions, the answer has few.
        let mut smallest = std::collections::BinaryHeap::with_capacity(limit + 1);
        for (&id, entry) in &map.entries {
            let here = matches!(entry, Entry::Finalized(found) if usize::from(found.volume) == volume);
            if here && id > after && (smallest.len() < limit || smallest.peek().is_some_and(|largest| id < *largest)) {
                smallest.push(id);
                if smallest.len() > limit {
                    smallest.pop();
                }
            }
        }
        let ids = smallest.into_sorted_vec();
        ids.iter()
            .filter_map(|id| map.entries.get(id).map(|entry| entry.replica(*id)))
            .filter(|replica| replica.state == ReplicaState::Finalized)
            .collect()
    }
}

/// `None`: no difference. Otherwise what cannot be right, or nothing but the times.
fn difference_of(found: &Finalized, length: u64, paths: &(PathBuf, PathBuf)) -> Option<Option<String>> {
    if length != found.length {
        return Some(Some(format!("its file has {length} bytes, expected {}", found.length)));
    }
    if !paths.1.exists() {
        return Some(Some(format!("its checksum file {} is gone", paths.1.display())));
    }
    (Fingerprint::of(paths) != found.fingerprint).then_some(None)
}

fn newest_stamp(dir: &Path, id: BlockId) -> Result<Option<GenerationStamp>> {
    let mut newest = None;
    for entry in fs::read_dir(dir).disk("list", dir)? {
        let name = entry.disk("list", dir)?.file_name();
        if let Some(layout::BlockFileName::Meta(of, stamp)) = layout::parse_file_name(&name.to_string_lossy())
            && of == id
        {
            newest = newest.max(Some(stamp));
        }
    }
    Ok(newest)
}
