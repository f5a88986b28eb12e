//! Tables over files: from a definition to a scan of block-aligned splits.
//!
//! - [`definition`]: what the catalog stores
//! - [`infer`]: what is found out when a table is declared without columns; `merge`: columns of several files as those of one table
//! - `partitions`: values in the names of directories; [`prune`]: which directories are looked into
//! - `listing`: which files a table consists of now; [`table`]: the table provider: one located listing, splits, statistics
//! - [`statistics`], [`analyzed`]: what `ANALYZE TABLE` found out, and tables that tell the planner
//! - [`footers`]: statistics and row groups of Parquet files, remembered by file
//! - [`manifest`]: the versions of tables that statements write
//! - [`partition_path`]: partition values as directory names
//! - `options`, `format`: options of a format, and DataFusion's parts for it; `source`, `open`: reading all formats but Parquet
//! - [`reading`]: scans whose bytes are counted by where they came from

pub mod analyzed;
mod counted_text;
pub mod definition;
pub mod footers;
mod format;
pub mod infer;
mod listing;
pub mod manifest;
mod merge;
mod open;
pub(crate) mod options;
pub mod partition_path;
mod partitions;
pub mod prune;
pub mod reading;
pub(crate) mod schema_text;
pub(crate) mod source;
pub mod statistics;
pub mod table;

pub use analyzed::AnalyzedTable;
pub use definition::{TableDefinition, TableFormat};
pub use infer::{Inference, Inferred};
pub use listing::visible_files;
pub use prune::Pruning;
pub use statistics::{ColumnFigures, FilesState, TableStatistics};
pub use table::{DfsTable, Tables};
