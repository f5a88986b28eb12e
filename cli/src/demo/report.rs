//! What the demonstration found, as a table for a person and as JSON for a program.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// One query on both engines.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Number of the query.
    pub id: u8,
    /// Fastest run on the cluster, in milliseconds.
    pub ms: f64,
    /// Rows of the cluster's answer.
    pub rows: usize,
    /// Bytes that the cluster's scans read from replicas beside the worker.
    pub local_bytes: u64,
    /// Bytes that they read over a socket.
    pub remote_bytes: u64,
    /// Whether the answer equals plain DataFusion's in every run.
    pub ok: bool,
    /// Fastest run of plain DataFusion, in milliseconds; absent if it failed.
    pub plain_ms: Option<f64>,
    /// `ms / plain_ms`.
    pub ratio: Option<f64>,
    /// What is wrong, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All queries together.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// Sum over the queries, in milliseconds.
    pub ms: f64,
    /// Sum over the queries, in milliseconds.
    pub plain_ms: f64,
    /// `ms / plain_ms`.
    pub ratio: f64,
    /// Sum over the queries.
    pub local_bytes: u64,
    /// Sum over the queries.
    pub remote_bytes: u64,
    /// Part of the scanned bytes that was local, from 0 to 1; absent if nothing was scanned.
    pub local_share: Option<f64>,
    /// Queries that were run.
    pub queries: usize,
    /// Queries that were answered right.
    pub ok: usize,
}

/// The whole demonstration.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Scale factor.
    pub scale: f64,
    /// Nodes of the cluster.
    pub nodes: u16,
    /// Threads of plain DataFusion.
    pub threads: usize,
    /// Timed runs of each query on each engine, after one that is not timed.
    pub runs: u32,
    /// Rows loaded.
    pub loaded_rows: u64,
    /// Bytes of the files loaded, each counted once.
    pub loaded_bytes: u64,
    /// Time of the load, in milliseconds.
    pub load_ms: f64,
    /// By query.
    pub queries: Vec<Line>,
    /// All together.
    pub totals: Totals,
}

impl Totals {
    /// Adds up.
    pub fn of(lines: &[Line]) -> Self {
        let (ms, plain_ms) = lines.iter().fold((0.0, 0.0), |(ms, plain), line| {
            (ms + line.ms, plain + line.plain_ms.unwrap_or(0.0))
        });
        let local_bytes: u64 = lines.iter().map(|line| line.local_bytes).sum();
        let remote_bytes: u64 = lines.iter().map(|line| line.remote_bytes).sum();
        let bytes = local_bytes + remote_bytes;
        let local_share = (bytes > 0).then(|| local_bytes as f64 / bytes as f64);
        let ok = lines.iter().filter(|line| line.ok).count();
        Self {
            ms,
            plain_ms,
            ratio: ms / plain_ms,
            local_bytes,
            remote_bytes,
            local_share,
            queries: lines.len(),
            ok,
        }
    }
}

impl Report {
    /// Whether every one of the 22 queries was answered right.
    pub fn is_right(&self) -> bool {
        self.totals.ok == crate::tpch::QUERIES.len()
    }

    /// The table and a sentence.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "query",
            "ms",
            "rows",
            "local MB",
            "remote MB",
            "plain ms",
            "ratio",
            "ok",
        ]);
        for line in &self.queries {
            table.add_row(cells(line));
        }
        table.add_row(total_cells(&self.totals));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let problems: String = self.queries.iter().filter_map(problem).collect();
        format!("{table}\n{problems}{}", self.sentence())
    }

    fn sentence(&self) -> String {
        let Totals { ok, queries, .. } = &self.totals;
        let share = self
            .totals
            .local_share
            .map_or_else(|| "nothing".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let runs = self.runs;
        format!(
            "{ok} of {queries} answers equal plain DataFusion's on {} threads over the same files; {share} of the scanned bytes were local.\n\
             Times are the best of {runs} after a warm-up, the two engines in turn.",
            self.threads
        )
    }
}

fn problem(line: &Line) -> Option<String> {
    line.problem
        .as_ref()
        .map(|problem| format!("Q{}: {problem}\n", line.id))
}

fn cells(line: &Line) -> [String; 8] {
    let number = |value: Option<f64>, digits| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
    [
        format!("Q{}", line.id),
        number(Some(line.ms), 1),
        line.rows.to_string(),
        megabytes(line.local_bytes),
        megabytes(line.remote_bytes),
        number(line.plain_ms, 1),
        number(line.ratio, 2),
        if line.ok { "yes" } else { "NO" }.to_owned(),
    ]
}

fn total_cells(totals: &Totals) -> [String; 8] {
    [
        "total".to_owned(),
        format!("{:.1}", totals.ms),
        String::new(),
        megabytes(totals.local_bytes),
        megabytes(totals.remote_bytes),
        format!("{:.1}", totals.plain_ms),
        format!("{:.2}", totals.ratio),
        format!("{}/{}", totals.ok, totals.queries),
    ]
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, ok: bool) -> Line {
        Line {
            id,
            ms: 20.0,
            rows: 1,
            local_bytes: 99,
            remote_bytes: 1,
            ok,
            plain_ms: Some(10.0),
            ratio: Some(2.0),
            problem: (!ok).then(|| "1 rows, expected 2".to_owned()),
        }
    }

    fn report(lines: Vec<Line>) -> Report {
        let totals = Totals::of(&lines);
        Report {
            scale: 1.0,
            nodes: 3,
            threads: 2,
            runs: 1,
            loaded_rows: 0,
            loaded_bytes: 0,
            load_ms: 0.0,
            queries: lines,
            totals,
        }
    }

    #[test]
    fn totals_add_up() {
        let totals = Totals::of(&[line(1, true), line(2, false)]);
        assert_eq!((totals.ms, totals.plain_ms, totals.ratio), (40.0, 20.0, 2.0));
        assert_eq!((totals.local_share, totals.ok, totals.queries), (Some(0.99), 1, 2));
        assert_eq!(Totals::of(&[]).local_share, None);
    }

    #[test]
    fn only_22_right_answers_are_right() {
        let all: Vec<_> = (1..=22).map(|id| line(id, true)).collect();
        assert!(report(all.clone()).is_right());
        assert!(!report(all[1..].to_vec()).is_right());
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let text = report(vec![line(1, true), line(7, false)]).text();
        assert!(text.contains("Q7: 1 rows, expected 2"), "{text}");
        assert!(text.contains("1 of 2 answers"), "{text}");
    }
}
