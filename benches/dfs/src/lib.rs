//! What the file system's benchmarks share: the two systems they compare, the conditions of a run, statistics, text tables.
//!
//! The binary `dfs` has a subcommand per question. It measures Quarry beside Apache HDFS in the same run, by the same load, and reports
//! ratios. Nothing here judges, except that every answer must be right.
//!
//! This package knows nothing of the SQL engine, so that it builds in seconds.

pub mod conditions;
pub mod host_memory;
pub mod output;
pub mod process;
pub mod report;
pub mod samples;
pub mod stock_client;
pub mod systems;
pub mod table;
