//! The TPC-H benchmark: its data straight from the generator into the file system, its 22 queries over Flight SQL.

mod layout;
mod load;
mod queries;
mod run;
mod tables;
mod write;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use quarry_dfs_client::DfsClient;

pub use load::{LoadArgs, Loaded, load, scale_factor};
pub use queries::{QUERIES, Query};
pub use run::{Measured, RunArgs, measure};
pub use tables::Table;

use crate::config::ClientConfig;
use crate::sql::SqlClient;
use crate::{fs, locate};

/// Flags of `quarry tpch`.
#[derive(Debug, Clone, Args)]
pub struct TpchArgs {
    /// The cluster and the user.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: TpchCommand,
}

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// The coordinator [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, env = "QUARRY_URL", value_name = "HOST:PORT", global = true)]
    pub url: Option<String>,
    /// The NameNode's RPC address [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, env = "QUARRY_NAMENODE", value_name = "HOST:PORT", global = true)]
    pub namenode: Option<String>,
    /// The user [default: the operating system's]
    #[arg(long, value_name = "NAME", global = true)]
    pub user: Option<String>,
}

/// What to do with the benchmark.
#[derive(Debug, Clone, Subcommand)]
pub enum TpchCommand {
    /// Generate the eight tables into the file system and create them in a schema
    Load(LoadArgs),
    /// Run the queries and show their times
    Run(RunArgs),
}

/// Runs `quarry tpch`.
///
/// # Errors
/// No cluster can be named or reached, the load failed, or a query could not be measured.
pub async fn run(args: TpchArgs, config: &ClientConfig) -> anyhow::Result<ExitCode> {
    let mut sql = SqlClient::connect(&locate::sql_url(config)?, &locate::user(config)).await?;
    match args.command {
        TpchCommand::Load(args) => {
            let dfs = DfsClient::new(fs::dfs_config(config, locate::namenode(config)?));
            let loaded = Box::pin(load(&dfs, &mut sql, &args)).await?;
            println!("{loaded}");
            Ok(ExitCode::SUCCESS)
        }
        TpchCommand::Run(args) => run::run(&mut sql, &args).await,
    }
}
