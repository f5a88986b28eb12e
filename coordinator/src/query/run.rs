//! Runs a planned query: attempts, held-back rows, one way to end.
//!
//! 0. It waits for its place among the running queries ([`admission`](super::admission)), unless it reads no table.
//! 1. The first rows of an attempt are held back, up to `WINDOW_BYTES` or `WINDOW_TIME` after the first.
//! 2. A worker lost meanwhile costs nothing the client could notice: the query is planned again without it, at most `MAX_RETRIES` times.
//!    A hash join that exhausts the memory before that is done once more by sorting, which can spill.
//! 3. Once rows have left, a lost worker is the query's error, which names it.
//! 4. A client that goes away, a cancellation, the time limit: each drops the attempt's stream, and with it everything that works for it.
//!
//! Rows go through a channel of `CHANNEL_BATCHES`: a slow client holds up the query, not the server's memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::{StreamExt, TryStreamExt};
use quarry_engine::error::{ErrorClass, SPILL_QUOTA, classify};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};

use super::admission::Place;
use super::record::{Query, QueryState};
use crate::error::{Error, Result};
use crate::execution::{Attempt, SharedEngine};
use crate::planning_thread::PlanningThreads;
use crate::settings::STATEMENT_TIMEOUT;

/// Bytes of rows held back at most.
const WINDOW_BYTES: usize = 8 << 20;
/// How long rows are held back at most.
const WINDOW_TIME: Duration = Duration::from_secs(1);
/// Further attempts after the first.
const MAX_RETRIES: u32 = 2;
/// Batches between the query and its client.
const CHANNEL_BATCHES: usize = 2;
/// A client that takes no rows for so long is slow: its query stands aside.
const SLOW_CLIENT: Duration = Duration::from_millis(250);
/// How long a query that is finished, or about to be run again, waits for the figures of its tasks.
const FIGURES_WAIT: Duration = Duration::from_secs(2);

/// Rows on their way to the client. Dropping it stops the query.
pub type Rows = mpsc::Receiver<Result<RecordBatch>>;

/// What happens with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// They are the result.
    Rows,
    /// `EXPLAIN ANALYZE`: they are counted and dropped, the plan with its figures is the result.
    Analyze,
}

/// A planned query, not yet running.
pub struct Run {
    /// Plans attempts.
    pub engine: SharedEngine,
    /// Where planning happens.
    pub(crate) threads: PlanningThreads,
    /// Session to plan in.
    pub state: Arc<SessionState>,
    /// Its record.
    pub query: Arc<Query>,
    /// What to run, one after the other: more than one if a statement was bound to several rows of parameters. Shared, because
    /// copying a plan recurses over its expressions, for which only planning threads have the stack.
    pub plans: Vec<Arc<LogicalPlan>>,
    /// The first plan's first attempt, planned already.
    pub first: Box<dyn Attempt>,
    /// What happens with the rows.
    pub purpose: Purpose,
    /// When it must be over, and how long that is from its start.
    pub deadline: (Instant, Duration),
}

impl Run {
    /// Starts it on the current runtime.
    #[must_use]
    pub fn start(self) -> Rows {
        let (rows, receiver) = mpsc::channel(CHANNEL_BATCHES);
        tokio::spawn(self.drive(rows));
        receiver
    }

    /// Runs it to its end and hands over all its rows together. Nobody has seen a row before: a worker lost on the way costs
    /// another attempt, whenever that is. The query is not over when this returns.
    ///
    /// # Errors
    /// Those of the query; [`Error::Cancelled`], [`Error::TimedOut`].
    pub(crate) async fn collect(self) -> Result<Vec<RecordBatch>> {
        let query = Arc::clone(&self.query);
        let (end, limit) = self.deadline;
        tokio::select! {
            biased;
            () = query.cancel.cancelled() => Err(Error::Cancelled),
            result = timeout_at(end.into(), self.collect_all()) => {
                result.unwrap_or(Err(Error::TimedOut { what: "the statement", limit, knob: STATEMENT_TIMEOUT }))
            }
        }
    }

