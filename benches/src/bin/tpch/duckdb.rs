//! DuckDB beside the others: its Python module in a process of its own, over the same local files with as many threads. Its answers are
//! compared by their number of rows.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use quarry::tpch::Table;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What runs in the other process.
const SCRIPT: &str = include_str!("duckdb.py");

/// A DuckDB that answers statements.
pub(crate) struct DuckDb {
    version: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Ends with this value.
    _process: Child,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Version { version: String },
    Run { ms: f64, rows: usize },
    Error { error: String },
}

impl DuckDb {
    /// Starts `python` with the tables under `files`.
    ///
    /// # Errors
    /// There is no such program, or it has no `duckdb`.
    pub(crate) async fn open(python: &Path, files: &Path, threads: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).arg(files).arg(threads.to_string());
        command.args(Table::ALL.iter().map(|table| table.name()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| python.display().to_string())?;
        let input = process.stdin.take().context("the input of DuckDB's process")?;
        let output = process.stdout.take().context("the output of DuckDB's process")?;
        let mut duckdb = Self {
            version: String::new(),
            input,
            output: BufReader::new(output).lines(),
            _process: process,
        };
        match duckdb
            .answer()
            .await
            .context("DuckDB: `pip install duckdb` for that Python")?
        {
            Answer::Version { version } => duckdb.version = version,
            _ => bail!("DuckDB's process did not say its version first"),
        }
        Ok(duckdb)
    }

    /// Its version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Runs a query: milliseconds and rows.
    ///
    /// # Errors
    /// The query failed, or the process ended.
    pub(crate) async fn run(&mut self, sql: &str) -> anyhow::Result<(f64, usize)> {
        let mut line = serde_json::to_vec(&serde_json::json!({ "sql": sql }))?;
        line.push(b'\n');
        self.input.write_all(&line).await?;
        match self.answer().await? {
            Answer::Run { ms, rows } => Ok((ms, rows)),
            Answer::Error { error } => bail!("{error}"),
            Answer::Version { .. } => bail!("DuckDB's process said its version twice"),
        }
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        let line = self.output.next_line().await?.context("its process ended")?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }
}
