//! Kill -9 of a worker in the middle of each TPC-H query: the answer is that of an undisturbed run.
//!
//! 1. A worker is stopped (SIGSTOP), so that the query cannot be over before the fault: every scan has a part for every worker.
//! 2. A query is started and seen running in `system.queries`: the other workers are at it, and what needs the stopped one waits.
//! 3. The worker is killed. The query must end with the same rows, in a second attempt, which proves that the fault hit it. If it ended in
//!    one, the worker had been left out, and the fault is tried again.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use quarry::local::WorkerEndpoint;
use quarry::sql::{SqlClient, Tag};
use quarry::tpch::QUERIES;
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::support::{Home, Local, PATIENCE, eventually, is_alive, signal};

const NODES: usize = 3;
const SCALE: &str = "0.02";
/// Faults that may miss one query before the test gives up.
const TRIES: usize = 20;

/// A cluster with TPC-H tables whose every scan is spread over all workers.
struct Site {
    local: Local,
    runtime: Runtime,
    url: String,
}

/// What a query gave, in an order of our own, and in how many attempts.
struct Answer {
    rows: Vec<String>,
    attempts: u32,
}

impl Site {
    fn start(home: &Home) -> Self {
        let nodes = NODES.to_string();
        let settings = [
            "coordinator.local_below=0",
            "coordinator.task_bytes=0",
            // The node that is killed takes its replicas with it.
            "namenode.default_replication=3",
        ];
        let mut options = vec!["--nodes", &nodes, "--processes"];
        options.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let local = Local::start(home, &home.path("cluster"), &options);
        home.run(&["tpch", "load", "--scale", SCALE, "--schema", "faulty"]).ok();
        let url = format!("http://{}", local.endpoints().coordinator.flight_sql);
        Self {
            local,
            runtime: Runtime::new().unwrap(),
            url,
        }
    }

    fn worker(&self, number: usize) -> WorkerEndpoint {
        self.local.endpoints().workers[number % NODES].clone()
    }

    fn session(&self) -> SqlClient {
        self.runtime.block_on(async {
            let mut session = SqlClient::connect(&self.url, "tester").await.unwrap();
            session.use_schema("faulty").await.unwrap();
            session
        })
    }

    fn ask(&self, sql: &str) -> Vec<RecordBatch> {
        let mut session = self.session();
        self.runtime.block_on(session.query(sql)).unwrap()
    }

    /// State and attempts of a marked query.
    fn progress(&self, mark: &str) -> Option<(String, u32)> {
        let sql = format!("SELECT state, attempts FROM system.queries WHERE starts_with(sql, '{mark}')");
        let batches = self.ask(&sql);
        let batch = batches.iter().find(|batch| batch.num_rows() > 0)?;
        let state = batch.column(0).as_string::<i32>().value(0).to_owned();
        Some((state, batch.column(1).as_primitive::<UInt32Type>().value(0)))
    }

    /// Runs a query; kills `victim` meanwhile, if one is given. None if the query was over before.
    fn run(&self, sql: &str, victim: Option<u32>) -> Option<Answer> {
        let tag = Tag::new();
        let marked = tag.mark(sql);
        let mark = marked
            .strip_suffix(sql)
            .expect("the mark comes first")
            .trim_end()
            .to_owned();
        let mut session = self.session();
        if let Some(victim) = victim {
            signal(victim, Signal::STOP);
        }
        let query = self.runtime.spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, session.query(&marked)).await;
            answer.expect("an answer in time").map_err(|error| error.to_string())
        });
        if let Some(victim) = victim {
            let running = eventually("the query runs", || {
                let progress = self.progress(&mark).filter(|(_, attempts)| *attempts > 0);
                progress
                    .map(|(state, _)| state == "running")
                    .or(query.is_finished().then_some(false))
            });
            if !running || query.is_finished() {
                signal(victim, Signal::CONT);
                self.runtime.block_on(query).unwrap().unwrap();
                return None;
            }
            signal(victim, Signal::KILL);
        }
        let rows = self
            .runtime
            .block_on(query)
            .unwrap()
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let (_, attempts) = self.progress(&mark).expect("a query that ran is on record");
        Some(Answer {
            rows: sorted(&rows),
            attempts,
        })
    }

    /// Waits until a worker that was killed has a successor and all take part again.
    fn wait_for_all(&self, number: usize, killed: u32) {
        eventually("the killed worker has a successor", || {
            let now = self.worker(number).pid;
            (now != killed && is_alive(now)).then_some(())
        });
        assert!(!is_alive(killed), "the killed process is gone");
        eventually("all workers take part", || {
            let live = self.ask("SELECT count(*) FROM system.workers WHERE state = 'live'");
            (live[0].column(0).as_primitive::<Int64Type>().value(0) == NODES as i64).then_some(())
        });
    }
}

fn sorted(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<_> = columns
            .map(|column| ArrayFormatter::try_new(Arc::as_ref(column), &options).unwrap())
            .collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let cells: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            cells.join("|")
        }));
    }
    rows.sort();
    rows
}

#[test]
fn each_query_gives_its_answer_though_a_worker_is_killed_in_its_middle() {
    let home = Home::new();
    let site = Site::start(&home);
    let scale: f64 = SCALE.parse().unwrap();
    let mut missed = 0;
    for (number, query) in QUERIES.iter().enumerate() {
        let sql = query.sql(scale);
        let expected = site.run(&sql, None).expect("nothing came too late");
        assert_eq!(expected.attempts, 1, "Q{}: nothing was wrong", query.id);
        let hit = (0..TRIES).find_map(|_| {
            let victim = site.worker(number).pid;
            let answer = site.run(&sql, Some(victim))?;
            site.wait_for_all(number, victim);
            assert_eq!(answer.rows, expected.rows, "Q{} with worker {victim} killed", query.id);
            missed += usize::from(answer.attempts < 2);
            (answer.attempts > 1).then_some(answer)
        });
        let hit = hit.unwrap_or_else(|| panic!("Q{}: no fault hit it in {TRIES} tries", query.id));
        println!(
            "Q{}: {} rows, the same in {} attempts",
            query.id,
            hit.rows.len(),
            hit.attempts
        );
    }
    println!(
        "22 queries, a worker killed in the middle of each: 22 right answers; {missed} kills came too late and were repeated"
    );
}
