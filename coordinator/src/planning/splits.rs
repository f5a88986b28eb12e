//! The splits of a scan in a physical plan, and the scans of its tasks.

use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use quarry_engine::split::{Hosts, SplitPlacement, pack};

use super::placement::nearby::Nearby;
use super::placement::{Candidate, Locality, PlacedSplit, assign};

/// Bytes that the query is expected to read of a file range.
#[must_use]
pub fn split_bytes(file: &PartitionedFile) -> u64 {
    file.extension::<SplitPlacement>()
        .map_or_else(|| file.effective_size(), |placement| placement.bytes)
}

/// The nodes that hold a file range; none if they are not known.
#[must_use]
pub fn split_hosts(file: &PartitionedFile) -> Hosts {
    file.extension::<SplitPlacement>()
        .map_or_else(Hosts::default, |placement| Arc::clone(&placement.hosts))
}

/// All file ranges of a scan.
pub fn scan_files(scan: &FileScanConfig) -> impl Iterator<Item = &PartitionedFile> {
    scan.file_groups.iter().flat_map(FileGroup::iter)
}

/// Bytes that the query is expected to read in a scan.
#[must_use]
pub fn scan_bytes(scan: &FileScanConfig) -> u64 {
    scan_files(scan).map(split_bytes).sum()
}

/// Bytes that a scan is expected to read until it has given the rows that it is limited to.
///
/// They are few only if each row counts: with a filter a scan may have to look through all its files for one row.
#[must_use]
pub fn bytes_until_limit(scan: &FileScanConfig) -> u64 {
    let bytes = scan_bytes(scan);
    let Some(limit) = scan.limit.filter(|_| scan.file_source().filter().is_none()) else {
        return bytes;
    };
    let Some(&rows) = scan.statistics().num_rows.get_value() else {
        return bytes;
    };
    let part = u128::from(bytes) * limit.min(rows) as u128 / rows.max(1) as u128;
    u64::try_from(part).unwrap_or(bytes)
}

/// Bytes of a scan that a worker holds.
#[must_use]
pub fn held_bytes(scan: &FileScanConfig, worker: &Candidate) -> u64 {
    let held = |file: &&PartitionedFile| worker.locality(&split_hosts(file)) == Locality::SameHost;
    scan_files(scan).filter(held).map(split_bytes).sum()
}

/// Bytes of a scan that each of `workers` holds replicas of.
#[must_use]
pub fn held_by_each(scan: &FileScanConfig, workers: &[Candidate]) -> Vec<u64> {
    let nearby = Nearby::to(workers);
    let mut held = vec![0; workers.len()];
    let mut holders = Vec::new();
    for file in scan_files(scan) {
        holders.clear();
        nearby.add_holders(&split_hosts(file), &mut holders);
        for &worker in &holders {
            held[worker] += split_bytes(file);
        }
    }
    held
}

/// Cuts a scan into one scan per worker: together they read each range of the scan exactly once. All have as many partitions
/// as the scan had; some may be empty.
#[must_use]
pub fn task_scans(scan: &FileScanConfig, workers: &[Candidate]) -> Vec<FileScanConfig> {
    let files: Vec<&PartitionedFile> = scan_files(scan).collect();
    let splits: Vec<PlacedSplit> = files.iter().map(|file| placed(file)).collect();
    let lists = assign(&splits, workers);
    let placed: usize = lists.iter().map(Vec::len).sum();
    assert_eq!(placed, files.len(), "each split is read exactly once");
    lists
        .iter()
        .map(|list| task_scan(scan, list.iter().map(|&index| files[index].clone()).collect()))
        .collect()
}

fn placed(file: &PartitionedFile) -> PlacedSplit {
    PlacedSplit {
        path: file.path().to_string(),
        offset: file.range().0,
        bytes: split_bytes(file),
        hosts: split_hosts(file),
    }
}

fn task_scan(scan: &FileScanConfig, files: Vec<PartitionedFile>) -> FileScanConfig {
    let groups = pack(files, scan.file_groups.len().max(1), split_bytes);
    // Workers optimize no more: the table's statistics would only make the plan longer.
    let unknown = Statistics::new_unknown(scan.file_source().table_schema().table_schema());
    FileScanConfigBuilder::from(scan.clone())
        .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
        .with_statistics(unknown)
        .build()
}

/// Name of what a scan reads, for people: the directory of its files, or the file if there is one.
#[must_use]
pub fn scan_name(scan: &FileScanConfig) -> String {
    let mut names = scan_files(scan).map(|file| file.path().to_string());
    let Some(first) = names.next() else {
        return String::new();
    };
    let common = names.fold(first, |common, name| common_prefix(&common, &name));
    format!("/{}", common.trim_end_matches('/'))
}

fn common_prefix(a: &str, b: &str) -> String {
    if a == b {
        return a.to_owned();
    }
    let parts = a
        .split('/')
        .zip(b.split('/'))
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a);
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::common::stats::Precision;
    use datafusion::datasource::physical_plan::ParquetSource;
    use datafusion::execution::object_store::ObjectStoreUrl;
    use datafusion::physical_expr::expressions::lit;

    use super::*;

    /// A scan of 1,000 bytes with this limit and so many rows, as far as is known.
    fn limited(source: ParquetSource, limit: Option<usize>, rows: Precision<usize>) -> FileScanConfig {
        let statistics = Statistics {
            num_rows: rows,
            ..Statistics::new_unknown(&Schema::empty())
        };
        FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file(PartitionedFile::new("f", 1000))
            .with_statistics(statistics)
            .with_limit(limit)
            .build()
    }

    #[test]
    fn a_limit_makes_a_scan_small_unless_rows_are_filtered_or_unknown() {
        let source = || ParquetSource::new(Arc::new(Schema::empty()));
        let rows = Precision::Inexact(100);
        assert_eq!(bytes_until_limit(&limited(source(), Some(10), rows)), 100);
        assert_eq!(bytes_until_limit(&limited(source(), Some(1000), rows)), 1000);
        assert_eq!(bytes_until_limit(&limited(source(), None, rows)), 1000);
        assert_eq!(bytes_until_limit(&limited(source(), Some(10), Precision::Absent)), 1000);
        let filtered = source().with_predicate(lit(true));
        assert_eq!(bytes_until_limit(&limited(filtered, Some(10), rows)), 1000);
    }

    #[test]
    fn a_scan_is_named_after_what_its_files_share() {
        assert_eq!(common_prefix("w/t/a.parquet", "w/t/b.parquet"), "w/t");
        assert_eq!(common_prefix("w/t/a.parquet", "w/t/a.parquet"), "w/t/a.parquet");
        assert_eq!(common_prefix("w/ta/x", "w/tb/y"), "w");
    }
}
