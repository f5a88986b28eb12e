//! The report for a person: the same text on the terminal and in `results/`.

use std::fmt;

use quarry_benches::table::{Table, number};

use crate::report::{Line, Pick, Report, Runs, Sum};

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
        if !self.foreign.is_empty() {
            self.beside_others(f)?;
        }
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
        ]);
        for line in &self.queries {
            table.row(query_cells(line));
        }
        let (min, median) = (&self.totals.min, &self.totals.median);
        table.row([
            "total".into(),
            String::new(),
            number(Some(min.quarry_ms), 1),
            number(Some(median.quarry_ms), 1),
            number(Some(min.plain_ms), 1),
            number(Some(median.plain_ms), 1),
            "best".into(),
            number(min.ratio, 2),
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

    /// Quarry's fastest runs beside those of engines by others, and what these did wrong.
    fn beside_others(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.foreign.iter().map(|version| version.engine).collect();
        writeln!(f, "## Beside {}\n", names.join(", "))?;
        writeln!(
            f,
            "Fastest runs. A ratio is Quarry's time divided by the other engine's; a total is over the queries that both answered.\n"
        )?;
        writeln!(f, "{}", self.foreign_table())?;
        for line in &self.queries {
            for runs in &line.foreign {
                if let Some(trouble) = &runs.trouble {
                    writeln!(f, "Q{}: {} {trouble}\n", line.id, runs.engine)?;
                }
            }
        }
        Ok(())
    }

    fn foreign_table(&self) -> Table {
        let names = self.foreign.iter().map(|version| version.engine);
        let columns = names.flat_map(|name| [format!("{name} ms"), "ratio".to_owned()]);
        let mut table = Table::of_numbers(["query".to_owned(), "quarry ms".to_owned()].into_iter().chain(columns));
        for line in &self.queries {
            let first = [format!("Q{}", line.id), number(line.quarry(Pick::Min), 1)];
            let ratio = |runs: &Runs| line.beside(runs).map(|(quarry, foreign)| quarry / foreign);
            let others = line.foreign.iter();
            table.row(
                first
                    .into_iter()
                    .chain(others.flat_map(|runs| [number(runs.min(), 1), number(ratio(runs), 2)])),
            );
        }
        let first = ["total".to_owned(), number(Some(self.totals.min.quarry_ms), 1)];
        let others = self.totals.foreign.iter();
        let others = others.flat_map(|total| [number(Some(total.foreign_ms), 1), number(total.ratio, 2)]);
        table.row(first.into_iter().chain(others));
        table
    }

    fn condition_table(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.setup.describe(&self.data, &mut table);
        for foreign in &self.foreign {
            table.row([foreign.engine.to_owned(), foreign.version.clone()]);
        }
        self.conditions.describe(&mut table);
        table
    }
}

fn query_cells(line: &Line) -> [String; 8] {
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
    use crate::report::{Trouble, Version};

    fn report(lines: Vec<Line>) -> Report {
        let foreign = ["DuckDB", "Spark"].map(|engine| Version {
            engine,
            version: "9.9".into(),
        });
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
        Report::new(Conditions::now(), setup, data, lines, foreign.to_vec())
    }

    #[test]
    fn every_ratio_stands_beside_what_it_is_made_of() {
        let text = report(vec![line(1, &[30.0], &[20.0], &[25.0])]).to_string();
        for part in [
            "**1.50 times** plain DataFusion's",
            "| Q1    |    0 |      30.0 |   30.0 |     20.0 |   20.0 |          2 |  1.50 |",
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

    #[test]
    fn engines_by_others_stand_beside_quarry() {
        let mut lines = [1, 2].map(|id| line(id, &[30.0], &[20.0], &[25.0]));
        lines[0].foreign[0].ms.add(10.0);
        lines[0].foreign[1].ms.add(60.0);
        lines[1].foreign[0].trouble = Some(Trouble::Failed("out of memory".into()));
        lines[1].foreign[1].trouble = Some(Trouble::Different { rows: 1, expected: 2 });
        let wrong = report(lines.to_vec());
        let text = wrong.to_string();
        for part in [
            "## Beside DuckDB, Spark",
            "| query | quarry ms | DuckDB ms | ratio | Spark ms | ratio |",
            "| Q1    |      30.0 |      10.0 |  3.00 |     60.0 |  0.50 |",
            "| Q2    |      30.0 |         - |     - |        - |     - |",
            "| total |      60.0 |      10.0 |  3.00 |     60.0 |  0.50 |",
            "Q2: DuckDB failed: out of memory",
            "Q2: Spark answered with 1 rows, expected 2",
            "| Spark ",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(!wrong.is_right(), "another answer is a matter of right and wrong");
        lines[1].foreign[1].trouble = Some(Trouble::Failed("out of memory".into()));
        assert!(report(lines.to_vec()).is_right(), "another engine's failure is not");
    }
}
