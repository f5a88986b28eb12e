//! What a volume holds at start-up.
//!
//! 1. Copies under way (`tmp`) are removed: nobody was promised anything about them.
//! 2. Crash windows are closed. A finalization moves checksums, then data; an append moves them back in the same order. A
//!    crash between the two moves leaves data without checksums in one directory and checksums without data in the other:
//!    the checksums follow the data home, where both are whole, since data is moved last.
//! 3. Finalized replicas are listed as they are: readers and the scrubber check their bytes.
//! 4. Replicas that were being written become RWR, cut to the bytes that match their checksums.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;

use super::block_file::{self, BlockFile};
use super::chunks::Chunks;
use super::disk::gone_is_fine;
use super::fingerprint::Fingerprint;
use super::layout::{self, BlockFileName, PoolLayout};
use super::volume::{Volume, remove_replica};
use crate::error::{DiskContext, Result};
use crate::replica::{Replica, ReplicaState};

/// Chunks that are verified at a time.
const VERIFY_CHUNKS: u64 = 2048;

/// The files of one block in one directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    dir: PathBuf,
    pub(super) data_length: Option<u64>,
    pub(super) stamps: Vec<GenerationStamp>,
}

/// A replica on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) replica: Replica,
    pub(crate) fingerprint: Fingerprint,
}

/// Puts a volume in order after a restart and lists its replicas.
pub(crate) fn scan(volume: &Volume) -> Result<Vec<Scanned>> {
    let layout = volume.layout()?;
    clear(&layout.tmp())?;
    let mut finalized = list_finalized(layout)?;
    let mut rbw = list(&layout.rbw())?;
    reunite(&mut finalized, &mut rbw)?;
    reunite(&mut rbw, &mut finalized)?;
    let mut replicas = Vec::new();
    for (id, found) in &finalized {
        if let (Some(length), Some(stamp)) = (found.data_length, found.stamps.iter().max()) {
            replicas.push(Scanned {
                replica: whole(*id, *stamp, ReplicaState::Finalized, length),
                fingerprint: Fingerprint::of(&volume.finalized_paths(*id, *stamp)?),
            });
        }
    }
    for (id, found) in &rbw {
        if finalized.get(id).is_some_and(|other| other.data_length.is_some()) {
            tracing::warn!(block = %id, "replica is both finalized and being written; the finalized one counts");
            continue;
        }
        let recovered = recover_open(volume, *id, found)?;
        replicas.extend(recovered.map(|replica| Scanned {
            replica,
            fingerprint: Fingerprint::UNKNOWN,
        }));
    }
    Ok(replicas)
}

fn whole(id: BlockId, generation_stamp: GenerationStamp, state: ReplicaState, length: u64) -> Replica {
    Replica {
        id,
        generation_stamp,
        state,
        received: length,
        on_disk: length,
        acked: length,
    }
}

/// Checksums that were moved ahead of their data go back to where the data still is.
fn reunite(data_side: &mut BTreeMap<BlockId, Found>, meta_side: &mut BTreeMap<BlockId, Found>) -> Result<()> {
    for (id, data) in data_side
        .iter_mut()
        .filter(|(_, found)| found.data_length.is_some() && found.stamps.is_empty())
    {
        let Some(meta) = meta_side.get_mut(id).filter(|found| found.data_length.is_none()) else {
            continue;
        };
        let Some(stamp) = meta.stamps.iter().max().copied() else {
            continue;
        };
        let name = layout::meta_file_name(*id, stamp);
        fs::rename(meta.dir.join(&name), data.dir.join(&name)).disk("rename", &data.dir.join(&name))?;
        tracing::info!(block = %id, dir = %data.dir.display(), "completed a move that a crash had cut in two");
        data.stamps.push(stamp);
        meta.stamps.clear();
    }
    Ok(())
}

/// An RBW of the last run: cut to its valid bytes, or removed if not even its header was written.
fn recover_open(volume: &Volume, id: BlockId, found: &Found) -> Result<Option<Replica>> {
    let (Some(_), Some(&stamp)) = (found.data_length, found.stamps.iter().max()) else {
        if let Some(stamp) = found.stamps.first() {
            remove_replica(&found.dir, id, *stamp)?;
        }
        return Ok(None);
    };
    let data_path = found.dir.join(layout::block_file_name(id));
    let meta_path = found.dir.join(layout::meta_file_name(id, stamp));
    let length = match valid_length(&data_path, &meta_path) {
        Ok(length) => length,
        Err(error) => {
            tracing::warn!(block = %id, %error, "replica being written has no usable checksums; removed");
            remove_replica(&found.dir, id, stamp)?;
            return Ok(None);
        }
    };
    BlockFile::open(volume.disk(), &data_path, &meta_path, length)?
        .sync()
        .disk("fsync", &data_path)?;
    Ok(Some(whole(id, stamp, ReplicaState::Rwr, length)))
}

