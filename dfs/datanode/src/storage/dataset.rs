//! All replicas of this DataNode and the transitions between their states.
//!
//! The map is changed first and the files follow, or the files first and the map follows, always so that the map never
//! promises more than the disk holds: a replica is FINALIZED in the map only when its files are, durably.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;
use tokio_util::sync::CancellationToken;

use super::block_file::{self, BlockFile};
use super::choose;
use super::fingerprint::Fingerprint;
use super::layout;
use super::open_replica::{OpenReplica, ReplicaWriter};
use super::reader::ReadableReplica;
use super::scan::Scanned;
use super::volume::{self, Volume};
use crate::error::{DiskContext, Error, Result};
use crate::replica::{self, Claim, Replica, ReplicaError, ReplicaState};

/// Files are being moved while a reader looks for them only for the time of two renames; this many looks are ample.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_RETRY: Duration = Duration::from_millis(2);

/// A replica in the map: finalized ones, of which there may be millions, take a few words.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Finalized(Finalized),
    Open(Arc<OpenReplica>),
}

/// A complete replica on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finalized {
    pub(super) stamp: GenerationStamp,
    pub(super) length: u64,
    /// Of the files as they were when their bytes were last known to be good.
    pub(super) fingerprint: Fingerprint,
    pub(super) volume: u16,
}

impl Finalized {
    pub(super) fn replica(&self, id: BlockId) -> Replica {
        Replica {
            id,
            generation_stamp: self.stamp,
            state: ReplicaState::Finalized,
            received: self.length,
            on_disk: self.length,
            acked: self.length,
        }
    }
}

/// A replica that is complete and durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinalizedReplica {
    /// Id, stamp and length.
    pub(crate) block: Block,
    /// The volume's name in reports.
    pub(crate) storage_id: String,
}

/// For what a writer wants an existing replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reopen {
    /// A new writer goes on after the block's end.
    Append,
    /// The writer's pipeline broke while it was set up for append, or while it was closed.
    AppendRecovery,
    /// The writer's pipeline broke in mid-stream.
    StreamingRecovery,
}

/// What is known of all replicas, changed as one.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    pub(super) entries: HashMap<BlockId, Entry>,
    /// Replicas under recovery (RUR), each with the stamp of the newest recovery. Not on disk: after a restart they are what
    /// they were, and the NameNode starts the recovery anew.
    pub(super) recovering: HashMap<BlockId, GenerationStamp>,
    /// Replicas that are no more, but whose files are still being removed.
    pub(super) deleting: HashSet<BlockId>,
    /// Replicas on their way to another volume.
    pub(super) moving: HashSet<BlockId>,
}

impl Replicas {
    /// The replica as writers must see it: RUR whatever its files say.
    fn seen(&self, id: BlockId) -> Option<Replica> {
        let replica = self.entries.get(&id)?.replica(id);
        let state = match self.recovering.contains_key(&id) {
            true => ReplicaState::Rur,
            false => replica.state,
        };
        Some(Replica { state, ..replica })
    }
}

/// The replicas on all volumes.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(super) volumes: Vec<Arc<Volume>>,
    pub(super) map: Mutex<Replicas>,
    next_volume: AtomicUsize,
}

impl Dataset {
    /// A dataset without replicas; [`Dataset::add_scanned`] fills it.
    pub(crate) fn new(volumes: Vec<Arc<Volume>>) -> Arc<Self> {
        Arc::new(Self {
            volumes,
            map: Mutex::default(),
            next_volume: AtomicUsize::new(0),
        })
    }

    /// The volumes, in the order of the configuration.
    pub(crate) fn volumes(&self) -> &[Arc<Volume>] {
        &self.volumes
    }

