//! Joins with and without a sieve give the same rows.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

async fn context(partitions: usize, batch_size: usize) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_size);
    // Several partitions of each side are joined pair by pair.
    config.options_mut().optimizer.hash_join_single_partition_threshold = if partitions > 1 { 0 } else { 1 << 20 };
    config.options_mut().optimizer.hash_join_single_partition_threshold_rows = if partitions > 1 { 0 } else { 1 << 20 };
    let context = SessionContext::new_with_config(config);
    for table in [
        "few as select case when value % 7 > 0 then value * 13 end as id, value % 3 as n from generate_series(1, 300)",
        "many as select case when value % 11 > 0 then value % 5000 end as id, value as m from generate_series(1, 60000)",
        "far as select (value % 900) * 1000003 as id, value as f from generate_series(1, 20000)",
        "sparse as select value * 7000021 as id, value as s from generate_series(1, 800)",
        "nobody as select value as id from generate_series(1, 10) where value < 0",
    ] {
        let made = context.sql(&format!("create table {table}")).await.unwrap();
        made.collect().await.unwrap();
    }
    context
}

async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

async fn rows(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> Vec<String> {
    let batches = collect(plan, context.task_ctx()).await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Sieved joins in a plan, and rows that they kept from being looked up.
fn sieved(plan: &Arc<dyn ExecutionPlan>) -> (usize, usize) {
    let (mut joins, mut sieved) = (0, 0);
    plan.apply(|node| {
        joins += usize::from(node.is::<SievedJoinExec>());
        let rows = node.metrics().and_then(|metrics| metrics.sum_by_name("sieved_rows"));
        sieved += rows.map_or(0, |rows| rows.as_usize());
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    (joins, sieved)
}

const JOINS: &[&str] = &[
    "select few.n, many.m from few join many on few.id = many.id",
    "select few.n, many.m from few join many on few.id = many.id and few.n < many.m % 4",
    "select few.id, few.n, many.m from few left join many on few.id = many.id",
    "select many.m from many where many.id in (select id from few)",
    "select few.id, few.n from few where exists (select 1 from many where many.id = few.id and many.m > 30000)",
    "select few.id, few.n from few where not exists (select 1 from many where many.id = few.id)",
    "select few.id, few.n from few where few.n = 1 or exists (select 1 from many where many.id = few.id)",
    "select sparse.s, far.f from sparse join far on sparse.id = far.id",
    "select many.m from nobody join many on nobody.id = many.id",
    "select a.n, b.m from few a join many b on a.n + 5 = b.m and a.id = b.id",
];

/// Rows that match nothing are part of the first of these.
const OTHERS: &[&str] = &[
    "select few.n, many.m from few right join many on few.id = many.id",
    "select few.n, many.m from few full join many on few.id = many.id",
    "select many.m from many where not exists (select 1 from few where many.id = few.id)",
    "select count(*) from many where many.id not in (select id from few where id is not null)",
    // Nor can these be sieved: nulls match, or keys are strings.
    "select a.n from few a join few b on (a.id is not distinct from b.id) and a.n = 1 and b.n = 2",
    "select a.n from few a join few b on cast(a.id as varchar) = cast(b.id as varchar)",
];

#[tokio::test]
async fn the_same_rows_with_and_without() {
    for (partitions, batch_size) in [(1, 8192), (3, 8192), (3, 100)] {
        let context = context(partitions, batch_size).await;
        for sql in JOINS.iter().chain(OTHERS) {
            let expected = rows(&context, plan(&context, sql).await).await;
            let plan = sieve_joins(plan(&context, sql).await).unwrap();
            assert_eq!(rows(&context, Arc::clone(&plan)).await, expected, "{sql}");
            let (joins, sieved) = sieved(&plan);
            assert_eq!(joins > 0, JOINS.contains(sql), "{sql}");
            if sql.contains("few.id = many.id and") {
                assert!(sieved > 40_000, "{sql}: {sieved} rows were sieved");
            }
        }
    }
}

#[tokio::test]
async fn a_recursive_query_reads_its_build_sides_anew() {
    let context = context(1, 8192).await;
    // From each number to its double and one more.
    let sql = "with recursive edges as \
            (select a.value as src, a.value * 2 + b.value as dst from generate_series(1, 400) a, generate_series(0, 1) b), \
        reached as (select 1 as node, 0 as steps union all \
            select e.dst, r.steps + 1 from reached r join edges e on r.node = e.src) \
        select steps, count(*), sum(node) from reached group by steps";
    let expected = rows(&context, plan(&context, sql).await).await;
    assert!(expected.iter().any(|line| line.contains("| 8 ")), "{expected:?}");
    let sieved = sieve_joins(plan(&context, sql).await).unwrap();
    // One that found the build side of its first step again would never end.
    let found = tokio::time::timeout(Duration::from_secs(60), rows(&context, sieved)).await;
    assert_eq!(found.unwrap(), expected);
}

#[tokio::test]
async fn a_sieve_that_lets_most_pass_is_taken_away() {
    let context = context(1, 8192).await;
    let sql = "select count(*) from (select value as id from generate_series(1, 1000)) a \
        join (select value % 1100 as id from generate_series(1, 1000000)) b on a.id = b.id";
    let plan = sieve_joins(plan(&context, sql).await).unwrap();
    let counted = rows(&context, Arc::clone(&plan)).await;
    assert!(counted.iter().any(|line| line.contains("909")), "{counted:?}");
    let (joins, sieved) = sieved(&plan);
    assert_eq!(joins, 1);
    assert!(sieved < 10_000, "{sieved} of 90,000 that match nothing");
}

#[tokio::test]
async fn a_join_keeps_its_shape() {
    let context = context(1, 8192).await;
    let before = plan(&context, JOINS[0]).await;
    let after = sieve_joins(Arc::clone(&before)).unwrap();
    let text = |plan: &Arc<dyn ExecutionPlan>| {
        datafusion::physical_plan::displayable(plan.as_ref())
            .indent(true)
            .to_string()
    };
    assert_eq!(text(&before), text(&after));
}
