//! The 99 queries of TPC-DS on a cluster of three workers, each compared with plain DataFusion.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use quarry_sql_tests::site::{CUT_EVERYTHING, Site};
use quarry_sql_tests::tpcds::{Outcome, Pair, read_queries};

/// Block size of the cluster, in bytes.
const BLOCK: u64 = 1 << 20;

/// Compares a cluster with plain DataFusion on TPC-DS
#[derive(Parser)]
struct Arguments {
    /// Directory with the queries, q01.sql to q99.sql, as tpcds/queries.py writes them
    #[arg(long)]
    queries: PathBuf,
    /// Scale factor
    #[arg(long, default_value_t = 0.01)]
    scale: f64,
    /// Run only this query; may be repeated
    #[arg(long = "query")]
    only: Vec<usize>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments { queries, scale, only } = Arguments::parse();
    let queries = read_queries(&queries)?;
    let site = Site::start(3, BLOCK, &CUT_EVERYTHING).await?;
    let mut pair = Pair::load(&site, scale).await?;
    let (mut same, mut ties, mut wrong) = (0, 0, 0);
    for (number, sql) in (1..)
        .zip(&queries)
        .filter(|(number, _)| only.is_empty() || only.contains(number))
    {
        let (outcome, took) = pair.compare(sql).await;
        let said = match outcome {
            Outcome::Same(rows) => {
                same += 1;
                format!("{rows} rows, the same")
            }
            Outcome::SameButTies(rows) => {
                ties += 1;
                format!("{rows} rows; others tie with the last: the same without LIMIT")
            }
            Outcome::FailAlike(error) => {
                wrong += 1;
                format!("neither runs it: {}", error.lines().next().unwrap_or_default())
            }
            Outcome::Differ(difference) => {
                wrong += 1;
                format!("DIFFERENT: {}", difference.lines().next().unwrap_or_default())
            }
        };
        println!("Q{number:02} {:6} ms: {said}", took.as_millis());
    }
    println!("TPC-DS at scale {scale}: {same} the same, {ties} the same but for ties at their LIMIT, {wrong} not");
    drop(pair);
    site.shutdown().await;
    Ok(if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
