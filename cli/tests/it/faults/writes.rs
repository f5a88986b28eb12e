//! Kill -9 of workers and of the coordinator while a `CREATE TABLE ... AS` of a join is written: the table is whole or not there, and
//! nothing of a failed one is left.

use std::process::{Child, Stdio};
use std::time::Instant;

use quarry_dfs_client::DfsClient;
use rustix::process::Signal;

use super::oracle::client;
use crate::support::{Home, Local, eventually, is_alive, signal};

/// Kills: every other one hits the coordinator.
const KILLS: u32 = 10;
const ROWS: u64 = 400_000;
const CREATE: &str = "create table joined as select l.k, l.v, r.w from l join r on l.k = r.k";
const SUMS: &str = "select count(*) as n, sum(k) as k, sum(v) as v, sum(w) as w from";

struct Site {
    home: Home,
    local: Local,
    dfs: DfsClient,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start() -> Self {
        let home = Home::new();
        let sets = [
            "--nodes",
            "3",
            "--processes",
            "--set",
            "coordinator.local_below=0",
            "--set",
            "coordinator.task_bytes=0",
        ];
        let local = Local::start(&home, &home.path("cluster"), &sets);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dfs = client(local.endpoints().namenode.rpc);
        Self {
            home,
            local,
            dfs,
            runtime,
        }
    }

    fn sql(&self, sql: &str) -> Result<String, String> {
        let ran = self.home.run(&["sql", "-c", sql]);
        if ran.code() == 0 {
            Ok(ran.stdout())
        } else {
            Err(ran.stderr())
        }
    }

    /// The answer once the cluster answers at all: after a kill it needs a moment.
    fn answer(&self, sql: &str) -> String {
        eventually(sql, || self.sql(sql).ok())
    }

    fn begin(&self, sql: &str) -> Child {
        let mut command = self.home.command(&["sql", "-c", sql]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Files and directories below the warehouse that belong to no table and no living statement.
    fn remains(&self) -> Vec<String> {
        let listed = self.runtime.block_on(self.dfs.list_located("/quarry/warehouse", true));
        let paths = listed.unwrap().into_iter().map(|file| file.status.path.clone());
        let stray = |path: &String| {
            let staged = path.contains("/_staging/") || path.contains(".removed-");
            let intent = path.contains("/_writes/") && path.ends_with(".json");
            staged || intent
        };
        paths.filter(stray).collect()
    }

    fn directories(&self) -> Vec<String> {
        let entries = self
            .runtime
            .block_on(self.dfs.list("/quarry/warehouse/default"))
            .unwrap();
        entries.iter().map(|entry| entry.name().to_owned()).collect()
    }

    /// Kills a worker's or the coordinator's process and waits until its supervisor has it running again.
    fn kill(&self, coordinator: bool, node: usize) {
        let pid = || {
            let endpoints = self.local.endpoints();
            if coordinator {
                endpoints.coordinator.pid
            } else {
                endpoints.workers[node].pid
            }
        };
        let before = pid();
        assert!(is_alive(before), "the victim runs before it is killed");
        signal(before, Signal::KILL);
        eventually("a killed role runs again", || {
            let now = pid();
            (now != before && is_alive(now)).then_some(())
        });
    }
}

fn table(name: &str, value: &str) -> String {
    format!("create table {name} as select value as k, {value} from generate_series(1, {ROWS})")
}

#[test]
fn a_killed_create_table_as_is_whole_or_absent_and_leaves_nothing() {
    let site = Site::start();
    site.answer(&table(
        "l",
        "value * 3 as v, cast(value as varchar) || ' is a number' as pad",
    ));
    site.answer(&table(
        "r",
        "value * 7 as w, cast(value * 11 as varchar) || ' is another' as pad",
    ));
    let expected = site.answer(&format!("{SUMS} (select l.k, l.v, r.w from l join r on l.k = r.k) q"));

    let begun = Instant::now();
    site.answer(CREATE);
    let undisturbed = begun.elapsed();
    assert_eq!(site.answer(&format!("{SUMS} joined")), expected);
    site.answer("drop table joined");

    let (mut whole, mut absent) = (0, 0);
    for kill in 0..KILLS {
        let mut statement = site.begin(CREATE);
        // From its beginning to its end, at a place of its own each time.
        std::thread::sleep(undisturbed * (2 * kill + 1) / (2 * KILLS));
        site.kill(kill % 2 == 0, kill as usize % 3);
        let succeeded = statement.wait().unwrap().success();
        let tables = site.answer("show tables");
        if tables.contains("joined") {
            whole += 1;
            assert_eq!(site.answer(&format!("{SUMS} joined")), expected, "kill {kill}");
            site.answer("drop table joined");
        } else {
            absent += 1;
            assert!(
                !succeeded,
                "kill {kill}: the statement succeeded and its table is not there"
            );
        }
        eventually("nothing is left", || site.remains().is_empty().then_some(()));
        eventually("the table's directory is gone", || {
            (!site.directories().iter().any(|name| name.starts_with("joined"))).then_some(())
        });
    }
    println!("{KILLS} kills in the middle of {undisturbed:?}: {whole} times whole, {absent} times absent");
    assert!(site.directories().len() >= 2, "the other tables are untouched");
    let rows = site.answer("select count(*) as n from l");
    assert_eq!(rows, format!("n\n{ROWS}\n"));
}
