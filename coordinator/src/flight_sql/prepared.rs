//! Prepared statements, by opaque handle. A handle keeps the text: each execution plans anew, so it sees the catalog as it is then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::session::random_token;

/// Prepared statements at a time; the one unused for longest makes room.
const MAX_PREPARED: usize = 10_000;

/// A prepared statement, perhaps with values for its parameters.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// Its text.
    pub(super) sql: Arc<str>,
    /// Whether it changes something.
    pub(super) is_update: bool,
    /// Rows of parameters that were bound.
    pub(super) values: Option<RecordBatch>,
}

/// All prepared statements.
#[derive(Debug)]
pub(super) struct PreparedStatements {
    idle_limit: Duration,
    entries: Mutex<HashMap<String, (Instant, Prepared)>>,
}

impl PreparedStatements {
    /// Forgets statements that are idle for `idle_limit`.
    pub(super) fn new(idle_limit: Duration) -> Self {
        Self {
            idle_limit,
            entries: Mutex::default(),
        }
    }

    /// Keeps a statement and gives it a handle.
    pub(super) fn put(&self, prepared: Prepared) -> Result<String> {
        let handle = random_token()?;
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_PREPARED
            && let Some(oldest) = entries
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(handle, _)| handle.clone())
        {
            entries.remove(&oldest);
        }
        entries.insert(handle.clone(), (Instant::now(), prepared));
        Ok(handle)
    }

    /// The statement of a handle.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was closed, has expired, or never was.
    pub(super) fn get(&self, handle: &[u8]) -> Result<Prepared> {
        let handle = String::from_utf8_lossy(handle);
        let mut entries = self.entries.lock();
        let (used, prepared) = entries.get_mut(handle.as_ref()).ok_or_else(|| {
            let shown: String = handle.chars().take(40).collect();
            Error::not_found("prepared statement", shown)
        })?;
        *used = Instant::now();
        Ok(prepared.clone())
    }

    /// Forgets a statement, if it is known.
    pub(super) fn close(&self, handle: &[u8]) {
        self.entries.lock().remove(String::from_utf8_lossy(handle).as_ref());
    }

    /// Forgets idle statements.
    pub(super) fn expire(&self) {
        let limit = self.idle_limit;
        self.entries.lock().retain(|_, (used, _)| used.elapsed() < limit);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn handles_are_found_until_closed_or_expired() {
        let statements = PreparedStatements::new(Duration::ZERO);
        let prepared = Prepared {
            sql: "select 1".into(),
            is_update: false,
            values: None,
        };
        let handle = statements.put(prepared.clone()).unwrap();
        assert_eq!(&*statements.get(handle.as_bytes()).unwrap().sql, "select 1");
        statements.close(handle.as_bytes());
        statements.close(b"unknown \xff");
        assert!(statements.get(handle.as_bytes()).is_err());
        let handle = statements.put(prepared).unwrap();
        statements.expire();
        assert!(statements.get(handle.as_bytes()).is_err());
    }
}
