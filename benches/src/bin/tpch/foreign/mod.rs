//! Engines by others beside Quarry and plain DataFusion: each a program in a process of its own, over the same local files, with as many
//! threads as the machine. Its answers are compared by their number of rows.
//!
//! 1. The process is `PYTHON -c SCRIPT FILES THREADS TABLE...`, or a program of its own with the same arguments behind the script; the tables are
//!    folders of Parquet files under FILES. An engine that is a folder of programs finds it in the environment, as `ENGINE_HOME`.
//! 2. Once it can run statements, it writes one line: `{"version": ..}`.
//! 3. For each line `{"sql": ..}` that it reads it writes one: `{"ms": .., "rows": ..}`, or `{"error": ..}`. The time runs from the
//!    statement's text to its last row, within the process.
//! 4. It ends when its input does.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use quarry::tpch::Table;
use quarry_benches::conditions::cores;
use quarry_benches::limit::in_time;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// An engine may take this long to end by itself, with what it started and its temporary files.
const LONGEST_END: Duration = Duration::from_secs(20);
/// What every script begins with: the loop of the protocol.
const SERVE: &str = include_str!("serve.py");

/// An engine that can take part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// What a user names to have it.
    named_by: NamedBy,
    /// What must be there.
    needs: &'static str,
}

/// What a user names to have an engine, and what then runs, after [`SERVE`] if it is a script.
#[derive(Debug, Clone, Copy)]
enum NamedBy {
    /// A Python that has its module.
    Python(&'static str),
    /// The folder of the engine, which any Python can serve.
    Folder(&'static str),
    /// A program that speaks the protocol itself.
    Program,
}

/// DuckDB, within the Python process.
pub(crate) const DUCKDB: Engine = Engine {
    name: "DuckDB",
    named_by: NamedBy::Python(include_str!("duckdb.py")),
    needs: "`pip install duckdb` for that Python",
};

/// Apache Spark, in a JVM below the Python process.
pub(crate) const SPARK: Engine = Engine {
    name: "Spark",
    named_by: NamedBy::Python(include_str!("spark.py")),
    needs: "`pip install pyspark` for that Python, and Java 17 or later",
};

/// Trino, a server below the Python process.
pub(crate) const TRINO: Engine = Engine {
    name: "Trino",
    named_by: NamedBy::Folder(include_str!("trino.py")),
    needs: "an unpacked `io.trino:trino-server:476:tar.gz`, `python3`, and Java 24 or later by `java` or JAVA_HOME",
};

/// Ballista, scheduler and executor in one process.
pub(crate) const BALLISTA: Engine = Engine {
    name: "Ballista",
    named_by: NamedBy::Program,
    needs: "`cargo build --release` in benches/ballista, and the `ballista-peer` that it makes",
};

/// An engine that takes part. Its process is started anew if it ended, or if it was still busy with a statement that nobody waits for.
pub(crate) struct Foreign {
    engine: Engine,
    place: PathBuf,
    files: PathBuf,
    version: String,
    process: Option<Process>,
}

/// An answer to one statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    /// Its time in milliseconds.
    pub(crate) ms: f64,
    /// Its number of rows.
    pub(crate) rows: usize,
}

impl Foreign {
    /// Starts `engine`, which is at `place`, over the tables under `files`.
    ///
    /// # Errors
    /// There is no such place, or something that the engine needs is missing.
    pub(crate) async fn open(engine: Engine, place: &Path, files: &Path) -> anyhow::Result<Self> {
        let (version, process) = Process::start(engine, place, files).await?;
        Ok(Self {
            engine,
            place: place.to_owned(),
            files: files.to_owned(),
            version,
            process: Some(process),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.engine.name
    }

    /// What it said it is.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// It failed, took too long, or the process ended.
    pub(crate) async fn run(&mut self, sql: &str) -> anyhow::Result<Answer> {
        // Taken, so that a process in the middle of something is never asked again.
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(self.engine, &self.place, &self.files).await?.1,
        };
        let said = in_time(process.ask(sql)).await?;
        self.process = Some(process);
        match said {
            Said::Answer { ms, rows } => Ok(Answer { ms, rows }),
            Said::Error { error } => bail!("{error}"),
            Said::Version { version } => bail!("its process answered a statement with its version, {version}"),
        }
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        if let Some(process) = self.process {
            process.end().await;
        }
    }
}

/// A line of an engine's process.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Version { version: String },
    Answer { ms: f64, rows: usize },
    Error { error: String },
}

/// What starts an engine, without its arguments.
fn command(named_by: NamedBy, place: &Path) -> Command {
    let (program, script) = match named_by {
        NamedBy::Python(script) => (place, script),
        NamedBy::Folder(script) => (Path::new("python3"), script),
        NamedBy::Program => return Command::new(place),
    };
    let mut command = Command::new(program);
    command.env("ENGINE_HOME", place);
    command.arg("-c").arg(format!("{SERVE}\n{script}"));
    command
}

/// An engine's process; dropping it ends it.
struct Process {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Process {
    /// Starts an engine, and waits for its version.
    async fn start(engine: Engine, place: &Path, files: &Path) -> anyhow::Result<(String, Self)> {
        let Engine { name, needs, .. } = engine;
        let mut command = command(engine.named_by, place);
        command.arg(files).arg(cores().to_string());
        command.args(Table::ALL.map(Table::name));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn();
        let mut child = child.with_context(|| format!("{name}: {}: {needs}", place.display()))?;
        let mut process = Self {
            input: child.stdin.take().context("a process has an input")?,
            output: BufReader::new(child.stdout.take().context("a process has an output")?).lines(),
            child,
        };
        let said = in_time(process.next()).await;
        match said.with_context(|| format!("{name} did not start: {needs}"))? {
            Said::Version { version } => Ok((version, process)),
            Said::Answer { .. } | Said::Error { .. } => bail!("{name}'s process did not say its version first"),
        }
    }

    /// Lets it end by itself, for a while.
    async fn end(mut self) {
        drop(self.input);
        // Whether it did does not matter: it is killed then.
        let _ = timeout(LONGEST_END, self.child.wait()).await;
    }

    async fn ask(&mut self, sql: &str) -> anyhow::Result<Said> {
        let mut line = serde_json::to_vec(&serde_json::json!({ "sql": sql }))?;
        line.push(b'\n');
        self.input.write_all(&line).await.context("its process ended")?;
        self.next().await
    }

    async fn next(&mut self) -> anyhow::Result<Said> {
        let line = self.output.next_line().await?.context("its process ended")?;
        serde_json::from_str(&line).with_context(|| format!("its process said `{line}`"))
    }
}
