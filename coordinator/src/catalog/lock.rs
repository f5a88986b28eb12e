//! Locks on names, for changes that read a catalog file and then replace it.
//!
//! Creating and renaming are single steps of the file system and need none. Changing an object in place is two steps, and between them another
//! coordinator may drop, rename or change it: whoever replaces or drops an existing object holds the name's lock, a file beside the object's.
//! A coordinator that dies leaves its lock behind; after [`STALE`] the next one removes it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::store::{CatalogStore, Creation, FileVersion};
use crate::error::Result;

/// A lock older than this belongs to a dead coordinator: a change takes milliseconds.
const STALE: Duration = Duration::from_secs(30);
/// How often a lock that somebody holds is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// The file that locks the object at `path`.
fn lock_path(path: &str) -> String {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    format!("{directory}/.lock-{file}")
}

/// Runs `change` while nobody else changes the object at `path`.
///
/// # Errors
/// The change's own, and those of the store.
///
/// # Cancel safety
/// A dropped future leaves the lock for [`STALE`].
pub(super) async fn locked<T>(
    store: &dyn CatalogStore,
    path: &str,
    change: impl Future<Output = Result<T>>,
) -> Result<T> {
    locked_unless(store, path, STALE, change).await
}

async fn locked_unless<T>(
    store: &dyn CatalogStore,
    path: &str,
    stale: Duration,
    change: impl Future<Output = Result<T>>,
) -> Result<T> {
    let lock = lock_path(path);
    if !take(store, &lock, stale).await? {
        // Without its directory there is no object either: the change will say so.
        return change.await;
    }
    let result = change.await;
    if let Err(error) = store.delete(&lock).await {
        tracing::warn!(lock, %error, "cannot remove a lock; it will be ignored in a while");
    }
    result
}

/// False if the directory is not there.
async fn take(store: &dyn CatalogStore, lock: &str, stale: Duration) -> Result<bool> {
    let mut watched: Option<(FileVersion, Instant)> = None;
    loop {
        match store.create(lock, Bytes::new()).await? {
            Creation::Created => return Ok(true),
            Creation::NoDirectory => return Ok(false),
            Creation::Exists => {}
        }
        match (holder(store, lock).await?, watched) {
            (Some(now), Some((before, since))) if now == before => {
                if since.elapsed() > stale {
                    tracing::warn!(lock, "removing the lock of a dead coordinator");
                    store.delete(lock).await?;
                    watched = None;
                }
            }
            (Some(now), _) => watched = Some((now, Instant::now())),
            (None, _) => watched = None,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Which lock it is: each taking makes a new file.
async fn holder(store: &dyn CatalogStore, lock: &str) -> Result<Option<FileVersion>> {
    let (directory, name) = lock.rsplit_once('/').unwrap_or(("", lock));
    let entries = store.list(directory).await?.unwrap_or_default();
    Ok(entries
        .into_iter()
        .find(|entry| entry.name == name)
        .map(|entry| entry.version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::memory::MemoryStore;
    use super::*;

    #[tokio::test]
    async fn only_one_changes_at_a_time() {
        let store = Arc::new(MemoryStore::default());
        store.make_directory("s").await.unwrap();
        let inside = Arc::new(AtomicU32::new(0));
        let changes = (0..8).map(|_| {
            let (store, inside) = (Arc::clone(&store), Arc::clone(&inside));
            async move {
                let change = async {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                locked(store.as_ref(), "s/t.json", change).await.unwrap();
            }
        });
        futures::future::join_all(changes).await;
        assert_eq!(store.list("s").await.unwrap(), Some(Vec::new()));
    }

    #[tokio::test]
    async fn the_lock_of_a_dead_coordinator_is_removed_in_the_end() {
        let store = MemoryStore::default();
        store.make_directory("s").await.unwrap();
        store.create("s/.lock-t.json", Bytes::new()).await.unwrap();
        let (began, stale) = (Instant::now(), PAUSE * 2);
        locked_unless(&store, "s/t.json", stale, async { Ok(()) })
            .await
            .unwrap();
        assert!(began.elapsed() >= stale);
        assert_eq!(store.list("s").await.unwrap(), Some(Vec::new()));
    }
}
