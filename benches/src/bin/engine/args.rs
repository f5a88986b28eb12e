//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Parser, Subcommand};
use quarry::local::LocalOptions;
use quarry::tpch;
use quarry_benches::args::ClusterArgs;
use quarry_benches::conditions::cores;
use quarry_benches::output::OutputArgs;

/// The engine's floor, many sessions, a written table and placement on a Quarry cluster on this machine, beside plain DataFusion.
#[derive(Debug, Clone, Parser)]
#[command(name = "engine")]
pub(crate) struct Args {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) what: What,
}

/// Flags of all subcommands.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CommonArgs {
    /// Scale factor of TPC-H's data: 1 is about 1 GB of text, 300 MB of Parquet
    #[arg(long, value_name = "SF", default_value_t = 1.0, value_parser = tpch::scale_factor)]
    pub(crate) scale: f64,
    /// Timed runs [default: 200 of each statement, 3 of one stream and of each written table, 5 of placement]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Memory that the operators of each worker and of the coordinator may reserve
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    pub(crate) memory: ByteSize,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// SELECT 1, the count of a tiny table, the way to the first row of a big one; beside plain DataFusion
    Floor(CommonArgs),
    /// TPC-H's queries from many sessions at a time, beside one session
    Streams {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        streams: StreamsArgs,
    },
    /// CREATE TABLE AS SELECT of lineitem with one replica, beside plain DataFusion writing local files
    Ctas(CommonArgs),
    /// How long it takes to place a million blocks on a thousand nodes, and how evenly; no cluster is started
    Placement {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        placement: PlacementArgs,
    },
    /// All of these, in one report
    All {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        streams: StreamsArgs,
        #[command(flatten)]
        placement: PlacementArgs,
    },
}

/// Flags of `streams`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StreamsArgs {
    /// Sessions at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) streams: u16,
}

/// Flags of `placement`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlacementArgs {
    /// Blocks to place
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) blocks: u32,
    /// Nodes to place them on
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(4..))]
    pub(crate) places: u16,
    /// Racks that these nodes are spread over
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) racks: u16,
}

/// One benchmark.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Floor,
    Streams(StreamsArgs),
    Ctas,
    Placement(PlacementArgs),
}

impl Part {
    /// Its name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Streams(_) => "streams",
            Self::Ctas => "ctas",
            Self::Placement(_) => "placement",
        }
    }
}

impl What {
    /// Its name on the command line, and in the names of files.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Floor(_) => "floor",
            Self::Streams { .. } => "streams",
            Self::Ctas(_) => "ctas",
            Self::Placement { .. } => "placement",
            Self::All { .. } => "all",
        }
    }

    /// The benchmarks to run, in this order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        match self {
            Self::Floor(_) => vec![Part::Floor],
            Self::Streams { streams, .. } => vec![Part::Streams(streams.clone())],
            Self::Ctas(_) => vec![Part::Ctas],
            Self::Placement { placement, .. } => vec![Part::Placement(placement.clone())],
            Self::All { streams, placement, .. } => vec![
                Part::Floor,
                Part::Streams(streams.clone()),
                Part::Ctas,
                Part::Placement(placement.clone()),
            ],
        }
    }

    /// The flags that all have.
    pub(crate) fn common(&self) -> &CommonArgs {
        match self {
            Self::Floor(common) | Self::Ctas(common) => common,
            Self::Streams { common, .. } | Self::Placement { common, .. } | Self::All { common, .. } => common,
        }
    }
}

impl CommonArgs {
    /// Timed runs: as many as were asked for, else `default`.
    pub(crate) fn runs(&self, default: u32) -> u32 {
        self.runs.unwrap_or(default)
    }

    /// Partitions with which plain DataFusion runs.
    pub(crate) fn partitions() -> usize {
        cores().max(2)
    }

    /// How to start the cluster in `dir`.
    ///
    /// # Errors
    /// Processes are asked for, and there is no `quarry` binary.
    pub(crate) fn options(&self, dir: PathBuf) -> anyhow::Result<LocalOptions> {
        let memory = self.memory.as_u64();
        let options = self.cluster.options(dir)?;
        Ok(options
            .set("worker.memory_limit", memory)
            .set("coordinator.memory_limit", memory))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(args: &[&str]) -> What {
        Args::try_parse_from(["engine"].iter().chain(args)).unwrap().what
    }

    #[test]
    fn each_subcommand_has_the_common_flags() {
        let all = parse(&[
            "all",
            "--streams",
            "4",
            "--blocks",
            "9",
            "--scale",
            "0.01",
            "--runs",
            "2",
        ]);
        assert_eq!((all.common().scale, all.common().runs(200)), (0.01, 2));
        let names: Vec<_> = all.parts().iter().map(Part::name).collect();
        assert_eq!(names, ["floor", "streams", "ctas", "placement"]);
        for name in names {
            let what = parse(&[name, "--nodes", "2"]);
            assert_eq!(
                (what.name(), what.common().cluster.nodes, what.common().runs(7)),
                (name, 2, 7)
            );
        }
    }

    #[test]
    fn the_memory_limit_and_settings_reach_the_cluster() {
        let what = parse(&["streams", "--memory", "1GiB", "--set", "worker.threads=4"]);
        let options = what.common().options("/d".into()).unwrap();
        let settings = options.layers.settings.iter();
        let settings: Vec<_> = settings
            .map(|setting| (setting.key.as_str(), setting.value.as_str()))
            .collect();
        assert!(
            settings.contains(&("worker.memory_limit", "1073741824")),
            "{settings:?}"
        );
        assert!(settings.contains(&("worker.threads", "4")), "{settings:?}");
    }
}
