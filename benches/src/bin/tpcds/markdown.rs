//! The report for a person: the same text on the terminal and in a file.

use std::fmt;

use quarry_benches::table::{Table, number};

use crate::known;
use crate::report::{Line, Report, is_as_expected};
use crate::texts::ADAPTATIONS;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, nodes) = (self.data.scale, self.data.nodes);
        writeln!(
            f,
            "# TPC-DS at scale {scale}: Quarry on {nodes} nodes beside plain DataFusion\n"
        )?;
        writeln!(f, "{}\n", self.sentence())?;
        writeln!(f, "{}", self.query_table())?;
        for line in &self.queries {
            if let Some(problem) = problem(line) {
                writeln!(f, "**Q{}: {problem}**\n", line.query)?;
            }
        }
        writeln!(f, "## Changes to the texts\n\n{}", adaptations())?;
        writeln!(f, "## Conditions\n\n{}", self.condition_table())
    }
}

impl Report {
    fn sentence(&self) -> String {
        let totals = &self.totals;
        let right = format!(
            "{} of {} queries were answered as by plain DataFusion.",
            totals.right, totals.queries
        );
        if totals.ratio.is_none() {
            return right;
        }
        format!(
            "{right} Total: **{} times** its time by the fastest runs; {} times in the geometric mean of the queries.",
            number(totals.ratio, 2),
            number(totals.mean_ratio, 2)
        )
    }

    fn query_table(&self) -> Table {
        let mut table = Table::of_numbers(["query", "rows", "quarry ms", "plain ms", "ratio", "answer"]);
        for line in &self.queries {
            table.row([
                format!("Q{}", line.query),
                line.rows.to_string(),
                number(line.times().map(|(quarry, _)| quarry), 1),
                number(line.times().map(|(_, plain)| plain), 1),
                number(line.ratio(), 2),
                line.outcome.word().to_owned(),
            ]);
        }
        let totals = &self.totals;
        table.row([
            "total".into(),
            String::new(),
            number(Some(totals.quarry_ms), 1),
            number(Some(totals.plain_ms), 1),
            number(totals.ratio, 2),
            format!("{} of {}", totals.right, totals.queries),
        ]);
        table
    }

    fn condition_table(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.setup.describe(&self.data, &mut table);
        self.conditions.describe(&mut table);
        table
    }
}

/// What is wrong with a line, also that nothing is where the list says so.
pub(crate) fn problem(line: &Line) -> Option<String> {
    match (line.outcome.problem(), known::reason(&line.query)) {
        (None, None) => None,
        (None, Some(_)) => Some("is right, but listed as one that is not: take it from the list".into()),
        (Some(problem), None) => Some(format!("{}: {problem}", line.outcome.word())),
        (Some(problem), Some(reason)) => Some(format!("{}, as is known ({reason}): {problem}", line.outcome.word())),
    }
}

/// One line of progress.
pub(crate) fn progress(line: &Line) -> String {
    let times = line
        .times()
        .map(|(quarry, plain)| format!(": {quarry:.1} ms, plain {plain:.1} ms"))
        .unwrap_or_default();
    let mark = if is_as_expected(line) { "" } else { " (!)" };
    let problem = problem(line).map(|problem| format!(": {problem}")).unwrap_or_default();
    format!(
        "Q{} {}, {} rows{times}{mark}{problem}",
        line.query,
        line.outcome.word(),
        line.rows
    )
}

fn adaptations() -> Table {
    let mut table = Table::of_text(["queries", "why"]);
    for adaptation in &ADAPTATIONS {
        let texts = if adaptation.texts.is_empty() {
            "all".to_owned()
        } else {
            adaptation.texts.join(", ")
        };
        table.row([texts, adaptation.reason.to_owned()]);
    }
    table
}
