//! Block locations of files read by path a moment ago, so that a hundred ranges of a file cost one NameNode call.
//!
//! Who holds a [`FileReader`](crate::FileReader) needs no cache: it keeps its file's locations. This one serves the object
//! store, whose callers name a path each time. An entry ends with its time to live, with any change that this client
//! makes to the path or an ancestor, and when a read finds it wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::location::LocatedFile;

/// Files remembered at most; a large table's file count.
const MAX_FILES: usize = 16_384;

#[derive(Debug)]
struct Entry {
    file: Arc<LocatedFile>,
    fetched: Instant,
}

#[derive(Debug)]
pub(crate) struct LocationCache {
    ttl: Duration,
    /// Ordered, so that a directory's files lie together.
    files: Mutex<BTreeMap<String, Entry>>,
}

impl LocationCache {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            files: Mutex::new(BTreeMap::new()),
        }
    }

    /// What is known of `path`, if it is recent.
    pub(crate) fn get(&self, path: &str, now: Instant) -> Option<Arc<LocatedFile>> {
        let files = self.files.lock();
        let entry = files.get(path)?;
        (now.duration_since(entry.fetched) < self.ttl).then(|| Arc::clone(&entry.file))
    }

    /// Remembers what the NameNode answered; `asked` is when the question was sent, for an answer is as old as that.
    pub(crate) fn insert(&self, file: Arc<LocatedFile>, asked: Instant) {
        let mut files = self.files.lock();
        if files.len() >= MAX_FILES {
            files.retain(|_, entry| asked.duration_since(entry.fetched) < self.ttl);
        }
        if files.len() < MAX_FILES {
            files.insert(file.status.path.clone(), Entry { file, fetched: asked });
        }
    }

    /// Forgets `path` and everything below it.
    pub(crate) fn invalidate(&self, path: &str) {
        let mut files = self.files.lock();
        files.remove(path);
        let below = format!("{}/", path.trim_end_matches('/'));
        let range = files.range(below.clone()..).take_while(|(p, _)| p.starts_with(&below));
        let doomed: Vec<String> = range.map(|(p, _)| p.clone()).collect();
        for path in doomed {
            files.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::location::FileBlocks;
    use crate::status::{FileKind, FileStatus};

    const TTL: Duration = Duration::from_secs(2);

    fn file(path: &str) -> Arc<LocatedFile> {
        let status = FileStatus {
            path: path.into(),
            kind: FileKind::File,
            length: 0,
            replication: 1,
            block_size: 1 << 20,
            modification_time_ms: 0,
            access_time_ms: 0,
            owner: String::new(),
            group: String::new(),
            permission: 0o644,
            file_id: 1,
            children: None,
            has_acl: false,
            encrypted: false,
            erasure_coding: None,
            storage_policy: 0,
        };
        let blocks = Arc::new(FileBlocks {
            length: 0,
            under_construction: false,
            blocks: Vec::new(),
            unfinished: None,
        });
        Arc::new(LocatedFile { status, blocks })
    }

    #[test]
    fn entries_end_with_their_time() {
        let (cache, now) = (LocationCache::new(TTL), Instant::now());
        cache.insert(file("/a"), now);
        assert!(cache.get("/a", now + TTL / 2).is_some());
        assert!(cache.get("/a", now + TTL).is_none());
    }

    #[test]
    fn a_change_forgets_the_path_and_what_lies_below_only() {
        let (cache, now) = (LocationCache::new(TTL), Instant::now());
        for path in ["/d", "/d/a", "/d/b/c", "/d-e", "/da"] {
            cache.insert(file(path), now);
        }
        cache.invalidate("/d");
        let left: Vec<_> = ["/d", "/d/a", "/d/b/c", "/d-e", "/da"]
            .into_iter()
            .filter(|p| cache.get(p, now).is_some())
            .collect();
        assert_eq!(left, ["/d-e", "/da"]);
        cache.invalidate("/");
        assert!(cache.get("/da", now).is_none());
    }
}
