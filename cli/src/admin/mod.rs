//! `quarry admin`: what an administrator asks of a NameNode.
//!
//! Everything goes to the NameNode's admin service, which shares the port of the DataNodes' link; only `fsck` is HTTP, as in HDFS. Output
//! is close to `hdfs dfsadmin` and `hdfs fsck`; `--json` is for scripts.

mod balance;
mod fsck;
mod link;
mod nodes;
mod report;
mod safe_mode;
mod units;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use quarry_dfs_wire::proto::dfs_v1 as pb;

use crate::config::ClientConfig;
use link::Link;

/// Flags of `quarry admin`.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The NameNode's address for DataNodes and administrators [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub namenode_link: Option<String>,
    /// The user [default: HADOOP_USER_NAME, else the operating system's]
    #[arg(long, value_name = "NAME", global = true)]
    pub user: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// Show the cluster's space, blocks and DataNodes
    Report(report::ReportArgs),
    /// Show, enter or leave safe mode, in which nothing can be changed
    Safemode(safe_mode::SafeModeArgs),
    /// Check the files below a path
    Fsck(fsck::FsckArgs),
    /// Copy everything off a DataNode, so that it can be taken away
    Decommission(nodes::DecommissionArgs),
    /// Take a DataNode back into service
    Recommission(nodes::NodeArgs),
    /// Leave a DataNode alone for a while: its replicas still count
    Maintenance(nodes::MaintenanceArgs),
    /// Even out how full the DataNodes are, in the background
    Balance(balance::BalanceArgs),
    /// Write a new image of the namespace
    Checkpoint,
    /// Show the racks and their DataNodes
    Topology,
    /// Put a DataNode on a rack
    SetRack(nodes::SetRackArgs),
    /// Read the lists of DataNodes and the table of racks again
    RefreshNodes,
}

/// Runs `quarry admin`.
///
/// # Errors
/// No cluster is known, the NameNode cannot be reached, or it refused.
pub async fn run(args: AdminArgs, config: &ClientConfig) -> anyhow::Result<ExitCode> {
    let mut link = Link::to(config, args.namenode_link.as_deref())?;
    let json = args.json;
    match args.command {
        AdminCommand::Report(report) => report::run(&mut link, &report, json).await,
        AdminCommand::Safemode(safe_mode) => safe_mode::run(&mut link, &safe_mode, json).await,
        AdminCommand::Fsck(fsck) => fsck::run(&mut link, &fsck, json).await,
        AdminCommand::Decommission(node) => nodes::decommission(&mut link, &node, json).await,
        AdminCommand::Recommission(node) => nodes::recommission(&mut link, &node, json).await,
        AdminCommand::Maintenance(node) => nodes::maintenance(&mut link, &node, json).await,
        AdminCommand::Balance(balance) => balance::run(&mut link, &balance, json).await,
        AdminCommand::Checkpoint => checkpoint(&mut link, json).await,
        AdminCommand::Topology => nodes::topology(&mut link, json).await,
        AdminCommand::SetRack(rack) => nodes::set_rack(&mut link, &rack, json).await,
        AdminCommand::RefreshNodes => refresh_nodes(&mut link).await,
    }
}

async fn checkpoint(link: &mut Link, json: bool) -> anyhow::Result<ExitCode> {
    // An image of ten million files takes its time.
    let request = link.patient(pb::CheckpointRequest {}, Duration::from_secs(600))?;
    let answer = link.service().await?.checkpoint(request).await;
    let transaction = link::answer(answer)?.transaction_id;
    if json {
        print_json(&serde_json::json!({ "transaction_id": transaction }))?;
    } else {
        println!("Image written up to transaction {transaction}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn refresh_nodes(link: &mut Link) -> anyhow::Result<ExitCode> {
    let request = link.request(pb::RefreshNodesRequest {})?;
    link::answer(link.service().await?.refresh_nodes(request).await)?;
    println!("Refresh nodes successful");
    Ok(ExitCode::SUCCESS)
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
