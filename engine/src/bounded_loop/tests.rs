//! Joins with and without bounds, and how much they do at a time.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::cast::as_int64_array;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{collect, displayable, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use super::right::PAIRS_PER_TURN;
use super::*;

async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

async fn text(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> String {
    sorted_lines(&collect(plan, context.task_ctx()).await.unwrap())
}

fn sorted_lines(batches: &[RecordBatch]) -> String {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[tokio::test]
async fn a_recursive_query_reads_its_left_sides_anew() {
    let context = SessionContext::new();
    let sql = "with recursive steps as (select 1 as n union all \
            select max(n) * 2 from (select s.n from steps s join generate_series(1, 3) g(x) on s.n * 7 > g.x) t having max(n) < 200) \
        select count(*), max(n) from steps";
    let expected = text(&context, planned(&context, sql).await).await;
    assert!(expected.contains("256"), "{expected}");
    let bounded = bound_loops(planned(&context, sql).await).unwrap();
    let found = tokio::time::timeout(Duration::from_secs(60), text(&context, bounded)).await;
    assert_eq!(found.unwrap(), expected);
}

#[tokio::test]
async fn the_same_rows_and_shape_with_every_kind_of_join() {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3).with_batch_size(64));
    let tables = "generate_series(1, 300) a(x) KIND generate_series(100, 500) b(y) on a.x * 7 % 50 > b.y % 60 + 40";
    let mut kinds: Vec<String> = ["join", "left join", "right join", "full join"]
        .map(|kind| format!("select * from {}", tables.replace("KIND", kind)))
        .into();
    for (kind, left) in [("exists", "a(x)"), ("not exists", "a(x)")] {
        kinds.push(format!(
            "select x from generate_series(1, 300) {left} where {kind} \
             (select 1 from generate_series(100, 500) b(y) where x * 7 % 50 > y % 60 + 40)"
        ));
    }
    for sql in kinds {
        let (plain, other) = (planned(&context, &sql).await, planned(&context, &sql).await);
        let bounded = bound_loops(other).unwrap();
        let drawn = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
        assert!(drawn(&plain).contains("NestedLoopJoinExec"), "{}", drawn(&plain));
        assert_eq!(drawn(&bounded), drawn(&plain), "{sql}");
        assert_eq!(text(&context, bounded).await, text(&context, plain).await, "{sql}");
    }
}

/// Rows that are given once, as an exchange gives them.
#[derive(Debug)]
struct Once {
    schema: SchemaRef,
    given: AtomicBool,
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        assert!(!self.given.swap(true, Ordering::Relaxed), "executed a second time");
        let schema = Arc::clone(&self.schema);
        let batches = (0..12).map(move |part| {
            let numbers = Int64Array::from_iter_values(part * 250..(part + 1) * 250);
            let texts = StringArray::from_iter_values((0..250).map(|n| format!("{n:0100}")));
            Ok(RecordBatch::try_new(
                Arc::clone(&schema),
                vec![Arc::new(numbers), Arc::new(texts)],
            )?)
        });
        let rows = futures::stream::iter(batches.collect::<Vec<_>>());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// What a join of a kind gives with so much memory.
async fn joined(kind: &str, partitions: usize, memory: usize) -> Result<String> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)));
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(256);
    let context = SessionContext::new_with_config_rt(config, runtime.build_arc()?);
    let fields = vec![
        Field::new("x", DataType::Int64, false),
        Field::new("t", DataType::Utf8, false),
    ];
    let schema = Arc::new(Schema::new(fields));
    let once = Arc::new(Once {
        schema: Arc::clone(&schema),
        given: AtomicBool::new(false),
    });
    context.register_table("a", Arc::new(StreamingTable::try_new(schema, vec![once])?))?;
    // No operator but the join needs memory.
    let sql = format!(
        "select a.x, length(a.t), b.y from a {kind} join generate_series(0, 2999) b(y) \
         on a.x > b.y + 2900 and a.x % 3 <> b.y % 4"
    );
    let plan = bound_loops(planned(&context, &sql).await)?;
    let loops = displayable(plan.as_ref()).indent(true).to_string();
    let kept = format!("join_type={}{}", kind[..1].to_uppercase(), &kind[1..]);
    assert!(loops.contains("NestedLoopJoinExec") && loops.contains(&kept), "{loops}");
    let batches = collect(plan, context.task_ctx()).await?;
    Ok(sorted_lines(&batches))
}

/// Less than the left side needs, which is 300 KB.
const LITTLE: usize = 100 << 10;

#[tokio::test]
async fn a_left_side_that_does_not_fit_is_spilled_though_it_comes_once() {
    let kind = "inner";
    for partitions in [1, 3] {
        let expected = joined(kind, partitions, 1 << 30).await.unwrap();
        let found = joined(kind, partitions, LITTLE).await.unwrap();
        assert!(
            found == expected,
            "{kind} join of {partitions} partitions has other rows"
        );
    }
}

#[tokio::test]
async fn where_spilling_would_give_wrong_rows_the_join_is_refused() {
    for (kind, partitions) in [
        ("left", 1),
        ("left", 3),
        ("right", 1),
        ("right", 3),
        ("full", 1),
        ("full", 3),
    ] {
        let error = joined(kind, partitions, LITTLE).await.unwrap_err();
        let root = error.find_root();
        assert!(
            matches!(root, DataFusionError::ResourcesExhausted(_)),
            "{kind}: {error}"
        );
    }
}

/// `x < 0`, which counts what it sees.
fn counting(pairs: &Arc<AtomicUsize>) -> ScalarUDF {
    let pairs = Arc::clone(pairs);
    let body = move |arguments: &[ColumnarValue]| {
        let values = ColumnarValue::values_to_arrays(arguments)?;
        let numbers = as_int64_array(&values[0])?;
        pairs.fetch_add(numbers.len(), Ordering::Relaxed);
        let never: Int64Array = numbers
            .iter()
            .map(|number| number.map(|number| number.min(0)))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(never)))
    };
    create_udf(
        "counted",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(body),
    )
}

#[tokio::test]
async fn the_thread_is_given_up_after_so_many_pairs() {
    const LEFT: usize = 20_000;
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let pairs = Arc::new(AtomicUsize::new(0));
    context.register_udf(counting(&pairs));
    // No pair matches: nothing but the bound makes the join stop.
    let sql = format!(
        "select count(*) from generate_series(1, {LEFT}) a(x) join generate_series(1, 3000) b(y) on counted(x + y) < 0"
    );
    let plan = bound_loops(planned(&context, &sql).await).unwrap();
    let mut rows = execute_stream(plan, context.task_ctx()).unwrap();
    let (mut most, mut before) = (0, 0);
    let mut turns = 0;
    let counted = std::future::poll_fn(|cx| {
        let poll = rows.poll_next_unpin(cx);
        let now = pairs.load(Ordering::Relaxed);
        most = most.max(now - before);
        (before, turns) = (now, turns + 1);
        poll
    });
    counted.await.unwrap().unwrap();
    assert_eq!(pairs.load(Ordering::Relaxed), LEFT * 3000);
    assert!(most <= 2 * PAIRS_PER_TURN, "{most} pairs in one turn");
    assert!(turns >= LEFT * 3000 / (2 * PAIRS_PER_TURN), "{turns} turns");
}
