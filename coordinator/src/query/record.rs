//! One query's record: what `system.queries`, error messages and cancellation know about it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use quarry_engine::figures::QueryFigures;
use quarry_engine::id::QueryId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::trace;
use crate::error::{Error, ErrorKind};
use crate::execution::{AttemptView, TaskStatus};

/// Longest SQL text kept in a record, in bytes.
const MAX_SQL: usize = 64 << 10;

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Being parsed and planned.
    Planning,
    /// Planned; waits for its client to fetch.
    Planned,
    /// Its client fetches; it waits for other queries to end.
    Queued,
    /// Running, or its rows are being fetched.
    Running,
    /// All rows were handed over.
    Finished,
    /// Ended with an error.
    Failed,
    /// Stopped by its client.
    Cancelled,
    /// Nobody fetched it in time.
    Expired,
}

impl QueryState {
    /// As `system.queries` shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Planning | Self::Planned | Self::Queued | Self::Running)
    }
}

/// One statement's run.
#[derive(Debug)]
pub struct Query {
    /// Its name everywhere.
    pub id: QueryId,
    /// Number of the session it came from.
    pub session: u64,
    /// User of that session.
    pub user: String,
    /// Text, cut if very long.
    pub sql: String,
    /// The trace of its client that it belongs to: 32 hexadecimal digits.
    pub trace: Option<Arc<str>>,
    /// When it came.
    pub started: SystemTime,
    /// Fires to stop it.
    pub cancel: CancellationToken,
    admission: Arc<Admission>,
    begin: Instant,
    progress: Mutex<Progress>,
    /// The attempt that runs now; none after the end.
    attempt: Mutex<Option<Arc<dyn AttemptView>>>,
    /// Rows have come, or it is over.
    ready: Notify,
}

/// What changes while a query runs.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Where it stands.
    pub state: QueryState,
    /// Message of the error that ended it.
    pub error: Option<String>,
    /// Rows handed over so far.
    pub rows: u64,
    /// Runs begun; more than one if a worker was lost.
    pub attempts: u32,
    /// Why the last of them was begun, if there are several.
    pub retry_reason: Option<String>,
    /// What the last attempt did.
    pub figures: Option<QueryFigures>,
    /// From its coming to its end.
    pub elapsed: Option<Duration>,
}

impl Query {
    pub(super) fn new(session: u64, user: &str, sql: &str, admission: &Arc<Admission>) -> Self {
        let progress = Progress {
            state: QueryState::Planning,
            error: None,
            rows: 0,
            attempts: 0,
            retry_reason: None,
            figures: None,
            elapsed: None,
        };
        Self {
            id: QueryId::draw(),
            session,
            user: user.to_owned(),
            sql: sql[..sql.floor_char_boundary(MAX_SQL)].to_owned(),
            trace: trace::current(),
            started: SystemTime::now(),
            cancel: CancellationToken::new(),
            admission: Arc::clone(admission),
            begin: Instant::now(),
            progress: Mutex::new(progress),
            attempt: Mutex::default(),
            ready: Notify::new(),
        }
    }

    /// How it stands now. `elapsed` counts on until the end.
    pub fn progress(&self) -> Progress {
        let mut progress = self.progress.lock().clone();
        progress.elapsed.get_or_insert_with(|| self.begin.elapsed());
        progress
    }

    /// Where it stands.
    pub fn state(&self) -> QueryState {
        self.progress.lock().state
    }

    /// The queue that it stands in before it runs.
    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// When it came, on the clock that does not jump.
    pub fn begin(&self) -> Instant {
        self.begin
    }

    /// It goes on to `state`, unless it is over.
    pub fn advance(&self, state: QueryState) {
        let mut progress = self.progress.lock();
        if !progress.state.is_over() {
            progress.state = state;
            if state.is_over() {
                self.end(&mut progress);
            }
        }
    }

    /// It ends with an error.
    pub fn fail(&self, error: &Error) {
        let state = if error.kind() == ErrorKind::Cancelled {
            QueryState::Cancelled
        } else {
            QueryState::Failed
        };
        let mut progress = self.progress.lock();
        if !progress.state.is_over() {
            progress.error = Some(error.to_string());
            progress.state = state;
            self.end(&mut progress);
        }
    }

