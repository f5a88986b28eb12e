//! The figures and what follows from them: ratios per text, totals. As JSON they are complete; `markdown` shows them.

use std::collections::BTreeSet;

use quarry_benches::conditions::Conditions;
use quarry_benches::home::Data;
use quarry_benches::output::Results;
use quarry_benches::samples::Samples;
use quarry_benches::setup::Setup;
use serde::Serialize;

use crate::known;
use crate::texts::Text;

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "problem", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Both engines gave the same answer in every run.
    Same,
    /// Their answers differ in rows that tie at the query's limit, and are both right.
    SameUpToTies,
    /// Their answers differ.
    Different(String),
    /// Quarry failed.
    QuarryFailed(String),
    /// Plain DataFusion failed.
    PlainFailed(String),
}

impl Outcome {
    /// Whether the answer was right.
    pub(crate) fn is_right(&self) -> bool {
        matches!(self, Self::Same | Self::SameUpToTies)
    }

    /// The outcome in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::SameUpToTies => "same but ties",
            Self::Different(_) => "different",
            Self::QuarryFailed(_) => "Quarry failed",
            Self::PlainFailed(_) => "plain failed",
        }
    }

    /// What went wrong.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            Self::Same | Self::SameUpToTies => None,
            Self::Different(problem) | Self::QuarryFailed(problem) | Self::PlainFailed(problem) => Some(problem),
        }
    }
}

/// One text on both engines.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Its name.
    pub(crate) query: String,
    /// Rows of the answer.
    pub(crate) rows: usize,
    /// Quarry's times over Flight SQL, from sending the statement to its last row.
    pub(crate) quarry_ms: Samples,
    /// Plain DataFusion's times, from the statement's text to its last row.
    pub(crate) plain_ms: Samples,
    /// Bytes that Quarry's scans read from replicas beside the worker.
    pub(crate) local_bytes: u64,
    /// Bytes that they read over a socket.
    pub(crate) remote_bytes: u64,
    /// What became of it.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl Line {
    /// A text before its first run.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            query: name.to_owned(),
            rows: 0,
            quarry_ms: Samples::default(),
            plain_ms: Samples::default(),
            local_bytes: 0,
            remote_bytes: 0,
            outcome: Outcome::Same,
        }
    }

    /// The fastest times of Quarry and of plain DataFusion in milliseconds; absent if the answer was not right.
    pub(crate) fn times(&self) -> Option<(f64, f64)> {
        let times = self.quarry_ms.min().zip(self.plain_ms.min());
        times.filter(|_| self.outcome.is_right())
    }

    /// Quarry's fastest time divided by plain DataFusion's.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.times().map(|(quarry, plain)| quarry / plain)
    }
}

/// Sums over all texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Totals {
    /// Queries that were run, of which some have two texts.
    pub(crate) queries: usize,
    /// Queries of which every text was answered right.
    pub(crate) right: usize,
    /// Sum of Quarry's fastest times.
    pub(crate) quarry_ms: f64,
    /// Sum of plain DataFusion's fastest times.
    pub(crate) plain_ms: f64,
    /// `quarry_ms / plain_ms`.
    pub(crate) ratio: Option<f64>,
    /// Geometric mean of the ratios, in which every text counts alike.
    pub(crate) mean_ratio: Option<f64>,
}

impl Totals {
    fn of(lines: &[Line], texts: &[Text]) -> Self {
        let times: Vec<_> = lines.iter().filter_map(Line::times).collect();
        let quarry_ms = times.iter().map(|(quarry, _)| quarry).sum();
        let plain_ms = times.iter().map(|(_, plain)| plain).sum();
        let logarithms: f64 = times.iter().map(|(quarry, plain)| (quarry / plain).ln()).sum();
        let pairs = || texts.iter().map(Text::query).zip(lines);
        let wrong: BTreeSet<_> = pairs()
            .filter(|(_, line)| !line.outcome.is_right())
            .map(|(query, _)| query)
            .collect();
        let queries: BTreeSet<_> = pairs().map(|(query, _)| query).collect();
        let some = !times.is_empty();
        Self {
            queries: queries.len(),
            right: queries.len() - wrong.len(),
            quarry_ms,
            plain_ms,
            ratio: some.then_some(quarry_ms / plain_ms),
            mean_ratio: some.then(|| (logarithms / times.len() as f64).exp()),
        }
    }
}

/// A whole run of the benchmark.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    pub(crate) conditions: Conditions,
    pub(crate) setup: Setup,
    pub(crate) data: Data,
    pub(crate) queries: Vec<Line>,
    pub(crate) totals: Totals,
}

impl Report {
    /// Adds up the lines of `texts`.
    pub(crate) fn new(conditions: Conditions, setup: Setup, data: Data, queries: Vec<Line>, texts: &[Text]) -> Self {
        let totals = Totals::of(&queries, texts);
        Self {
            benchmark: "tpcds",
            conditions,
            setup,
            data,
            queries,
            totals,
        }
    }

    /// Whether everything is as it should be: right, or listed as known not to be.
    pub(crate) fn is_as_expected(&self) -> bool {
        self.queries.iter().all(is_as_expected)
    }
}

impl Results for Report {
    fn stem(&self) -> String {
        format!("tpcds-sf{}-{}", self.data.scale, self.conditions.date)
    }
}

/// Whether a text was answered right, or is listed as one that is not.
pub(crate) fn is_as_expected(line: &Line) -> bool {
    line.outcome.is_right() == known::reason(&line.query).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Text {
        Text {
            name: name.to_owned(),
            sql: String::new(),
        }
    }

    fn line(name: &str, quarry: f64, plain: f64) -> Line {
        let mut line = Line::new(name);
        line.quarry_ms.add(quarry);
        line.plain_ms.add(plain);
        line
    }

    #[test]
    fn a_query_is_right_if_all_its_parts_are() {
        let texts = ["1", "14a", "14b"].map(text);
        let mut lines = [line("1", 20.0, 10.0), line("14a", 10.0, 20.0), line("14b", 70.0, 10.0)];
        assert_eq!(Totals::of(&lines, &texts).right, 2);
        lines[2].outcome = Outcome::Different("1 rows, expected 2".into());
        let totals = Totals::of(&lines, &texts);
        assert_eq!((totals.queries, totals.right), (2, 1));
        // A wrong answer has no time.
        assert_eq!((totals.quarry_ms, totals.plain_ms), (30.0, 30.0));
        assert_eq!((totals.ratio, totals.mean_ratio), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn without_times_there_is_no_ratio() {
        let totals = Totals::of(&[Line::new("1")], &[text("1")]);
        assert_eq!((totals.right, totals.ratio, totals.mean_ratio), (1, None, None));
    }

    #[test]
    fn a_failure_that_is_not_listed_is_unexpected() {
        let mut line = line("no such query", 1.0, 1.0);
        assert!(is_as_expected(&line));
        line.outcome = Outcome::QuarryFailed("no memory".into());
        assert!(!is_as_expected(&line));
    }
}
