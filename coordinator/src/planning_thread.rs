//! Where statements are parsed and planned: on threads with a large stack, few at a time, each for a limited time.
//!
//! Planning is synchronous code that recurses over the statement. It must not run on the threads that serve connections: their stack is
//! small, and code that does not yield cannot be cancelled. A planning that outlives its time is given up; its thread ends when the
//! code does, and counts against the number of threads until then.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::error::{Error, Result};

/// Stack of one planning thread. Only touched pages cost memory. Unoptimized builds need about a kilobyte per frame and some
/// twenty frames per level of the deepest statement that [`crate::guard`] lets pass.
const STACK_BYTES: usize = 256 << 20;

/// Runs planning work.
#[derive(Debug, Clone)]
pub(crate) struct PlanningThreads {
    permits: Arc<Semaphore>,
    time_limit: Duration,
    runtime: Handle,
}

impl PlanningThreads {
    /// At most `threads` at a time, each for at most `time_limit`. What the work spawns runs on `runtime`.
    pub(crate) fn new(threads: usize, time_limit: Duration, runtime: Handle) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(threads)),
            time_limit,
            runtime,
        }
    }

    /// Runs `work` to its end.
    ///
    /// # Errors
    /// The work's own; [`Error::TimedOut`] if it (or the wait for a thread) takes too long; [`Error::Internal`] if it panics.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work at its next `await`.
    pub(crate) async fn run<T, F, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
        W: FnOnce() -> F + Send + 'static,
    {
        match tokio::time::timeout(self.time_limit, self.run_unlimited(work)).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut {
                what: "planning",
                limit: self.time_limit,
                knob: "limits.planning_time",
            }),
        }
    }

    async fn run_unlimited<T, F, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
        W: FnOnce() -> F + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let (mut reply, answer) = oneshot::channel();
        let runtime = self.runtime.clone();
        let body = move || {
            let result = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = reply.closed() => None,
                    result = work() => Some(result),
                }
            });
            drop(permit);
            if let Some(result) = result {
                // Nobody waits any more: the result is not needed.
                let _ = reply.send(result);
            }
        };
        std::thread::Builder::new()
            .name("planning".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(body)
            .map_err(|error| Error::Unavailable(format!("cannot start a planning thread: {error}")))?;
        answer
            .await
            .map_err(|_| Error::Internal("planning panicked; the server's log has the details".to_owned()))?
    }
}

fn closed() -> Error {
    Error::Unavailable("the coordinator is shutting down".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn threads(limit: Duration) -> PlanningThreads {
        PlanningThreads::new(1, limit, Handle::current())
    }

    fn depth(n: u64) -> u64 {
        let pad = std::hint::black_box([n; 64]);
        if n == 0 {
            pad[0]
        } else {
            depth(n - 1) + pad[1] - pad[2] + 1
        }
    }

    #[tokio::test]
    async fn work_has_a_deep_stack() {
        let threads = threads(Duration::from_secs(30));
        assert_eq!(threads.run(|| async { Ok(depth(50_000)) }).await.unwrap(), 50_000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn slow_work_is_given_up_and_its_thread_still_counts() {
        let threads = threads(Duration::from_millis(100));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let slow = threads.run(move || async move {
            let _ = wait.recv();
            Ok(())
        });
        assert!(matches!(slow.await, Err(Error::TimedOut { .. })));
        assert!(matches!(
            threads.run(|| async { Ok(()) }).await,
            Err(Error::TimedOut { .. })
        ));
        release.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), async {
            while threads.run(|| async { Ok(()) }).await.is_err() {}
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let threads = threads(Duration::from_secs(30));
        let result: Result<()> = threads.run(|| async { panic!("on purpose") }).await;
        assert!(matches!(result, Err(Error::Internal(_))));
    }

    #[tokio::test]
    async fn dropping_the_future_drops_the_work() {
        let threads = threads(Duration::from_secs(30));
        let (gone, dropped) = oneshot::channel::<()>();
        let waiting = threads.run(move || async move {
            let _gone = gone;
            std::future::pending::<Result<()>>().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
        assert!(
            tokio::time::timeout(Duration::from_secs(10), dropped)
                .await
                .unwrap()
                .is_err()
        );
    }
}
