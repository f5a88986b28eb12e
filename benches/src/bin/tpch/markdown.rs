//! The report for a person: the same text on the terminal and in `results/`.

use std::fmt;

use quarry_benches::table::{Table, number};

use crate::report::{Line, Pick, Report, Sum};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, nodes) = (self.data.scale, self.data.nodes);
        writeln!(
            f,
            "# TPC-H at scale {scale}: Quarry on {nodes} nodes beside plain DataFusion\n"
        )?;
        writeln!(f, "{}\n", self.sentence())?;
        writeln!(f, "{}", self.query_table())?;
        for line in &self.queries {
            if let Some(problem) = &line.problem {
                writeln!(f, "**Q{}: {problem}**\n", line.id)?;
            }
        }
        writeln!(f, "{}", self.total_table())?;
        writeln!(f, "## Conditions\n\n{}", self.condition_table())
    }
}

impl Report {
    fn sentence(&self) -> String {
        let totals = &self.totals;
        let ratio = number(totals.min.ratio, 2);
        let median = number(totals.median.ratio, 2);
        let share = number(totals.local_share.map(|share| share * 100.0), 1);
        format!(
            "Total: **{ratio} times** plain DataFusion's time by the fastest runs, {median} by the medians. {} of {} queries were \
             answered alike in every run. {share} % of the bytes that Quarry scanned were local.",
            totals.ok, totals.queries
        )
    }

    fn query_table(&self) -> Table {
        let mut table = Table::of_numbers([
            "query",
            "rows",
            "quarry ms",
            "median",
            "plain ms",
            "median",
            "partitions",
            "ratio",
            "duckdb ms",
            "ratio",
        ]);
        for line in &self.queries {
            table.row(query_cells(line));
        }
        let (min, median) = (&self.totals.min, &self.totals.median);
        let totals_of_duckdb = self.totals.duckdb_ratio;
        table.row([
            "total".into(),
            String::new(),
            number(Some(min.quarry_ms), 1),
            number(Some(median.quarry_ms), 1),
            number(Some(min.plain_ms), 1),
            number(Some(median.plain_ms), 1),
            "best".into(),
            number(min.ratio, 2),
            String::new(),
            number(totals_of_duckdb, 2),
        ]);
        table
    }

    /// The totals against plain DataFusion with the same number of partitions for all queries.
    fn total_table(&self) -> Table {
        let mut table = Table::of_numbers(["plain DataFusion", "total ms", "ratio", "by medians, ms", "ratio"]);
        let (min, median) = (&self.totals.min, &self.totals.median);
        let pairs = min.plain_by_partitions.iter().zip(&median.plain_by_partitions);
        for ((partitions, min_ms), (_, median_ms)) in pairs {
            table.row(total_cells(
                format!("{partitions} partitions"),
                (min, *min_ms),
                (median, *median_ms),
            ));
        }
        let best = "better for each query".to_owned();
        table.row(total_cells(best, (min, min.plain_ms), (median, median.plain_ms)));
        table
    }

    fn condition_table(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.setup.describe(&self.data, &mut table);
        let duckdb = self.duckdb.clone().unwrap_or_else(|| "not run".to_owned());
        table.row(["DuckDB".into(), duckdb]);
        self.conditions.describe(&mut table);
        table
    }
}

fn query_cells(line: &Line) -> [String; 10] {
    let best = line.best_plain(Pick::Min);
    [
        format!("Q{}", line.id),
        line.rows.to_string(),
        number(line.quarry(Pick::Min), 1),
        number(line.quarry(Pick::Median), 1),
        number(best.map(|(_, ms)| ms), 1),
        number(line.best_plain(Pick::Median).map(|(_, ms)| ms), 1),
        best.map_or_else(|| "-".to_owned(), |(partitions, _)| partitions.to_string()),
        number(line.ratio(Pick::Min), 2),
        number(line.duckdb_ms.min(), 1),
        number(line.duckdb_ratio(Pick::Min), 2),
    ]
}

fn total_cells(name: String, (min, min_ms): (&Sum, f64), (median, median_ms): (&Sum, f64)) -> [String; 5] {
    let ratio = |sum: &Sum, plain_ms: f64| number(sum.ratio.map(|_| sum.quarry_ms / plain_ms), 2);
    [
        name,
        number(Some(min_ms), 1),
        ratio(min, min_ms),
        number(Some(median_ms), 1),
        ratio(median, median_ms),
    ]
}

#[cfg(test)]
mod tests {
    use quarry_benches::conditions::Conditions;
    use quarry_benches::home::Data;
    use quarry_benches::setup::Setup;

    use super::*;
    use crate::report::tests::line;

    fn report(lines: Vec<Line>) -> Report {
        let setup = Setup {
            processes: false,
            worker_threads: 2,
            plain_threads: 2,
            plain_partitions: vec![2, 4],
            settings: vec!["worker.threads=2".into()],
            runs: 1,
        };
        let data = Data {
            scale: 1.0,
            nodes: 3,
            rows: 8,
            bytes: 3_000_000,
            load_ms: 1.0,
        };
        Report::new(Conditions::now(), setup, data, lines, None)
    }

    #[test]
    fn every_ratio_stands_beside_what_it_is_made_of() {
        let text = report(vec![line(1, &[30.0], &[20.0], &[25.0])]).to_string();
        for part in [
            "**1.50 times** plain DataFusion's",
            "| Q1    |    0 |      30.0 |   30.0 |     20.0 |   20.0 |          2 |  1.50 |         - |     - |",
            "| 4 partitions          |     25.0 |  1.20 |",
            "2 or 4 partitions on 2 threads",
            "worker.threads=2",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
    }

    #[test]
    fn a_wrong_answer_has_no_time() {
        let mut wrong = line(7, &[30.0], &[20.0], &[25.0]);
        wrong.problem = Some("Quarry answered wrong".into());
        let report = report(vec![wrong]);
        let text = report.to_string();
        assert!(!report.is_right());
        assert!(text.contains("**Q7: Quarry answered wrong**"), "{text}");
        assert!(text.contains("0 of 1 queries"), "{text}");
        assert!(!text.contains("30.0"), "{text}");
    }
}
