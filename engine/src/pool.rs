//! A memory pool whose refusals say which setting moves its limit.

use std::fmt::{self, Display, Formatter};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// `inner`, with `knob` in its refusals.
#[derive(Debug)]
pub struct ExplainingPool<P> {
    inner: P,
    knob: &'static str,
}

impl<P> ExplainingPool<P> {
    /// `knob` is the configuration key of the limit.
    pub fn new(inner: P, knob: &'static str) -> Self {
        Self { inner, knob }
    }

    fn explain(&self, error: DataFusionError) -> DataFusionError {
        match error {
            DataFusionError::ResourcesExhausted(text) => {
                let knob = self.knob;
                DataFusionError::ResourcesExhausted(format!("{text}\n`{knob}` in the configuration moves the limit"))
            }
            other => other,
        }
    }
}

impl<P: MemoryPool> MemoryPool for ExplainingPool<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.inner
            .try_grow(reservation, additional)
            .map_err(|error| self.explain(error))
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}

impl<P: MemoryPool> Display for ExplainingPool<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    #[test]
    fn a_refusal_names_the_knob_and_the_pool_keeps_its_figures() {
        let pool: Arc<dyn MemoryPool> =
            Arc::new(ExplainingPool::new(GreedyMemoryPool::new(100), "worker.memory_limit"));
        let reservation = MemoryConsumer::new("join").register(&pool);
        reservation.try_grow(60).unwrap();
        let error = reservation.try_grow(60).unwrap_err();
        assert!(matches!(error, DataFusionError::ResourcesExhausted(_)));
        assert!(error.to_string().contains("`worker.memory_limit`"), "{error}");
        assert_eq!(pool.reserved(), 60);
        assert!(matches!(pool.memory_limit(), MemoryLimit::Finite(100)));
    }
}