    /// Takes over what a scan found. Of two replicas of a block the newer, then the longer counts.
    pub(crate) fn add_scanned(&self, volume: usize, found: Vec<Scanned>) {
        let mut map = self.map.lock();
        for Scanned { replica, fingerprint } in found {
            let home = &self.volumes[volume];
            if let Some(other) = map.entries.get(&replica.id).map(|entry| entry.replica(replica.id)) {
                tracing::warn!(block = %replica.id, volume = %home.dir().display(), "block has two replicas here");
                if other == replica && replica.state == ReplicaState::Finalized {
                    remove_second(home, &replica);
                }
                if rank(&other) >= rank(&replica) {
                    continue;
                }
            }
            home.add_used(replica.on_disk);
            let entry = match replica.state {
                ReplicaState::Finalized => Entry::Finalized(Finalized {
                    stamp: replica.generation_stamp,
                    length: replica.on_disk,
                    fingerprint,
                    volume: u16::try_from(volume).expect("the configuration allows fewer volumes"),
                }),
                _ => Entry::Open(OpenReplica::new(Arc::clone(home), replica)),
            };
            map.entries.insert(replica.id, entry);
        }
    }

    /// The replica of a block as it is now.
    pub(crate) fn replica(&self, id: BlockId) -> Result<Replica, ReplicaError> {
        self.map
            .lock()
            .entries
            .get(&id)
            .map(|entry| entry.replica(id))
            .ok_or(ReplicaError::NotFound(id))
    }

    /// What one volume holds, for a full report. Copies under way are nobody's business.
    pub(crate) fn replicas_of(&self, volume: usize) -> Vec<Replica> {
        let home = &self.volumes[volume];
        let map = self.map.lock();
        let here = map.entries.iter().filter(|(_, entry)| match entry {
            Entry::Finalized(found) => usize::from(found.volume) == volume,
            Entry::Open(open) => Arc::ptr_eq(&open.volume, home),
        });
        here.map(|(&id, entry)| entry.replica(id))
            .filter(|replica| replica.state != ReplicaState::Temporary)
            .collect()
    }

    /// Number of replicas in any state.
    pub(crate) fn len(&self) -> usize {
        self.map.lock().entries.len()
    }

    /// Creates a replica: `Rbw` for a writer's pipeline, `Temporary` for a copy. It may grow to `expected` bytes.
    pub(crate) fn create(
        self: &Arc<Self>,
        id: BlockId,
        stamp: GenerationStamp,
        state: ReplicaState,
        checksum: DataChecksum,
        expected: u64,
    ) -> Result<ReplicaWriter> {
        let volume = Arc::clone(&self.volumes[self.choose_volume(expected)?]);
        let replica = Replica {
            id,
            generation_stamp: stamp,
            state,
            received: 0,
            on_disk: 0,
            acked: 0,
        };
        let open = OpenReplica::new(volume, replica);
        let ((), token) = open.attach(|_| Ok(()))?;
        {
            let mut map = self.map.lock();
            replica::check_create(map.seen(id).as_ref())?;
            if map.deleting.contains(&id) || map.moving.contains(&id) {
                return Err(ReplicaError::BeingDeleted(id).into());
            }
            map.entries.insert(id, Entry::Open(Arc::clone(&open)));
        }
        let file = open
            .paths()
            .and_then(|(data, meta)| BlockFile::create(open.volume.disk(), &data, &meta, checksum));
        match file {
            Ok(file) => Ok(ReplicaWriter::new(Arc::clone(self), open, file, token)),
            Err(error) => {
                self.discard(&open);
                open.detach();
                Err(error)
            }
        }
    }

    /// Asks the writer of a replica, if it has one, to stop, and waits until it has.
    pub(crate) async fn stop_writer(&self, id: BlockId, timeout: Duration) -> Result<(), ReplicaError> {
        let open = match self.map.lock().entries.get(&id) {
            Some(Entry::Open(open)) => Arc::clone(open),
            _ => return Ok(()),
        };
        open.stop_writer(timeout).await
    }

    /// Gives an existing replica to a writer under the claim's new stamp. A previous writer must have been stopped.
    pub(crate) fn reopen(self: &Arc<Self>, id: BlockId, claim: &Claim, purpose: Reopen) -> Result<ReplicaWriter> {
        let check = |replicas: &Replicas| {
            let replica = &replicas.seen(id).ok_or(ReplicaError::NotFound(id))?;
            match purpose {
                Reopen::Append => replica::check_append(replica, claim).map(|()| replica.received),
                Reopen::AppendRecovery => replica::check_append_recovery(replica, claim).map(|()| replica.received),
                Reopen::StreamingRecovery => replica::check_streaming_recovery(replica, claim),
            }
        };
        self.take(id, claim.new_generation_stamp, check)
    }

