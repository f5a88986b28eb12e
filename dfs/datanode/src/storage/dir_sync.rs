//! Making directory entries durable, one fsync for all who wait.
//!
//! Every block that ends needs its directory fsynced. Writers that come while one fsync runs share the next: it begins after all
//! of their renames, so it covers them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::version_file;
use crate::error::{Error, Result};

/// The directories of one volume.
#[derive(Debug, Default)]
pub(super) struct DirSync {
    groups: Mutex<HashMap<PathBuf, Arc<Group>>>,
    /// Directories whose own names are known to be durable.
    created: Mutex<HashSet<PathBuf>>,
}

#[derive(Debug, Default)]
struct Group {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Fsyncs begun and ended.
    begun: u64,
    ended: u64,
    /// The last one that failed, and how. Trying again says nothing: the system may have given up what it could not write.
    failed: Option<(u64, String)>,
}

impl DirSync {
    /// Makes the entries of `dir` durable that are there when this is called.
    pub(super) fn sync(&self, dir: &Path) -> Result<()> {
        let group = Arc::clone(self.groups.lock().entry(dir.to_owned()).or_default());
        group.sync(dir, || version_file::sync_dir(dir))
    }

    /// Creates `dir` and what is missing above it below `root`, durably. Each process makes sure once: that a directory is there
    /// does not say that its name would survive a loss of power.
    pub(super) fn create(&self, root: &Path, dir: &Path) -> Result<()> {
        if self.created.lock().contains(dir) {
            return Ok(());
        }
        version_file::create_dir_all(dir)?;
        let mut parent = dir.parent();
        while let Some(at) = parent.filter(|at| at.starts_with(root)) {
            version_file::sync_dir(at)?;
            parent = at.parent();
        }
        self.created.lock().insert(dir.to_owned());
        Ok(())
    }
}

impl Group {
    fn sync(&self, dir: &Path, fsync: impl Fn() -> Result<()>) -> Result<()> {
        let mut state = self.state.lock();
        // The one that runs may have begun before our rename; the next will not have.
        let wanted = state.begun + 1;
        while state.ended < wanted {
            if state.begun > state.ended {
                self.done.wait(&mut state);
                continue;
            }
            state.begun += 1;
            drop(state);
            let outcome = fsync();
            state = self.state.lock();
            state.ended = state.begun;
            if let Err(error) = &outcome {
                state.failed = Some((state.ended, error.to_string()));
            }
            self.done.notify_all();
            outcome?;
        }
        match &state.failed {
            Some((round, reason)) if *round >= wanted => Err(Error::Disk {
                action: "fsync directory",
                path: dir.to_owned(),
                source: io::Error::other(reason.clone()),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_rename_is_followed_by_an_fsync_and_many_share_one() {
        const WRITERS: u64 = 16;
        const ROUNDS: u64 = 20;
        let group = Group::default();
        let (renamed, durable, fsyncs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let fsync = || {
            let covered = renamed.load(Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            durable.fetch_max(covered, Ordering::SeqCst);
            fsyncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let own = renamed.fetch_add(1, Ordering::SeqCst) + 1;
                        group.sync(Path::new("d"), fsync).unwrap();
                        assert!(durable.load(Ordering::SeqCst) >= own);
                    }
                });
            }
        });
        assert!(fsyncs.load(Ordering::SeqCst) < WRITERS * ROUNDS / 2);
    }

    #[test]
    fn failure_reaches_everybody_who_waited_for_it() {
        let group = Group::default();
        let fail = || -> Result<()> {
            thread::sleep(Duration::from_millis(2));
            Err(crate::Error::NotRegistered)
        };
        thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| group.sync(Path::new("d"), fail)))
                .collect();
            for one in all {
                assert!(one.join().unwrap().is_err());
            }
        });
        assert!(
            group.sync(Path::new("d"), || Ok(())).is_ok(),
            "a later one stands for itself"
        );
    }

    #[test]
    fn directories_are_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let (dirs, deep) = (DirSync::default(), dir.path().join("a/b"));
        dirs.create(dir.path(), &deep).unwrap();
        dirs.sync(&deep).unwrap();
        dirs.create(dir.path(), &deep).unwrap();
        assert!(deep.is_dir());
    }
}
