//! The command line.

use std::path::PathBuf;

use clap::Parser;
use quarry_benches::args::ClusterArgs;
use quarry_benches::conditions::cores;
use quarry_benches::output::OutputArgs;

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
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Partitions of plain DataFusion [default: the machine's threads, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Option<u16>,
    /// Folder of the texts, q1.sql to q99.sql [default: where `interop/setup tpcds` puts them]
    #[arg(long, value_name = "DIR")]
    pub(crate) texts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl Args {
    /// Partitions with which plain DataFusion runs.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions.map_or_else(|| cores().max(2), usize::from)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_bounded() {
        assert_eq!(scale_factor("0.01"), Ok(0.01));
        assert!(scale_factor("0").is_err() && scale_factor("x").is_err());
    }
}
