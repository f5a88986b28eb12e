//! `quarry local`: what it leaves on disk, what survives SIGKILL, and who dies with whom.

use std::path::Path;

use quarry::local::Endpoints;
use rustix::process::Signal;

use crate::support::{Home, Local, eventually, is_alive, signal};

fn store_something(home: &Home) {
    home.run(&["fs", "mkdir", "-p", "/kept"]).ok();
    home.run_with_input(&["fs", "put", "-", "/kept/numbers.csv"], b"n\n1\n2\n39\n")
        .ok();
    home.run(&["sql", "-c", "create schema s", "-c", CREATE]).ok();
}

/// Kills and starts within which a cluster is back on its ports.
const KILLS: usize = 4;

const CREATE: &str = "create external table s.numbers (n bigint) stored as csv location 'hdfs:///kept/' options ('format.has_header' 'true')";

fn assert_it_is_there(home: &Home) {
    assert_eq!(home.run(&["fs", "cat", "/kept/numbers.csv"]).ok(), "n\n1\n2\n39\n");
    assert_eq!(
        home.run(&["sql", "-c", "select sum(n) as s from s.numbers"]).ok(),
        "s\n42\n"
    );
}

#[test]
fn processes_killed_all_at_once_lose_nothing_and_come_back_on_their_ports() {
    let home = Home::new();
    let dir = home.path("cluster");
    let local = Local::start(&home, &dir, &["--nodes", "3", "--processes"]);
    let before = local.endpoints();
    assert_eq!(
        local.pids().len(),
        1 + 1 + 3 + 1,
        "each role has a process of its own: {before:?}"
    );
    assert!(local.pids().into_iter().all(is_alive));
    store_something(&home);
    assert_it_is_there(&home);

    let (again, before) = killed_until_on_the_same_ports(local, &home, &dir);
    let after = again.endpoints();
    assert_eq!(after.datanodes.len(), 3, "the number of nodes is remembered");
    let uuids = |endpoints: &Endpoints| {
        endpoints
            .datanodes
            .iter()
            .map(|node| node.uuid.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(uuids(&after), uuids(&before));
    assert_eq!(again.terminate(), Some(0));
}

/// Kills and starts a cluster until it is back on the ports it had before, with the ports of before. Another test's process may
/// take a free port between the two, and then the cluster has to come back on another: not every time.
fn killed_until_on_the_same_ports(mut local: Local, home: &Home, dir: &Path) -> (Local, Endpoints) {
    let clients_use = |endpoints: &Endpoints| (endpoints.namenode.rpc, endpoints.coordinator.flight_sql);
    for _ in 0..KILLS {
        let before = local.endpoints();
        local.kill_everything();
        local = Local::start(home, dir, &["--processes"]);
        assert_it_is_there(home);
        if clients_use(&local.endpoints()) == clients_use(&before) {
            return (local, before);
        }
    }
    panic!("{KILLS} times on other ports");
}

#[test]
fn an_orderly_end_keeps_the_data_and_takes_the_endpoints_away() {
    let home = Home::new();
    let dir = home.path("cluster");
    let local = Local::start(&home, &dir, &["--nodes", "2"]);
    store_something(&home);
    assert_eq!(local.terminate(), Some(0));
    assert!(!dir.join("endpoints.json").exists());
    let gone = home.run(&["sql", "-c", "select 1"]);
    assert_eq!(gone.code(), 3);
    assert!(gone.stderr().contains("not running"), "{}", gone.stderr());

    let _again = Local::start(&home, &dir, &[]);
    assert_it_is_there(&home);
}

#[test]
fn one_directory_has_one_cluster() {
    let home = Home::new();
    let dir = home.path("cluster");
    let _first = Local::start(&home, &dir, &[]);
    let second = home.run(&["local", "--dir", dir.to_str().unwrap()]);
    assert_eq!(second.code(), 1);
    assert!(
        second.stderr().contains("another cluster runs in"),
        "{}",
        second.stderr()
    );
    assert_eq!(home.run(&["sql", "-c", "select 1 as a"]).ok(), "a\n1\n");
}

#[test]
fn children_end_with_their_parent() {
    let home = Home::new();
    let mut local = Local::start(&home, &home.path("cluster"), &["--nodes", "1", "--processes"]);
    let pids = local.pids();
    signal(local.child.id(), Signal::KILL);
    local.child.wait().unwrap();
    for pid in pids {
        eventually("a child of a killed parent ends", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn a_role_that_dies_is_started_again_and_the_file_says_so() {
    let home = Home::new();
    let local = Local::start(&home, &home.path("cluster"), &["--nodes", "2", "--processes"]);
    store_something(&home);
    let before = local.endpoints();
    signal(before.datanodes[1].pid, Signal::KILL);
    let after = eventually("the node has a new process", || {
        let now = local.endpoints();
        (now.datanodes[1].pid != before.datanodes[1].pid).then_some(now)
    });
    assert_eq!(after.datanodes[1].uuid, before.datanodes[1].uuid);
    assert!(is_alive(after.datanodes[1].pid));
    assert_eq!(after.datanodes[0], before.datanodes[0]);
    assert_it_is_there(&home);
}
