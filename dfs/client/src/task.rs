//! Background tasks that end with their owner.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};

/// A spawned task, cancelled when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Spawns onto the current runtime.
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Errands under way at the same time; more are refused, for each can be left to the next who meets the same.
const MAX_ERRANDS: usize = 64;

/// Short tasks that nobody waits for, cancelled when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Background(Mutex<JoinSet<()>>);

impl Background {
    /// Spawns onto the current runtime, unless too many are under way.
    pub(crate) fn spawn(&self, errand: impl Future<Output = ()> + Send + 'static) {
        let mut errands = self.0.lock();
        while errands.try_join_next().is_some() {}
        if errands.len() < MAX_ERRANDS {
            errands.spawn(errand);
        }
    }
}
