//! What a query does when something breaks: an error of the right kind that names it, never a hang, never fewer rows.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use futures::StreamExt;
use quarry_engine::error::{ErrorClass, classify};

use crate::cluster::{Cluster, Options, PATIENCE, finish, text};
use crate::memory_files::Fault;

/// Seconds of work on each worker: every pair of lines is compared.
const SLOW: &str = "select count(*) from lines a, lines b where (a.l_part * b.l_part + a.l_order) % 1000003 = 1";

/// As slow, but with rows on their way all the time.
const MANY_ROWS: &str =
    "select (a.l_part + b.l_part) % 7, count(*) from lines a cross join lines b group by (a.l_part + b.l_part) % 7";

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_any_stage_is_an_error() {
    for sql in [
        "select * from lines",
        "select l_flag, count(*) from lines group by l_flag",
        "select count(*) from lines, orders where l_order = o_key",
        "select * from orders order by o_total",
        "select count(*) from customers, orders where c_key = o_customer",
    ] {
        for table in ["lines", "orders", "customers"] {
            if !sql.contains(table) {
                continue;
            }
            let cluster = Cluster::start(Options::default()).await;
            let attempt = cluster.plan(sql).await;
            cluster.files.set_fault(&format!("w/{table}/part-2"), Fault::Panic);
            let error = finish(attempt.as_ref()).await.expect_err(sql);
            assert!(cluster.files.fired() > 0);
            assert_eq!(classify(&error).class, ErrorClass::Bug, "{sql}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_cannot_be_read_is_a_storage_error_after_two_hops() {
    for (table, sql) in [
        (
            "lines",
            "select l_flag, sum(l_price) from lines, orders where l_order = o_key group by l_flag",
        ),
        (
            "lines_csv",
            "select l_flag, sum(l_price) from lines_csv group by l_flag",
        ),
    ] {
        let cluster = Cluster::start(Options::default()).await;
        let attempt = cluster.plan(sql).await;
        cluster.files.set_fault(&format!("w/{table}/"), Fault::Fail);
        let error = finish(attempt.as_ref()).await.expect_err("the files are gone");
        assert!(cluster.files.fired() > 0);
        assert_eq!(classify(&error).class, ErrorClass::Storage, "{error}");
        assert!(
            error.to_string().contains(&format!("/w/{table}/")),
            "names the file: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_during_a_query_is_named_and_left_out_of_the_next() {
    let mut cluster = Cluster::start(Options {
        replication: 3,
        ..Options::default()
    })
    .await;
    let attempt = cluster.plan(SLOW).await;
    let mut rows = attempt.execute().unwrap();
    let first = tokio::spawn(async move { rows.next().await });
    eventually("the query runs on worker 1", || cluster.worker(1).memory_used() > 0).await;
    let killed = cluster.kill(1);
    let started = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, first)
        .await
        .expect("a query hangs")
        .unwrap();
    let error = ended.expect("an error, not an end").expect_err("a worker was lost");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "noticed after {:?}",
        started.elapsed()
    );
    let classified = classify(&error);
    assert_eq!(
        (classified.class, classified.node.as_deref()),
        (ErrorClass::Node, Some(killed.as_str())),
        "{error}"
    );
    assert!(cluster.live().iter().all(|worker| worker.address != killed));
    assert!(tokio::time::timeout(PATIENCE, attempt.explain_analyze()).await.is_ok());
    let count = cluster.run("select count(*) from lines").await.unwrap();
    assert!(text(&count).concat().contains("40000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_gone_before_the_query_starts_is_named() {
    let mut cluster = Cluster::start(Options {
        replication: 3,
        ..Options::default()
    })
    .await;
    let attempt = cluster.plan("select l_flag, count(*) from lines group by l_flag").await;
    let killed = cluster.kill(2);
    let error = finish(attempt.as_ref()).await.expect_err("a worker was lost");
    let classified = classify(&error);
    assert_eq!(
        (classified.class, classified.node.as_deref()),
        (ErrorClass::Node, Some(killed.as_str())),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_stream_frees_the_workers() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan(MANY_ROWS).await;
    let mut rows = attempt.execute().unwrap();
    tokio::select! {
        _ = rows.next() => panic!("the query is slow"),
        () = eventually("the query runs", || (0..3).all(|worker| cluster.worker(worker).memory_used() > 0)) => {}
    }
    drop(rows);
    let started = Instant::now();
    eventually("memory is freed", || {
        (0..3).all(|worker| cluster.worker(worker).memory_used() == 0)
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_hangs_can_be_cancelled() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan("select sum(l_price) from lines").await;
    cluster.files.set_fault("w/lines/", Fault::Hang);
    let mut rows = attempt.execute().unwrap();
    tokio::select! {
        _ = rows.next() => panic!("nothing can come"),
        () = eventually("a read hangs", || cluster.files.fired() > 0) => {}
    }
    drop(rows);
    // Nothing waits for the tasks that never end.
    let figures = tokio::time::timeout(Duration::from_secs(10), attempt.figures())
        .await
        .unwrap();
    assert!(!figures.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_and_joins_that_spill_run_in_little_memory() {
    let cluster = Cluster::start(Options {
        worker_memory: ByteSize::mib(2),
        ..Options::default()
    })
    .await;
    let sql = "select count(*) from (select l_comment, array_agg(l_part) from lines group by l_comment \
               union all select a.l_comment, array_agg(b.l_part) from lines a join lines b on a.l_part = b.l_part group by a.l_comment)";
    let count = cluster.run(sql).await.unwrap();
    assert!(text(&count).concat().contains("80000"), "{count:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_a_memory_error_and_the_worker_lives() {
    let cluster = Cluster::start(Options {
        worker_memory: ByteSize::mib(2),
        ..Options::default()
    })
    .await;
    let sql = "select cardinality(array_agg(repeat(l_comment, 10))) from lines";
    let error = cluster.run(sql).await.expect_err("it does not fit");
    assert_eq!(classify(&error).class, ErrorClass::Memory, "{error}");
    let count = cluster.run("select count(*) from lines").await.unwrap();
    assert!(text(&count).concat().contains("40000"));
    assert_eq!(cluster.live().len(), cluster.worker_count());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_under_full_load_are_not_taken_for_dead() {
    let cluster = Cluster::start(Options::default()).await;
    let attempt = cluster.plan(SLOW).await;
    let mut rows = attempt.execute().unwrap();
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        let slice = tokio::time::timeout(Duration::from_millis(100), rows.next()).await;
        assert_eq!(cluster.live().len(), 3, "heartbeats survive");
        if slice.is_ok() {
            break;
        }
    }
}
