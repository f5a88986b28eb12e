//! The command line.

use std::path::PathBuf;

use clap::Parser;
use quarry::local::LocalOptions;
use quarry_benches::conditions::cores;

/// TPC-DS on a Quarry cluster on this machine and on plain DataFusion over the same files, in turn.
#[derive(Debug, Clone, Parser)]
#[command(name = "tpcds")]
pub(crate) struct Args {
    /// Scale factor of the data: 1 is about 1 GB of text; below 1, tables shrink alike
    #[arg(long, value_name = "SF", default_value_t = 1.0, value_parser = scale_factor)]
    pub(crate) scale: f64,
    /// Timed runs of each query on each engine, after one that is not timed; 0 only compares the answers
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) runs: u32,
    /// Run only these queries: 14 is both parts of it, 14a one of them
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) queries: Vec<String>,
    /// Nodes of the cluster, each a DataNode with a worker beside it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// A configuration key for the cluster, such as worker.threads=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Partitions of plain DataFusion [default: the machine's threads, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Option<u16>,
    /// Folder of the texts, q1.sql to q99.sql [default: where `interop/setup tpcds` puts them]
    #[arg(long, value_name = "DIR")]
    pub(crate) texts: Option<PathBuf>,
    /// Keep the data here, and use what an earlier run with the same scale and nodes left [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report and the figures into this folder, as tpcds-sf<SF>-<date>.md and .json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl Args {
    /// Partitions with which plain DataFusion runs.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions.map_or_else(|| cores().max(2), usize::from)
    }

    /// How to start the cluster in `dir`. The machine's own configuration of Quarry is left out.
    pub(crate) fn cluster(&self, dir: PathBuf) -> LocalOptions {
        let options = LocalOptions::new(dir).nodes(self.nodes);
        self.settings
            .iter()
            .fold(options, |options, (key, value)| options.set(key, value))
    }
}

fn scale_factor(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.001..=1000.0).contains(&scale) {
        Ok(scale)
    } else {
        Err("expected 0.001 to 1000".into())
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

    #[test]
    fn settings_reach_the_cluster() {
        let args = Args::try_parse_from(["tpcds", "--set", "worker.threads=4"]).unwrap();
        let options = args.cluster("/d".into());
        let setting = options.layers.settings.last().unwrap();
        assert_eq!((setting.key.as_str(), setting.value.as_str()), ("worker.threads", "4"));
        assert!(Args::try_parse_from(["tpcds", "--set", "worker.threads"]).is_err());
    }

    #[test]
    fn scales_are_bounded() {
        assert_eq!(scale_factor("0.01"), Ok(0.01));
        assert!(scale_factor("0").is_err() && scale_factor("x").is_err());
    }
}
