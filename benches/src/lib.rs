//! What all benchmarks of queries share: their flags, the process, the data's directory, plain DataFusion, the conditions of a run,
//! statistics of its times, text tables, reports. A benchmark is a binary under `src/bin`; it measures Quarry beside a peer in the same
//! run and reports ratios.
//!
//! Nothing here judges: there is no threshold that a run passes or fails, except that every answer must be right.
//!
//! What needs no SQL engine lives in `quarry-benches-dfs`, which builds without it.

pub mod args;
pub mod fetched;
pub mod home;
pub mod limit;
pub mod peer;
pub mod program;
pub mod setup;
pub mod tpch_data;

pub use quarry_benches_dfs::{conditions, output, report, samples, table};
