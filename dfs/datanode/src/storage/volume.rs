//! One data directory: its lock, its identity, its room, and the moves of block files inside it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use rustix::fs::FlockOperation;
use uuid::Uuid;

use super::dir_sync::DirSync;
use super::disk::{self, Disk};
use super::layout::{self, PoolLayout};
use super::version_file::{self, VolumeVersion};
use crate::error::{DiskContext, Error, Result};

/// Names that an unformatted data directory may hold.
const UNFORMATTED_NAMES: [&str; 3] = ["in_use.lock", "current", "lost+found"];

/// Room on a volume, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Size of the file system less the reserve.
    pub(crate) capacity: u64,
    /// Bytes of replicas and their checksums.
    pub(crate) used: u64,
    /// Bytes that replicas may still take.
    pub(crate) remaining: u64,
}

/// A data directory that this process has locked.
#[derive(Debug)]
pub(crate) struct Volume {
    dir: PathBuf,
    storage_id: String,
    reserved: u64,
    used: AtomicU64,
    failed: AtomicBool,
    disk: Arc<dyn Disk>,
    dirs: DirSync,
    /// Size when it last answered, for the account of what failed with it.
    last_capacity: AtomicU64,
    pool: OnceLock<PoolLayout>,
    /// Holds the lock on `in_use.lock` until [`Volume::unlock`], or for as long as the volume lives.
    lock: File,
}

impl Volume {
    /// Locks a data directory, creating it if need be, and reads whose it is (`None`: nobody's yet).
    pub(crate) fn open(dir: &Path, reserved: u64, disk: Arc<dyn Disk>) -> Result<(Self, Option<VolumeVersion>)> {
        fs::create_dir_all(dir).disk("create", dir)?;
        let lock = lock(dir)?;
        let version = VolumeVersion::load(&version_path(dir))?;
        if version.is_none() {
            check_unformatted(dir)?;
        }
        let storage_id = match &version {
            Some(version) => version.storage_id.clone(),
            None => format!("DS-{}", Uuid::new_v4()),
        };
        let volume = Self {
            dir: dir.to_owned(),
            storage_id,
            reserved,
            used: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            disk,
            dirs: DirSync::default(),
            last_capacity: AtomicU64::new(0),
            pool: OnceLock::new(),
            lock,
        };
        Ok((volume, version))
    }

    /// Lets another DataNode have the directory: nothing here may write any more.
    pub(crate) fn unlock(&self) {
        if let Err(error) = rustix::fs::flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(dir = %self.dir.display(), %error, "directory stays locked until this process ends");
        }
    }

    /// The volume's name in reports.
    pub(crate) fn storage_id(&self) -> &str {
        &self.storage_id
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The block pools that have a directory here.
    pub(crate) fn pools(&self) -> Result<Vec<String>> {
        let current = self.dir.join("current");
        let entries = match fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).disk("list", &current),
        };
        let mut pools = Vec::new();
        for entry in entries {
            let name = entry.disk("list", &current)?.file_name().to_string_lossy().into_owned();
            if name.starts_with("BP-") {
                pools.push(name);
            }
        }
        Ok(pools)
    }

    /// Makes the volume part of a cluster: pool directories first, the VERSION file that makes them count last.
    pub(crate) fn format(&self, pool: &str, cluster_id: &str, datanode_uuid: &str) -> Result<()> {
        self.attach_pool(pool)?;
        VolumeVersion {
            storage_id: self.storage_id.clone(),
            cluster_id: cluster_id.to_owned(),
            datanode_uuid: datanode_uuid.to_owned(),
        }
        .store(&version_path(&self.dir))?;
        version_file::sync_dir(&self.dir)
    }

    /// Creates what is missing of the pool's directories and checks that they are the pool's.
    pub(crate) fn attach_pool(&self, pool: &str) -> Result<()> {
        let layout = PoolLayout::new(&self.dir, pool);
        for dir in [layout.finalized(), layout.rbw(), layout.tmp()] {
            fs::create_dir_all(&dir).disk("create", &dir)?;
        }
        version_file::check_pool_version(&layout.version_file(), pool)?;
        for path in [layout.finalized(), layout.current(), layout.tmp()] {
            version_file::sync_parent(&path)?;
        }
        version_file::sync_dir(&self.dir.join("current"))?;
        let _ = self.pool.set(layout);
        Ok(())
    }

    /// The pool's directories.
    pub(crate) fn layout(&self) -> Result<&PoolLayout> {
        self.pool.get().ok_or(Error::NotRegistered)
    }

    /// The block file and the checksum file of a finalized replica.
    pub(crate) fn finalized_paths(&self, id: BlockId, stamp: GenerationStamp) -> Result<(PathBuf, PathBuf)> {
        let dir = self.layout()?.finalized_dir(id);
        Ok((
            dir.join(layout::block_file_name(id)),
            dir.join(layout::meta_file_name(id, stamp)),
        ))
    }

    /// The disk under it.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Room according to the file system; none on one that does not answer.
    pub(crate) fn room(&self) -> Room {
        if self.is_failed() {
            return Room::default();
        }
        match self.disk.space(&self.dir) {
            Ok(space) => {
                let capacity = space.total.saturating_sub(self.reserved);
                self.last_capacity.store(capacity, Ordering::Relaxed);
                Room {
                    capacity,
                    used: self.used.load(Ordering::Relaxed),
                    remaining: space.available.saturating_sub(self.reserved),
                }
            }
            Err(error) => {
                tracing::error!(dir = %self.dir.display(), %error, "volume does not answer");
                Room::default()
            }
        }
    }

    /// Whether the disk can still be read and written. A full one can.
    pub(crate) fn probe(&self) -> io::Result<()> {
        self.disk.space(&self.dir)?;
        let dir = self.pool.get().map_or_else(|| self.dir.clone(), PoolLayout::tmp);
        match self.disk.probe(&dir) {
            Err(error) if disk::is_full(&error) => Ok(()),
            other => other,
        }
    }

    /// Size when it last answered, in bytes.
    pub(crate) fn last_capacity(&self) -> u64 {
        self.last_capacity.load(Ordering::Relaxed)
    }

    /// Gives the volume up, until the next start.
    pub(super) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether the volume was given up.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Counts bytes of a replica that was added.
    pub(crate) fn add_used(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of a replica that was removed.
    pub(crate) fn remove_used(&self, bytes: u64) {
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used.saturating_sub(bytes))
        });
    }

    /// Moves a replica's synced files to their final place, durably.
    ///
    /// Checksums go first: a block file in `finalized` always has its checksum file beside it, except after a crash
    /// between the two renames, which [`super::scan`] completes.
    pub(crate) fn move_to_finalized(&self, from: &Path, id: BlockId, stamp: GenerationStamp) -> Result<()> {
        let layout = self.layout()?;
        let to = layout.finalized_dir(id);
        self.dirs.create(&layout.finalized(), &to)?;
        move_replica(from, &to, id, stamp, stamp)?;
        self.dirs.sync(&to)
    }

    /// Moves a finalized replica's files back among those being written, under a new stamp.
    pub(crate) fn move_to_rbw(&self, id: BlockId, stamp: GenerationStamp, new: GenerationStamp) -> Result<()> {
        let layout = self.layout()?;
        move_replica(&layout.finalized_dir(id), &layout.rbw(), id, stamp, new)?;
        version_file::sync_dir(&layout.rbw())
    }

    /// Gives the checksum file in `dir` the name of a new stamp, durably.
    pub(crate) fn rename_stamp(dir: &Path, id: BlockId, old: GenerationStamp, new: GenerationStamp) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let target = dir.join(layout::meta_file_name(id, new));
        fs::rename(dir.join(layout::meta_file_name(id, old)), &target).disk("rename", &target)?;
        version_file::sync_dir(dir)
    }
}

