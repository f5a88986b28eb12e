//! Frees what ended tasks held.
//!
//! The execution crate keeps tasks in a cache that forgets an ended task at once but drops it only when the cache is used again. A task
//! holds its plan, and a plan holds the build sides of its joins, so an idle worker would keep the memory of its last query. While
//! memory is reserved, the sweep uses the cache twice a second: it asks for a task that does not exist.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_distributed::{ExecuteTaskRequest, ProducerHead, TaskKey, Worker as TaskWorker};
use uuid::Uuid;

/// Time between two sweeps; the cache does its chores at most every 300 ms.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The task that does not exist would be waited for.
const NO_WAIT: Duration = Duration::from_millis(1);

/// Sweeps for ever.
pub(crate) async fn sweep(tasks: TaskWorker, runtime: Arc<RuntimeEnv>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if runtime.memory_pool.reserved() > 0 {
            // It is bound to run into its time limit.
            let _ = tokio::time::timeout(NO_WAIT, tasks.execute_task(nobodys_task())).await;
        }
    }
}

/// Always the same one, so that the cache grows by a single entry.
fn nobodys_task() -> ExecuteTaskRequest {
    ExecuteTaskRequest {
        task_key: TaskKey {
            query_id: Uuid::nil(),
            stage_id: 0,
            task_number: 0,
        },
        target_partition_start: 0,
        target_partition_end: 0,
        producer_head: ProducerHead::None,
    }
}
