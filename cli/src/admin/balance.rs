//! `balance`.

use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use quarry_dfs_wire::proto::dfs_v1 as pb;
use serde_json::json;

use super::link::{self, Link};
use super::units::bytes;

/// Pause between two looks at how far it is.
const PAUSE: Duration = Duration::from_secs(1);

/// Flags of `balance`. Without `--stop` or `--status` it starts.
#[derive(Debug, Clone, Args)]
pub struct BalanceArgs {
    /// How far a DataNode's fullness may be from the average, in percent [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    threshold: Option<f64>,
    /// Most bytes per second that each DataNode may send for it, such as 50MiB [default: the NameNode's configuration]
    #[arg(long, value_name = "SIZE")]
    bandwidth: Option<ByteSize>,
    /// Stop it
    #[arg(long, conflicts_with_all = ["threshold", "bandwidth", "status", "wait"])]
    stop: bool,
    /// Only tell how far it is
    #[arg(long, conflicts_with_all = ["threshold", "bandwidth"])]
    status: bool,
    /// Wait until it has ended, telling how far it is
    #[arg(long)]
    wait: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    // HDFS's balancer takes the same range.
    match (1.0..=100.0).contains(&number) {
        true => Ok(number),
        false => Err("expected 1 to 100".to_owned()),
    }
}

/// Starts, stops or shows the balancing of DataNodes.
pub(super) async fn run(link: &mut Link, args: &BalanceArgs, json: bool) -> anyhow::Result<ExitCode> {
    let mut report = ask(link, args).await?;
    let mut told = None;
    while args.wait && report.running {
        let now = (report.blocks_moved, report.moves_in_flight, report.bytes_left);
        if told.replace(now) != Some(now) {
            eprintln!("{}", line(&report));
        }
        tokio::time::sleep(PAUSE).await;
        let request = link.request(pb::BalanceStatusRequest {})?;
        report = link::answer(link.service().await?.balance_status(request).await)?;
    }
    if json {
        super::print_json(&json!({
            "running": report.running,
            "threshold_percent": report.threshold_percent,
            "bytes_per_second": report.bytes_per_second,
            "blocks_moved": report.blocks_moved,
            "bytes_moved": report.bytes_moved,
            "moves_in_flight": report.moves_in_flight,
            "bytes_left": report.bytes_left,
            "over_utilized_nodes": report.over_utilized_nodes,
            "under_utilized_nodes": report.under_utilized_nodes,
            "average_percent": report.average_percent,
            "text": report.text,
        }))?;
    } else {
        println!("{}", line(&report));
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(link: &mut Link, args: &BalanceArgs) -> anyhow::Result<pb::BalanceReport> {
    let answer = if args.stop {
        let request = link.request(pb::StopBalanceRequest {})?;
        link.service().await?.stop_balance(request).await
    } else if args.status {
        let request = link.request(pb::BalanceStatusRequest {})?;
        link.service().await?.balance_status(request).await
    } else {
        let request = link.request(pb::BalanceRequest {
            threshold_percent: args.threshold.unwrap_or_default(),
            bytes_per_second: args.bandwidth.unwrap_or_default().as_u64(),
        })?;
        link.service().await?.start_balance(request).await
    };
    link::answer(answer)
}

fn line(report: &pb::BalanceReport) -> String {
    let state = match (report.running, report.text.as_str()) {
        (true, _) => "running",
        (false, "") => "not running",
        (false, text) => text,
    };
    format!(
        "{state}: {} blocks ({}) moved, {} under way, {} left; {} nodes too full, {} too empty at {:.1}% on average, threshold {:.1}%",
        report.blocks_moved,
        bytes(report.bytes_moved),
        report.moves_in_flight,
        bytes(report.bytes_left),
        report.over_utilized_nodes,
        report.under_utilized_nodes,
        report.average_percent,
        report.threshold_percent,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_percents() {
        assert_eq!(percent("10"), Ok(10.0));
        assert!(percent("0").is_err() && percent("101").is_err() && percent("x").is_err() && percent("NaN").is_err());
    }

    #[test]
    fn the_state_comes_first() {
        let mut report = pb::BalanceReport {
            running: true,
            bytes_moved: 3 << 20,
            ..pb::BalanceReport::default()
        };
        assert!(line(&report).starts_with("running: 0 blocks (3 MB) moved"));
        report.running = false;
        report.text = "balanced".into();
        assert!(line(&report).starts_with("balanced: "));
    }
}
