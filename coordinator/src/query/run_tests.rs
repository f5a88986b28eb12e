//! Runs over attempts that do as they are told.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::Int64Array;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use quarry_engine::error::lost_worker;
use quarry_engine::figures::QueryFigures;
use quarry_engine::id::QueryId;
use tokio::runtime::Handle;

use super::super::admission::AdmissionLimits;
use super::super::registry::QueryRegistry;
use super::*;
use crate::error::ErrorKind;
use crate::execution::QueryEngine;

type Script = BoxStream<'static, datafusion::error::Result<RecordBatch>>;

fn rows(count: usize) -> RecordBatch {
    let column = Int64Array::from_iter_values(0..count as i64);
    RecordBatch::try_new(schema(), vec![Arc::new(column)]).unwrap()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn lost() -> DataFusionError {
    lost_worker("10.0.0.7:8050", DataFusionError::Execution("connection reset".into()))
}

fn script(items: Vec<datafusion::error::Result<RecordBatch>>) -> Script {
    futures::stream::iter(items).boxed()
}

/// Counts attempts whose stream was dropped.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Scripted(Mutex<Option<Script>>);

#[async_trait]
impl Attempt for Scripted {
    fn schema(&self) -> SchemaRef {
        schema()
    }
    fn execute(&self) -> datafusion::error::Result<SendableRecordBatchStream> {
        let script = self.0.lock().take().unwrap();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), script)))
    }
    fn explain(&self) -> String {
        "plan".into()
    }
    async fn explain_analyze(&self) -> String {
        "plan with metrics".into()
    }
    async fn figures(&self) -> QueryFigures {
        QueryFigures {
            rows: 7,
            ..QueryFigures::default()
        }
    }
}

struct ScriptedEngine(Mutex<VecDeque<Script>>);

#[async_trait]
impl QueryEngine for ScriptedEngine {
    async fn plan(&self, _: &SessionState, _: QueryId, _: LogicalPlan) -> datafusion::error::Result<Box<dyn Attempt>> {
        let next = self.0.lock().pop_front();
        let next = next.ok_or_else(|| DataFusionError::Plan("no attempt left".into()))?;
        Ok(Box::new(Scripted(Mutex::new(Some(next)))))
    }
}

fn run(scripts: Vec<Script>, purpose: Purpose, limit: Duration) -> (Arc<Query>, Rows) {
    run_in(&QueryRegistry::default(), scripts, purpose, limit)
}

fn run_in(registry: &QueryRegistry, mut scripts: Vec<Script>, purpose: Purpose, limit: Duration) -> (Arc<Query>, Rows) {
    let first = scripts.remove(0);
    let query = registry.begin(1, "ada", "select 1").unwrap();
    let run = Run {
        engine: Arc::new(ScriptedEngine(Mutex::new(scripts.into()))),
        threads: PlanningThreads::new(2, Duration::from_secs(30), Handle::current()),
        state: Arc::new(SessionContext::new().state()),
        query: Arc::clone(&query),
        plans: vec![Arc::new(LogicalPlanBuilder::empty(true).build().unwrap())],
        first: Box::new(Scripted(Mutex::new(Some(first)))),
        purpose,
        deadline: (Instant::now() + limit, limit),
    };
    (query, run.start())
}

const LONG: Duration = Duration::from_secs(60);

async fn collect(mut rows: Rows) -> Result<usize> {
    let mut total = 0;
    while let Some(batch) = rows.recv().await {
        total += batch?.num_rows();
    }
    Ok(total)
}

#[tokio::test]
async fn rows_arrive_and_the_record_is_complete() {
    let (query, receiver) = run(vec![script(vec![Ok(rows(3)), Ok(rows(4))])], Purpose::Rows, LONG);
    assert_eq!(collect(receiver).await.unwrap(), 7);
    let progress = query.progress();
    assert_eq!(
        (progress.state, progress.rows, progress.attempts),
        (QueryState::Finished, 7, 1)
    );
    assert_eq!(progress.figures.unwrap().rows, 7);
}

