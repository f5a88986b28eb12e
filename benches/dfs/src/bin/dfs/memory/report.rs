//! The figures of a run, as JSON and as tables.

use std::fmt;

use quarry_benches_dfs::conditions::Conditions;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_benches_dfs::systems::quarry::Launcher;
use quarry_benches_dfs::table::Table;
use serde::Serialize;

/// One system at one number of files.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) system: &'static str,
    pub(crate) files: u64,
    /// Resident memory of the NameNode's process with all replicas reported.
    pub(crate) resident_bytes: u64,
    /// What it has more than without files, for each.
    pub(crate) bytes_per_file: f64,
    pub(crate) bytes_per_file_before_reports: f64,
    pub(crate) image_bytes: u64,
    /// From the start of the process to the answer about the last file.
    pub(crate) restart_seconds: f64,
    /// Until all replicas were reported and safe mode was over.
    pub(crate) reports_seconds: Option<f64>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    conditions: Conditions,
    quarry: String,
    hdfs: Option<String>,
    replication: u16,
    results: Vec<Line>,
}

impl Report {
    pub(crate) fn new(conditions: Conditions, launcher: &Launcher, hdfs: Option<&Hdfs>, replication: u16) -> Self {
        Self {
            conditions,
            quarry: launcher.program().file_name().unwrap_or_default().display().to_string(),
            hdfs: hdfs.map(Hdfs::version),
            replication,
            results: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, line: Line) {
        self.results.push(line);
    }

    fn conditions(&self) -> Table {
        let mut table = Table::of_text(["condition", "value"]);
        self.conditions.describe(&mut table);
        table.row(["Quarry".into(), format!("NameNode of `{}`", self.quarry)]);
        let hdfs = self.hdfs.clone().unwrap_or_else(|| "not measured".to_owned());
        table.row(["Apache HDFS".into(), hdfs]);
        let shape = format!(
            "files of one block with {} replicas, names of 21 bytes, 1000 to a directory; replicas reported by simulated DataNodes",
            self.replication
        );
        table.row(["namespace".into(), shape]);
        table
    }

    fn figures(&self) -> Table {
        let mut table = Table::of_numbers([
            "NameNode",
            "files",
            "bytes per file",
            "before reports",
            "resident MiB",
            "image MiB",
            "restart s",
            "reports s",
        ]);
        let mebibytes = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        for line in &self.results {
            table.row([
                line.system.to_owned(),
                line.files.to_string(),
                format!("{:.0}", line.bytes_per_file),
                format!("{:.0}", line.bytes_per_file_before_reports),
                mebibytes(line.resident_bytes),
                mebibytes(line.image_bytes),
                format!("{:.2}", line.restart_seconds),
                line.reports_seconds
                    .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
            ]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# NameNode memory and restart\n")?;
        writeln!(f, "{}", self.conditions())?;
        write!(f, "{}", self.figures())
    }
}
