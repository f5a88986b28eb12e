//! The figures of a run.

use anyhow::Result;
use quarry_benches_dfs::report::Section;
use quarry_benches_dfs::table::Table;
use serde::Serialize;

use super::LoadArgs;

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

/// The section of these figures.
pub(crate) fn section(lines: &[Line], args: &LoadArgs) -> Result<Section> {
    let method = format!(
        "Files of one block with {} replicas, names of 21 bytes, {} to a directory. Quarry: an image written by the NameNode's own code, the \
         real process started on it, replicas reported by simulated DataNodes; bytes are those of the process beyond an empty one's. \
         Apache HDFS: files created by RPC without blocks, which flatters it; bytes are those of live objects after a garbage \
         collection. Restart: from the start of the process to the answer about the last file; the quickest of {}.",
        args.replication, args.per_directory, args.restarts
    );
    Ok(Section {
        title: "NameNode memory and restart",
        method,
        tables: vec![table(lines)],
        results: serde_json::to_value(lines)?,
    })
}

fn table(lines: &[Line]) -> Table {
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
    for line in lines {
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
