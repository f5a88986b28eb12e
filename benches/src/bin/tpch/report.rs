//! The figures and what follows from them: ratios per query, totals. As JSON they are complete; `markdown` shows them.

use std::fmt;

use quarry_benches::conditions::Conditions;
use quarry_benches::home::Data;
use quarry_benches::output::Results;
use quarry_benches::samples::Samples;
use quarry_benches::setup::Setup;
use serde::Serialize;

use crate::foreign::Foreign;

/// One query on all engines.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Number of the query.
    pub(crate) id: u8,
    /// Rows of its answer.
    pub(crate) rows: usize,
    /// Quarry's times over Flight SQL, from sending the statement to its last row.
    pub(crate) quarry_ms: Samples,
    /// Plain DataFusion's times, once for each number of partitions.
    pub(crate) plain: Vec<Plain>,
    /// Engines by others, in the order of the report's versions.
    pub(crate) foreign: Vec<Runs>,
    /// Bytes that Quarry's scans read from replicas beside the worker.
    pub(crate) local_bytes: u64,
    /// Bytes that they read over a socket.
    pub(crate) remote_bytes: u64,
    /// What went wrong; then the query is in no total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// Plain DataFusion with one number of partitions.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plain {
    /// How many.
    pub(crate) partitions: usize,
    /// Its times, from the statement's text to its last row.
    pub(crate) ms: Samples,
}

/// An engine by others with one query.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Runs {
    /// Its name.
    pub(crate) engine: &'static str,
    /// Its times, from the statement's text to its last row.
    pub(crate) ms: Samples,
    /// Why it has no time that counts.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Trouble>,
}

/// What an engine by others did wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    /// It did not answer.
    Failed(String),
    /// It answered with another number of rows than plain DataFusion.
    Different { rows: usize, expected: usize },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Different { rows, expected } => write!(f, "answered with {rows} rows, expected {expected}"),
        }
    }
}

impl Runs {
    /// Its fastest time in milliseconds; absent if anything went wrong.
    pub(crate) fn min(&self) -> Option<f64> {
        self.ms.min().filter(|_| self.trouble.is_none())
    }
}

/// An engine by others that took part.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Version {
    /// Its name.
    pub(crate) engine: &'static str,
    /// Its version and settings, as it told them.
    pub(crate) version: String,
}

impl Version {
    /// That of an engine.
    pub(crate) fn of(foreign: &Foreign) -> Self {
        Self {
            engine: foreign.name(),
            version: foreign.version().to_owned(),
        }
    }
}

/// Which of several runs stands for all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    /// The fastest.
    Min,
    /// The middle one.
    Median,
}

impl Pick {
    fn of(self, samples: &Samples) -> Option<f64> {
        match self {
            Self::Min => samples.min(),
            Self::Median => samples.median(),
        }
    }
}

impl Line {
    /// A query before its first run.
    pub(crate) fn new(
        id: u8,
        partitions: impl Iterator<Item = usize>,
        foreign: impl Iterator<Item = &'static str>,
    ) -> Self {
        let plain = |partitions| Plain {
            partitions,
            ms: Samples::default(),
        };
        let runs = |engine| Runs {
            engine,
            ms: Samples::default(),
            trouble: None,
        };
        Self {
            id,
            rows: 0,
            quarry_ms: Samples::default(),
            plain: partitions.map(plain).collect(),
            foreign: foreign.map(runs).collect(),
            local_bytes: 0,
            remote_bytes: 0,
            problem: None,
        }
    }

    /// Quarry's time in milliseconds; absent if the query went wrong.
    pub(crate) fn quarry(&self, pick: Pick) -> Option<f64> {
        let good = self.problem.is_none();
        pick.of(&self.quarry_ms).filter(|_| good)
    }

    /// The better number of partitions and its time in milliseconds; absent if the query went wrong.
    pub(crate) fn best_plain(&self, pick: Pick) -> Option<(usize, f64)> {
        let good = self.problem.is_none();
        let times = self
            .plain
            .iter()
            .filter_map(|plain| Some((plain.partitions, pick.of(&plain.ms)?)));
        times.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| good)
    }

    /// Quarry's time divided by the better one of plain DataFusion; absent if the query went wrong.
    pub(crate) fn ratio(&self, pick: Pick) -> Option<f64> {
        Some(self.quarry(pick)? / self.best_plain(pick)?.1)
    }

    /// The fastest times of Quarry and of an engine by others; absent if either has none.
    pub(crate) fn beside(&self, runs: &Runs) -> Option<(f64, f64)> {
        self.quarry(Pick::Min).zip(runs.min())
    }
}

