//! What `interop/setup` fetched for benchmarks, whether it is there or not. A folder is whole if it has the file `.made-from`, which is written
//! last.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the texts of TPC-DS, which are the TPC's and not part of this repository: `q1.sql` to `q99.sql` in `tpcds`.
pub fn tpcds_texts() -> PathBuf {
    cache().join("tpcds-texts")
}

/// The folder of a Python that has DuckDB and PySpark: `bin/python`.
pub fn python() -> PathBuf {
    cache().join("python")
}

fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_default()
        .join("quarry/interop")
}
