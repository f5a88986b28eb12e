//! The figures of a run, as JSON and as tables.

use std::fmt;

use quarry_benches_dfs::conditions::Conditions;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_benches_dfs::systems::quarry::Launcher;
use quarry_benches_dfs::table::Table;
use serde::Serialize;

use super::Args;

/// Latencies of one operation's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Latencies {
    /// Half of the calls took at most this long, in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99 of 100.
    pub(crate) p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

impl Latencies {
    /// Of these times in microseconds.
    pub(crate) fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |part: f64| {
            let last = micros.len().saturating_sub(1);
            let index = (last as f64 * part).round() as usize;
            micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// One operation in one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) operation: &'static str,
    /// Calls answered per second, all clients together; a create+close is two calls and counts once.
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
}

/// One operation at one number of clients on one system: its best run.
#[derive(Debug, Clone, Serialize)]
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
    seconds: f64,
    connections: usize,
    quarry: String,
    hdfs: Option<String>,
    results: Vec<Best>,
}

impl Report {
    pub(crate) fn new(conditions: Conditions, args: &Args, launcher: &Launcher, hdfs: Option<&Hdfs>) -> Self {
        let program = launcher.program().file_name().unwrap_or_default().display().to_string();
        Self {
            conditions,
            seconds: args.seconds,
            connections: args.connections,
            quarry: if launcher.own {
                format!("the NameNode built into `{program}`")
            } else {
                format!("the binary `{program}`")
            },
            hdfs: hdfs.map(Hdfs::version),
            results: Vec::new(),
        }
    }

    /// Adds a run's lines.
    pub(crate) fn add(&mut self, system: &'static str, clients: usize, lines: Vec<Line>) {
        for line in lines {
            let known = self
                .results
                .iter_mut()
                .find(|best| (best.system, best.clients, best.line.operation) == (system, clients, line.operation));
            match known {
                Some(best) => {
                    best.runs.push(line.per_second);
                    if line.per_second > best.line.per_second {
                        best.line = line;
                    }
                }
                None => self.results.push(Best {
                    system,
                    clients,
                    runs: vec![line.per_second],
                    line,
                }),
            }
        }
    }

    fn find(&self, system: &str, clients: usize, operation: &str) -> Option<&Line> {
        let found = self
            .results
            .iter()
            .find(|best| (best.system, best.clients, best.line.operation) == (system, clients, operation));
        found.map(|best| &best.line)
    }

    fn conditions(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.conditions.describe(&mut table);
        let hdfs = self.hdfs.clone().unwrap_or_else(|| "not measured".to_owned());
        table.row(["Quarry".into(), self.quarry.clone()]);
        table.row(["Apache HDFS".into(), hdfs]);
        let load = format!(
            "{} s per operation, {} connections, load generator on the same cores; best run counts",
            self.seconds, self.connections
        );
        table.row(["load".into(), load]);
        table
    }

    fn rates(&self) -> Table {
        let mut table = Table::of_numbers([
            "operation",
            "clients",
            "Quarry /s",
            "HDFS /s",
            "ratio",
            "Quarry p50 ms",
            "p99 ms",
            "HDFS p50 ms",
            "p99 ms",
        ]);
        for quarry in self.results.iter().filter(|best| best.system == "Quarry") {
            let hdfs = self.find("Apache HDFS", quarry.clients, quarry.line.operation);
            let cell = |value: Option<f64>, digits: usize| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
            };
            let line = &quarry.line;
            table.row([
                line.operation.to_owned(),
                quarry.clients.to_string(),
                format!("{:.0}", line.per_second),
                cell(hdfs.map(|line| line.per_second), 0),
                cell(hdfs.map(|hdfs| line.per_second / hdfs.per_second), 1),
                format!("{:.3}", line.latencies.p50_ms),
                format!("{:.3}", line.latencies.p99_ms),
                cell(hdfs.map(|line| line.latencies.p50_ms), 3),
                cell(hdfs.map(|line| line.latencies.p99_ms), 3),
            ]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Metadata operations\n")?;
        writeln!(f, "{}", self.conditions())?;
        write!(f, "{}", self.rates())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let latencies = Latencies::of((0..=1000).rev().map(|n| n * 1000).collect());
        assert_eq!(
            (latencies.p50_ms, latencies.p99_ms, latencies.max_ms),
            (500.0, 990.0, 1000.0)
        );
        assert_eq!(Latencies::of(Vec::new()), Latencies::default());
    }
}
