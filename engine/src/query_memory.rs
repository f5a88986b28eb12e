//! A limit of memory for each query within its process's pool.
//!
//! All tasks of a query in one process share a [`QueryPool`]. It counts what they reserve, and passes on to the process's pool what
//! is within the query's own limit: operators that can spill do so at whichever limit they meet first. As in the process's pool, those
//! that can spill have equal shares: else the first would take all, and the last could not hold even its first batch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::common::human_readable_size;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::Mutex;

use crate::session::NAMED_CONSUMERS;

/// A query's limit where none is configured: what one query cannot take is left for the small ones beside it.
#[must_use]
pub fn default_query_memory(process_limit: u64) -> u64 {
    process_limit / 5 * 4
}

/// The pools of the queries that run in a process.
#[derive(Debug)]
pub struct QueryPools {
    limit: usize,
    pools: Mutex<HashMap<String, Weak<QueryPool>>>,
}

impl QueryPools {
    /// Pools of `limit` bytes each.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            pools: Mutex::default(),
        }
    }

    /// The process's environment with the memory of one query.
    ///
    /// # Errors
    /// None that is expected: everything but the pool is taken over.
    pub fn runtime(&self, query: &str, process: &RuntimeEnv) -> Result<Arc<RuntimeEnv>> {
        let pool = self.pool(query, &process.memory_pool);
        RuntimeEnvBuilder::from_runtime_env(process)
            .with_memory_pool(pool)
            .build_arc()
    }

    fn pool(&self, query: &str, process: &Arc<dyn MemoryPool>) -> Arc<QueryPool> {
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(query).and_then(Weak::upgrade) {
            return pool;
        }
        pools.retain(|_, pool| pool.strong_count() > 0);
        let pool = Arc::new(QueryPool {
            limit: self.limit,
            own: TrackConsumersPool::new(FairSpillPool::new(self.limit), NAMED_CONSUMERS),
            process: Arc::clone(process),
        });
        pools.insert(query.to_owned(), Arc::downgrade(&pool));
        pool
    }
}

/// One query's part of a process's memory.
#[derive(Debug)]
struct QueryPool {
    limit: usize,
    own: TrackConsumersPool<FairSpillPool>,
    process: Arc<dyn MemoryPool>,
}

impl QueryPool {
    /// A refusal names who wanted more and who has most: if that is a join's build side, the query can be run in another way.
    fn refusal(&self, reservation: &MemoryReservation, additional: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{} wants {} more, and its query has {} of the {} that `query_memory_limit` allows it on this node; most have:\n{}",
            reservation.consumer().name(),
            human_readable_size(additional),
            human_readable_size(self.own.reserved()),
            human_readable_size(self.limit),
            self.own.report_top(NAMED_CONSUMERS.get()),
        ))
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = human_readable_size(self.own.reserved());
        write!(
            f,
            "{}(used: {used}, limit: {})",
            self.name(),
            human_readable_size(self.limit)
        )
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.process.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.process.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.process.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.process.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if self.own.try_grow(reservation, additional).is_err() {
            return Err(self.refusal(reservation, additional));
        }
        self.process.try_grow(reservation, additional).inspect_err(|_| {
            self.own.shrink(reservation, additional);
        })
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn process(bytes: usize) -> Arc<RuntimeEnv> {
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes)))
            .build_arc()
            .unwrap()
    }

    fn reservation(runtime: &RuntimeEnv) -> MemoryReservation {
        MemoryConsumer::new("sort").register(&runtime.memory_pool)
    }

    #[test]
    fn tasks_of_a_query_share_its_limit() {
        let (pools, process) = (QueryPools::new(100), process(1000));
        let (first, second) = (
            pools.runtime("a", &process).unwrap(),
            pools.runtime("a", &process).unwrap(),
        );
        let (one, two) = (reservation(&first), reservation(&second));
        one.try_grow(60).unwrap();
        let error = two.try_grow(60).unwrap_err();
        assert!(error.to_string().contains("query_memory_limit"), "{error}");
        one.shrink(30);
        two.try_grow(60).unwrap();
        assert_eq!(process.memory_pool.reserved(), 90);
        let other = reservation(&pools.runtime("b", &process).unwrap());
        other.try_grow(100).unwrap();
    }

    #[test]
    fn what_the_process_refuses_is_not_counted() {
        let (pools, process) = (QueryPools::new(1000), process(100));
        let one = reservation(&pools.runtime("a", &process).unwrap());
        one.try_grow(90).unwrap();
        one.try_grow(20).unwrap_err();
        one.try_grow(10).unwrap();
        drop(one);
        assert_eq!(process.memory_pool.reserved(), 0);
    }

    #[test]
    fn who_can_spill_leaves_room_for_others_who_can() {
        let (pools, process) = (QueryPools::new(100), process(1000));
        let runtime = pools.runtime("a", &process).unwrap();
        let spilling = |name: &str| {
            let consumer = MemoryConsumer::new(name).with_can_spill(true);
            consumer.register(&runtime.memory_pool)
        };
        let (first, second) = (spilling("first"), spilling("second"));
        first.try_grow(50).unwrap();
        first.try_grow(10).unwrap_err();
        second.try_grow(50).unwrap();
    }

    #[test]
    fn a_refusal_names_those_that_have_most() {
        let (pools, process) = (QueryPools::new(100), process(1000));
        let runtime = pools.runtime("a", &process).unwrap();
        let build = MemoryConsumer::new("HashJoinInput[0]").register(&runtime.memory_pool);
        build.try_grow(90).unwrap();
        let error = reservation(&runtime).try_grow(20).unwrap_err().to_string();
        assert!(
            error.starts_with("Resources exhausted: sort wants 20.0 B more"),
            "{error}"
        );
        assert!(error.contains("HashJoinInput[0]"), "{error}");
    }

    #[test]
    fn a_query_that_is_over_leaves_no_pool() {
        let (pools, process) = (QueryPools::new(100), process(1000));
        drop(pools.runtime("a", &process).unwrap());
        drop(pools.runtime("b", &process).unwrap());
        assert_eq!(pools.pools.lock().len(), 1);
    }
}
