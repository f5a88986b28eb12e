//! The report: a section for each benchmark, with the conditions of the run.

use std::fmt;

use quarry_benches::conditions::{Conditions, cores};
use quarry_benches::output::Results;
use quarry_benches::report::Section;
use quarry_benches::table::Table;
use serde::Serialize;

use crate::args::{CommonArgs, What};

/// What one benchmark found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Its figures.
    pub(crate) section: Section,
    /// Statements that failed or were answered wrong.
    pub(crate) problems: Vec<String>,
}

/// How this benchmark was run.
#[derive(Debug, Clone, Serialize)]
struct Setup {
    /// Scale factor of the data.
    scale: f64,
    /// Nodes of the cluster.
    nodes: u16,
    /// Whether each role of the cluster had its own process.
    processes: bool,
    /// Memory that each worker and the coordinator were given for operators.
    memory_limit_bytes: u64,
    /// Configuration keys that were set for the cluster.
    settings: Vec<String>,
    /// Threads of plain DataFusion's runtime.
    plain_threads: usize,
    /// Plain DataFusion's partitions.
    plain_partitions: usize,
}

/// A whole run of the benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    what: &'static str,
    conditions: Conditions,
    setup: Setup,
    sections: Vec<Section>,
    problems: Vec<String>,
}

impl Report {
    /// Without sections.
    pub(crate) fn new(what: &What, conditions: Conditions) -> Self {
        let args = what.common();
        let settings = args
            .cluster
            .settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        Self {
            benchmark: "engine",
            what: what.name(),
            conditions,
            setup: Setup {
                scale: args.scale,
                nodes: args.cluster.nodes,
                processes: args.cluster.processes,
                memory_limit_bytes: args.memory.as_u64(),
                settings: settings.collect(),
                plain_threads: cores(),
                plain_partitions: CommonArgs::partitions(),
            },
            sections: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds what one benchmark found.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.sections.push(finding.section);
        self.problems.extend(finding.problems);
    }

    /// Whether nothing failed and all answers were right.
    pub(crate) fn is_right(&self) -> bool {
        self.problems.is_empty()
    }

    fn condition_table(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        let setup = &self.setup;
        let settings = if setup.settings.is_empty() {
            "defaults".to_owned()
        } else {
            setup.settings.join(", ")
        };
        let plain = format!(
            "{} partitions on {} threads, defaults",
            setup.plain_partitions, setup.plain_threads
        );
        table.row(["cluster's other settings".into(), settings]);
        table.row(["plain DataFusion".into(), plain]);
        self.conditions.describe(&mut table);
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# The engine: {}\n", self.what)?;
        self.sections.iter().try_for_each(|section| write!(f, "{section}"))?;
        for problem in &self.problems {
            writeln!(f, "**{problem}**\n")?;
        }
        writeln!(f, "## Conditions\n\n{}", self.condition_table())
    }
}

impl Results for Report {
    fn stem(&self) -> String {
        format!("engine-{}-{}", self.what, self.conditions.date)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::Args;

    #[test]
    fn problems_are_shown_and_make_the_report_wrong() {
        let args = Args::try_parse_from(["engine", "floor", "--set", "worker.threads=2"]).unwrap();
        let mut report = Report::new(&args.what, Conditions::now());
        assert!(report.is_right());
        let section = Section {
            title: "Floor",
            method: "As always.".into(),
            tables: Vec::new(),
            results: json!({"runs": 1}),
        };
        report.add(Finding {
            section,
            problems: vec!["stream 3, Q7: lost".into()],
        });
        assert!(!report.is_right());
        let text = report.to_string();
        for part in ["## Floor", "As always.", "**stream 3, Q7: lost**", "worker.threads=2"] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(report.stem().starts_with("engine-floor-20"));
    }
}
