//! Benchmarks of the file system: Quarry beside Apache HDFS in one run. A subcommand per question, a module per subcommand.

mod all;
mod files;
mod local;
mod memory;
mod metadata;
mod roles;
mod throughput;

use clap::{Parser, Subcommand};

/// Measures Quarry's file system beside Apache HDFS.
#[derive(Debug, Parser)]
#[command(name = "dfs", max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All of the following in one report
    All(all::Args),
    /// Metadata operations per second and their latencies, by number of clients
    Metadata(metadata::Args),
    /// How long small files take, with Hadoop's own client and with Quarry's
    Files(files::Args),
    /// A NameNode's memory per file and its restart time
    Memory(memory::Args),
    /// How soon `quarry local` is ready, and its memory while it is idle; needs the `quarry` binary
    Local(local::Args),
    /// Bytes per second of reads and writes, sequential and random, by number of clients
    Throughput(throughput::Args),
    /// What loopback TCP and `pread` move on this machine
    Loopback(throughput::LoopbackArgs),
    /// Run a NameNode as the `quarry` binary would
    #[command(hide = true)]
    Namenode(roles::NamenodeArgs),
    /// Run a DataNode as the `quarry` binary would
    #[command(hide = true)]
    Datanode(roles::DatanodeArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::All(args) => all::run(args).await,
        Command::Files(args) => files::run(args).await,
        Command::Metadata(args) => metadata::run(args).await,
        Command::Local(args) => local::run(args).await,
        Command::Memory(args) => memory::run(args).await,
        Command::Throughput(args) => throughput::run(args).await,
        Command::Loopback(args) => throughput::loopback(&args),
        Command::Namenode(args) => roles::namenode(args).await,
        Command::Datanode(args) => roles::datanode(args).await,
    }
}
