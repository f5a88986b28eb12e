//! Where stages run, and what the figures say about it.

use bytesize::ByteSize;
use quarry_engine::figures::QueryFigures;
use quarry_engine::id::QueryId;

use crate::cluster::{Cluster, Options, finish};

const Q1: &str = "select l_flag, count(*), sum(l_price) from lines group by l_flag order by l_flag";

async fn figures(cluster: &Cluster, sql: &str) -> QueryFigures {
    let attempt = cluster.plan(sql).await;
    finish(attempt.as_ref()).await.unwrap();
    attempt.figures().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_runs_on_all_workers_and_reads_what_lies_there() {
    for replication in [1, 3] {
        let cluster = Cluster::start(Options {
            replication,
            ..Options::default()
        })
        .await;
        let figures = figures(&cluster, Q1).await;
        assert!(figures.complete);
        assert_eq!(figures.rows, 3);
        let [scan] = figures.scans.as_slice() else {
            panic!("one scan: {figures:?}")
        };
        assert_eq!(scan.table, "/w/lines");
        assert_eq!(scan.rows, 40_000);
        let mut workers: Vec<&str> = scan.tasks.iter().map(|task| task.worker.as_str()).collect();
        workers.sort_unstable();
        workers.dedup();
        assert_eq!(workers.len(), 3);
        assert!(
            scan.tasks.iter().all(|task| task.rows > 0 && task.splits > 0),
            "{scan:?}"
        );
        // Row groups that cross a block's border, and footers, may come from elsewhere.
        let share = scan.local_share().unwrap();
        let least = if replication == 3 { 1.0 } else { 0.6 };
        assert!(share >= least, "replication {replication}: local share {share}");
        assert_eq!(
            scan.planned_local_bytes, scan.planned_bytes,
            "all splits were placed with a holder"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_stages_and_workers_before_anything_runs() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan(Q1).await;
    let text = attempt.explain();
    assert!(
        text.contains("Stage 1") && text.contains("DistributedLeafExec"),
        "{text}"
    );
    for worker in cluster.live() {
        assert!(text.contains(&worker.address), "{} in {text}", worker.address);
    }
    // Explaining did not use the attempt up.
    assert_eq!(
        finish(attempt.as_ref())
            .await
            .unwrap()
            .iter()
            .map(|batch| batch.num_rows())
            .sum::<usize>(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_shows_metrics_tasks_and_local_share() {
    let cluster = Cluster::start(Options {
        replication: 3,
        ..Options::default()
    })
    .await;
    let attempt = cluster.plan(Q1).await;
    finish(attempt.as_ref()).await.unwrap();
    let text = attempt.explain_analyze().await;
    for part in [
        "output_rows",
        "local_bytes",
        "scan /w/lines: 3 tasks",
        "local share 100.0 %",
        "40000 rows",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for worker in cluster.live() {
        assert!(text.contains(&worker.address), "{} in {text}", worker.address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_of_a_limit_does_not_wait_for_tasks_that_nobody_needs() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan("select * from lines limit 3").await;
    finish(attempt.as_ref()).await.unwrap();
    let started = std::time::Instant::now();
    let text = attempt.explain_analyze().await;
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert!(text.contains("scan /w/lines"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_scans_count_their_bytes_too() {
    let cluster = Cluster::start(Options {
        replication: 3,
        ..Options::default()
    })
    .await;
    let figures = figures(&cluster, "select count(*), max(l_comment) from lines_csv").await;
    assert_eq!(figures.scans[0].rows, 40_000);
    assert!(figures.scans[0].local_bytes > 1_000_000, "{:?}", figures.scans);
    assert_eq!(figures.scans[0].remote_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_nothing_runs_on_the_coordinator() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan("select 1").await;
    assert!(
        attempt.explain().contains("runs on the coordinator"),
        "{}",
        attempt.explain()
    );
    finish(attempt.as_ref()).await.unwrap();
    let figures = attempt.figures().await;
    assert!(figures.stages.is_empty() && figures.rows == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_drains_gets_no_more_tasks() {
    let cluster = Cluster::start(Options {
        replication: 3,
        ..Options::default()
    })
    .await;
    cluster.worker(1).drain();
    let drained = cluster.worker(1).addr().to_string();
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    while cluster.live().len() > 2 {
        assert!(std::time::Instant::now() < deadline, "the coordinator learns of it");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let figures = figures(&cluster, Q1).await;
    assert!(
        figures.stages.iter().all(|stage| !stage.workers.contains(&drained)),
        "{:?}",
        figures.stages
    );
}

/// Rows that entered hash joins, on either side, in an analyzed plan.
fn rows_into_joins(text: &str) -> f64 {
    sum_of_joins(text, "input_rows=")
}

/// The sum of a metric of hash joins.
fn sum_of_joins(text: &str, metric: &str) -> f64 {
    let joins = text.lines().filter(|line| line.contains("HashJoinExec"));
    let counts = joins.flat_map(|line| {
        line.match_indices(metric)
            .map(|(at, metric)| &line[at + metric.len()..])
    });
    counts.map(count).sum()
}

/// A count as metrics show it: `97`, `40.00 K`.
fn count(text: &str) -> f64 {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len()),
    );
    let factor = match unit.trim_start().chars().next() {
        Some('K') => 1e3,
        Some('M') => 1e6,
        _ => 1.0,
    };
    digits.parse::<f64>().unwrap() * factor
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_that_keeps_little_spares_the_joins_most_rows() {
    let cluster = Cluster::start(Options::default()).await;
    let sql = "select c_name, o_key, sum(l_quantity) from customers, orders, lines \
        where o_key in (select l_order from lines group by l_order having sum(l_quantity) > 250) \
        and c_key = o_customer and o_key = l_order group by c_name, o_key";
    let mut entered = Vec::new();
    for reorders in [true, false] {
        let mut state = cluster.state.clone();
        state.config_mut().options_mut().optimizer.join_reordering = reorders;
        let plan = cluster.logical(sql).await;
        let attempt = cluster
            .execution
            .engine()
            .plan(&state, QueryId::draw(), plan)
            .await
            .unwrap();
        finish(attempt.as_ref()).await.unwrap();
        entered.push(rows_into_joins(&attempt.explain_analyze().await));
    }
    assert!(
        entered[0] > 0.0 && entered[0] < 0.7 * entered[1],
        "rows that entered joins, ordered and as written: {entered:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_match_nothing_do_not_enter_joins_wherever_these_run() {
    let cluster = Cluster::start(Options::default()).await;
    let travels = "select count(*) from orders, lines where o_key = l_order and o_customer < 20";
    let stays = format!("{travels} and l_part >= (select c_key from customers where c_key = 0)");
    for sql in [travels, &stays] {
        let attempt = cluster.plan(sql).await;
        assert_eq!(attempt.explain().contains("runs on the coordinator"), sql != travels);
        finish(attempt.as_ref()).await.unwrap();
        let text = attempt.explain_analyze().await;
        let (sieved, entered) = (sum_of_joins(&text, "sieved_rows="), rows_into_joins(&text));
        assert!(
            sieved > 30_000.0 && entered < 10_000.0,
            "{sieved} sieved, {entered} entered:\n{text}"
        );
    }
}

/// A join that stays because its subquery might return several rows.
const STAYS: &str = "select count(*) from lines a left join lines b on a.l_comment = b.l_comment and a.l_flag = b.l_flag \
                     where a.l_part >= (select c_key from customers where c_key = 3)";

#[tokio::test(flavor = "multi_thread")]
async fn joins_are_planned_for_the_memory_of_those_that_run_them() {
    let roomy = Options::default().coordinator_memory;
    for (worker, coordinator, sorts_there, sorts_here) in [
        (roomy, roomy, false, false),
        (ByteSize::mib(1), roomy, true, true),
        (roomy, ByteSize::mib(1), false, true),
    ] {
        let cluster = Cluster::start(Options {
            worker_memory: worker,
            coordinator_memory: coordinator,
            ..Options::default()
        })
        .await;
        let travels = STAYS.replace("(select c_key from customers where c_key = 3)", "3");
        for (sql, sorts) in [(travels.as_str(), sorts_there), (STAYS, sorts_here)] {
            let plan = cluster.plan(sql).await.explain();
            assert_eq!(plan.contains("SortMergeJoin"), sorts, "{plan}");
            assert_eq!(plan.contains("runs on the coordinator"), sql == STAYS, "{plan}");
        }
    }
}