/// Sums over the queries that went right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Totals {
    /// Queries that were run.
    pub(crate) queries: usize,
    /// Queries whose answers were equal in all runs on all engines.
    pub(crate) ok: usize,
    /// Of each query's fastest run.
    pub(crate) min: Sum,
    /// Of each query's middle time.
    pub(crate) median: Sum,
    /// Part of the bytes that Quarry scanned that was local, from 0 to 1; absent if nothing was scanned.
    pub(crate) local_share: Option<f64>,
    /// Engines by others, in the order of the report's versions.
    pub(crate) foreign: Vec<Beside>,
}

/// Sums of times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sum {
    /// Quarry's.
    pub(crate) quarry_ms: f64,
    /// Plain DataFusion's, the better number of partitions taken for each query.
    pub(crate) plain_ms: f64,
    /// `quarry_ms / plain_ms`.
    pub(crate) ratio: Option<f64>,
    /// Plain DataFusion's with each number of partitions.
    pub(crate) plain_by_partitions: Vec<(usize, f64)>,
}

impl Totals {
    fn of(lines: &[Line]) -> Self {
        let foreign = lines.first().map_or(0, |line| line.foreign.len());
        let bytes = |bytes: fn(&Line) -> u64| lines.iter().map(bytes).sum::<u64>();
        let (local, remote) = (bytes(|line| line.local_bytes), bytes(|line| line.remote_bytes));
        Self {
            queries: lines.len(),
            ok: lines.iter().filter(|line| line.problem.is_none()).count(),
            min: Sum::of(lines, Pick::Min),
            median: Sum::of(lines, Pick::Median),
            foreign: (0..foreign).map(|index| Beside::of(lines, index)).collect(),
            local_share: (local + remote > 0).then(|| local as f64 / (local + remote) as f64),
        }
    }
}

/// Quarry beside an engine by others: sums of the fastest runs over the queries that both answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Beside {
    /// How many these are.
    pub(crate) queries: usize,
    /// Quarry's time in milliseconds.
    pub(crate) quarry_ms: f64,
    /// The other engine's.
    pub(crate) foreign_ms: f64,
    /// `quarry_ms / foreign_ms`.
    pub(crate) ratio: Option<f64>,
}

impl Beside {
    /// The engine with this index in each line.
    fn of(lines: &[Line], index: usize) -> Self {
        let pairs = lines.iter().filter_map(|line| line.beside(&line.foreign[index]));
        let (queries, quarry_ms, foreign_ms) = pairs.fold((0, 0.0, 0.0), |(queries, quarry, foreign), pair| {
            (queries + 1, quarry + pair.0, foreign + pair.1)
        });
        Self {
            queries,
            quarry_ms,
            foreign_ms,
            ratio: (foreign_ms > 0.0).then_some(quarry_ms / foreign_ms),
        }
    }
}

impl Sum {
    fn of(lines: &[Line], pick: Pick) -> Self {
        let good: Vec<_> = lines.iter().filter(|line| line.problem.is_none()).collect();
        let quarry_ms = good.iter().filter_map(|line| line.quarry(pick)).sum();
        let plain_ms = good
            .iter()
            .filter_map(|line| line.best_plain(pick))
            .map(|(_, ms)| ms)
            .sum();
        let partitions = lines.first().map_or(&[][..], |line| &line.plain);
        let with = |index: usize| good.iter().filter_map(|line| pick.of(&line.plain[index].ms)).sum();
        Self {
            quarry_ms,
            plain_ms,
            ratio: (plain_ms > 0.0).then_some(quarry_ms / plain_ms),
            plain_by_partitions: partitions
                .iter()
                .enumerate()
                .map(|(index, plain)| (plain.partitions, with(index)))
                .collect(),
        }
    }
}

/// A whole run of the benchmark.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    pub(crate) conditions: Conditions,
    pub(crate) setup: Setup,
    /// Engines by others that took part.
    pub(crate) foreign: Vec<Version>,
    pub(crate) data: Data,
    pub(crate) queries: Vec<Line>,
    pub(crate) totals: Totals,
}

