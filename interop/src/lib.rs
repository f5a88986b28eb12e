//! Quarry driven by programs that others wrote: Hadoop's shell, `hdfs-native` and ADBC from Python.
//!
//! This crate is the harness: it finds the foreign programs that `interop/setup` fetched ([`tools`]), starts the shipped
//! binary as a cluster of processes ([`cluster`]) or a real Apache HDFS as the oracle ([`oracle`]), drives Hadoop's FsShell in
//! one JVM ([`shell`]) and compares what it says with recorded transcripts ([`transcript`]). The tests are in `tests/it`.
//! It sees the product only from outside: through its binary, its ports and `endpoints.json`.

pub mod cluster;
pub mod data;
pub mod differential;
pub mod java;
pub mod jdbc;
pub mod oracle;
mod process;
pub use process::Finished;
pub mod python;
pub mod shell;
pub mod tools;
pub mod transcript;

/// Who the foreign clients say they are; the cluster under test is started by the same name.
pub const USER: &str = "quarry";