    async fn collect_all(self) -> Result<Vec<RecordBatch>> {
        let query = Arc::clone(&self.query);
        let _place = match self.first.reads_tables() {
            true => Some(query.admission().enter(&query).await?),
            false => None,
        };
        query.advance(QueryState::Running);
        let mut planner = Planner {
            engine: self.engine,
            threads: self.threads,
            state: self.state,
            query: self.query,
        };
        let mut first = Some(self.first);
        let mut rows = Vec::new();
        for plan in self.plans {
            let attempt = match first.take() {
                Some(attempt) => attempt,
                None => planner.plan(&plan).await?,
            };
            rows.extend(collect_one(&mut planner, &plan, attempt).await?);
        }
        Ok(rows)
    }

    async fn drive(self, rows: mpsc::Sender<Result<RecordBatch>>) {
        let query = Arc::clone(&self.query);
        let limit = self.deadline.1;
        let result = tokio::select! {
            biased;
            () = rows.closed() => Err(Error::Cancelled),
            () = query.cancel.cancelled() => Err(Error::Cancelled),
            result = timeout_at(self.deadline.0.into(), self.run_all(&rows)) => {
                result.unwrap_or(Err(Error::TimedOut { what: "the statement", limit, knob: STATEMENT_TIMEOUT }))
            }
        };
        match result {
            Ok(()) => query.advance(QueryState::Finished),
            Err(error) => {
                query.fail(&error);
                // The client may be gone.
                let _ = rows.send(Err(error)).await;
            }
        }
    }

    async fn run_all(self, rows: &mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
        let Self {
            engine,
            threads,
            state,
            query,
            plans,
            first,
            purpose,
            ..
        } = self;
        let place = match first.reads_tables() {
            true => Some(query.admission().enter(&query).await?),
            false => None,
        };
        query.advance(QueryState::Running);
        let mut planner = Planner {
            engine,
            threads,
            state,
            query,
        };
        let mut sink = Sink {
            rows,
            place: place.as_ref(),
            query: Arc::clone(&planner.query),
            purpose,
            released: false,
        };
        let mut first = Some(first);
        for plan in plans {
            let attempt = match first.take() {
                Some(attempt) => attempt,
                None => planner.plan(&plan).await?,
            };
            run_one(&mut planner, &plan, attempt, &mut sink).await?;
        }
        Ok(())
    }
}

/// Plans attempts of one query.
struct Planner {
    engine: SharedEngine,
    threads: PlanningThreads,
    state: Arc<SessionState>,
    query: Arc<Query>,
}

impl Planner {
    async fn plan(&self, plan: &Arc<LogicalPlan>) -> Result<Box<dyn Attempt>> {
        let (engine, state, id) = (Arc::clone(&self.engine), Arc::clone(&self.state), self.query.id);
        let plan = Arc::clone(plan);
        self.threads
            .run(move || async move { Ok(engine.plan(&state, id, plan.as_ref().clone()).await?) })
            .await
    }
}

/// Part of the name by which a hash join's build side reserves memory.
const HASH_BUILD: &str = "HashJoinInput";
/// Begins the reason of a retry without hash joins.
const SORTED_INSTEAD: &str = "a join's hash table did not fit in memory, so joins are sorted instead";

impl Planner {
    /// Joins by sorting from now on, if `error` says that a hash join's build side does not fit and it is hash joins that were tried.
    fn sort_instead(&mut self, error: &Error) -> bool {
        let Error::Query(cause) = error else { return false };
        let exhausted = classify(cause).class == ErrorClass::Memory && cause.to_string().contains(HASH_BUILD);
        if !exhausted || !self.state.config_options().optimizer.prefer_hash_join {
            return false;
        }
        let mut state = self.state.as_ref().clone();
        state.config_mut().options_mut().optimizer.prefer_hash_join = false;
        self.state = Arc::new(state);
        true
    }
}

