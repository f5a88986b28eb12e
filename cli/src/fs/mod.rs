//! `quarry fs`: the everyday file system commands, with the output of `hdfs dfs`.
//!
//! A command goes through all of its paths; one that fails is reported on standard error and makes the exit code 1.

mod copy;
mod listing;
mod namespace;
mod progress;
mod target;
mod text;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use quarry_dfs_client::{DfsClient, DfsClientConfig};

use crate::config::ClientConfig;
use crate::locate;
use target::Target;

/// Flags of `quarry fs`.
#[derive(Debug, Clone, Args)]
pub struct FsArgs {
    /// The cluster and the user.
    #[command(flatten)]
    pub cluster: FsClusterArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: FsCommand,
}

/// Which file system, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct FsClusterArgs {
    /// The NameNode's RPC address [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, env = "QUARRY_NAMENODE", value_name = "HOST:PORT", global = true)]
    pub namenode: Option<String>,
    /// The user [default: HADOOP_USER_NAME, else the operating system's]
    #[arg(long, value_name = "NAME", global = true)]
    pub user: Option<String>,
}

/// The file system commands.
#[derive(Debug, Clone, Subcommand)]
pub enum FsCommand {
    /// List files and directories
    #[command(disable_help_flag = true)]
    Ls(listing::LsArgs),
    /// Copy local files into the file system; `-` for standard input
    Put(copy::PutArgs),
    /// Copy files out of the file system; `-` for standard output
    Get(copy::GetArgs),
    /// Write files to standard output
    Cat(copy::CatArgs),
    /// Make directories
    Mkdir(namespace::MkdirArgs),
    /// Rename files and directories
    Mv(namespace::MvArgs),
    /// Delete files and directories
    Rm(namespace::RmArgs),
    /// Show the space that files use, and with their replicas
    #[command(disable_help_flag = true)]
    Du(listing::DuArgs),
    /// Show facts about files in a format of your choice
    Stat(listing::StatArgs),
}

impl FsCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Ls(_) => "ls",
            Self::Put(_) => "put",
            Self::Get(_) => "get",
            Self::Cat(_) => "cat",
            Self::Mkdir(_) => "mkdir",
            Self::Mv(_) => "mv",
            Self::Rm(_) => "rm",
            Self::Du(_) => "du",
            Self::Stat(_) => "stat",
        }
    }

    /// The paths of the file system that the command names.
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Ls(args) => args.paths(),
            Self::Put(args) => vec![args.destination()],
            Self::Get(args) => args.sources(),
            Self::Cat(args) => args.paths.iter().map(String::as_str).collect(),
            Self::Mkdir(args) => args.paths.iter().map(String::as_str).collect(),
            Self::Mv(args) => args.paths.iter().map(String::as_str).collect(),
            Self::Rm(args) => args.paths.iter().map(String::as_str).collect(),
            Self::Du(args) => args.paths(),
            Self::Stat(args) => args.paths.iter().map(String::as_str).collect(),
        }
    }
}

/// What a command failed on; its text follows the command's name on standard error.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The path does not exist.
    #[error("`{0}': No such file or directory")]
    Absent(String),
    /// The path exists and must not.
    #[error("`{0}': File exists")]
    Exists(String),
    /// The path is a directory and must not be.
    #[error("`{0}': Is a directory")]
    IsDirectory(String),
    /// The path must be a directory.
    #[error("`{0}': Is not a directory")]
    NotADirectory(String),
    /// The file system refused.
    #[error("{0}")]
    Dfs(#[from] quarry_dfs_client::Error),
    /// A local file or stream failed.
    #[error("`{path}': {source}")]
    Local {
        /// The local path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
}

impl FsError {
    /// A local failure at `path`.
    fn local(path: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Local {
            path: path.to_string(),
            source,
        }
    }
}

/// A command's work: the file system, and the failures so far.
struct Session {
    command: &'static str,
    dfs: DfsClient,
    user: String,
    failures: usize,
}

impl Session {
    /// Reports a failure and goes on.
    fn note<T>(&mut self, outcome: Result<T, FsError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            // The reader of standard output has left: nobody is interested in the rest.
            Err(FsError::Local { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => {
                self.failures += 1;
                None
            }
            Err(error) => {
                eprintln!("{}: {error}", self.command);
                self.failures += 1;
                None
            }
        }
    }

    fn target(&self, argument: &str) -> Target {
        Target::parse(argument, &self.user)
    }
}

/// Runs `quarry fs`.
///
/// # Errors
/// No file system can be named; what a command failed on is reported and gives exit code 1.
pub async fn run(args: FsArgs, config: &ClientConfig) -> anyhow::Result<ExitCode> {
    let named = args.command.paths().into_iter().find_map(target::authority);
    let namenode = named.map_or_else(|| locate::namenode(config), Ok)?;
    let user = locate::user(config);
    let dfs = DfsClient::new(dfs_config(config, namenode));
    let mut session = Session {
        command: args.command.name(),
        dfs,
        user,
        failures: 0,
    };
    let outcome = session.perform(args.command).await;
    session.note(outcome);
    Ok(ExitCode::from(u8::from(session.failures > 0)))
}

/// The client settings for the cluster at `namenode`.
pub fn dfs_config(config: &ClientConfig, namenode: String) -> DfsClientConfig {
    DfsClientConfig {
        user: locate::user(config),
        replication: config.replication,
        block_size: config.block_size,
        ..DfsClientConfig::new(namenode)
    }
}

impl Session {
    async fn perform(&mut self, command: FsCommand) -> Result<(), FsError> {
        match command {
            FsCommand::Ls(args) => self.ls(args).await,
            FsCommand::Put(args) => self.put(args).await,
            FsCommand::Get(args) => self.get(args).await,
            FsCommand::Cat(args) => self.cat(args).await,
            FsCommand::Mkdir(args) => self.mkdir(args).await,
            FsCommand::Mv(args) => self.mv(args).await,
            FsCommand::Rm(args) => self.rm(args).await,
            FsCommand::Du(args) => self.du(args).await,
            FsCommand::Stat(args) => self.stat(args).await,
        }
    }
}
