//! A runtime of its own for query operators, so that heartbeats and RPC stay alive while every core computes.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Threads that run query operators. Ends its tasks when dropped.
#[derive(Debug)]
pub struct CpuRuntime {
    handle: Handle,
    // Taken on drop: a runtime must not be dropped in an asynchronous context by waiting for it.
    runtime: Option<Runtime>,
}

impl CpuRuntime {
    /// Starts `threads` threads (at least one) whose names begin with `name`.
    ///
    /// # Errors
    /// If the operating system refuses the threads.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            // Deep plans recurse while they are planned, encoded and executed.
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs a task on these threads.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// For starting tasks from elsewhere.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Stack of one thread: debug builds of DataFusion need well over tokio's 2 MiB for plans of a few hundred operators.
const STACK_BYTES: usize = 16 * 1024 * 1024;

impl Drop for CpuRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn tasks_run_on_the_named_threads_and_it_may_be_dropped_here() {
        let cpu = CpuRuntime::start("quarry-test", 1).unwrap();
        let name = cpu
            .spawn(async { std::thread::current().name().map(str::to_owned) })
            .await
            .unwrap();
        assert_eq!(name.as_deref(), Some("quarry-test"));
        drop(cpu);
    }
}
