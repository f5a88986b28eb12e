//! What workers take of their machines' memory beside what they may: the 22 queries of TPC-H on workers with little of it.

use std::path::PathBuf;

use crate::support::{Home, Local};

/// Memory for operators, per process.
const LIMIT_MIB: u64 = 32;
/// What a worker may take beside that while it runs queries: batches that are decoded, under way between workers or between operators, footers, and
/// what the allocator keeps. It does not grow with the data, nor with the number of queries.
const BESIDE_MIB: u64 = 64;

fn proc_file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// A figure of a process's memory in `/proc/<pid>/status`, in MiB.
fn status_mib(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(proc_file(pid, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kilobytes = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() / 1024
}

/// From here on, `VmHWM` is the peak since.
fn forget_peak(pid: u32) {
    std::fs::write(proc_file(pid, "clear_refs"), "5").unwrap();
}

#[test]
fn workers_stay_near_their_limit_in_every_query() {
    let home = Home::new();
    let limit = format!("worker.memory_limit={LIMIT_MIB}MiB");
    let options = [
        "--nodes",
        "2",
        "--processes",
        "--set",
        limit.as_str(),
        "--set",
        "coordinator.partitions=2",
    ];
    let local = Local::start(&home, &home.path("cluster"), &options);
    home.run(&["tpch", "load", "--scale", "0.1", "--schema", "t"]).ok();
    // Before it is measured: code and caches are in memory afterwards.
    home.run(&["tpch", "run", "--schema", "t", "--query", "1"]).ok();
    let workers: Vec<u32> = local.endpoints().workers.iter().map(|worker| worker.pid).collect();
    let before: Vec<u64> = workers.iter().map(|pid| status_mib(*pid, "VmRSS")).collect();
    let mut beyond = Vec::new();
    for query in 1..=22 {
        let query = query.to_string();
        workers.iter().for_each(|pid| forget_peak(*pid));
        home.run(&["tpch", "run", "--schema", "t", "--query", &query]).ok();
        let peaks: Vec<u64> = workers.iter().map(|pid| status_mib(*pid, "VmHWM")).collect();
        println!("Q{query}: workers of {before:?} MiB had {peaks:?} MiB at most");
        for (peak, before) in peaks.iter().zip(&before) {
            if *peak > before + LIMIT_MIB + BESIDE_MIB {
                beyond.push(format!("Q{query}: {peak} MiB, {before} MiB before the first"));
            }
        }
    }
    assert!(
        beyond.is_empty(),
        "more than {LIMIT_MIB} MiB and {BESIDE_MIB} MiB beside: {}",
        beyond.join("; ")
    );
}