    /// Gives an existing replica to a writer under a new stamp, cut to the length that `check` answers.
    pub(super) fn take(
        self: &Arc<Self>,
        id: BlockId,
        new_stamp: GenerationStamp,
        check: impl Fn(&Replicas) -> Result<u64, ReplicaError>,
    ) -> Result<ReplicaWriter> {
        let mut map = self.map.lock();
        let mut length = check(&map)?;
        let entry = map.entries.get_mut(&id).ok_or(ReplicaError::NotFound(id))?;
        match entry.clone() {
            Entry::Open(open) => {
                // FINALIZED here means: its writer is about to put that into the map.
                let ((), token) = open.attach(|replica| match replica.state {
                    ReplicaState::Finalized => Err(ReplicaError::WriterBusy(id)),
                    _ => Ok(()),
                })?;
                // A writer may have let go since the first look: only now nothing changes any more.
                length = match check(&map) {
                    Ok(length) => length,
                    Err(error) => {
                        open.detach();
                        return Err(error.into());
                    }
                };
                drop(map);
                self.resume(open, token, length, new_stamp)
            }
            Entry::Finalized(found) => {
                let open = OpenReplica::new(
                    Arc::clone(&self.volumes[usize::from(found.volume)]),
                    Replica {
                        state: ReplicaState::Rbw,
                        generation_stamp: new_stamp,
                        ..entry.replica(id)
                    },
                );
                let ((), token) = open.attach(|_| Ok(()))?;
                let old = std::mem::replace(entry, Entry::Open(Arc::clone(&open)));
                drop(map);
                if let Err(error) = open.volume.move_to_rbw(id, found.stamp, new_stamp) {
                    self.map.lock().entries.insert(id, old);
                    open.detach();
                    return Err(error);
                }
                self.resume(open, token, length, new_stamp)
            }
        }
    }

    /// Opens the files of an attached RBW for writing after `length` bytes, under `stamp`.
    fn resume(
        self: &Arc<Self>,
        open: Arc<OpenReplica>,
        token: CancellationToken,
        length: u64,
        stamp: GenerationStamp,
    ) -> Result<ReplicaWriter> {
        match Self::open_files_for_writing(&open, length, stamp) {
            Ok(file) => Ok(ReplicaWriter::new(Arc::clone(self), open, file, token)),
            Err(error) => {
                open.detach();
                Err(error)
            }
        }
    }

    fn open_files_for_writing(open: &OpenReplica, length: u64, stamp: GenerationStamp) -> Result<BlockFile> {
        let (data, meta) = open.paths()?;
        let before = open.replica();
        let file = BlockFile::open(open.volume.disk(), &data, &meta, length)?;
        Volume::rename_stamp(&open.dir()?, before.id, before.generation_stamp, stamp)?;
        open.volume.remove_used(before.on_disk.saturating_sub(length));
        open.set_reopened(length, file.tail(), stamp);
        Ok(file)
    }

    /// Makes a replica durable and final.
    ///
    /// # Durability
    /// On return bytes, checksums and directory entries are on disk: the block survives loss of power.
    pub(crate) fn finalize(&self, mut writer: ReplicaWriter) -> Result<FinalizedReplica> {
        writer.sync_before_move()?;
        let open = Arc::clone(writer.open());
        let replica = open.replica();
        open.volume
            .move_to_finalized(&open.dir()?, replica.id, replica.generation_stamp)?;
        let length = writer.length();
        // From here on the files are no longer a copy's to remove.
        open.update(|replica| {
            replica.state = ReplicaState::Finalized;
            replica.acked = length;
        });
        let finalized = Finalized {
            stamp: replica.generation_stamp,
            length,
            fingerprint: Fingerprint::of(&open.volume.finalized_paths(replica.id, replica.generation_stamp)?),
            volume: self.index_of(&open.volume),
        };
        let mut map = self.map.lock();
        if open.volume.is_failed() {
            return Err(Error::VolumeFailed {
                dir: open.volume.dir().to_owned(),
            });
        }
        map.entries.insert(replica.id, Entry::Finalized(finalized));
        drop(map);
        let block = Block {
            id: replica.id,
            generation_stamp: replica.generation_stamp,
            length,
        };
        Ok(FinalizedReplica {
            block,
            storage_id: open.volume.storage_id().to_owned(),
        })
    }

