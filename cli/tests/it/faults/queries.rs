//! Kill -9 of a worker in the middle of each TPC-H query: the answer is that of an undisturbed run.
//!
//! 1. Another worker is stopped (SIGSTOP): every stage of scans has a task on every worker, so that the query cannot end before the fault.
//! 2. The query is started. Once `system.tasks` says that the victim took tasks of this very query, the victim is killed.
//! 3. The stopped worker goes on. The query must end with the same rows, in a second attempt that was begun because of the victim.
//! 4. The victim has a successor, and all take part again, before the next query.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use quarry::local::WorkerEndpoint;
use quarry::sql::{Error, SqlClient, Tag};
use quarry::tpch::QUERIES;
use rustix::process::Signal;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::{Home, Local, PATIENCE, eventually, is_alive, signal};

/// The supervisor waits longer with each death of one node before it starts it again: among several the victims take turns.
const NODES: usize = 5;
const SCALE: &str = "0.05";
/// From the kill to the second attempt: a second to notice, two to plan again.
const RERUN_WITHIN: Duration = Duration::from_secs(3);
/// Tables and the column by which their rows are dealt to files; the others are as small as they are.
const TABLES: [(&str, Option<&str>); 8] = [
    ("region", None),
    ("nation", None),
    ("supplier", Some("s_suppkey")),
    ("customer", Some("c_custkey")),
    ("part", Some("p_partkey")),
    ("partsupp", Some("ps_partkey")),
    ("orders", Some("o_orderkey")),
    ("lineitem", Some("l_orderkey")),
];

/// A cluster with TPC-H tables whose every scan is spread over all workers.
struct Site {
    local: Local,
    runtime: Runtime,
    url: String,
}

/// A query under way, and how it is found in the tables of the system.
struct Running {
    answer: JoinHandle<Result<Vec<RecordBatch>, Error>>,
    mark: String,
}

impl Site {
    fn start(home: &Home) -> Self {
        let nodes = NODES.to_string();
        let settings = ["coordinator.local_below=0", "coordinator.task_bytes=0"];
        let mut options = vec!["--nodes", &nodes, "--processes"];
        options.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let local = Local::start(home, &home.path("cluster"), &options);
        let url = format!("http://{}", local.endpoints().coordinator.flight_sql);
        let site = Self {
            local,
            runtime: Runtime::new().unwrap(),
            url,
        };
        home.run(&["tpch", "load", "--scale", SCALE, "--schema", "whole"]).ok();
        site.deal_out();
        site
    }

    /// Makes the tables anew with a file for each worker: of one file there is but one split, and a query of one split leaves no work to workers.
    fn deal_out(&self) {
        self.ask("CREATE SCHEMA dealt");
        for (table, key) in TABLES {
            let Some(key) = key else {
                self.ask(&format!("CREATE TABLE dealt.{table} AS SELECT * FROM whole.{table}"));
                continue;
            };
            let of_file = |file: usize| format!("SELECT * FROM whole.{table} WHERE {key} % {NODES} = {file}");
            self.ask(&format!("CREATE TABLE dealt.{table} AS {}", of_file(0)));
            for file in 1..NODES {
                self.ask(&format!("INSERT INTO dealt.{table} {}", of_file(file)));
            }
        }
    }

    fn worker(&self, number: usize) -> WorkerEndpoint {
        self.local.endpoints().workers[number % NODES].clone()
    }

    fn session(&self) -> SqlClient {
        self.runtime.block_on(async {
            let mut session = SqlClient::connect(&self.url, "tester").await.unwrap();
            session.use_schema("dealt").await.unwrap();
            session
        })
    }