/// Moves both files; when the second refuses, the first goes back.
fn move_replica(from: &Path, to: &Path, id: BlockId, stamp: GenerationStamp, new: GenerationStamp) -> Result<()> {
    let (old_meta, new_meta) = (
        from.join(layout::meta_file_name(id, stamp)),
        to.join(layout::meta_file_name(id, new)),
    );
    let (old_data, new_data) = (
        from.join(layout::block_file_name(id)),
        to.join(layout::block_file_name(id)),
    );
    fs::rename(&old_meta, &new_meta).disk("rename into place", &new_meta)?;
    if let Err(error) = fs::rename(&old_data, &new_data) {
        let _ = fs::rename(&new_meta, &old_meta);
        return Err(error).disk("rename into place", &new_data);
    }
    Ok(())
}

/// Removes both files of a replica; files that are gone already are no error.
pub(crate) fn remove_replica(dir: &Path, id: BlockId, stamp: GenerationStamp) -> Result<()> {
    for path in [
        dir.join(layout::block_file_name(id)),
        dir.join(layout::meta_file_name(id, stamp)),
    ] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).disk("remove", &path),
            _ => {}
        }
    }
    Ok(())
}

fn version_path(dir: &Path) -> PathBuf {
    dir.join("current").join("VERSION")
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("in_use.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .disk("open", &path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::DirectoryInUse { dir: dir.to_owned() }),
        Err(error) => Err(io::Error::from(error)).disk("lock", &path),
    }
}

fn check_unformatted(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).disk("list", dir)? {
        let name = entry.disk("list", dir)?.file_name();
        if !UNFORMATTED_NAMES.iter().any(|&legal| name == legal) {
            let reason = format!(
                "it has no current/VERSION but holds {}; expected an empty directory",
                name.display()
            );
            return Err(Error::ForeignDirectory {
                dir: dir.to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn disk() -> Arc<dyn Disk> {
        Arc::new(disk::SystemDisk)
    }

    #[test]
    fn second_process_on_a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = Volume::open(dir.path(), 0, disk()).unwrap();
        assert!(matches!(
            Volume::open(dir.path(), 0, disk()),
            Err(Error::DirectoryInUse { .. })
        ));
        drop(first);
        assert!(Volume::open(dir.path(), 0, disk()).is_ok());
    }

    #[test]
    fn directory_with_foreign_files_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "x").unwrap();
        assert!(matches!(
            Volume::open(dir.path(), 0, disk()),
            Err(Error::ForeignDirectory { .. })
        ));
        assert_eq!(fs::read_to_string(dir.path().join("thesis.txt")).unwrap(), "x");
    }

    #[test]
    fn formatted_volume_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, version) = Volume::open(dir.path(), 0, disk()).unwrap();
        assert!(version.is_none());
        volume.format("BP-1-127.0.0.1-2", "CID-1", "uuid-1").unwrap();
        let storage_id = volume.storage_id().to_owned();
        drop(volume);
        let (volume, version) = Volume::open(dir.path(), 0, disk()).unwrap();
        assert_eq!(volume.storage_id(), storage_id);
        assert_eq!(version.unwrap().cluster_id, "CID-1");
        assert_eq!(volume.pools().unwrap(), ["BP-1-127.0.0.1-2"]);
        assert!(dir.path().join("current/BP-1-127.0.0.1-2/current/finalized").is_dir());
        assert!(dir.path().join("current/BP-1-127.0.0.1-2/tmp").is_dir());
    }
}
