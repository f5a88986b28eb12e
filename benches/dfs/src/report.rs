//! What the benchmarks hand in: one [`Report`] of sections, as Markdown and as JSON. Most sections are a [`Comparison`].

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::conditions::Conditions;
use crate::output::Results;
use crate::systems::Setup;
use crate::table::{Table, number};

/// The figures of one run of the program.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(skip)]
    what: &'static str,
    #[serde(skip)]
    title: &'static str,
    conditions: Conditions,
    quarry: String,
    hdfs: Option<String>,
    touched_bytes: u64,
    sections: Vec<Section>,
}

impl Report {
    /// Without sections. `what` is for the names of files.
    pub fn new(what: &'static str, title: &'static str, setup: &Setup) -> Self {
        let program = setup.launcher.program().file_name().unwrap_or_default();
        let program = program.display();
        Self {
            what,
            title,
            conditions: setup.conditions.clone(),
            quarry: if setup.launcher.own {
                format!("the server roles built into `{program}`")
            } else {
                format!("the binary `{program}`")
            },
            hdfs: setup.hdfs.as_ref().map(crate::systems::hdfs::Hdfs::version),
            touched_bytes: setup.touched,
            sections: Vec::new(),
        }
    }

    /// Adds what one benchmark found.
    pub fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    fn conditions(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.conditions.describe(&mut table);
        let hdfs = self.hdfs.as_ref().map_or_else(
            || "not measured".to_owned(),
            |version| format!("{version}, its defaults and the JVM's"),
        );
        table.row(["Quarry".into(), self.quarry.clone()]);
        table.row(["Apache HDFS".into(), hdfs]);
        let touched = format!("{} MiB before the run", self.touched_bytes >> 20);
        table.row(["memory touched".into(), touched]);
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\n\n{}", self.title, self.conditions())?;
        self.sections.iter().try_for_each(|section| write!(f, "{section}"))
    }
}

impl Results for Report {
    fn stem(&self) -> String {
        format!("dfs-{}-{}", self.what, self.conditions.date)
    }
}

/// What one benchmark found.
#[derive(Debug, Serialize)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// How it was measured.
    pub method: String,
    /// Its tables.
    #[serde(skip)]
    pub tables: Vec<Table>,
    /// All its figures.
    pub results: serde_json::Value,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.method)?;
        self.tables
            .iter()
            .filter(|table| !table.is_empty())
            .try_for_each(|table| writeln!(f, "{table}"))
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// MiB per second.
    #[serde(rename = "MiB/s")]
    Throughput,
    /// Calls, reads or files per second.
    #[serde(rename = "/s")]
    Rate,
}

impl Unit {
    /// As in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "MiB/s",
            Self::Rate => "/s",
        }
    }
}

/// How long the calls of one operation took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// Half of the calls took at most this long.
    pub p50_ms: f64,
    /// 90 of 100.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latencies {
    /// Of these times in microseconds.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |part: f64| {
            let last = micros.len().saturating_sub(1);
            let index = (last as f64 * part).round() as usize;
            micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// One operation in one run.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was done.
    pub operation: &'static str,
    /// What `value` counts.
    pub unit: Unit,
    /// How much per second, all clients together.
    pub value: f64,
    /// Of single calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Latencies>,
    /// Processor time of all the system's servers, in microseconds per call or MiB: what the load itself takes is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_micros: Option<f64>,
    /// How often a client had to ask again whether its file is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_repeats: Option<u64>,
}

impl Line {
    /// So much per second and nothing else.
    pub fn new(operation: &'static str, unit: Unit, value: f64) -> Self {
        Self {
            operation,
            unit,
            value,
            latencies: None,
            server_micros: None,
            complete_repeats: None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.0} {}", self.operation, self.value, self.unit.name())
    }
}

/// Whose work a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The system that served, or what stands in its place.
    pub system: &'static str,
    /// The program that called.
    pub client: &'static str,
    /// How many of them at a time.
    pub clients: usize,
}

/// One operation from one source: its best run.
#[derive(Debug, Clone, Serialize)]
struct Best {
    #[serde(flatten)]
    source: Source,
    #[serde(flatten)]
    line: Line,
    /// All runs' figures.
    runs: Vec<f64>,
}

/// Quarry's name in figures.
pub const QUARRY: &str = "Quarry";
/// Apache HDFS's.
pub const HDFS: &str = "Apache HDFS";
/// What the machine itself does in an operation's place.
pub const RAW: &str = "raw";

/// The same operations on both systems.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Comparison(Vec<Best>);

impl Comparison {
    /// Adds a run's figure; of several the highest counts, with all that belongs to it, except that repeated `complete`s add up.
    pub fn add(&mut self, source: Source, line: Line) {
        let known = self
            .0
            .iter_mut()
            .find(|best| best.source == source && best.line.operation == line.operation);
        let Some(best) = known else {
            return self.0.push(Best {
                source,
                runs: vec![line.value],
                line,
            });
        };
        best.runs.push(line.value);
        let repeats = [best.line.complete_repeats, line.complete_repeats];
        if line.value > best.line.value {
            best.line = line;
        }
        best.line.complete_repeats = repeats.into_iter().flatten().reduce(|a, b| a + b);
    }

