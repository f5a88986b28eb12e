//! The `system` schema: what the coordinator knows about itself, as tables.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use datafusion::arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::error::ArrowError;
use quarry_engine::id::QueryId;

use crate::error::Error;
use crate::query::QueryRegistry;
use crate::session::Sessions;

/// A live worker, as `system.workers` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// `host:port` where it serves.
    pub address: String,
    /// Whether it takes part in new queries, and if not, why.
    pub state: String,
    /// DataNode that it sits beside, if any.
    pub datanode: Option<String>,
}

/// Lists the workers that are known.
pub type WorkerList = Arc<dyn Fn() -> Vec<WorkerRow> + Send + Sync>;

/// Makes the rows of the system tables.
pub struct SystemTables {
    queries: Arc<QueryRegistry>,
    sessions: Arc<Sessions>,
    workers: WorkerList,
}

impl SystemTables {
    /// Tables over these.
    #[must_use]
    pub fn new(queries: Arc<QueryRegistry>, sessions: Arc<Sessions>, workers: WorkerList) -> Self {
        Self {
            queries,
            sessions,
            workers,
        }
    }

    /// The workers that are known.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerRow> {
        (self.workers)()
    }

    /// Stops a query that is under way.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the text is no query's id or the query is over, [`Error::NotFound`] if no such query is known.
    pub fn cancel_query(&self, id: &str) -> Result<(), Error> {
        let wrong = |_| Error::invalid(format!("query {id:?}: not an id; SHOW QUERIES lists those of queries"));
        let query = self.queries.get(id.parse::<QueryId>().map_err(wrong)?);
        let query = query.ok_or_else(|| Error::not_found("query", id))?;
        if query.state().is_over() {
            let state = query.state().name();
            return Err(Error::invalid(format!("query {id} is {state} already")));
        }
        query.cancel.cancel();
        Ok(())
    }

    /// Names of the tables.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        ["queries", "sessions", "tasks", "workers"].into_iter()
    }

    /// A table's rows as they are now; `None` if there is no such table.
    ///
    /// # Errors
    /// None that is expected.
    pub fn rows(&self, table: &str) -> Result<Option<RecordBatch>, ArrowError> {
        match table {
            "queries" => self.query_rows().map(Some),
            "sessions" => self.session_rows().map(Some),
            "tasks" => self.task_rows().map(Some),
            "workers" => self.worker_rows().map(Some),
            _ => Ok(None),
        }
    }

    fn query_rows(&self) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<_> = self
            .queries
            .list()
            .into_iter()
            .map(|query| (query.progress(), query))
            .collect();
        let bytes = |local: bool| {
            rows.iter().map(move |(progress, _)| {
                progress.figures.as_ref().map(|figures| {
                    if local {
                        figures.local_bytes()
                    } else {
                        figures.remote_bytes()
                    }
                })
            })
        };
        let millis = rows
            .iter()
            .map(|(progress, _)| progress.elapsed.map_or(0, |elapsed| elapsed.as_millis() as u64));
        let started = rows.iter().map(|(_, query)| {
            query
                .started
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as i64)
        });
        RecordBatch::try_from_iter_with_nullable([
            (
                "query_id",
                text(rows.iter().map(|(_, query)| Some(query.id.to_string()))),
                false,
            ),
            (
                "state",
                text(rows.iter().map(|(progress, _)| Some(progress.state.name().to_owned()))),
                false,
            ),
            (
                "user",
                text(rows.iter().map(|(_, query)| Some(query.user.clone()))),
                false,
            ),
            (
                "session",
                numbers(rows.iter().map(|(_, query)| Some(query.session))),
                false,
            ),
            (
                "sql",
                text(rows.iter().map(|(_, query)| Some(query.sql.clone()))),
                false,
            ),
            (
                "started",
                Arc::new(TimestampMicrosecondArray::from_iter_values(started)) as ArrayRef,
                false,
            ),
            ("elapsed_ms", numbers(millis.map(Some)), false),
            (
                "rows",
                numbers(rows.iter().map(|(progress, _)| Some(progress.rows))),
                false,
            ),
            (
                "attempts",
                Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(p, _)| p.attempts))) as ArrayRef,
                false,
            ),
            (
                "retry_reason",
                text(rows.iter().map(|(progress, _)| progress.retry_reason.clone())),
                true,
            ),
            ("local_bytes", numbers(bytes(true)), true),
            ("remote_bytes", numbers(bytes(false)), true),
            (
                "error",
                text(rows.iter().map(|(progress, _)| progress.error.clone())),
                true,
            ),
            (
                "trace_id",
                text(rows.iter().map(|(_, query)| query.trace.as_deref().map(str::to_owned))),
                true,
            ),
        ])
    }

    fn session_rows(&self) -> Result<RecordBatch, ArrowError> {
        let now = Instant::now();
        let rows = self.sessions.list();
        RecordBatch::try_from_iter_with_nullable([
            ("session", numbers(rows.iter().map(|session| Some(session.id))), false),
            (
                "user",
                text(rows.iter().map(|session| Some(session.user.clone()))),
                false,
            ),
            ("schema", text(rows.iter().map(|session| Some(session.schema()))), false),
            (
                "idle_ms",
                numbers(rows.iter().map(|session| Some(session.idle(now).as_millis() as u64))),
                false,
            ),
        ])
    }

    /// The tasks of the queries that run.
    fn task_rows(&self) -> Result<RecordBatch, ArrowError> {
        let mut rows = Vec::new();
        for query in self.queries.list() {
            let attempt = query.progress().attempts;
            rows.extend(
                query
                    .tasks()
                    .into_iter()
                    .map(|task| (query.id.to_string(), attempt, task)),
            );
        }
        RecordBatch::try_from_iter_with_nullable([
            (
                "query_id",
                text(rows.iter().map(|(query, ..)| Some(query.clone()))),
                false,
            ),
            (
                "attempt",
                Arc::new(UInt32Array::from_iter_values(
                    rows.iter().map(|(_, attempt, _)| *attempt),
                )) as ArrayRef,
                false,
            ),
            (
                "stage",
                numbers(rows.iter().map(|(.., task)| Some(task.stage as u64))),
                false,
            ),
            (
                "task",
                numbers(rows.iter().map(|(.., task)| Some(task.task as u64))),
                false,
            ),
            (
                "worker",
                text(rows.iter().map(|(.., task)| Some(task.worker.clone()))),
                false,
            ),
            (
                "state",
                text(rows.iter().map(|(.., task)| Some(task.state.name().to_owned()))),
                false,
            ),
        ])
    }

    fn worker_rows(&self) -> Result<RecordBatch, ArrowError> {
        let rows = (self.workers)();
        RecordBatch::try_from_iter_with_nullable([
            (
                "address",
                text(rows.iter().map(|worker| Some(worker.address.clone()))),
                false,
            ),
            (
                "state",
                text(rows.iter().map(|worker| Some(worker.state.clone()))),
                false,
            ),
            (
                "datanode",
                text(rows.iter().map(|worker| worker.datanode.clone())),
                true,
            ),
        ])
    }
}

impl fmt::Debug for SystemTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTables").finish_non_exhaustive()
    }
}

fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.collect::<UInt64Array>())
}
