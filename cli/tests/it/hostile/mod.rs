//! Statements that want to take the server down, each beside a neighbour who must not notice.
//!
//! The list is `bombs.toml`. All roles are processes of their own: they are the same afterwards as before, and their memory is back to
//! about what it was.

mod template;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use quarry::sql::SqlClient;
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::support::{Home, Local, PATIENCE, is_alive};

/// Memory for operators, per process: much of what the list tries is beyond it.
const MEMORY: &str = "128MiB";
/// How much larger a process may be afterwards: the pool's own size three times, since texts of 16 MiB are parsed beside it and allocators
/// give back late and in part.
const GROWTH_BYTES: u64 = 3 * (128 << 20);
/// Longest error text: it may quote the statement, not repeat a megabyte of it.
const MESSAGE_BYTES: usize = 8 << 10;

#[derive(Deserialize)]
struct List {
    bomb: Vec<Bomb>,
}

#[derive(Deserialize)]
struct Bomb {
    name: String,
    #[serde(default)]
    before: Vec<String>,
    sql: String,
    expect: Vec<String>,
}

impl Bomb {
    /// Runs it in a session of its own. What is wrong, if anything.
    ///
    /// # Panics
    /// Without an answer in time: whatever comes after it would wait as long.
    async fn run(&self, url: &str) -> Result<(), String> {
        tokio::time::timeout(PATIENCE, self.answer(url))
            .await
            .unwrap_or_else(|_| panic!("{}: no answer within {PATIENCE:?}", self.name))
    }

    async fn answer(&self, url: &str) -> Result<(), String> {
        let mut client = SqlClient::connect(url, "bomber")
            .await
            .map_err(|error| error.to_string())?;
        for statement in &self.before {
            client
                .query(&template::expand(statement))
                .await
                .map_err(|error| error.to_string())?;
        }
        match client.query(&template::expand(&self.sql)).await {
            Ok(batches) => {
                let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
                Err(format!("expected an error, found {rows} rows"))
            }
            Err(error) => self.check(&error.to_string()),
        }
    }

    fn check(&self, message: &str) -> Result<(), String> {
        let lower = message.to_lowercase();
        let start: String = message.chars().take(400).collect();
        if !self
            .expect
            .iter()
            .any(|expected| lower.contains(&expected.to_lowercase()))
        {
            return Err(format!("the error has none of {:?}: {start}", self.expect));
        }
        if message.len() > MESSAGE_BYTES {
            return Err(format!("an error of {} bytes: {start}", message.len()));
        }
        Ok(())
    }
}

/// Somebody who asks small questions all the time.
struct Neighbour {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: JoinHandle<Duration>,
}

impl Neighbour {
    async fn start(url: &str, rows: i64) -> Self {
        let mut client = SqlClient::connect(url, "neighbour").await.unwrap();
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let begin = Instant::now();
                assert_eq!(count(&mut client).await, rows);
                slowest = slowest.max(begin.elapsed());
                counted.fetch_add(1, Ordering::Relaxed);
            }
            slowest
        });
        Self { stop, answered, task }
    }

    /// How many questions were answered, and the longest wait for an answer.
    async fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.task.await.expect("every question was answered");
        (self.answered.load(Ordering::Relaxed), slowest)
    }
}

async fn count(client: &mut SqlClient) -> i64 {
    let query = client.query("SELECT count(*) FROM items WHERE n >= 0");
    let answer = tokio::time::timeout(PATIENCE, query).await;
    let batches = answer.expect("the neighbour has an answer in time").unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// Resident memory of a process.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The table that the list speaks of: 500 rows in two files.
fn make_items(home: &Home) {
    home.run(&["fs", "-mkdir", "/items"]).ok();
    for part in 0..2 {
        let lines: String = (0..250).map(|n| format!("{},name {n}\n", part * 250 + n)).collect();
        let path = format!("/items/part-{part}.csv");
        home.run_with_input(&["fs", "put", "-", &path], format!("n,name\n{lines}").as_bytes())
            .ok();
    }
    let create = "CREATE EXTERNAL TABLE items (n BIGINT, name VARCHAR) STORED AS CSV LOCATION '/items/' \
                  OPTIONS ('format.has_header' 'true')";
    home.run(&["sql", "-c", create]).ok();
}

fn list() -> Vec<Bomb> {
    let path = Path::new(&crate_dir()).join("tests/it/hostile/bombs.toml");
    let list: List = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    list.bomb
}

#[test]
fn each_statement_of_the_list_gets_an_error_and_the_neighbour_an_answer() {
    let home = Home::new();
    let limits = [
        "coordinator.memory_limit",
        "worker.memory_limit",
        "coordinator.spill_limit",
        "worker.spill_limit",
    ];
    let settings = limits.map(|key| format!("{key}={MEMORY}"));
    let mut options = vec!["--nodes", "2", "--processes"];
    options.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    let local = Local::start(&home, &home.path("cluster"), &options);
    make_items(&home);
    let url = format!("http://{}", local.endpoints().coordinator.flight_sql);
    let pids = local.pids();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut first = SqlClient::connect(&url, "first").await.unwrap();
        assert_eq!(count(&mut first).await, 500);
        let before: Vec<u64> = pids.iter().map(|pid| resident_bytes(*pid)).collect();
        let neighbour = Neighbour::start(&url, 500).await;
        let bombs = list();
        let mut wrong = Vec::new();
        for bomb in &bombs {
            let begin = Instant::now();
            let (answered, result) = (neighbour.answered.load(Ordering::Relaxed), bomb.run(&url).await);
            println!(
                "{:6} ms, {:3} answers beside it: {}",
                begin.elapsed().as_millis(),
                neighbour.answered.load(Ordering::Relaxed) - answered,
                bomb.name
            );
            if let Err(problem) = result {
                println!("       {problem}");
                wrong.push(format!("{}: {problem}", bomb.name));
            }
            assert!(
                pids.iter().all(|pid| is_alive(*pid)),
                "after {}: a process is gone",
                bomb.name
            );
        }
        let (answered, slowest) = neighbour.stop().await;
        println!(
            "{} statements refused; the neighbour had {answered} answers, the slowest after {slowest:?}",
            bombs.len()
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(
            answered > bombs.len() as u64,
            "the neighbour had {answered} answers only"
        );
        assert_eq!(local.pids(), pids, "the processes are the same");
        for (pid, before) in pids.iter().zip(before) {
            let after = resident_bytes(*pid);
            println!("process {pid}: {} MiB before, {} MiB after", before >> 20, after >> 20);
            assert!(
                after < before + GROWTH_BYTES,
                "process {pid} grew from {before} to {after} bytes"
            );
        }
    });
}

/// This crate's folder in the clone that runs the tests. The one that compiled them may have been another: build output is shared.
fn crate_dir() -> std::ffi::OsString {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
}