#[tokio::test]
async fn a_worker_lost_before_any_row_has_left_goes_unseen() {
    let attempts = vec![
        script(vec![Ok(rows(3)), Err(lost())]),
        script(vec![Err(lost())]),
        script(vec![Ok(rows(5))]),
    ];
    let (query, receiver) = run(attempts, Purpose::Rows, LONG);
    assert_eq!(collect(receiver).await.unwrap(), 5);
    let progress = query.progress();
    assert_eq!(progress.attempts, 3);
    assert!(progress.retry_reason.unwrap().contains("10.0.0.7:8050"));
}

#[tokio::test]
async fn workers_lost_again_and_again_are_an_error_that_names_the_last() {
    let attempts = (0..5).map(|_| script(vec![Err(lost())])).collect();
    let (query, receiver) = run(attempts, Purpose::Rows, LONG);
    let error = collect(receiver).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("10.0.0.7:8050"), "{error}");
    assert_eq!(query.progress().attempts, MAX_RETRIES + 1);
}

#[tokio::test]
async fn a_worker_lost_after_rows_have_left_is_an_error_that_names_it() {
    let wide: Vec<_> = (0..3)
        .map(|_| Ok(rows(WINDOW_BYTES / 8)))
        .chain([Err(lost())])
        .collect();
    let (query, receiver) = run(vec![script(wide), script(vec![Ok(rows(1))])], Purpose::Rows, LONG);
    let error = collect(receiver).await.unwrap_err();
    assert!(
        error.to_string().contains("10.0.0.7:8050") && error.to_string().contains("handed over"),
        "{error}"
    );
    assert_eq!(query.progress().attempts, 1);
    assert_eq!(query.state(), QueryState::Failed);
}

#[tokio::test]
async fn the_users_mistakes_are_not_retried() {
    let mistake = DataFusionError::Execution("division by zero".into());
    let (query, receiver) = run(
        vec![script(vec![Err(mistake)]), script(vec![Ok(rows(1))])],
        Purpose::Rows,
        LONG,
    );
    assert_eq!(collect(receiver).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(query.progress().attempts, 1);
}

#[tokio::test]
async fn a_query_waits_for_its_place_and_can_be_stopped_there() {
    let registry = QueryRegistry::new(AdmissionLimits {
        running: 1,
        ..AdmissionLimits::default()
    });
    let endless = || vec![futures::stream::pending().boxed()];
    let (first, first_rows) = run_in(&registry, endless(), Purpose::Rows, LONG);
    wait_for(&first, QueryState::Running).await;
    let (second, second_rows) = run_in(&registry, vec![script(vec![Ok(rows(3))])], Purpose::Rows, LONG);
    let (third, third_rows) = run_in(&registry, endless(), Purpose::Rows, LONG);
    wait_for(&second, QueryState::Queued).await;
    wait_for(&third, QueryState::Queued).await;
    assert_eq!(third.state().name(), "queued");
    third.cancel.cancel();
    assert_eq!(collect(third_rows).await.unwrap_err().kind(), ErrorKind::Cancelled);
    drop(first_rows);
    assert_eq!(collect(second_rows).await.unwrap(), 3);
}

#[tokio::test]
async fn a_query_whose_client_does_not_fetch_keeps_nobody_waiting() {
    let registry = QueryRegistry::new(AdmissionLimits {
        at_once: Some(1),
        patience: LONG,
        ..AdmissionLimits::default()
    });
    let many = || vec![script((0..CHANNEL_BATCHES + 2).map(|_| Ok(rows(1))).collect())];
    let (first, first_rows) = run_in(&registry, many(), Purpose::Rows, LONG);
    wait_for(&first, QueryState::Running).await;
    let (_second, second_rows) = run_in(&registry, many(), Purpose::Rows, LONG);
    let second = tokio::time::timeout(LONG / 2, collect(second_rows)).await;
    assert_eq!(second.unwrap().unwrap(), CHANNEL_BATCHES + 2);
    assert_eq!(first.state(), QueryState::Running);
    assert_eq!(collect(first_rows).await.unwrap(), CHANNEL_BATCHES + 2);
}

async fn wait_for(query: &Query, state: QueryState) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while query.state() != state {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
}

fn exhausted(consumer: &str) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!("Failed to allocate additional 8.0 MB for {consumer}"))
}

