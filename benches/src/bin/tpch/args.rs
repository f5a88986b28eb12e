//! The command line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use quarry::local::{LocalOptions, Mode};
use quarry::tpch;
use quarry_benches::conditions::cores;

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
    /// Nodes of the cluster, each a DataNode with a worker beside it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// Run each role of the cluster in a process of its own, not all of them in this one
    #[arg(long)]
    pub(crate) processes: bool,
    /// The `quarry` binary for --processes [default: the one beside this program]
    #[arg(long, value_name = "FILE", requires = "processes")]
    pub(crate) binary: Option<PathBuf>,
    /// A configuration key for the cluster, such as worker.threads=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Partitions of plain DataFusion; the best of them counts [default: the machine's threads, and twice as many]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Vec<u16>,
    /// Keep the data here, and use what an earlier run with the same scale and nodes left [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Run DuckDB, too: a Python that has its module
    #[arg(long, value_name = "PYTHON")]
    pub(crate) duckdb: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
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

    /// How to start the cluster in `dir`. The machine's own configuration of Quarry is left out.
    ///
    /// # Errors
    /// Processes are asked for, and there is no `quarry` binary.
    pub(crate) fn cluster(&self, dir: PathBuf) -> anyhow::Result<LocalOptions> {
        let mut options = LocalOptions::new(dir).nodes(self.nodes);
        if self.processes {
            let (binary, restart) = (self.binary()?, false);
            options.mode = Mode::Processes { binary, restart };
        }
        for (key, value) in &self.settings {
            options = options.set(key, value);
        }
        Ok(options)
    }

    fn binary(&self) -> anyhow::Result<PathBuf> {
        let beside = || Ok(std::env::current_exe()?.with_file_name("quarry"));
        let binary = self.binary.clone().map_or_else(beside, anyhow::Ok);
        let binary = binary.context("the path of this program")?;
        if !binary.is_file() {
            bail!(
                "{} is missing: build it with `cargo build --release -p quarry`, or name another with --binary",
                binary.display()
            );
        }
        Ok(binary)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
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

    #[test]
    fn a_missing_binary_is_named() {
        let args = parse(&["--processes", "--binary", "/nowhere/quarry"]);
        let error = args.cluster("/d".into()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/quarry is missing"), "{error}");
    }

    #[test]
    fn settings_reach_the_cluster() {
        let options = parse(&["--set", "worker.threads=4"]).cluster("/d".into()).unwrap();
        let setting = options.layers.settings.last().unwrap();
        assert_eq!((setting.key.as_str(), setting.value.as_str()), ("worker.threads", "4"));
        assert!(Args::try_parse_from(["tpch", "--set", "worker.threads"]).is_err());
    }
}
