//! Moving a finalized replica from one volume to another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dataset::{Dataset, Entry, Finalized, FinalizedReplica};
use super::fingerprint::Fingerprint;
use super::layout;
use super::reader::ReadError;
use super::volume::{self, Volume};
use crate::error::{DiskContext, Error, Result};
use crate::replica::Replica;

/// Bytes that are verified at a time.
const VERIFY_SPAN: u64 = 1 << 20;

impl Dataset {
    /// Moves a replica; answers it as it was and as it is, or `None` if somebody changed it meanwhile and nothing was moved.
    ///
    /// # Errors
    /// `Corrupt` if the bytes do not match their checksums, and those of the disks. The replica then stays where it was.
    pub(crate) fn move_to_volume(
        &self,
        replica: &Replica,
        from: usize,
        to: usize,
    ) -> Result<Option<(FinalizedReplica, FinalizedReplica)>> {
        let (source, target) = (&self.volumes()[from], &self.volumes()[to]);
        if !self.map.lock().moving.insert(replica.id) {
            return Ok(None);
        }
        let moved = self.move_held(replica, from, to);
        self.map.lock().moving.remove(&replica.id);
        if !moved? {
            return Ok(None);
        }
        target.add_used(replica.on_disk);
        source.remove_used(replica.on_disk);
        let old = source.layout()?.finalized_dir(replica.id);
        if let Err(error) = volume::remove_replica(&old, replica.id, replica.generation_stamp) {
            tracing::warn!(block = %replica.id, %error, "a replica's old files stay after its move");
        }
        let told = |volume: &Volume| FinalizedReplica {
            block: replica.block(),
            storage_id: volume.storage_id().to_owned(),
        };
        Ok(Some((told(source), told(target))))
    }

    /// The move itself, while nobody can create the block anew. The old files stay.
    fn move_held(&self, replica: &Replica, from: usize, to: usize) -> Result<bool> {
        let (source, target) = (&self.volumes()[from], &self.volumes()[to]);
        let stamp = replica.generation_stamp;
        let copied = copy(self, replica, source, target)?;
        if let Err(error) = target.move_to_finalized(&copied.dir, replica.id, stamp) {
            copied.remove();
            return Err(error);
        }
        let paths = target.finalized_paths(replica.id, stamp)?;
        let moved = Finalized {
            stamp,
            length: replica.on_disk,
            fingerprint: Fingerprint::of(&paths),
            volume: u16::try_from(to).expect("the configuration allows fewer volumes"),
        };
        let mut map = self.map.lock();
        let unchanged = matches!(map.entries.get(&replica.id), Some(Entry::Finalized(found))
            if usize::from(found.volume) == from && found.replica(replica.id) == *replica);
        if unchanged && !target.is_failed() && !map.recovering.contains_key(&replica.id) {
            map.entries.insert(replica.id, Entry::Finalized(moved));
            return Ok(true);
        }
        drop(map);
        volume::remove_replica(&target.layout()?.finalized_dir(replica.id), replica.id, stamp)?;
        Ok(false)
    }
}

struct Copied {
    dir: PathBuf,
    data: PathBuf,
    meta: PathBuf,
}

impl Copied {
    fn remove(&self) {
        for path in [&self.data, &self.meta] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Copies and fsyncs both files into the target's `tmp` and verifies the copy there.
fn copy(dataset: &Dataset, replica: &Replica, source: &Arc<Volume>, target: &Arc<Volume>) -> Result<Copied> {
    let dir = target.layout()?.tmp();
    let copied = Copied {
        data: dir.join(layout::block_file_name(replica.id)),
        meta: dir.join(layout::meta_file_name(replica.id, replica.generation_stamp)),
        dir,
    };
    let (data, meta) = source.finalized_paths(replica.id, replica.generation_stamp)?;
    let outcome = copy_file(&data, &copied.data)
        .and_then(|()| copy_file(&meta, &copied.meta))
        .and_then(|()| verify(dataset, replica, &copied));
    match outcome {
        Ok(()) => Ok(copied),
        Err(error) => {
            copied.remove();
            Err(error)
        }
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).disk("copy", to)?;
    File::open(to).and_then(|file| file.sync_all()).disk("fsync", to)
}

fn verify(dataset: &Dataset, replica: &Replica, copied: &Copied) -> Result<()> {
    let mut readable = dataset.open_for_read(replica.id, replica.generation_stamp)?;
    readable.data = File::open(&copied.data).disk("open", &copied.data)?;
    readable.meta = File::open(&copied.meta).disk("open", &copied.meta)?;
    readable.length = replica.on_disk;
    readable.verify(VERIFY_SPAN).map_err(|error| match error {
        ReadError::Damaged(detail) => Error::Corrupt {
            what: format!("replica of {}", replica.block()),
            detail,
        },
        ReadError::Io(source) => Error::Disk {
            action: "read",
            path: copied.data.clone(),
            source,
        },
    })
}