impl Report {
    /// Adds up.
    pub(crate) fn new(
        conditions: Conditions,
        setup: Setup,
        data: Data,
        queries: Vec<Line>,
        foreign: Vec<Version>,
    ) -> Self {
        let totals = Totals::of(&queries);
        Self {
            benchmark: "tpch",
            conditions,
            setup,
            foreign,
            data,
            queries,
            totals,
        }
    }

    /// Whether all queries were answered alike by all engines that answered, and by Quarry and plain DataFusion in any case.
    pub(crate) fn is_right(&self) -> bool {
        let different = |runs: &Runs| matches!(runs.trouble, Some(Trouble::Different { .. }));
        self.totals.ok == self.totals.queries && !self.queries.iter().flat_map(|line| &line.foreign).any(different)
    }
}

impl Results for Report {
    fn stem(&self) -> String {
        format!("tpch-sf{}-{}", self.data.scale, self.conditions.date)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A line with these times of Quarry, and of plain DataFusion with 2 and with 4 partitions.
    pub(crate) fn line(id: u8, quarry: &[f64], two: &[f64], four: &[f64]) -> Line {
        let mut line = Line::new(id, [2, 4].into_iter(), ["DuckDB", "Spark"].into_iter());
        quarry.iter().for_each(|ms| line.quarry_ms.add(*ms));
        two.iter().for_each(|ms| line.plain[0].ms.add(*ms));
        four.iter().for_each(|ms| line.plain[1].ms.add(*ms));
        line
    }

    #[test]
    fn the_ratio_is_to_the_better_number_of_partitions() {
        let line = line(1, &[30.0, 90.0, 45.0], &[20.0, 80.0, 30.0], &[25.0, 26.0, 25.5]);
        assert_eq!(
            (line.best_plain(Pick::Min), line.ratio(Pick::Min)),
            (Some((2, 20.0)), Some(1.5))
        );
        assert_eq!(line.best_plain(Pick::Median), Some((4, 25.5)));
    }

    #[test]
    fn a_query_that_went_wrong_is_in_no_total() {
        let mut wrong = line(2, &[1.0], &[100.0], &[100.0]);
        wrong.problem = Some("1 rows, expected 2".into());
        assert_eq!((wrong.quarry(Pick::Min), wrong.ratio(Pick::Min)), (None, None));
        let totals = Totals::of(&[line(1, &[30.0], &[20.0], &[25.0]), wrong]);
        assert_eq!((totals.queries, totals.ok, totals.min.ratio), (2, 1, Some(1.5)));
        assert_eq!(totals.min.plain_by_partitions, [(2, 20.0), (4, 25.0)]);
    }

    #[test]
    fn totals_take_the_better_partitions_query_by_query() {
        let totals = Totals::of(&[line(1, &[30.0], &[20.0], &[25.0]), line(2, &[30.0], &[20.0], &[10.0])]);
        assert_eq!(
            (totals.min.quarry_ms, totals.min.plain_ms, totals.min.ratio),
            (60.0, 30.0, Some(2.0))
        );
        assert_eq!(totals.min.plain_by_partitions, [(2, 40.0), (4, 35.0)]);
    }

    #[test]
    fn an_engine_by_others_is_compared_over_what_both_answered() {
        let mut lines = [line(1, &[30.0], &[20.0], &[25.0]), line(2, &[10.0], &[20.0], &[10.0])];
        for line in &mut lines {
            line.foreign[0].ms.add(60.0);
            line.foreign[1].ms.add(60.0);
        }
        lines[1].foreign[1].trouble = Some(Trouble::Failed("no memory".into()));
        let totals = Totals::of(&lines);
        let beside = |index: usize| (totals.foreign[index].queries, totals.foreign[index].ratio);
        assert_eq!((beside(0), beside(1)), ((2, Some(1.0 / 3.0)), (1, Some(0.5))));
        // What another engine does changes nothing of Quarry's.
        assert_eq!((totals.ok, totals.min.quarry_ms), (2, 40.0));
    }

    #[test]
    fn without_times_there_is_no_ratio() {
        assert_eq!(Totals::of(&[]).min.ratio, None);
        assert_eq!(Totals::of(&[]).local_share, None);
    }
}
