//! What all benchmarks share: the conditions of a run, statistics of its times, text tables. A benchmark is a binary
//! under `src/bin`; it measures Quarry beside a peer in the same run and reports ratios.
//!
//! Nothing here judges: there is no threshold that a run passes or fails, except that every answer must be right.
//!
//! What needs no SQL engine lives in `quarry-benches-dfs`, which builds without it.

pub mod home;
pub mod peer;

pub use quarry_benches_dfs::{conditions, samples, table};
