//! Running a planned query: one small trait, two back ends.
//!
//! A [`QueryEngine`] turns a logical plan into an [`Attempt`]. An attempt executes exactly once: the engine
//! underneath names tasks by an id that it draws while planning, and scans share queues inside the plan object, so a second
//! `execute` of one plan would give wrong rows. Whoever wants to run again plans again.
//!
//! - [`engine`]: the [`QueryEngine`] of a cluster: decides between the two back ends
//! - `local`: plain DataFusion on the coordinator, when one task suffices
//! - `distributed`: stages on workers, by `datafusion-distributed`; `handlers` are its three questions, answered by
//!   [`planning`](crate::planning); `record` listens to what tasks report
//! - `known`: what of a plan its wire form would leave out; `sorted`: sorted rows leave a task as one stream
//! - `pump`: runs an attempt's operators on their own threads
//! - `explain`: attempts as text
//!
//! Nothing in this crate outside this folder names the execution crate.

mod distributed;
pub mod engine;
mod explain;
mod handlers;
mod known;
mod local;
mod pump;
mod record;
mod sorted;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
pub use engine::{Compression, Execution, ExecutionConfig};
use quarry_engine::figures::QueryFigures;
use quarry_engine::id::QueryId;

/// Plans queries onto whatever runs them.
#[async_trait]
pub trait QueryEngine: Send + Sync + 'static {
    /// Plans one attempt of a query over the workers that are live now.
    ///
    /// `plan` is a query's logical plan as the SQL planner gave it, *not* optimized: how its subqueries are rewritten depends on
    /// where it will run. It must not be a statement that changes session or catalog, nor `EXPLAIN`: for that, plan the
    /// inner query and print [`Attempt::explain`]. `state` comes from [`Execution::session_state`].
    ///
    /// Works on the calling thread, recursively: call it where the stack is large.
    ///
    /// # Errors
    /// Planning and type errors of DataFusion, and storage errors met while listing a table's files.
    /// [`quarry_engine::error::classify`] says what kind it is.
    async fn plan(&self, state: &SessionState, query: QueryId, plan: LogicalPlan) -> Result<Box<dyn Attempt>>;
}

/// One planned run of a query.
#[async_trait]
pub trait Attempt: Send + Sync {
    /// Schema of the result.
    fn schema(&self) -> SchemaRef;

    /// Whether it reads tables. What does not is not made to wait for what does.
    fn reads_tables(&self) -> bool {
        true
    }

    /// Starts the run. Dropping the stream cancels it everywhere.
    ///
    /// A worker that is lost while the query runs ends the stream with an error of class
    /// [`Node`](quarry_engine::error::ErrorClass::Node) that names it; the worker is by then out of the membership snapshot, so the next
    /// attempt is planned without it.
    ///
    /// # Errors
    /// If called a second time.
    fn execute(&self) -> Result<SendableRecordBatchStream>;

    /// The distributed plan: stages, tasks, hosts and the planned local share. Works before and after `execute`.
    fn explain(&self) -> String;

    /// The plan with its metrics and the [`figures`](Self::figures) in text. Meant for after the stream's end; waits for a bounded
    /// time for workers that still owe their metrics, and says so if they do not come.
    async fn explain_analyze(&self) -> String;

    /// Looks at the run from outside, for as long as somebody asks; `None` if there is nothing to see.
    fn view(&self) -> Option<Arc<dyn AttemptView>> {
        None
    }

    /// What the run did. Bounded wait as with [`explain_analyze`](Self::explain_analyze).
    async fn figures(&self) -> QueryFigures;
}

/// A running attempt as seen from outside. Keeps nothing running.
pub trait AttemptView: fmt::Debug + Send + Sync {
    /// How far it is, from 0 to 1.
    fn share(&self) -> f64;

    /// The tasks that were sent to workers.
    fn tasks(&self) -> Vec<TaskStatus>;
}

/// Where one task of an attempt is, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// Its stage.
    pub stage: usize,
    /// Its number in the stage, from 0.
    pub task: usize,
    /// `host:port` of its worker.
    pub worker: String,
    /// How it stands.
    pub state: TaskState,
}

/// How a task stands, as far as the coordinator was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Its plan is under way to the worker.
    Sent,
    /// The worker took it.
    Running,
    /// The worker sent its figures, or will never do so.
    Ended,
}

impl TaskState {
    /// As `system.tasks` shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// A shared engine.
pub type SharedEngine = Arc<dyn QueryEngine>;
