//! What `interop/setup` fetched for benchmarks: the texts of TPC-DS, which are the TPC's and not part of this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the texts, `q1.sql` to `q99.sql`, whether they were fetched or not.
pub fn tpcds_texts() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_default()
        .join("quarry/interop/tpcds-texts/tpcds")
}
