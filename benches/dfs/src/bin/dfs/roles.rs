//! Server roles in this program, with the flags and the ready line of the `quarry` binary: for quick turns while working on the
//! file system alone. Committed tables use the real binary.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quarry_dfs_datanode::{DataNode, DataNodeConfig};
use quarry_dfs_namenode::{NameNode, NameNodeConfig};
use tokio::time::Instant;

/// Flags of the NameNode.
#[derive(Debug, clap::Args)]
pub(crate) struct NamenodeArgs {
    #[arg(long)]
    supervised: bool,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    rpc_address: SocketAddr,
    #[arg(long)]
    link_address: SocketAddr,
    #[arg(long)]
    http_address: SocketAddr,
}

/// Flags of a DataNode.
#[derive(Debug, clap::Args)]
pub(crate) struct DatanodeArgs {
    #[arg(long)]
    supervised: bool,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    namenode_link: String,
    #[arg(long)]
    domain_socket: Option<PathBuf>,
}

/// Serves until standard input closes.
pub(crate) async fn namenode(args: NamenodeArgs) -> anyhow::Result<()> {
    let config = NameNodeConfig {
        dir: args.dir,
        rpc_address: args.rpc_address,
        link_address: args.link_address,
        http_address: args.http_address,
        ..NameNodeConfig::default()
    };
    let handle = NameNode::start(config).await?;
    let ready = serde_json::json!({"rpc": handle.rpc_addr(), "link": handle.link_addr()});
    say_ready(&ready)?;
    wait(args.supervised).await;
    handle.shutdown().await;
    Ok(())
}

/// Serves until standard input closes.
pub(crate) async fn datanode(args: DatanodeArgs) -> anyhow::Result<()> {
    let config = DataNodeConfig {
        dirs: vec![args.dir],
        namenode: args.namenode_link,
        domain_socket: args.domain_socket,
        ..DataNodeConfig::default()
    };
    let handle = DataNode::start(config).await?;
    handle.wait_registered(Instant::now() + Duration::from_secs(60)).await?;
    say_ready(&serde_json::json!({"xfer": handle.xfer_addr()}))?;
    wait(args.supervised).await;
    handle.shutdown().await;
    Ok(())
}

fn say_ready(endpoint: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready {endpoint}")?;
    out.flush()
}

/// Waits for the end of standard input, or for ever.
async fn wait(supervised: bool) {
    if !supervised {
        return std::future::pending().await;
    }
    let end = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    // An input that cannot be read has ended, too.
    let _ = end.await;
}
