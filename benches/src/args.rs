//! The flags that every benchmark of queries has: its cluster, and where the data is kept. Where the report goes says
//! [`OutputArgs`](crate::output::OutputArgs).

use std::path::PathBuf;

use anyhow::{Context, bail};
use quarry::local::{LocalOptions, Mode};

/// The cluster under test.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArgs {
    /// Nodes of the cluster, each a DataNode with a worker beside it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// Run each role of the cluster in a process of its own, not all of them in this one
    #[arg(long)]
    pub processes: bool,
    /// The `quarry` binary for --processes [default: the one beside this program]
    #[arg(long, value_name = "FILE", requires = "processes")]
    binary: Option<PathBuf>,
    /// A configuration key for the cluster, such as worker.threads=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Keep the data here, and use what an earlier run with the same scale and nodes left [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl ClusterArgs {
    /// How to start the cluster in `dir`. The machine's own configuration of Quarry is left out.
    ///
    /// # Errors
    /// Processes are asked for, and there is no `quarry` binary.
    pub fn options(&self, dir: PathBuf) -> anyhow::Result<LocalOptions> {
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
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        cluster: ClusterArgs,
    }

    fn parse(args: &[&str]) -> Result<ClusterArgs, clap::Error> {
        let program = Program::try_parse_from(["program"].iter().chain(args))?;
        Ok(program.cluster)
    }

    #[test]
    fn a_missing_binary_is_named() {
        let args = parse(&["--processes", "--binary", "/nowhere/quarry"]).unwrap();
        let error = args.options("/d".into()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/quarry is missing"), "{error}");
        assert!(parse(&["--binary", "/nowhere/quarry"]).is_err());
    }

    #[test]
    fn settings_reach_the_cluster() {
        let args = parse(&["--set", "worker.threads=4"]).unwrap();
        let options = args.options("/d".into()).unwrap();
        let setting = options.layers.settings.last().unwrap();
        assert_eq!((setting.key.as_str(), setting.value.as_str()), ("worker.threads", "4"));
        assert!(parse(&["--set", "worker.threads"]).is_err());
    }
}
