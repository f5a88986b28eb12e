//! The command line: which commands there are and what their flags are called.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::admin::AdminArgs;
use crate::config::{ConfigError, Setting};
use crate::demo::DemoArgs;
use crate::fs::FsArgs;
use crate::sql::SqlArgs;
use crate::tpch::TpchArgs;

/// SQL where the blocks are: an HDFS-compatible distributed file system and the SQL engine made for it.
#[derive(Debug, Parser)]
#[command(name = "quarry", version, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Configuration file [default: ~/.config/quarry/quarry.toml, then /etc/quarry/quarry.toml, if there]
    #[arg(long, global = true, value_name = "FILE", env = "QUARRY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Set one configuration key, over file and environment; may be repeated
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a NameNode: the namespace and the block map of the file system
    Namenode(NamenodeArgs),
    /// Run a DataNode: blocks on this machine's disks
    Datanode(DatanodeArgs),
    /// Run a worker: fragments of queries
    Worker(WorkerArgs),
    /// Run a DataNode and a worker that reads its blocks without a socket, in one process
    Node(NodeArgs),
    /// Run a coordinator: SQL over Arrow Flight
    Coordinator(CoordinatorArgs),
    /// Run a whole cluster on this machine
    Local(LocalArgs),
    /// Show TPC-H on an embedded cluster: load, 22 queries, every answer checked against plain DataFusion
    Demo(DemoArgs),
    /// Work with files: the commands, output and exit codes of `hdfs dfs`
    Fs(FsArgs),
    /// Look after the file system: report, safe mode, fsck, decommission, balance
    Admin(AdminArgs),
    /// Ask SQL: an interactive shell, one statement, or a file
    Sql(SqlArgs),
    /// Load and run the TPC-H benchmark
    Tpch(TpchArgs),
    /// Show or check the configuration
    Config(ConfigArgs),
}

/// How another program starts a server.
#[derive(Debug, Clone, Default, Args)]
pub struct RoleArgs {
    /// End when standard input closes: for programs that start servers and must not leave them behind
    #[arg(long, hide = true)]
    pub supervised: bool,
}

/// Flags of `quarry namenode`.
#[derive(Debug, Clone, Default, Args)]
pub struct NamenodeArgs {
    /// How the role runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Directory of the edit log and the checkpoint images; an empty one is formatted
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Address for HDFS clients
    #[arg(long, value_name = "IP:PORT")]
    pub rpc_address: Option<SocketAddr>,
    /// Address for DataNodes and administrators
    #[arg(long, value_name = "IP:PORT")]
    pub link_address: Option<SocketAddr>,
    /// Address for fsck and figures over HTTP
    #[arg(long, value_name = "IP:PORT")]
    pub http_address: Option<SocketAddr>,
}

