//! `decommission`, `recommission`, `maintenance`, `set-rack` and `topology`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use quarry_dfs_wire::proto::dfs_v1 as pb;
use serde_json::json;

use super::link::{self, Link};
use super::report::{self, Node, address, admin_state};

/// Pause between two looks at how far a node is.
const PAUSE: Duration = Duration::from_secs(1);

/// A DataNode.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// The DataNode: its uuid, IP:PORT, HOST:PORT, IP or host name
    node: String,
}

/// Flags of `decommission`.
#[derive(Debug, Clone, Args)]
pub struct DecommissionArgs {
    /// The DataNode.
    #[command(flatten)]
    node: NodeArgs,
    /// Wait until the DataNode may be taken away, telling how far it is
    #[arg(long)]
    wait: bool,
}

/// Flags of `maintenance`.
#[derive(Debug, Clone, Args)]
pub struct MaintenanceArgs {
    /// The DataNode.
    #[command(flatten)]
    node: NodeArgs,
    /// For how long, such as 2h; without it until `recommission`
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Wait until the DataNode may be stopped
    #[arg(long)]
    wait: bool,
}

/// Flags of `set-rack`.
#[derive(Debug, Clone, Args)]
pub struct SetRackArgs {
    /// The DataNode.
    #[command(flatten)]
    node: NodeArgs,
    /// The rack, such as /rack1; an empty one goes back to what the table or the DataNode says
    rack: String,
}

/// A time such as `90s`, `30m`, `2h` or `1d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; expected a number and s, m, h or d, such as 30m");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

fn of(node: &NodeArgs) -> pb::NodeRequest {
    pb::NodeRequest {
        node: node.node.clone(),
    }
}

/// Starts emptying a DataNode, and may wait for its end.
pub(super) async fn decommission(link: &mut Link, args: &DecommissionArgs, json: bool) -> anyhow::Result<ExitCode> {
    let request = link.request(of(&args.node))?;
    let node = told(link::answer(link.service().await?.decommission(request).await)?)?;
    let node = if args.wait {
        wait(link, node, pb::AdminState::Decommissioned).await?
    } else {
        node
    };
    show(&node, json)
}

/// Takes a DataNode back.
pub(super) async fn recommission(link: &mut Link, args: &NodeArgs, json: bool) -> anyhow::Result<ExitCode> {
    let request = link.request(of(args))?;
    let answer = link.service().await?.recommission(request).await;
    show(&told(link::answer(answer)?)?, json)
}

/// Announces that a DataNode will be away.
pub(super) async fn maintenance(link: &mut Link, args: &MaintenanceArgs, json: bool) -> anyhow::Result<ExitCode> {
    let time = args.time.unwrap_or_default().as_millis();
    let request = link.request(pb::MaintenanceRequest {
        node: args.node.node.clone(),
        duration_ms: u64::try_from(time).unwrap_or(u64::MAX),
    })?;
    let node = told(link::answer(link.service().await?.maintenance(request).await)?)?;
    let node = if args.wait {
        wait(link, node, pb::AdminState::InMaintenance).await?
    } else {
        node
    };
    show(&node, json)
}

/// Puts a DataNode on a rack.
pub(super) async fn set_rack(link: &mut Link, args: &SetRackArgs, json: bool) -> anyhow::Result<ExitCode> {
    let request = link.request(pb::SetRackRequest {
        node: args.node.node.clone(),
        rack: args.rack.clone(),
    })?;
    let node = told(link::answer(link.service().await?.set_rack(request).await)?)?;
    if json {
        super::print_json(&Node::from(&node))?;
    } else {
        println!("{} {}", address(&node), node.rack);
    }
    Ok(ExitCode::SUCCESS)
}

fn told(answer: pb::NodeResponse) -> anyhow::Result<pb::NodeStatus> {
    answer.node.context("the NameNode's answer names no DataNode")
}

fn show(node: &pb::NodeStatus, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        super::print_json(&Node::from(node))?;
    } else {
        println!("{} ({}): {}", address(node), node.hostname, admin_state(node).1);
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a DataNode has reached a state, telling how many blocks are left whenever that changes.
async fn wait(link: &mut Link, mut node: pb::NodeStatus, wanted: pb::AdminState) -> anyhow::Result<pb::NodeStatus> {
    let mut told = None;
    while node.admin_state() != wanted {
        anyhow::ensure!(
            node.admin_state() != pb::AdminState::Normal,
            "{}: somebody took the DataNode back into service",
            address(&node)
        );
        let left = (node.under_replicated_blocks, node.open_file_blocks);
        if told.replace(left) != Some(left) {
            tell_progress(&node);
        }
        tokio::time::sleep(PAUSE).await;
        let report = report::fetch(link).await?;
        let uuid = node.datanode_uuid.clone();
        let again = report.nodes.into_iter().find(|other| other.datanode_uuid == uuid);
        node = again.with_context(|| format!("the NameNode no longer knows DataNode {uuid}"))?;
    }
    if told.is_some() && std::io::stderr().is_terminal() {
        eprintln!();
    }
    Ok(node)
}

/// On a terminal the line is written over and over; in a log each change has its own.
fn tell_progress(node: &pb::NodeStatus) {
    let state = admin_state(node).1;
    let (left, open) = (node.under_replicated_blocks, node.open_file_blocks);
    let text = format!(
        "{}: {state}, {left} blocks to copy, {open} of open files",
        address(node)
    );
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    } else {
        eprintln!("{text}");
    }
}

/// Shows the racks and their DataNodes.
pub(super) async fn topology(link: &mut Link, json: bool) -> anyhow::Result<ExitCode> {
    let request = link.request(pb::TopologyRequest {})?;
    let racks = link::answer(link.service().await?.topology(request).await)?.racks;
    if json {
        let rack = |rack: &pb::Rack| {
            let nodes: Vec<Node> = rack.nodes.iter().map(Node::from).collect();
            json!({ "rack": rack.name, "nodes": nodes })
        };
        super::print_json(&racks.iter().map(rack).collect::<Vec<_>>())?;
    } else {
        for rack in &racks {
            println!("Rack: {}", rack.name);
            for node in &rack.nodes {
                println!("   {} ({})", address(node), node.hostname);
            }
            println!();
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["2", "h", "", "2w", "99999999999999999999d", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
