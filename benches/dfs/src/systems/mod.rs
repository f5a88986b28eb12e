//! The two file systems that are compared, each as real processes on this machine: one NameNode and any number of DataNodes.

pub mod hdfs;
pub mod quarry;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    DatanodeReportTypeProto, GetDatanodeReportRequestProto, GetDatanodeReportResponseProto, SafeModeActionProto,
    SetSafeModeRequestProto, SetSafeModeResponseProto,
};
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcClient, RpcClientOptions};

use tempfile::TempDir;

use crate::conditions::Conditions;
use crate::host_memory;
use crate::process::Process;
use hdfs::Hdfs;
use quarry::Launcher;

/// Which systems are measured, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct SetupArgs {
    /// The `quarry` binary [default: the one next to this program, else this program's own server roles]
    #[arg(long)]
    quarry: Option<PathBuf>,
    /// Jars of Apache HDFS [default: where `interop/setup oracle` puts them]
    #[arg(long)]
    jars: Option<PathBuf>,
    /// Measure Quarry alone
    #[arg(long)]
    alone: bool,
    /// Directory for the servers' files, on the disk that is to be measured [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Memory to use and free before anything is measured, so that no system waits for this machine's host to give it; at most half of
    /// what is available
    #[arg(long, default_value = "8GiB")]
    touch: ByteSize,
}

/// The two systems, not started yet, and room for their files that is cleared at the end.
#[derive(Debug)]
pub struct Setup {
    /// Starts Quarry.
    pub launcher: Launcher,
    /// Starts Apache HDFS, if it is measured.
    pub hdfs: Option<Hdfs>,
    /// Those before this.
    pub conditions: Conditions,
    /// Bytes of memory that were touched beforehand.
    pub touched: u64,
    scratch: TempDir,
}

impl Setup {
    /// As the arguments say.
    ///
    /// # Errors
    /// There is no room for the servers' files, or Apache HDFS is to be measured and not there.
    pub fn new(args: &SetupArgs) -> Result<Self> {
        let conditions = Conditions::now();
        let scratch = match &args.dir {
            Some(dir) => tempfile::tempdir_in(dir),
            None => tempfile::tempdir(),
        };
        let hdfs = match args.alone {
            true => None,
            false => Some(Hdfs::find(args.jars.clone()).context(
                "there are no jars of Apache HDFS: fetch them with `interop/setup oracle`, name their folder with --jars, or measure \
                 Quarry alone with --alone",
            )?),
        };
        Ok(Self {
            launcher: Launcher::new(args.quarry.clone())?,
            hdfs,
            conditions,
            touched: host_memory::touch(args.touch.as_u64()),
            scratch: scratch.context("make a directory for the servers")?,
        })
    }

    /// A directory for one use.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Starts each system with so many DataNodes; `name` keeps the files of several benchmarks apart.
    ///
    /// # Errors
    /// One of them does not serve.
    pub async fn start(&self, name: &str, datanodes: usize) -> Result<Vec<Cluster>> {
        let mut systems = vec![self.launcher.start(&self.dir(name).join("quarry"), datanodes).await?];
        if let Some(hdfs) = &self.hdfs {
            systems.push(hdfs.start(&self.dir(name).join("hdfs"), datanodes).await?);
        }
        Ok(systems)
    }
}

/// Longest that a system may take to serve.
pub const START_LIMIT: Duration = Duration::from_secs(180);

/// A running file system; its processes end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// What to call it in tables.
    pub name: &'static str,
    /// Where its files are.
    pub home: PathBuf,
    /// The NameNode's RPC address.
    pub namenode: SocketAddr,
    /// Who owns everything: to be used as the calling user.
    pub user: String,
    /// The NameNode's process.
    pub namenode_process: Process,
    /// The DataNodes' processes.
    pub datanodes: Vec<Process>,
}

impl Cluster {
    /// A client of the NameNode over so many connections.
    pub fn rpc(&self, connections: usize) -> RpcClient {
        let options = RpcClientOptions {
            connections,
            ..RpcClientOptions::default()
        };
        RpcClient::new(self.namenode.to_string(), &self.user, CLIENT_PROTOCOL, options)
    }

    /// Processor time of all its servers so far, in microseconds.
    pub fn cpu_micros(&self) -> u64 {
        let processes = std::iter::once(&self.namenode_process).chain(&self.datanodes);
        processes.map(Process::cpu_micros).sum()
    }

    /// Whether a NameNode refuses changes.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn is_in_safe_mode(rpc: &RpcClient) -> Result<bool> {
        let request = SetSafeModeRequestProto {
            action: SafeModeActionProto::SafemodeGet as i32,
            checked: Some(false),
        };
        let response: SetSafeModeResponseProto = rpc.call("setSafeMode", &request).await?;
        Ok(response.result)
    }

    /// Waits until the NameNode answers, all DataNodes have registered, and changes are accepted.
    ///
    /// # Errors
    /// A process ended, or three minutes passed.
    pub async fn wait_serving(&mut self) -> Result<()> {
        let rpc = self.rpc(1);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.namenode_process.check_alive()?;
            self.datanodes.iter_mut().try_for_each(Process::check_alive)?;
            let state = serving(&rpc, self.datanodes.len()).await;
            match state {
                Ok(true) => return Ok(()),
                _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(false) => bail!("{}: not all DataNodes registered, or still in safe mode", self.name),
                Err(problem) => return Err(problem).context(self.name),
            }
        }
    }
}

async fn serving(rpc: &RpcClient, datanodes: usize) -> Result<bool> {
    let safe = Cluster::is_in_safe_mode(rpc).await?;
    let live: GetDatanodeReportResponseProto = rpc
        .call(
            "getDatanodeReport",
            &GetDatanodeReportRequestProto {
                r#type: DatanodeReportTypeProto::Live as i32,
            },
        )
        .await?;
    Ok(!safe && live.di.len() >= datanodes)
}

/// The user that this process runs as.
///
/// # Errors
/// `id` cannot be run.
pub fn current_user() -> Result<String> {
    let output = std::process::Command::new("id").arg("-un").output().context("run id")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A loopback port that is free now. Another process could take it before it is used; then the start fails and says so.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}