/// Flags of `quarry datanode`, shared with `quarry node`.
#[derive(Debug, Clone, Default, Args)]
pub struct DatanodeArgs {
    /// How the role runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// The DataNode's own flags.
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// What a DataNode needs to know.
#[derive(Debug, Clone, Default, Args)]
pub struct StorageArgs {
    /// Directory for blocks; may be repeated, one per disk
    #[arg(long = "dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// The NameNode's address for DataNodes
    #[arg(long, value_name = "HOST:PORT")]
    pub namenode_link: Option<String>,
}

/// Flags of `quarry worker`.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkerArgs {
    /// How the role runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// The worker's own flags.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What a worker needs to know.
#[derive(Debug, Clone, Default, Args)]
pub struct EngineArgs {
    /// Address for the coordinator and other workers
    #[arg(long, value_name = "IP:PORT")]
    pub address: Option<SocketAddr>,
    /// The coordinator's address
    #[arg(long, value_name = "HOST:PORT")]
    pub coordinator: Option<String>,
    /// The NameNode's RPC address
    #[arg(long, value_name = "HOST:PORT")]
    pub namenode: Option<String>,
}

/// Flags of `quarry node`.
#[derive(Debug, Clone, Default, Args)]
pub struct NodeArgs {
    /// How the role runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// The DataNode's flags.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// The worker's flags.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Flags of `quarry coordinator`.
#[derive(Debug, Clone, Default, Args)]
pub struct CoordinatorArgs {
    /// How the role runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Address for Flight SQL clients and workers
    #[arg(long, value_name = "IP:PORT")]
    pub address: Option<SocketAddr>,
    /// The NameNode's RPC address
    #[arg(long, value_name = "HOST:PORT")]
    pub namenode: Option<String>,
}

/// Flags of `quarry local`.
#[derive(Debug, Clone, Args)]
pub struct LocalArgs {
    /// How the cluster runs.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Directory of the cluster's data; a second start finds what the first one stored
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// How many nodes, each a DataNode with a worker beside it [default: as many as at the last start, at first 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: Option<u16>,
    /// Spread the nodes over so many racks, /rack1 and on [default: all on /default-rack]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub racks: Option<u16>,
    /// Directories per DataNode, each a volume of its own [default: as many as at the last start, at first 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub volumes: Option<u16>,
    /// Start each role as its own process
    #[arg(long)]
    pub processes: bool,
    /// With --processes: leave a role that ended dead, instead of starting it again
    #[arg(long, requires = "processes")]
    pub no_restart: bool,
}

/// Flags of `quarry config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do with the configuration.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its value, as TOML
    Print {
        /// Add where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Check every section without starting anything
    Check,
}

impl Command {
    /// The configuration keys that this command's flags set.
    pub fn settings(&self) -> Vec<Setting> {
        let mut flags = Flags::default();
        match self {
            Self::Namenode(args) => {
                flags.add("--dir", "namenode.dir", args.dir.as_ref().map(|dir| dir.display()));
                flags.add("--rpc-address", "namenode.rpc_address", args.rpc_address);
                flags.add("--link-address", "namenode.link_address", args.link_address);
                flags.add("--http-address", "namenode.http_address", args.http_address);
            }
            Self::Datanode(args) => flags.storage(&args.storage),
            Self::Worker(args) => flags.engine(&args.engine),
            Self::Node(args) => {
                flags.storage(&args.storage);
                flags.engine(&args.engine);
            }
            Self::Coordinator(args) => {
                flags.add("--address", "coordinator.address", args.address);
                flags.add("--namenode", "coordinator.namenode", args.namenode.as_ref());
            }
            Self::Fs(args) => flags.client(args.cluster.namenode.as_ref(), None, args.cluster.user.as_ref()),
            Self::Admin(args) => {
                flags.add("--namenode-link", "client.namenode_link", args.namenode_link.as_ref());
                flags.client(None, None, args.user.as_ref());
            }
            Self::Sql(args) => flags.client(None, args.url.as_ref(), args.user.as_ref()),
            Self::Tpch(args) => {
                let cluster = &args.cluster;
                flags.client(cluster.namenode.as_ref(), cluster.url.as_ref(), cluster.user.as_ref());
            }
            Self::Local(_) | Self::Demo(_) | Self::Config(_) => {}
        }
        flags.0
    }

    /// Whether this process was started by a supervisor and must end with it.
    pub fn supervised(&self) -> bool {
        match self {
            Self::Namenode(args) => args.role.supervised,
            Self::Datanode(args) => args.role.supervised,
            Self::Worker(args) => args.role.supervised,
            Self::Node(args) => args.role.supervised,
            Self::Coordinator(args) => args.role.supervised,
            Self::Local(args) => args.role.supervised,
            _ => false,
        }
    }

    /// Whether this command is a person's tool rather than a server: its log is quiet unless asked for.
    pub fn is_tool(&self) -> bool {
        matches!(
            self,
            Self::Fs(_) | Self::Admin(_) | Self::Sql(_) | Self::Tpch(_) | Self::Demo(_) | Self::Config(_)
        )
    }
}

/// Collects flags as settings.
#[derive(Default)]
struct Flags(Vec<Setting>);

impl Flags {
    fn add(&mut self, flag: &str, key: &str, value: Option<impl ToString>) {
        self.0
            .extend(value.map(|value| Setting::flag(flag, key, value.to_string())));
    }

    fn storage(&mut self, args: &StorageArgs) {
        let dirs = (!args.dirs.is_empty()).then(|| path_list(&args.dirs));
        self.add("--dir", "datanode.dirs", dirs);
        self.add("--namenode-link", "datanode.namenode", args.namenode_link.as_ref());
    }

    fn engine(&mut self, args: &EngineArgs) {
        self.add("--address", "worker.address", args.address);
        self.add("--coordinator", "worker.coordinator", args.coordinator.as_ref());
        self.add("--namenode", "worker.namenode", args.namenode.as_ref());
    }