    fn find(&self, source: Source, operation: &str) -> Option<&Line> {
        let found = |best: &&Best| best.source == source && best.line.operation == operation;
        self.0.iter().find(found).map(|best| &best.line)
    }

    /// Quarry's figures, each with Apache HDFS's and the machine's own in its place.
    fn pairs(&self) -> impl Iterator<Item = (Source, &Line, Option<&Line>, Option<&Line>)> {
        let quarry = self.0.iter().filter(|best| best.source.system == QUARRY);
        quarry.map(|Best { source, line, .. }| {
            let of = |system| self.find(Source { system, ..*source }, line.operation);
            (*source, line, of(HDFS), of(RAW))
        })
    }

    /// How fast, and the ratios.
    pub fn rates(&self) -> Table {
        let mut table = Table::of_numbers([
            "operation",
            "client",
            "clients",
            "unit",
            "Quarry",
            "Apache HDFS",
            "ratio",
            "raw",
            "Quarry / raw",
            "Quarry's servers, CPU µs",
            "Apache's",
            "ratio of CPU",
        ]);
        for (source, quarry, hdfs, raw) in self.pairs() {
            let value = |line: &Line| line.value;
            let (own, theirs) = (quarry.server_micros, hdfs.and_then(|line| line.server_micros));
            table.row([
                quarry.operation.to_owned(),
                source.client.to_owned(),
                source.clients.to_string(),
                quarry.unit.name().to_owned(),
                format!("{:.0}", quarry.value),
                number(hdfs.map(value), 0),
                number(hdfs.map(|hdfs| quarry.value / hdfs.value), 1),
                number(raw.map(value), 0),
                number(raw.map(|raw| quarry.value / raw.value), 2),
                number(own, 1),
                number(theirs, 1),
                number(own.zip(theirs).map(|(own, theirs)| theirs / own), 1),
            ]);
        }
        for Best { source, line, .. } in self.0.iter().filter(|best| best.source.system == RAW) {
            let quarry = Source {
                system: QUARRY,
                ..*source
            };
            if self.find(quarry, line.operation).is_none() {
                let mut row = vec!["-".to_owned(); 12];
                row[0] = line.operation.to_owned();
                row[2] = source.clients.to_string();
                row[3] = line.unit.name().to_owned();
                row[7] = format!("{:.0}", line.value);
                table.row(row);
            }
        }
        table.without_empty_columns()
    }

    /// How long single calls took.
    pub fn latencies(&self) -> Table {
        let mut table = Table::of_numbers([
            "operation",
            "client",
            "clients",
            "system",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "repeated complete",
        ]);
        for (source, quarry, hdfs, _) in self.pairs() {
            for (system, line) in [(QUARRY, Some(quarry)), (HDFS, hdfs)] {
                let Some((line, times)) = line.and_then(|line| Some((line, line.latencies?))) else {
                    continue;
                };
                table.row([
                    line.operation.to_owned(),
                    source.client.to_owned(),
                    source.clients.to_string(),
                    system.to_owned(),
                    format!("{:.2}", times.p50_ms),
                    format!("{:.2}", times.p90_ms),
                    format!("{:.2}", times.p99_ms),
                    format!("{:.2}", times.max_ms),
                    line.complete_repeats.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                ]);
            }
        }
        table.without_empty_columns()
    }

    /// A section with the tables of these figures.
    ///
    /// # Errors
    /// A figure is no number.
    pub fn section(self, title: &'static str, method: String) -> Result<Section> {
        Ok(Section {
            title,
            method,
            tables: vec![self.rates(), self.latencies()],
            results: serde_json::to_value(&self)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: Source = Source {
        system: QUARRY,
        client: "native",
        clients: 1,
    };

    fn rate(value: f64) -> Line {
        Line::new("mkdirs", Unit::Rate, value)
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let latencies = Latencies::of((0..=1000).rev().map(|n| n * 1000).collect());
        let found = [latencies.p50_ms, latencies.p90_ms, latencies.p99_ms, latencies.max_ms];
        assert_eq!(found, [500.0, 900.0, 990.0, 1000.0]);
        assert_eq!(Latencies::of(Vec::new()), Latencies::default());
    }

    #[test]
    fn best_run_counts_and_columns_without_figures_are_left_out() {
        let mut comparison = Comparison::default();
        comparison.add(NATIVE, rate(10.0));
        comparison.add(NATIVE, rate(30.0));
        comparison.add(Source { system: HDFS, ..NATIVE }, rate(10.0));
        let expected = "\
            | operation | client | clients | unit | Quarry | Apache HDFS | ratio |\n\
            | --------- | -----: | ------: | ---: | -----: | ----------: | ----: |\n\
            | mkdirs    | native |       1 |   /s |     30 |          10 |   3.0 |\n";
        assert_eq!(comparison.rates().to_string(), expected);
        assert!(comparison.latencies().is_empty());
    }

    #[test]
    fn repeated_completes_of_all_runs_are_counted() {
        let mut comparison = Comparison::default();
        for (value, repeats) in [(1.0, 2), (2.0, 0), (1.5, 3)] {
            let line = Line {
                complete_repeats: Some(repeats),
                ..rate(value)
            };
            comparison.add(NATIVE, line);
        }
        let line = comparison
            .find(NATIVE, "mkdirs")
            .map(|line| (line.value, line.complete_repeats));
        assert_eq!(line, Some((2.0, Some(5))));
    }
}
