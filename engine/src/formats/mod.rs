//! Tables over files: from a definition to a scan of block-aligned splits.
//!
//! - [`definition`]: what the catalog stores
//! - [`infer`]: what is found out when a table is declared without columns
//! - [`table`]: the table provider: one located listing, splits, statistics
//! - [`footers`]: statistics and row groups of Parquet files, remembered by file
//! - [`manifest`]: the versions of tables that statements write
//! - [`partition_path`]: partition values as directory names
//! - [`reading`]: scans whose bytes are counted by where they came from

mod counted_text;
pub mod definition;
pub mod footers;
pub(crate) mod format;
pub mod infer;
pub mod manifest;
pub mod partition_path;
pub mod reading;
pub(crate) mod schema_text;
pub mod table;

pub use definition::{TableDefinition, TableFormat};
pub use infer::infer_schema;
pub use table::{DfsTable, Tables};
