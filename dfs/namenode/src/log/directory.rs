//! The NameNode's directory: who uses it, and which cluster it belongs to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::{Error, Result, io_at};

const LOCK: &str = "in_use.lock";
const VERSION: &str = "VERSION";
/// Version of the directory's layout. Grows when an older NameNode could not read what a newer one writes.
const LAYOUT: &str = "1";

/// Which cluster a directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Name of the cluster.
    pub(crate) cluster_id: String,
    /// Name of the pool that its blocks are in: a directory name on DataNodes.
    pub(crate) block_pool_id: String,
    /// A number that HDFS's version handshake shows.
    pub(crate) namespace_id: u32,
    /// When the directory was formatted, milliseconds since the epoch.
    pub(crate) created_ms: u64,
}

/// The directory, locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The identity read or made.
    pub(crate) identity: Identity,
    _lock: File,
}

impl Directory {
    /// Locks a directory, creating and formatting it if it is empty or missing.
    ///
    /// # Errors
    /// `InUse`, `Foreign`, or `Io`.
    pub(crate) fn open(path: &Path, ip: IpAddr, now_ms: u64, random: u64) -> Result<Self> {
        fs::create_dir_all(path).map_err(io_at("create", path))?;
        let lock = lock(path)?;
        let version = path.join(VERSION);
        let is_new = !version.exists();
        let identity = if is_new {
            format(path, ip, now_ms, random)?
        } else {
            read_version(path, &version)?
        };
        Ok(Self {
            path: path.to_owned(),
            identity,
            _lock: lock,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_at("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse { dir: dir.to_owned() }),
        Err(problem) => Err(Error::Io {
            what: "lock",
            path,
            source: problem.into(),
        }),
    }
}

fn format(dir: &Path, ip: IpAddr, now_ms: u64, random: u64) -> Result<Identity> {
    let names = fs::read_dir(dir)
        .map_err(io_at("list", dir))?
        .flatten()
        .map(|entry| entry.file_name());
    if let Some(other) = names
        .into_iter()
        .find(|name| name != LOCK && name != temporary(VERSION).as_str())
    {
        return Err(Error::Foreign {
            dir: dir.to_owned(),
            problem: format!("it holds {}", other.display()),
        });
    }
    let number = random as u32 >> 1;
    let identity = Identity {
        cluster_id: format!("CID-{}", uuid::Uuid::new_v4()),
        block_pool_id: format!("BP-{number}-{ip}-{now_ms}"),
        namespace_id: number,
        created_ms: now_ms,
    };
    let text = format!(
        "layoutVersion={LAYOUT}\nstorageType=NAME_NODE\nclusterID={}\nblockpoolID={}\nnamespaceID={}\ncTime={}\n",
        identity.cluster_id, identity.block_pool_id, identity.namespace_id, identity.created_ms
    );
    write_atomically(dir, VERSION, |file| file.write_all(text.as_bytes()))?;
    Ok(identity)
}

fn read_version(dir: &Path, version: &Path) -> Result<Identity> {
    let text = fs::read_to_string(version).map_err(io_at("read", version))?;
    let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let foreign = |problem: String| Error::Foreign {
        dir: dir.to_owned(),
        problem,
    };
    let get = |key: &str| {
        fields
            .get(key)
            .copied()
            .ok_or_else(|| foreign(format!("{VERSION} has no {key}")))
    };
    if (get("storageType")?, get("layoutVersion")?) != ("NAME_NODE", LAYOUT) {
        return Err(foreign(format!("{VERSION} is of another kind or a newer layout")));
    }
    Ok(Identity {
        cluster_id: get("clusterID")?.to_owned(),
        block_pool_id: get("blockpoolID")?.to_owned(),
        namespace_id: get("namespaceID")?
            .parse()
            .map_err(|_| foreign("namespaceID is not a number".to_owned()))?,
        created_ms: get("cTime")?
            .parse()
            .map_err(|_| foreign("cTime is not a number".to_owned()))?,
    })
}

fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

/// Writes a file so that it is there whole or not at all, and on disk on return: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write_atomically(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<PathBuf> {
    let (path, temporary) = (dir.join(name), dir.join(temporary(name)));
    let written = File::create(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    });
    written.map_err(io_at("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn open(path: &Path) -> Result<Directory> {
        Directory::open(path, IpAddr::from([127, 0, 0, 1]), 1_763_900_000_000, 0x1234_5678)
    }

    #[test]
    fn formats_an_empty_directory_and_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        assert!(
            first
                .identity
                .block_pool_id
                .starts_with("BP-152709948-127.0.0.1-1763900000000")
        );
        let identity = first.identity.clone();
        drop(first);
        let second = open(dir.path()).unwrap();
        assert_eq!(second.identity, identity);
    }

    #[test]
    fn a_second_user_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        assert!(matches!(open(dir.path()), Err(Error::InUse { .. })));
        drop(first);
        open(dir.path()).unwrap();
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("letter.txt"), "{error}");
        assert!(!dir.path().join(VERSION).exists());
    }
}
