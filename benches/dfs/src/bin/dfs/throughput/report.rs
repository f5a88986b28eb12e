//! The figures of a run, as JSON and as tables.

use std::fmt;

use quarry_benches_dfs::conditions::Conditions;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_benches_dfs::systems::quarry::Launcher;
use quarry_benches_dfs::table::Table;
use serde::Serialize;

use super::load::{OPERATIONS, Operation};
use super::raw::{LOOPBACK, PREAD};
use super::{Args, RAW};

const QUARRY: &str = "Quarry";
const HDFS: &str = "Apache HDFS";

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// MiB per second.
    #[serde(rename = "MiB/s")]
    Throughput,
    /// Reads per second.
    #[serde(rename = "reads/s")]
    Rate,
}

/// One operation in one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    operation: &'static str,
    unit: Unit,
    value: f64,
}

impl Line {
    pub(crate) fn throughput(operation: &'static str, value: f64) -> Self {
        let unit = Unit::Throughput;
        Self { operation, unit, value }
    }

    pub(crate) fn rate(operation: &'static str, value: f64) -> Self {
        let unit = Unit::Rate;
        Self { operation, unit, value }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Throughput => "MiB/s",
            Unit::Rate => "reads/s",
        };
        write!(f, "{} {:.0} {unit}", self.operation, self.value)
    }
}

/// One operation at one number of clients on one system: its best run.
#[derive(Debug, Serialize)]
struct Best {
    system: &'static str,
    clients: usize,
    #[serde(flatten)]
    line: Line,
    /// All runs' figures.
    runs: Vec<f64>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    conditions: Conditions,
    size_bytes: u64,
    quarry: String,
    hdfs: Option<String>,
    clients: Vec<usize>,
    results: Vec<Best>,
}

impl Report {
    pub(crate) fn new(conditions: Conditions, args: &Args, launcher: &Launcher, hdfs: Option<&Hdfs>) -> Self {
        let program = launcher.program().file_name().unwrap_or_default().display().to_string();
        Self {
            conditions,
            size_bytes: args.size.as_u64(),
            quarry: if launcher.own {
                format!("the roles built into `{program}`")
            } else {
                format!("the binary `{program}`")
            },
            hdfs: hdfs.map(Hdfs::version),
            clients: args.clients.clone(),
            results: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, system: &'static str, clients: usize, line: Line) {
        let known = self
            .results
            .iter_mut()
            .find(|best| (best.system, best.clients, best.line.operation) == (system, clients, line.operation));
        match known {
            Some(best) => {
                best.runs.push(line.value);
                best.line.value = best.line.value.max(line.value);
            }
            None => self.results.push(Best {
                system,
                clients,
                runs: vec![line.value],
                line,
            }),
        }
    }

    fn find(&self, system: &str, clients: usize, operation: &str) -> Option<f64> {
        let found = self
            .results
            .iter()
            .find(|best| (best.system, best.clients, best.line.operation) == (system, clients, operation));
        found.map(|best| best.line.value)
    }

    fn conditions(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.conditions.describe(&mut table);
        let hdfs = self.hdfs.clone().unwrap_or_else(|| "not measured".to_owned());
        table.row(["Quarry".into(), self.quarry.clone()]);
        table.row(["Apache HDFS".into(), hdfs]);
        let load = format!(
            "{} MiB by all clients together, in the page cache, CRC32C checked by the reader; one native client for both \
             systems, on the same cores; best run counts",
            self.size_bytes >> 20
        );
        table.row(["load".into(), load]);
        table
    }

    /// What the machine itself does in an operation's place. One stream of loopback TCP, however many clients read.
    fn raw(&self, operation: Operation, clients: usize) -> Option<f64> {
        match operation {
            Operation::Read => self.find(RAW, 1, LOOPBACK).filter(|_| clients == 1),
            Operation::ReadLocal => self.find(RAW, clients, PREAD),
            _ => None,
        }
    }

    fn rates(&self) -> Table {
        let mut table = Table::of_numbers([
            "operation",
            "clients",
            "unit",
            "Quarry",
            "Apache HDFS",
            "ratio",
            "raw",
            "Quarry / raw",
        ]);
        for clients in &self.clients {
            for operation in OPERATIONS {
                let name = operation.name();
                let Some(quarry) = self.find(QUARRY, *clients, name) else {
                    continue;
                };
                let hdfs = self.find(HDFS, *clients, name);
                let raw = self.raw(operation, *clients);
                let cell = |value: Option<f64>, digits: usize| {
                    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
                };
                let is_rate = matches!(operation, Operation::Random(_) | Operation::RandomLocal(_));
                table.row([
                    name.to_owned(),
                    clients.to_string(),
                    if is_rate { "reads/s" } else { "MiB/s" }.to_owned(),
                    format!("{quarry:.0}"),
                    cell(hdfs, 0),
                    cell(hdfs.map(|hdfs| quarry / hdfs), 1),
                    cell(raw, 0),
                    cell(raw.map(|raw| quarry / raw), 2),
                ]);
            }
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Reads and writes\n")?;
        writeln!(f, "{}", self.conditions())?;
        write!(f, "{}", self.rates())?;
        writeln!(
            f,
            "\nraw: for reads over TCP what one loopback stream moves between two threads, for local reads `pread` of the same block \
             files, both measured between the runs."
        )
    }
}
