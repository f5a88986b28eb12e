//! The foreign programs that `interop/setup` fetched, and what to do without them.

use std::env;
use std::path::{Path, PathBuf};

/// Environment variable: with the value `required`, a missing foreign program fails the test. CI sets it.
pub const INTEROP: &str = "QUARRY_INTEROP";
/// Environment variable: with the value `1`, the tests against a live Apache HDFS are required too.
pub const ORACLE: &str = "QUARRY_INTEROP_ORACLE";

/// One thing that `interop/setup` provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Hadoop's shaded client jars.
    HadoopClient,
    /// The jars of a whole Apache HDFS.
    HdfsOracle,
    /// Programs that run on the oracle's jars as their library: MapReduce's examples, JUnit.
    HdfsPrograms,
    /// The Arrow Flight SQL JDBC driver 17.0.0, and sqlline.
    Jdbc17,
    /// The Arrow Flight SQL JDBC driver 18.3.0, and sqlline.
    Jdbc18,
    /// The texts of the TPC-DS queries, in the folder `tpcds`.
    TpcdsTexts,
    /// A Python environment with hdfs-native, ADBC, pyarrow, PySpark and chDB.
    Python,
}

impl Tool {
    fn folder(self) -> &'static str {
        match self {
            Self::HadoopClient => "client-jars",
            Self::HdfsOracle => "oracle-jars",
            Self::HdfsPrograms => "program-jars",
            Self::Jdbc17 => "jdbc-17-jars",
            Self::Jdbc18 => "jdbc-18-jars",
            Self::TpcdsTexts => "tpcds-texts",
            Self::Python => "python",
        }
    }

    fn is_required(self) -> bool {
        match self {
            Self::HdfsOracle => env::var_os(ORACLE).is_some_and(|v| v == "1"),
            Self::HadoopClient | Self::HdfsPrograms | Self::Jdbc17 | Self::Jdbc18 | Self::TpcdsTexts | Self::Python => {
                env::var_os(INTEROP).is_some_and(|v| v == "required")
            }
        }
    }
}

/// The folder of `tool`, or `None` if it is not there: then the calling test must return, and this has said so aloud.
///
/// # Panics
/// If the tool is missing and required (see [`INTEROP`] and [`ORACLE`]).
pub fn find(tool: Tool) -> Option<PathBuf> {
    let folder = cache().join(tool.folder());
    // `setup` writes the stamp last: without it the folder is half made.
    if folder.join(".made-from").is_file() {
        return Some(folder);
    }
    let missing = format!("{tool:?} is not in {}: run interop/setup", folder.display());
    assert!(!tool.is_required(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

/// Jars of whole Hadoop and of the programs that run on it, or `None` as [`find`] says it. The oracle's jars serve as a library here: its
/// daemons are not started, so that these tests do not wait for [`ORACLE`].
///
/// # Panics
/// If they are missing and required.
pub fn hadoop() -> Option<[PathBuf; 2]> {
    let programs = find(Tool::HdfsPrograms)?;
    let library = cache().join(Tool::HdfsOracle.folder());
    assert!(
        library.join(".made-from").is_file(),
        "{} is half made: run interop/setup",
        library.display()
    );
    Some([programs, library])
}

/// Where `interop/setup` puts things.
fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_default()
        .join("quarry/interop")
}

/// The folder of this crate in the checkout: Java sources, Python tests, goldens. Cargo says which one it runs for; a build directory may be
/// shared by several checkouts, so that the one that this was built in is asked only when it is run without cargo.
pub fn home() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}