    fn client(&mut self, namenode: Option<&String>, url: Option<&String>, user: Option<&String>) {
        self.add("--namenode", "client.namenode", namenode);
        self.add("--url", "client.url", url);
        self.add("--user", "client.user", user);
    }
}

fn path_list(paths: &[PathBuf]) -> toml::Value {
    toml::Value::Array(paths.iter().map(|path| path.display().to_string().into()).collect())
}

impl GlobalArgs {
    /// The keys given with `--set`.
    ///
    /// # Errors
    /// One is not `SECTION.KEY=VALUE`.
    pub fn settings(&self) -> Result<Vec<Setting>, ConfigError> {
        self.set.iter().map(|text| Setting::parse(text)).collect()
    }
}

/// Options of `quarry` and `quarry fs` before the file system command that take a value in the next word.
const TAKE_VALUE: [&str; 5] = ["--config", "--set", "--namenode", "--user", "-D"];

/// The arguments with the command of `quarry fs` as the parser knows it: Hadoop's begins with a dash, `-ls`.
pub fn with_fs_command(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<_> = args.collect();
    let Some(command) = next_command(&args, 1).filter(|at| args[*at] == "fs") else {
        return args;
    };
    split_definitions(&mut args, command + 1);
    if let Some(verb) = next_command(&args, command + 1) {
        // What is not Unicode is no command.
        let name = args[verb]
            .to_str()
            .and_then(|name| name.strip_prefix('-'))
            .map(OsString::from);
        args[verb] = name.unwrap_or_else(|| args[verb].clone());
    }
    args
}

/// Makes two words of each `-Dkey=value` before the command: the parser takes one for the command's name.
fn split_definitions(args: &mut Vec<OsString>, from: usize) {
    let mut at = from;
    while at < next_command(args, from).unwrap_or(args.len()) {
        let value = args[at].to_str().and_then(|word| word.strip_prefix("-D"));
        if let Some(value) = value.filter(|value| !value.is_empty()).map(OsString::from) {
            args.splice(at..=at, ["-D".into(), value]);
            at += 1;
        } else if TAKE_VALUE.iter().any(|option| args[at] == *option) {
            at += 1;
        }
        at += 1;
    }
}

/// Where the next word stands that is neither an option of our own nor its value.
fn next_command(args: &[OsString], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(word) = args.get(at) {
        let text = word.to_string_lossy();
        if TAKE_VALUE.contains(&text.as_ref()) {
            at += 2;
        } else if text.starts_with("--") || text.starts_with("-D") || text == "-h" || text == "-V" {
            at += 1;
        } else {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings_of_their_section() {
        let cli =
            Cli::try_parse_from(["quarry", "node", "--dir", "/a", "--dir", "/b", "--coordinator", "h:1"]).unwrap();
        let settings: Vec<_> = cli
            .command
            .settings()
            .into_iter()
            .map(|set| (set.key, set.value))
            .collect();
        assert_eq!(settings[0], ("datanode.dirs".into(), r#"["/a", "/b"]"#.into()));
        assert_eq!(settings[1], ("worker.coordinator".into(), "h:1".into()));
    }

    fn fs_words(line: &str) -> (Vec<String>, Vec<String>) {
        let args = line.split(' ').map(OsString::from);
        let Command::Fs(args) = Cli::try_parse_from(with_fs_command(args)).unwrap().command else {
            panic!("it is a file system command")
        };
        (args.words, args.define)
    }

    #[test]
    fn file_system_commands_may_begin_with_a_dash() {
        for line in ["quarry fs ls -h -R /a", "quarry fs -ls -h -R /a"] {
            assert_eq!(fs_words(line).0, ["ls", "-h", "-R", "/a"]);
        }
        assert_eq!(fs_words("quarry fs -help ls").0, ["help", "ls"]);
        assert_eq!(
            fs_words("quarry fs -rm -r -skipTrash --user").0,
            ["rm", "-r", "-skipTrash", "--user"]
        );
    }

    #[test]
    fn options_of_hadoop_come_before_the_command() {
        let (words, define) = fs_words("quarry fs -D dfs.replication=1 -Ddfs.blocksize=1m -put -f a /b");
        assert_eq!(words, ["put", "-f", "a", "/b"]);
        assert_eq!(define, ["dfs.replication=1", "dfs.blocksize=1m"]);
        let (_, define) = fs_words("quarry fs -Da=1 -D -Db=2 -Dc=3 -ls -Dd=4");
        assert_eq!(define, ["a=1", "-Db=2", "c=3"]);
        let (words, _) = fs_words("quarry --set client.user=x fs --namenode h:1 -ls /");
        assert_eq!(words, ["ls", "/"]);
    }
}