/// Waits until the tasks of an attempt that failed are over, or for a bounded time: until then they hold memory that the next one needs.
async fn give_back_memory(failed: &dyn Attempt) {
    let _ = timeout(FIGURES_WAIT, failed.figures()).await;
}

/// Where rows go.
struct Sink<'a> {
    rows: &'a mpsc::Sender<Result<RecordBatch>>,
    place: Option<&'a Place>,
    query: Arc<Query>,
    purpose: Purpose,
    /// Whether any row has left: then nothing can be run again.
    released: bool,
}

impl Sink<'_> {
    async fn release(&mut self, batch: RecordBatch) -> Result<()> {
        self.released = true;
        self.query.add_rows(batch.num_rows());
        let mut send = std::pin::pin!(self.rows.send(Ok(batch)));
        let sent = match timeout(SLOW_CLIENT, &mut send).await {
            Ok(sent) => sent,
            Err(_) => {
                let _aside = self.place.map(Place::stand_aside);
                send.await
            }
        };
        sent.map_err(|_| Error::Cancelled)
    }
}

/// Runs one plan to its end, again if a worker is lost while that cannot be noticed.
async fn run_one(
    planner: &mut Planner,
    plan: &Arc<LogicalPlan>,
    first: Box<dyn Attempt>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut attempt = first;
    let mut retries = 0;
    loop {
        planner.query.begin_attempt(attempt.view());
        let Err(error) = run_attempt(attempt.as_ref(), sink).await else {
            return finish(attempt.as_ref(), sink).await;
        };
        if !sink.released && planner.sort_instead(&error) {
            tracing::info!(query = %planner.query.id, %error, "planning again with sort-merge joins");
            planner.query.retry_after(format!("{SORTED_INSTEAD}: {error}"));
            give_back_memory(attempt.as_ref()).await;
            attempt = planner.plan(plan).await?;
            continue;
        }
        if sink.released || retries >= MAX_RETRIES || !worth_retrying(&error, retries) {
            return Err(explain_limit(explain_loss(error, sink.released)));
        }
        retries += 1;
        tracing::info!(query = %planner.query.id, %error, retries, "planning again, no row has left yet");
        planner.query.retry_after(error.to_string());
        attempt = planner.plan(plan).await?;
    }
}

/// All rows of one plan, from one attempt.
async fn collect_one(
    planner: &mut Planner,
    plan: &Arc<LogicalPlan>,
    first: Box<dyn Attempt>,
) -> Result<Vec<RecordBatch>> {
    let mut attempt = first;
    let mut retries = 0;
    loop {
        planner.query.begin_attempt(attempt.view());
        let rows = async { Ok(attempt.execute()?.try_collect().await?) };
        let error: Error = match rows.await {
            Ok(rows) => {
                if let Ok(figures) = timeout(FIGURES_WAIT, attempt.figures()).await {
                    planner.query.set_figures(figures);
                }
                return Ok(rows);
            }
            Err(error) => error,
        };
        if planner.sort_instead(&error) {
            tracing::info!(query = %planner.query.id, %error, "planning again with sort-merge joins");
            planner.query.retry_after(format!("{SORTED_INSTEAD}: {error}"));
            give_back_memory(attempt.as_ref()).await;
            attempt = planner.plan(plan).await?;
            continue;
        }
        if retries >= MAX_RETRIES || !worth_retrying(&error, retries) {
            return Err(explain_limit(explain_loss(error, false)));
        }
        retries += 1;
        tracing::info!(query = %planner.query.id, %error, retries, "planning again, nothing was committed yet");
        planner.query.retry_after(error.to_string());
        attempt = planner.plan(plan).await?;
    }
}

/// A lost worker is left out of the next plan; storage that failed may have healed after its locations are looked up again, once.
fn worth_retrying(error: &Error, retries: u32) -> bool {
    let Error::Query(error) = error else { return false };
    match classify(error).class {
        ErrorClass::Node => true,
        ErrorClass::Storage => retries == 0,
        ErrorClass::User | ErrorClass::Memory | ErrorClass::Bug | ErrorClass::Cancelled => false,
    }
}

