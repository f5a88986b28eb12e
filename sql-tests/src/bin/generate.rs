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
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments { queries, seed, first } = Arguments::parse();
    let site = Site::start(3, BLOCK, &CUT_EVERYTHING).await?;
    let report = generated::run(&site, Range { seed, first, queries }).await;
    Box::pin(site.shutdown()).await;
    let report = report?;
    println!("{report}");
    Ok(if report.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