    /// Turns a complete copy of a replica that is being written into such a replica itself.
    pub(crate) fn convert_to_rbw(&self, mut writer: ReplicaWriter) -> Result<()> {
        writer.sync_before_move()?;
        let open = Arc::clone(writer.open());
        let (data, meta) = open.paths()?;
        let rbw = open.volume.layout()?.rbw();
        for path in [&meta, &data] {
            let target = rbw.join(path.file_name().expect("a replica's file has a name"));
            std::fs::rename(path, &target).disk("rename into place", &target)?;
        }
        super::version_file::sync_dir(&rbw)?;
        let length = writer.length();
        open.update(|replica| {
            replica.state = ReplicaState::Rbw;
            replica.acked = length;
        });
        Ok(())
    }

    /// Forgets a replica that holds nothing of value and removes its files.
    pub(crate) fn discard(&self, open: &Arc<OpenReplica>) {
        let replica = open.replica();
        let removed = open
            .dir()
            .and_then(|dir| volume::remove_replica(&dir, replica.id, replica.generation_stamp));
        if let Err(error) = removed {
            tracing::warn!(block = %replica.id, %error, "files of a discarded replica stay until the next start");
        }
        open.volume.remove_used(replica.on_disk);
        let mut map = self.map.lock();
        if matches!(map.entries.get(&replica.id), Some(Entry::Open(current)) if Arc::ptr_eq(current, open)) {
            map.entries.remove(&replica.id);
        }
    }

    /// Removes a replica that is not newer than `stamp`; its writer must have been stopped. `false`: there was none.
    pub(crate) fn delete(&self, id: BlockId, stamp: GenerationStamp) -> Result<Option<FinalizedReplica>> {
        let (entry, replica) = {
            let mut map = self.map.lock();
            let Some(replica) = map.entries.get(&id).map(|entry| entry.replica(id)) else {
                return Ok(None);
            };
            if replica.generation_stamp > stamp {
                let expected = GenerationStamp(0)..=stamp;
                return Err(ReplicaError::GenerationStamp {
                    id,
                    found: replica.generation_stamp,
                    expected,
                }
                .into());
            }
            map.recovering.remove(&id);
            let Some(entry) = map.entries.remove(&id) else {
                return Ok(None);
            };
            map.deleting.insert(id);
            (entry, replica)
        };
        let home = match &entry {
            Entry::Finalized(found) => &self.volumes[usize::from(found.volume)],
            Entry::Open(open) => &open.volume,
        };
        home.remove_used(replica.on_disk);
        let dir = match &entry {
            Entry::Finalized(_) => home.layout().map(|layout| layout.finalized_dir(id)),
            Entry::Open(open) => open.dir(),
        };
        let removed = dir.and_then(|dir| volume::remove_replica(&dir, id, replica.generation_stamp));
        self.map.lock().deleting.remove(&id);
        removed?;
        let block = replica.block();
        Ok(Some(FinalizedReplica {
            block,
            storage_id: home.storage_id().to_owned(),
        }))
    }

    /// The volume of a replica.
    pub(crate) fn storage_id(&self, id: BlockId) -> Option<String> {
        self.map.lock().entries.get(&id).map(|entry| match entry {
            Entry::Finalized(found) => self.volumes[usize::from(found.volume)].storage_id().to_owned(),
            Entry::Open(open) => open.volume.storage_id().to_owned(),
        })
    }

