//! Hadoop's own Java client as a load on either system: a small program (`java/Load.java`) on Hadoop's jars, with the JVM's defaults.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::report::{Latencies, Line, Unit};
use crate::systems::Cluster;
use crate::systems::hdfs::Hdfs;

/// Its name in tables.
pub const STOCK: &str = "stock Java";

/// The program.
const SOURCE: &str = include_str!("../java/Load.java");
/// Longest that a run may take beyond its own time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Warnings only, on standard error.
const LOG: &str = "log4j.rootLogger=WARN, stderr\nlog4j.appender.stderr=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.stderr.target=System.err\nlog4j.appender.stderr.layout=org.apache.log4j.SimpleLayout\n";

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Metadata operations, one after the other.
    Metadata,
    /// Files of 4 KiB: create, write, close.
    Files,
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Threads that call at a time.
    pub threads: usize,
    /// Connections to the NameNode that they share.
    pub connections: usize,
    /// How long each operation is called before it counts: a JVM compiles what it runs.
    pub warm_up: Duration,
    /// How long it counts.
    pub time: Duration,
}

/// The compiled program.
#[derive(Debug)]
pub struct StockClient {
    classes: PathBuf,
    class_path: String,
}

impl StockClient {
    /// Compiles the program into `dir`.
    ///
    /// # Errors
    /// There is no `javac`, or it does not like the program or the jars.
    pub async fn new(hdfs: &Hdfs, dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let source = dir.join("Load.java");
        fs::write(&source, SOURCE)?;
        fs::write(dir.join("log4j.properties"), LOG)?;
        let class_path = format!("{}:{}/*", dir.display(), hdfs.jars().display());
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-cp", &class_path, "-d"]).arg(&dir).arg(source);
        process::run("javac", &mut javac, &dir.join("javac.log"), PATIENCE).await?;
        Ok(Self {
            classes: dir,
            class_path,
        })
    }

    /// Runs the work in one JVM.
    ///
    /// # Errors
    /// An answer was wrong, or the JVM does not run.
    pub async fn run(&self, system: &Cluster, work: Work, amount: Amount) -> Result<Vec<Line>> {
        let mut java = Command::new("java");
        java.args(["-cp", &self.class_path, "Load"]);
        java.args([format!("hdfs://{}", system.namenode), system.user.clone()]);
        java.arg(match work {
            Work::Metadata => "metadata",
            Work::Files => "files",
        });
        java.args([amount.threads, amount.connections].map(|n| n.to_string()));
        java.args([amount.warm_up, amount.time].map(|time| time.as_secs_f64().to_string()));
        for variable in ["HADOOP_CONF_DIR", "HADOOP_USER_NAME", "JAVA_TOOL_OPTIONS"] {
            java.env_remove(variable);
        }
        let limit = PATIENCE + (amount.warm_up + amount.time) * 5;
        let said = process::run("Hadoop's client", &mut java, &self.classes.join("load.log"), limit).await?;
        let lines: Result<Vec<_>> = said.lines().map(read_line).collect();
        let lines = lines.with_context(|| system.name)?;
        ensure!(!lines.is_empty(), "Hadoop's client printed nothing on {}", system.name);
        Ok(lines)
    }
}

/// Operations of the program, as it calls them.
const OPERATIONS: [&str; 6] = ["mkdirs", "create+close", "getFileInfo", "rename", "delete", FILES];
/// Its one operation on files with bytes.
pub const FILES: &str = "create+write+close";

/// `operation nanoseconds completes micros micros ..`
fn read_line(line: &str) -> Result<Line> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let operation = OPERATIONS.into_iter().find(|known| *known == name);
    let operation = operation.with_context(|| format!("'{name}' is no operation, in '{line:.80}'"))?;
    let mut number = || -> Result<u64> {
        let word = words.next().context("a line is too short")?;
        word.parse().with_context(|| format!("'{word}' is no number"))
    };
    let (nanos, completes) = (number()?, number()?);
    let micros: Result<Vec<u32>, _> = words.map(str::parse).collect();
    let micros = micros.context("the times of calls are numbers")?;
    let count = micros.len() as u64;
    let repeats = match operation {
        FILES => Some(
            completes
                .checked_sub(count)
                .context("there were fewer calls of complete than files")?,
        ),
        _ => None,
    };
    Ok(Line {
        latencies: Some(Latencies::of(micros)),
        complete_repeats: repeats,
        ..Line::new(operation, Unit::Rate, count as f64 / (nanos as f64 / 1e9))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_the_program_are_read() {
        let line = read_line("create+write+close 2000000000 7 1000 2000 3000 10000").unwrap();
        assert_eq!((line.operation, line.value), ("create+write+close", 2.0));
        assert_eq!(line.complete_repeats, Some(3));
        assert_eq!(line.latencies.unwrap().max_ms, 10.0);
        assert!(
            read_line("create+write+close 5 0 7").is_err(),
            "a file without complete"
        );
        assert!(read_line("mkdirs 5 0 x").is_err());
        assert!(read_line("Exception in thread").is_err());
    }
}