    /// The rows of a statement, as text.
    fn ask(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut session = SqlClient::connect(&self.url, "tester").await.unwrap();
            let batches = session.query(sql).await;
            rows(&batches.unwrap_or_else(|error| panic!("{sql}: {error}")))
        })
    }

    fn begin(&self, sql: &str) -> Running {
        let tag = Tag::new();
        let marked = tag.mark(sql);
        let mark = marked.strip_suffix(sql).expect("the mark comes first").trim_end();
        let mark = mark.to_owned();
        let mut session = self.session();
        let answer = self.runtime.spawn(async move { session.query(&marked).await });
        Running { answer, mark }
    }

    fn end(&self, running: Running) -> Vec<String> {
        let answer = async { tokio::time::timeout(PATIENCE, running.answer).await };
        let answer = self.runtime.block_on(answer).expect("an answer in time").unwrap();
        let mut rows = rows(&answer.unwrap_or_else(|error| panic!("{}: {error}", running.mark)));
        rows.sort();
        rows
    }

    /// What a column of `system.queries` says of a query.
    fn told(&self, mark: &str, column: &str) -> Option<String> {
        let sql = format!("SELECT {column} FROM system.queries WHERE starts_with(sql, '{mark}')");
        self.ask(&sql).pop()
    }

    /// How many tasks of the query a worker took and has not ended.
    fn tasks_on(&self, worker: &WorkerEndpoint, mark: &str) -> usize {
        let query = self.told(mark, "query_id").unwrap_or_default();
        let sql = format!(
            "SELECT stage FROM system.tasks WHERE query_id = '{query}' AND worker = '{}' AND state = 'running'",
            worker.addr
        );
        self.ask(&sql).len()
    }

    fn attempts(&self, mark: &str) -> u32 {
        self.told(mark, "attempts")
            .map_or(0, |attempts| attempts.parse().unwrap())
    }

    /// Runs a query and kills a worker in the middle of it; returns its rows and how long it took from there to the second attempt.
    fn run_with_a_kill(
        &self,
        sql: &str,
        victim: &WorkerEndpoint,
        bystander: &WorkerEndpoint,
    ) -> (Vec<String>, Duration) {
        signal(bystander.pid, Signal::STOP);
        let running = self.begin(sql);
        let tasks = eventually("the victim takes tasks of the query", || {
            assert!(
                !running.answer.is_finished(),
                "no query can end without the stopped worker"
            );
            Some(self.tasks_on(victim, &running.mark)).filter(|tasks| *tasks > 0)
        });
        signal(victim.pid, Signal::KILL);
        let killed = Instant::now();
        assert!(!running.answer.is_finished(), "the fault came in time");
        signal(bystander.pid, Signal::CONT);
        let mark = running.mark.clone();
        let rerun = eventually("a second attempt begins", || {
            (self.attempts(&mark) > 1).then(|| killed.elapsed())
        });
        let rows = self.end(running);
        let reason = self.told(&mark, "retry_reason").unwrap();
        assert!(
            reason.contains(&victim.addr.to_string()),
            "run again because of {}, which had {tasks} tasks: {reason}",
            victim.addr
        );
        (rows, rerun)
    }

    /// Waits until a worker that was killed has a successor and all take part again.
    fn wait_for_successor(&self, number: usize, killed: u32) {
        eventually("the killed worker has a successor", || {
            let now = self.worker(number).pid;
            (now != killed && is_alive(now)).then_some(())
        });
        assert!(!is_alive(killed), "the killed process is gone");
        eventually("all workers take part", || {
            let live = self.ask("SELECT address FROM system.workers WHERE state = 'live'");
            (live.len() == NODES).then_some(())
        });
    }
}

/// Rows as text, in the order in which they came.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
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
    rows
}

#[test]
fn each_query_gives_its_answer_though_a_worker_is_killed_in_its_middle() {
    let home = Home::new();
    let site = Site::start(&home);
    let scale: f64 = SCALE.parse().unwrap();
    let mut slowest = Duration::ZERO;
    for (number, query) in QUERIES.iter().enumerate() {
        let sql = query.sql(scale);
        let undisturbed = site.begin(&sql);
        let mark = undisturbed.mark.clone();
        let expected = site.end(undisturbed);
        assert_eq!(site.attempts(&mark), 1, "Q{}: nothing was wrong", query.id);
        assert!(!expected.is_empty(), "Q{} has rows at this scale", query.id);

        let (victim, bystander) = (site.worker(number), site.worker(number + 1));
        let (rows, rerun) = site.run_with_a_kill(&sql, &victim, &bystander);
        assert_eq!(rows, expected, "Q{} with worker {} killed", query.id, victim.addr);
        assert!(rerun < RERUN_WITHIN, "Q{} was run again only after {rerun:?}", query.id);
        println!("Q{}: {} rows, run again after {rerun:?}", query.id, rows.len());
        slowest = slowest.max(rerun);
        site.wait_for_successor(number, victim.pid);
    }
    println!(
        "22 queries, a worker killed in the middle of each: 22 right answers; run again after {slowest:?} at most"
    );
}
