//! Answers of calls that must happen at most once, so that a client's repetition gets the first answer.
//!
//! Kept in the edit log and image: a client that lost its connection to a NameNode that restarted is answered alike.

use std::collections::{BTreeMap, VecDeque};

use super::edit::RetryEntry;

/// How long an answer is kept. HDFS's value.
pub const RETRY_CACHE_MS: u64 = 10 * 60 * 1000;

/// Most answers kept, whatever their age: bounds memory (about 100 bytes each) under a storm of creations.
const MAX_ENTRIES: usize = 1 << 18;

/// Which call: the client's id and its number of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// The client's 16 byte id.
    pub client_id: [u8; 16],
    /// The client's number of the call.
    pub call_id: i32,
}

/// Remembered answers by call, and their order of expiry.
#[derive(Debug, Clone, Default)]
pub struct RetryCache {
    entries: BTreeMap<CallKey, RetryEntry>,
    by_age: VecDeque<(u64, CallKey)>,
}

fn key_of(entry: &RetryEntry) -> Option<CallKey> {
    let client_id = entry.client_id.as_slice().try_into().ok()?;
    Some(CallKey {
        client_id,
        call_id: entry.call_id,
    })
}

impl RetryCache {
    /// Remembers an answer. An entry without a proper client id cannot be asked for and is dropped.
    pub fn insert(&mut self, entry: RetryEntry) {
        if let Some(key) = key_of(&entry) {
            self.by_age.push_back((entry.expires_ms, key));
            self.entries.insert(key, entry);
        }
        while self.by_age.len() > MAX_ENTRIES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((expires, key)) = self.by_age.pop_front()
            && self.entries.get(&key).is_some_and(|entry| entry.expires_ms == expires)
        {
            self.entries.remove(&key);
        }
    }

    /// The answer given to this call before.
    pub fn get(&self, key: CallKey) -> Option<&RetryEntry> {
        self.entries.get(&key)
    }

    /// Forgets what has expired at `now_ms`.
    pub fn expire(&mut self, now_ms: u64) {
        while self.by_age.front().is_some_and(|(expires, _)| *expires <= now_ms) {
            self.forget_oldest();
        }
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &RetryEntry> {
        self.by_age
            .iter()
            .filter_map(|(expires, key)| self.entries.get(key).filter(|entry| entry.expires_ms == *expires))
    }

    /// Number of answers kept.
    pub fn count(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_expiry_only() {
        let mut cache = RetryCache::default();
        let entry = RetryEntry {
            client_id: vec![7; 16],
            call_id: 3,
            expires_ms: 100,
            answer: 1,
            inode_id: 0,
        };
        let key = CallKey {
            client_id: [7; 16],
            call_id: 3,
        };
        cache.insert(entry.clone());
        cache.expire(99);
        assert_eq!(cache.get(key), Some(&entry));
        cache.expire(100);
        assert_eq!((cache.get(key), cache.count()), (None, 0));
    }
}