    fn end(&self, progress: &mut Progress) {
        progress.elapsed = Some(self.begin.elapsed());
        // What it knows of its tasks is much; the query is remembered for long.
        self.attempt.lock().take();
        self.ready.notify_waiters();
    }

    /// One more run of it begins; `view` looks at it.
    pub fn begin_attempt(&self, view: Option<Arc<dyn AttemptView>>) {
        self.progress.lock().attempts += 1;
        *self.attempt.lock() = view;
    }

    /// The last run failed for `reason`, and another one will be begun.
    pub fn retry_after(&self, reason: String) {
        self.progress.lock().retry_reason = Some(reason);
    }

    /// The tasks of the attempt that runs now, as far as they were sent to workers; none before its begin and after its end.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let attempt = self.attempt.lock().clone();
        attempt.map_or_else(Vec::new, |attempt| attempt.tasks())
    }

    /// Rows were handed over.
    pub fn add_rows(&self, rows: usize) {
        self.progress.lock().rows += rows as u64;
        self.ready.notify_waiters();
    }

    /// How much of it is done, from 0 to 1: 1 only when it is over.
    pub fn share(&self) -> f64 {
        match self.state() {
            QueryState::Planning | QueryState::Planned | QueryState::Queued => 0.0,
            QueryState::Running => {
                let attempt = self.attempt.lock().clone();
                attempt.map_or(0.0, |attempt| attempt.share().min(0.99))
            }
            _ => 1.0,
        }
    }

    /// Whether there is something to fetch, or there will be nothing any more.
    pub fn is_ready(&self) -> bool {
        let progress = self.progress.lock();
        progress.rows > 0 || progress.state.is_over()
    }

    /// Waits until it is ready.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ready(&self) {
        loop {
            let changed = self.ready.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// What an attempt did.
    pub fn set_figures(&self, figures: QueryFigures) {
        self.progress.lock().figures = Some(figures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::TaskState;

    #[test]
    fn the_first_end_counts() {
        let query = Query::new(1, "ada", "select 1", &Arc::default());
        query.advance(QueryState::Running);
        query.fail(&Error::Cancelled);
        query.advance(QueryState::Finished);
        query.fail(&Error::invalid("later"));
        let progress = query.progress();
        assert_eq!(progress.state, QueryState::Cancelled);
        assert_eq!(progress.elapsed, query.progress().elapsed);
    }

    #[tokio::test]
    async fn a_query_is_ready_with_its_first_rows_or_its_end() {
        let query = Query::new(1, "ada", "select 1", &Arc::default());
        query.advance(QueryState::Running);
        assert!(!query.is_ready());
        assert_eq!(query.share(), 0.0);
        query.begin_attempt(Some(Arc::new(HalfWay)));
        assert_eq!((query.share(), query.tasks().len()), (0.5, 1));
        tokio::join!(query.ready(), async { query.add_rows(1) });
        let empty = Query::new(1, "ada", "select 1 where false", &Arc::default());
        tokio::join!(empty.ready(), async { empty.advance(QueryState::Finished) });
        assert_eq!(empty.share(), 1.0);
    }

    #[derive(Debug)]
    struct HalfWay;

    impl AttemptView for HalfWay {
        fn share(&self) -> f64 {
            0.5
        }

        fn tasks(&self) -> Vec<TaskStatus> {
            vec![TaskStatus {
                stage: 1,
                task: 0,
                worker: "10.0.0.7:8050".to_owned(),
                state: TaskState::Running,
            }]
        }
    }

    #[test]
    fn a_query_that_is_over_has_no_tasks() {
        let query = Query::new(1, "ada", "select 1", &Arc::default());
        query.advance(QueryState::Running);
        query.begin_attempt(Some(Arc::new(HalfWay)));
        assert_eq!(query.tasks()[0].worker, "10.0.0.7:8050");
        query.advance(QueryState::Finished);
        assert!(query.tasks().is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let query = Query::new(1, "ada", &"ü".repeat(MAX_SQL), &Arc::default());
        assert!(query.sql.len() <= MAX_SQL && query.sql.ends_with('ü'));
    }
}
