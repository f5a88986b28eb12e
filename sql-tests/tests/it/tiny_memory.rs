//! Files on tiny memory: every record has the answer that it has elsewhere, or is refused for want of memory in so many words.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use quarry_sql_tests::cells::Type;
use quarry_sql_tests::engine::{Database, is_out_of_memory};
use sqllogictest::{MakeConnection, Record, Runner};

use crate::files::SltFile;

/// Topics whose operators hold memory. `QUARRY_TINY_MEMORY=all` runs the others, too.
const TOPICS: [&str; 6] = ["aggregates/", "joins/", "order/", "sets/", "subqueries/", "windows/"];

/// Whether a file runs on tiny memory.
pub(crate) fn takes(file: &SltFile) -> bool {
    runs_all() || TOPICS.iter().any(|topic| file.name.starts_with(topic))
}

/// Whether everything that runs elsewhere is wanted on tiny memory.
pub(crate) fn runs_all() -> bool {
    std::env::var_os("QUARRY_TINY_MEMORY").is_some_and(|wanted| wanted == "all")
}

/// What became of records on tiny memory.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    records: AtomicUsize,
    refused: AtomicUsize,
}

impl Tally {
    /// Runs a file.
    ///
    /// # Errors
    /// The first record that has another answer or another error.
    pub(crate) async fn run<M>(&self, mut runner: Runner<Database, M>, file: &SltFile) -> Result<()>
    where
        M: MakeConnection<Conn = Database>,
    {
        for record in sqllogictest::parse_file::<Type>(&file.path)? {
            let counts = matches!(record, Record::Statement { .. } | Record::Query { .. });
            self.records.fetch_add(usize::from(counts), Ordering::Relaxed);
            let Err(error) = runner.run_async(record).await else {
                continue;
            };
            let error = error.display(false).to_string();
            anyhow::ensure!(is_out_of_memory(&error), "on tiny memory: {error}");
            self.refused.fetch_add(1, Ordering::Relaxed);
            println!("refused for want of memory, in {}: {}", file.name, first_lines(&error));
        }
        Ok(())
    }

    /// Whether few records were refused: else the memory is too tiny to prove much.
    pub(crate) fn is_good(&self) -> bool {
        self.refused.load(Ordering::Relaxed) * 100 <= self.records.load(Ordering::Relaxed)
    }

    /// In numbers.
    pub(crate) fn summary(&self) -> String {
        format!(
            "on tiny memory: {} records, {} of them refused for want of memory",
            self.records.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed)
        )
    }
}

fn first_lines(error: &str) -> String {
    error.lines().take(6).collect::<Vec<_>>().join(" ")
}
