//! All queries that are under way, and the last that ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use quarry_engine::id::QueryId;

use super::admission::{Admission, AdmissionLimits};
use super::record::Query;
use crate::error::{Error, Result};

/// Ended queries that are remembered.
const REMEMBERED: usize = 1_000;
/// Queries known at a time, under way or waiting to be fetched.
const MAX_LIVE: usize = 10_000;

/// All queries that are known, by id. Ids sort by time.
#[derive(Debug, Default)]
pub struct QueryRegistry {
    admission: Arc<Admission>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    live: BTreeMap<QueryId, Arc<Query>>,
    ended: VecDeque<Arc<Query>>,
}

impl Inner {
    /// Moves what is over to the ended ones.
    fn sort_out(&mut self) {
        let over: Vec<QueryId> = self
            .live
            .values()
            .filter(|query| query.state().is_over())
            .map(|query| query.id)
            .collect();
        for id in over {
            self.ended.extend(self.live.remove(&id));
        }
        let surplus = self.ended.len().saturating_sub(REMEMBERED);
        self.ended.drain(..surplus);
    }
}

impl QueryRegistry {
    /// No query is known; those to come run within `limits`.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            admission: Arc::new(Admission::new(limits)),
            ..Self::default()
        }
    }

    /// Takes up a statement.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if too many are under way or wait to be fetched.
    pub fn begin(&self, session: u64, user: &str, sql: &str) -> Result<Arc<Query>> {
        let mut inner = self.inner.lock();
        inner.sort_out();
        if inner.live.len() >= MAX_LIVE {
            let problem = format!("{MAX_LIVE} statements are under way or wait for their clients; try again later");
            return Err(Error::Exhausted(problem));
        }
        let query = Arc::new(Query::new(session, user, sql, &self.admission));
        inner.live.insert(query.id, Arc::clone(&query));
        Ok(query)
    }

    /// A query that is under way or ended not long ago.
    pub fn get(&self, id: QueryId) -> Option<Arc<Query>> {
        let inner = self.inner.lock();
        inner
            .live
            .get(&id)
            .or_else(|| inner.ended.iter().find(|query| query.id == id))
            .map(Arc::clone)
    }

    /// All that are known, oldest first.
    pub fn list(&self) -> Vec<Arc<Query>> {
        let mut inner = self.inner.lock();
        inner.sort_out();
        let mut all: Vec<_> = inner.ended.iter().chain(inner.live.values()).map(Arc::clone).collect();
        all.sort_by_key(|query| query.id);
        all
    }

    /// Stops everything that is under way.
    pub fn cancel_all(&self) {
        for query in self.inner.lock().live.values() {
            query.cancel.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::record::QueryState;
    use super::*;

    #[test]
    fn ended_queries_are_remembered_up_to_a_number() {
        let registry = QueryRegistry::default();
        let first = registry.begin(1, "ada", "first").unwrap();
        for _ in 0..REMEMBERED {
            registry.begin(1, "ada", "more").unwrap().advance(QueryState::Finished);
        }
        assert_eq!(registry.list().len(), REMEMBERED + 1);
        first.advance(QueryState::Finished);
        registry.begin(1, "ada", "last").unwrap();
        assert_eq!(registry.list().len(), REMEMBERED + 1);
        assert_eq!(registry.get(first.id).unwrap().sql, "first");
    }

    #[test]
    fn too_many_at_a_time_are_refused() {
        let registry = QueryRegistry::default();
        for _ in 0..MAX_LIVE {
            registry.begin(1, "ada", "select 1").unwrap();
        }
        assert!(matches!(registry.begin(1, "ada", "select 1"), Err(Error::Exhausted(_))));
    }
}