/// Bytes from the start that match their checksums. In the last chunk a checksum may cover less than the data: bytes that
/// were synced stay, although the data behind them got to the disk and its checksum did not.
pub(crate) fn valid_length(data_path: &Path, meta_path: &Path) -> Result<u64> {
    let data = File::open(data_path).disk("open", data_path)?;
    let meta = File::open(meta_path).disk("open", meta_path)?;
    let checksum = block_file::read_meta_header(&meta, meta_path)?;
    let chunks = Chunks::new(checksum);
    let on_disk = data.metadata().disk("stat", data_path)?.len();
    if chunks.sum_size() == 0 {
        return Ok(on_disk);
    }
    let covered = on_disk.min(chunks.covered_by(meta.metadata().disk("stat", meta_path)?.len()));
    let mut valid = 0;
    while valid < covered {
        let span = (covered - valid).min(VERIFY_CHUNKS * chunks.size());
        let good = valid_prefix(&data, &meta, checksum, valid, span).disk("read", data_path)?;
        valid += good;
        if good < span {
            break;
        }
    }
    Ok(valid)
}

fn valid_prefix(data: &File, meta: &File, checksum: DataChecksum, from: u64, span: u64) -> io::Result<u64> {
    let chunks = Chunks::new(checksum);
    let mut bytes = vec![0; span as usize];
    data.read_exact_at(&mut bytes, from)?;
    let mut sums = vec![0; checksum.checksums_length(span) as usize];
    meta.read_exact_at(&mut sums, chunks.meta_position(from))?;
    let mut good = 0;
    for (chunk, sum) in bytes.chunks(chunks.size() as usize).zip(sums.chunks_exact(4)) {
        let stored = u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]);
        if checksum.chunk_checksum(chunk) == stored {
            good += chunk.len() as u64;
            continue;
        }
        return Ok(good + block_file::covered_prefix(checksum, chunk, 1, stored).unwrap_or(0) as u64);
    }
    Ok(good)
}

fn clear(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).disk("list", dir)? {
        let path = entry.disk("list", dir)?.path();
        if path.is_file() {
            // A volume check may be at work here and take its own file away.
            gone_is_fine(fs::remove_file(&path)).disk("remove", &path)?;
        }
    }
    Ok(())
}

fn list_finalized(layout: &PoolLayout) -> Result<BTreeMap<BlockId, Found>> {
    let mut all = BTreeMap::new();
    for first in subdirs(&layout.finalized())? {
        all.append(&mut list_finalized_below(layout, &first)?);
    }
    Ok(all)
}

/// The finalized blocks in the directories below one of the first level.
pub(super) fn list_finalized_below(layout: &PoolLayout, first: &Path) -> Result<BTreeMap<BlockId, Found>> {
    let mut all = BTreeMap::new();
    for second in subdirs(first)? {
        for (id, found) in list(&second)? {
            if layout.finalized_dir(id) == second {
                all.insert(id, found);
            } else {
                tracing::warn!(block = %id, dir = %second.display(), "block file is in the wrong directory; ignored");
            }
        }
    }
    Ok(all)
}

/// The sub-directories of blocks in a directory.
pub(super) fn subdirs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut subdirs = Vec::new();
    for entry in fs::read_dir(dir).disk("list", dir)? {
        let entry = entry.disk("list", dir)?;
        let is_subdir = entry.file_name().to_string_lossy().starts_with("subdir");
        if is_subdir && entry.file_type().disk("stat", dir)?.is_dir() {
            subdirs.push(entry.path());
        }
    }
    Ok(subdirs)
}

fn list(dir: &Path) -> Result<BTreeMap<BlockId, Found>> {
    let mut all: BTreeMap<BlockId, Found> = BTreeMap::new();
    for entry in fs::read_dir(dir).disk("list", dir)? {
        let entry = entry.disk("list", dir)?;
        let Some(name) = layout::parse_file_name(&entry.file_name().to_string_lossy()) else {
            continue;
        };
        match name {
            BlockFileName::Data(id) => {
                let length = entry.metadata().disk("stat", &entry.path())?.len();
                found(&mut all, id, dir).data_length = Some(length);
            }
            BlockFileName::Meta(id, stamp) => found(&mut all, id, dir).stamps.push(stamp),
        }
    }
    Ok(all)
}

fn found<'a>(all: &'a mut BTreeMap<BlockId, Found>, id: BlockId, dir: &Path) -> &'a mut Found {
    all.entry(id).or_insert_with(|| Found {
        dir: dir.to_owned(),
        ..Found::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::disk::{Disk, SystemDisk};
    use super::*;

    #[test]
    fn a_volume_check_and_a_start_do_not_stumble_over_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    clear(dir.path()).unwrap();
                }
            });
            let probed: io::Result<()> = (0..300).try_for_each(|_| SystemDisk.probe(dir.path()));
            done.store(true, Ordering::Relaxed);
            probed.unwrap();
        });
    }
}
