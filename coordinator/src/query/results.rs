//! What waits to be fetched: planned queries and the outcomes of statements that ran at once, by an opaque handle.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use super::record::{Query, QueryState};
use super::run::{Rows, Run};
use crate::error::{Error, Result};
use crate::session::random_token;

/// Where a result's rows come from.
pub enum Source {
    /// A query that starts when it is fetched, once.
    Run(Box<Run>),
    /// A query that runs already, because its client polls; its rows are fetched once.
    Started(Rows),
    /// Rows that are there already; they can be fetched again and again.
    Stored(Vec<RecordBatch>),
}

/// A result that a client may fetch.
pub struct PendingResult {
    /// The query's record.
    pub query: Arc<Query>,
    /// Columns as advertised to the client.
    pub schema: SchemaRef,
    /// Where the rows come from.
    pub source: Source,
}

/// Results by handle. A handle is random: whoever has it may fetch.
#[derive(Default)]
pub struct ResultStore {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    touched: Instant,
    result: PendingResult,
}

/// What a fetch gets.
pub enum Fetched {
    /// Start this.
    Run(Box<Run>),
    /// Pass these on as they come.
    Started(Rows),
    /// Send these.
    Stored(Vec<RecordBatch>),
}

impl ResultStore {
    /// Keeps a result and gives it a handle.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random numbers.
    pub fn put(&self, result: PendingResult) -> Result<String> {
        let handle = random_token()?;
        self.entries.lock().insert(
            handle.clone(),
            Entry {
                touched: Instant::now(),
                result,
            },
        );
        Ok(handle)
    }

    /// Hands a result over.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the handle is unknown: fetched already, expired, or cancelled.
    pub fn fetch(&self, handle: &str) -> Result<(Arc<Query>, SchemaRef, Fetched)> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(handle).ok_or_else(|| unknown(handle))?;
        entry.touched = Instant::now();
        if let Source::Stored(rows) = &entry.result.source {
            let result = &entry.result;
            return Ok((
                Arc::clone(&result.query),
                Arc::clone(&result.schema),
                Fetched::Stored(rows.clone()),
            ));
        }
        let entry = entries.remove(handle).ok_or_else(|| unknown(handle))?;
        let PendingResult { query, schema, source } = entry.result;
        match source {
            Source::Run(run) => Ok((query, schema, Fetched::Run(run))),
            Source::Started(rows) => Ok((query, schema, Fetched::Started(rows))),
            Source::Stored(rows) => Ok((query, schema, Fetched::Stored(rows))),
        }
    }

    /// The query and the columns of a result that waits; its waiting time starts anew.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn look(&self, handle: &str) -> Result<(Arc<Query>, SchemaRef)> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(handle).ok_or_else(|| unknown(handle))?;
        entry.touched = Instant::now();
        Ok((Arc::clone(&entry.result.query), Arc::clone(&entry.result.schema)))
    }

    /// Starts the waiting time of a result anew. False if the handle is unknown.
    pub fn renew(&self, handle: &str) -> bool {
        self.entries.lock().get_mut(handle).is_some_and(|entry| {
            entry.touched = Instant::now();
            true
        })
    }

    /// Forgets a result that nobody will fetch.
    pub fn discard(&self, handle: &str) -> Option<Arc<Query>> {
        self.entries.lock().remove(handle).map(|entry| entry.result.query)
    }

    /// Drops results that waited longer than `limit`.
    pub fn expire(&self, limit: Duration) {
        self.entries.lock().retain(|_, entry| {
            let keep = entry.touched.elapsed() < limit;
            if !keep {
                entry.result.query.advance(QueryState::Expired);
            }
            keep
        });
    }

    /// How many results wait.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn unknown(handle: &str) -> Error {
    let shown: String = handle.chars().take(40).collect();
    Error::not_found("result (fetched already, cancelled, or expired)", shown)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::Schema;

    use super::super::registry::QueryRegistry;
    use super::*;

    fn stored(registry: &QueryRegistry) -> PendingResult {
        let query = registry.begin(1, "ada", "set x = 1").unwrap();
        PendingResult {
            query,
            schema: Arc::new(Schema::empty()),
            source: Source::Stored(Vec::new()),
        }
    }

    #[test]
    fn stored_results_can_be_fetched_twice() {
        let (registry, store) = (QueryRegistry::default(), ResultStore::default());
        let handle = store.put(stored(&registry)).unwrap();
        for _ in 0..2 {
            assert!(matches!(store.fetch(&handle).unwrap().2, Fetched::Stored(_)));
        }
        assert!(matches!(store.fetch("nothing"), Err(Error::NotFound { .. })));
    }

    #[test]
    fn unfetched_results_expire() {
        let (registry, store) = (QueryRegistry::default(), ResultStore::default());
        let handle = store.put(stored(&registry)).unwrap();
        store.expire(Duration::from_secs(60));
        assert_eq!(store.len(), 1);
        assert!(store.renew(&handle));
        store.expire(Duration::ZERO);
        assert!(store.is_empty() && !store.renew(&handle));
        assert_eq!(registry.list()[0].state(), QueryState::Expired);
    }
}
