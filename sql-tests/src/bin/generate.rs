//! Any number of generated queries on a cluster of three workers, compared with plain DataFusion.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use quarry_sql_tests::generated::{self, BLOCK, Range};
use quarry_sql_tests::site::{CUT_EVERYTHING, Site};

/// Compares a cluster with plain DataFusion on generated queries
#[derive(Parser)]
struct Arguments {
    /// How many queries
    #[arg(long, default_value_t = 2_000)]
    queries: u64,
    /// Seed of tables and queries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first query
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// A setting of the cluster's sessions, such as `datafusion.optimizer.prefer_hash_join=false`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments {
        queries,
        seed,
        first,
        settings,
    } = Arguments::parse();
    let site = Site::start(3, BLOCK, &CUT_EVERYTHING).await?;
    let range = Range {
        seed,
        first,
        queries,
        settings,
    };
    let report = generated::run(&site, range).await;
    Box::pin(site.shutdown()).await;
    let report = report?;
    println!("{report}");
    Ok(if report.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
