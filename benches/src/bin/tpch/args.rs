//! The command line.

use std::path::{Path, PathBuf};

use clap::Parser;
use quarry::tpch;
use quarry_benches::args::ClusterArgs;
use quarry_benches::conditions::cores;
use quarry_benches::output::OutputArgs;

use crate::foreign::{BALLISTA, DUCKDB, Engine, SPARK, TRINO};

/// TPC-H on a Quarry cluster on this machine and on plain DataFusion over the same files, in turn.
#[derive(Debug, Clone, Parser)]
#[command(name = "tpch")]
pub(crate) struct Args {
    /// Scale factor of the data: 1 is about 1 GB of text, 300 MB of Parquet
    #[arg(long, value_name = "SF", default_value_t = 1.0, value_parser = tpch::scale_factor)]
    pub(crate) scale: f64,
    /// Timed runs of each query on each engine, after one that is not timed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Run only this query; may be repeated
    #[arg(long = "query", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=22))]
    pub(crate) queries: Vec<u8>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Partitions of plain DataFusion; the best of them counts [default: the machine's threads, and twice as many]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Vec<u16>,
    /// Run DuckDB, too: a Python that has its module
    #[arg(long, value_name = "PYTHON")]
    duckdb: Option<PathBuf>,
    /// Run Apache Spark, too: a Python that has PySpark
    #[arg(long, value_name = "PYTHON")]
    spark: Option<PathBuf>,
    /// Run Trino, too: the folder of its unpacked server
    #[arg(long, value_name = "DIR")]
    trino: Option<PathBuf>,
    /// Run Apache DataFusion Ballista, too: the program that benches/ballista builds
    #[arg(long, value_name = "PROGRAM")]
    ballista: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Write the ratios as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

impl Args {
    /// Partition counts with which plain DataFusion runs.
    pub(crate) fn partitions(&self) -> Vec<usize> {
        if self.partitions.is_empty() {
            let cores = cores().max(2);
            return vec![cores, 2 * cores];
        }
        let mut partitions: Vec<_> = self.partitions.iter().map(|count| usize::from(*count)).collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Engines by others that take part, each with its place.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = (Engine, &Path)> {
        let engines = [
            (DUCKDB, &self.duckdb),
            (SPARK, &self.spark),
            (TRINO, &self.trino),
            (BALLISTA, &self.ballista),
        ];
        engines
            .into_iter()
            .filter_map(|(engine, place)| Some((engine, place.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(args: &[&str]) -> Args {
        Args::try_parse_from(["tpch"].iter().chain(args)).unwrap()
    }

    #[test]
    fn the_peer_has_the_machines_threads_and_twice_as_many_partitions() {
        let partitions = parse(&[]).partitions();
        assert_eq!(partitions, [cores().max(2), 2 * cores().max(2)]);
        assert_eq!(parse(&["--partitions", "8,2,8"]).partitions(), [2, 8]);
    }
}