    /// Opens a replica of at least this stamp for reading.
    pub(crate) fn open_for_read(&self, id: BlockId, stamp: GenerationStamp) -> Result<ReadableReplica> {
        let mut attempt = 0;
        loop {
            match self.try_open(id, stamp) {
                Err(Error::Disk { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && attempt < OPEN_ATTEMPTS =>
                {
                    attempt += 1;
                    thread::sleep(OPEN_RETRY);
                }
                other => return other,
            }
        }
    }

    fn try_open(&self, id: BlockId, stamp: GenerationStamp) -> Result<ReadableReplica> {
        let entry = self
            .map
            .lock()
            .entries
            .get(&id)
            .cloned()
            .ok_or(ReplicaError::NotFound(id))?;
        let seen = entry.replica(id);
        replica::check_readable(&seen, stamp)?;
        match entry {
            Entry::Finalized(found) => {
                let dir = self.volumes[usize::from(found.volume)].layout()?.finalized_dir(id);
                open_readable(&dir, &seen, None)
            }
            Entry::Open(open) => {
                let (seen, tail) = open.replica_and_tail();
                open_readable(&open.dir()?, &seen, tail).or_else(|error| {
                    // The last packet may just have moved it.
                    let dir = open.volume.layout()?.finalized_dir(id);
                    open_readable(&dir, &seen, tail).map_err(|_| error)
                })
            }
        }
    }

    fn choose_volume(&self, expected: u64) -> Result<usize> {
        let turn = self.next_volume.fetch_add(1, Ordering::Relaxed);
        let room = |volume: &Arc<Volume>| (!volume.is_failed()).then(|| volume.room().remaining);
        let rooms: Vec<Option<u64>> = self.volumes.iter().map(room).collect();
        choose::choose(&rooms, expected, turn).ok_or_else(|| {
            let text = |(volume, room): (&Arc<Volume>, &Option<u64>)| match room {
                Some(room) => format!("{}: {room} bytes beyond the reserve", volume.dir().display()),
                None => format!("{}: failed", volume.dir().display()),
            };
            let rooms: Vec<String> = self.volumes.iter().zip(&rooms).map(text).collect();
            Error::NoSpace {
                detail: rooms.join(", "),
            }
        })
    }

    /// Gives a volume up: its replicas are no more, and their writers are asked to stop. Answers how many there were.
    pub(crate) fn lose_volume(&self, index: usize) -> usize {
        let home = &self.volumes[index];
        home.set_failed();
        let mut map = self.map.lock();
        let is_here = |entry: &Entry| match entry {
            Entry::Finalized(found) => usize::from(found.volume) == index,
            Entry::Open(open) => Arc::ptr_eq(&open.volume, home),
        };
        let lost: Vec<BlockId> = map
            .entries
            .iter()
            .filter(|(_, entry)| is_here(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in &lost {
            map.recovering.remove(id);
            if let Some(Entry::Open(open)) = map.entries.remove(id) {
                open.ask_writer_to_stop();
            }
        }
        lost.len()
    }

    fn index_of(&self, volume: &Arc<Volume>) -> u16 {
        let index = self.volumes.iter().position(|other| Arc::ptr_eq(other, volume));
        index
            .and_then(|index| u16::try_from(index).ok())
            .expect("a replica's volume is one of the dataset's")
    }
}

impl Entry {
    pub(super) fn replica(&self, id: BlockId) -> Replica {
        match self {
            Self::Finalized(found) => found.replica(id),
            Self::Open(open) => open.replica(),
        }
    }
}

/// A crash at the end of a move between volumes leaves the same replica on both; the move had verified the new one.
fn remove_second(home: &Volume, replica: &Replica) {
    let removed = home.layout().and_then(|layout| {
        volume::remove_replica(&layout.finalized_dir(replica.id), replica.id, replica.generation_stamp)
    });
    if let Err(error) = removed {
        tracing::warn!(block = %replica.id, %error, "second copy of a replica stays");
    }
}

fn rank(replica: &Replica) -> (GenerationStamp, bool, u64) {
    (
        replica.generation_stamp,
        replica.state == ReplicaState::Finalized,
        replica.on_disk,
    )
}

fn open_readable(dir: &Path, replica: &Replica, tail: Option<u32>) -> Result<ReadableReplica> {
    let data_path = dir.join(layout::block_file_name(replica.id));
    let meta_path = dir.join(layout::meta_file_name(replica.id, replica.generation_stamp));
    let data = File::open(&data_path).disk("open", &data_path)?;
    let meta = File::open(&meta_path).disk("open", &meta_path)?;
    let checksum = block_file::read_meta_header(&meta, &meta_path)?;
    Ok(ReadableReplica {
        data,
        meta,
        length: replica.on_disk,
        checksum,
        tail,
    })
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