/// Says what a lost worker means for the client.
fn explain_loss(error: Error, released: bool) -> Error {
    let Error::Query(cause) = &error else { return error };
    let Some(node) = classify(cause).node else { return error };
    let reason = if released {
        "rows had already been handed over; run the statement again".to_owned()
    } else {
        format!(
            "it failed {} times in a row; run the statement again later",
            MAX_RETRIES + 1
        )
    };
    Error::Unavailable(format!(
        "worker {node} was lost while the query ran, and {reason} ({cause})"
    ))
}

/// Says which knob moves a limit of memory that a query met: the option that DataFusion names is not ours.
fn explain_limit(error: Error) -> Error {
    let Error::Query(cause) = &error else { return error };
    if classify(cause).class != ErrorClass::Memory {
        return error;
    }
    let text = cause.strip_backtrace();
    let remedy = if text.contains(SPILL_QUOTA) {
        "`spill_limit` of the worker or coordinator moves the limit of spilled data"
    } else {
        "`memory_limit` and `query_memory_limit` of the worker or coordinator move the limits"
    };
    Error::Exhausted(format!(
        "the query needs more memory than it may have: {text}; {remedy}"
    ))
}

async fn run_attempt(attempt: &dyn Attempt, sink: &mut Sink<'_>) -> Result<()> {
    let mut stream = attempt.execute()?;
    if sink.purpose == Purpose::Analyze {
        while let Some(batch) = stream.next().await {
            batch?;
        }
        return Ok(());
    }
    let held = if sink.released {
        Vec::new()
    } else {
        hold_back(&mut stream).await?
    };
    for batch in held {
        sink.release(batch).await?;
    }
    while let Some(batch) = stream.next().await {
        sink.release(batch?).await?;
    }
    Ok(())
}

/// Collects the first rows: all of a small result, else as many as the window holds.
async fn hold_back(stream: &mut SendableRecordBatchStream) -> Result<Vec<RecordBatch>> {
    let mut held = Vec::new();
    let mut bytes = 0;
    let mut end = None;
    while bytes < WINDOW_BYTES {
        let next = match end {
            None => stream.next().await,
            Some(end) => match timeout_at(end, stream.next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        let Some(batch) = next.transpose()? else { break };
        if batch.num_rows() > 0 {
            end = end.or_else(|| Some(tokio::time::Instant::now() + WINDOW_TIME));
            bytes += batch.get_array_memory_size();
            held.push(batch);
        }
    }
    Ok(held)
}

/// After the last row: figures for the record, and the analyzed plan if that was asked for.
async fn finish(attempt: &dyn Attempt, sink: &mut Sink<'_>) -> Result<()> {
    if let Ok(figures) = timeout(FIGURES_WAIT, attempt.figures()).await {
        sink.query.set_figures(figures);
    }
    if sink.purpose == Purpose::Analyze {
        let plan = attempt.explain_analyze().await;
        sink.release(explain_rows(&[("Plan with Metrics", &plan)])?).await?;
    }
    Ok(())
}

/// Columns of `EXPLAIN`, as DataFusion has them.
#[must_use]
pub fn explain_schema() -> SchemaRef {
    let column = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![column("plan_type"), column("plan")]))
}

/// Rows of `EXPLAIN`.
///
/// # Errors
/// None that is expected.
pub fn explain_rows(rows: &[(&str, &str)]) -> Result<RecordBatch> {
    let kinds = StringArray::from_iter_values(rows.iter().map(|(kind, _)| kind));
    let plans = StringArray::from_iter_values(rows.iter().map(|(_, plan)| plan));
    RecordBatch::try_new(explain_schema(), vec![Arc::new(kinds), Arc::new(plans)])
        .map_err(|error| Error::Internal(format!("rows of EXPLAIN: {error}")))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