#[tokio::test]
async fn a_hash_join_that_does_not_fit_is_sorted_once() {
    let attempts = vec![
        script(vec![Err(exhausted("HashJoinInput[0]"))]),
        script(vec![Ok(rows(5))]),
    ];
    let (query, receiver) = run(attempts, Purpose::Rows, LONG);
    assert_eq!(collect(receiver).await.unwrap(), 5);
    assert_eq!(query.progress().attempts, 2);
    let reason = query.progress().retry_reason.unwrap();
    assert!(
        reason.starts_with(SORTED_INSTEAD) && reason.contains("HashJoinInput[0]"),
        "{reason}"
    );

    let attempts = (0..3)
        .map(|_| script(vec![Err(exhausted("HashJoinInput[0]"))]))
        .collect();
    let (query, receiver) = run(attempts, Purpose::Rows, LONG);
    let error = collect(receiver).await.unwrap_err();
    assert_eq!((error.kind(), query.progress().attempts), (ErrorKind::Exhausted, 2));
    assert!(error.to_string().contains("query_memory_limit"), "{error}");
}

#[tokio::test]
async fn limits_of_memory_name_their_knob() {
    let spilled = DataFusionError::ResourcesExhausted(
        "The used disk space during the spilling process has exceeded the allowable limit of 1 GB".to_owned(),
    );
    for (cause, knob) in [
        (exhausted("GroupedHashAggregateStream"), "memory_limit"),
        (spilled, "spill_limit"),
    ] {
        let (_query, receiver) = run(vec![script(vec![Err(cause)])], Purpose::Rows, LONG);
        let error = collect(receiver).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Exhausted && error.to_string().contains(knob),
            "{error}"
        );
    }
}

#[tokio::test]
async fn slow_rows_are_not_held_back_for_ever() {
    let slow = script(vec![Ok(rows(1))]).chain(futures::stream::pending()).boxed();
    let (_query, mut receiver) = run(vec![slow], Purpose::Rows, LONG);
    let first = tokio::time::timeout(Duration::from_secs(30), receiver.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.unwrap().num_rows(), 1);
}

#[tokio::test]
async fn a_query_that_takes_too_long_says_which_knob_moves_the_limit() {
    let (query, receiver) = run(
        vec![futures::stream::pending().boxed()],
        Purpose::Rows,
        Duration::from_millis(50),
    );
    let error = collect(receiver).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::TimedOut && error.to_string().contains(STATEMENT_TIMEOUT),
        "{error}"
    );
    assert_eq!(query.state(), QueryState::Failed);
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_query() {
    struct CountDrop;
    impl Drop for CountDrop {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }
    let witness = CountDrop;
    let endless = futures::stream::repeat_with(move || {
        let _witness = &witness;
        Ok(rows(100_000))
    });
    let (query, mut receiver) = run(vec![endless.boxed()], Purpose::Rows, LONG);
    receiver.recv().await.unwrap().unwrap();
    drop(receiver);
    tokio::time::timeout(Duration::from_secs(30), async {
        while DROPPED.load(Ordering::SeqCst) == 0 || !query.state().is_over() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(query.state(), QueryState::Cancelled);
}

#[tokio::test]
async fn cancelling_stops_a_query_that_gives_no_rows() {
    let (query, receiver) = run(vec![futures::stream::pending().boxed()], Purpose::Rows, LONG);
    query.cancel.cancel();
    assert_eq!(collect(receiver).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(query.state(), QueryState::Cancelled);
}

#[tokio::test]
async fn analyze_counts_rows_and_shows_the_plan() {
    let (_query, mut receiver) = run(vec![script(vec![Ok(rows(3))])], Purpose::Analyze, LONG);
    let batch = receiver.recv().await.unwrap().unwrap();
    assert_eq!(batch.schema(), explain_schema());
    let text = datafusion::arrow::util::pretty::pretty_format_batches(&[batch])
        .unwrap()
        .to_string();
    assert!(text.contains("plan with metrics"), "{text}");
    assert!(receiver.recv().await.is_none());
}
