//! How a benchmark of queries was run: the conditions that are its own, beside those of the machine.

use quarry::local::LocalCluster;
use serde::Serialize;

use crate::args::ClusterArgs;
use crate::conditions::cores;
use crate::home::Data;
use crate::table::Table;

/// How the engines were set up.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    /// Whether each role of the cluster had its own process.
    pub processes: bool,
    /// Query threads of each worker.
    pub worker_threads: usize,
    /// Threads of plain DataFusion's runtime.
    pub plain_threads: usize,
    /// Plain DataFusion's partitions, each number of them an engine.
    pub plain_partitions: Vec<usize>,
    /// Configuration keys that were set for the cluster.
    pub settings: Vec<String>,
    /// Timed runs of each query on each engine, after one that was not timed.
    pub runs: u32,
}

impl Setup {
    /// That of a cluster that was started with `args`.
    pub fn new(args: &ClusterArgs, cluster: &LocalCluster, plain_partitions: Vec<usize>, runs: u32) -> Self {
        let settings = args.settings.iter();
        Self {
            processes: args.processes,
            worker_threads: cluster.worker_threads(),
            plain_threads: cores(),
            plain_partitions,
            settings: settings.map(|(key, value)| format!("{key}={value}")).collect(),
            runs,
        }
    }

    /// Adds a row per condition to a table of two columns.
    pub fn describe(&self, data: &Data, table: &mut Table) {
        let place = if self.processes {
            "a process for each role"
        } else {
            "all roles in one process"
        };
        let settings = if self.settings.is_empty() {
            "defaults".to_owned()
        } else {
            self.settings.join(", ")
        };
        let partitions: Vec<_> = self.plain_partitions.iter().map(usize::to_string).collect();
        let partitions = partitions.join(" or ");
        let megabytes = data.bytes as f64 / 1e6;
        let rows = [
            ("data", format!("{} rows, {megabytes:.1} MB of Parquet", data.rows)),
            (
                "runs",
                format!(
                    "{} of each query on each engine in turn, after one to warm up",
                    self.runs
                ),
            ),
            (
                "cluster",
                format!("{} nodes, {} threads each, {place}", data.nodes, self.worker_threads),
            ),
            ("cluster's settings", settings),
            (
                "plain DataFusion",
                format!(
                    "{partitions} partitions on {} threads, defaults, local files",
                    self.plain_threads
                ),
            ),
        ];
        for (name, value) in rows {
            table.row([name.into(), value]);
        }
    }
}
