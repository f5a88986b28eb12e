//! Quarry, from a program that knows its server roles: the `quarry` binary, or the benchmark's own, which has the same ones hidden.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Cluster, START_LIMIT, current_user};
use crate::process::Process;
use crate::report::QUARRY;

/// Which program serves.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    /// Whether it is the benchmark's own binary.
    pub own: bool,
}

/// The NameNode's line when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    rpc: SocketAddr,
    link: SocketAddr,
}

/// A NameNode's process and addresses.
#[derive(Debug)]
pub struct NameNode {
    /// The process.
    pub process: Process,
    /// For clients.
    pub rpc: SocketAddr,
    /// For DataNodes.
    pub link: SocketAddr,
}

impl Launcher {
    /// The program at `path`; without one `quarry` next to this program, and without that this program itself.
    ///
    /// # Errors
    /// This program does not know where it is.
    pub fn new(path: Option<PathBuf>) -> Result<Self> {
        let this = env::current_exe().context("find this program")?;
        let beside = this.with_file_name("quarry");
        let found = path.or_else(|| beside.is_file().then_some(beside));
        Ok(Self {
            own: found.is_none(),
            program: found.unwrap_or(this),
        })
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a NameNode on `dir/name` and waits until it serves.
    ///
    /// # Errors
    /// It ended, or did not serve in time.
    pub fn namenode(&self, dir: &Path) -> Result<NameNode> {
        let mut command = self.role("namenode", dir);
        command.arg("--dir").arg(dir.join("name"));
        command.args(["--rpc-address", "127.0.0.1:0", "--link-address", "127.0.0.1:0"]);
        command.args(["--http-address", "127.0.0.1:0"]);
        let mut process = Process::start("Quarry's NameNode", &mut command, &dir.join("namenode.log"))?;
        let line = process.wait_for_line("ready ", START_LIMIT)?;
        let ready: Ready = serde_json::from_str(&line).with_context(|| format!("read '{line}'"))?;
        Ok(NameNode {
            process,
            rpc: ready.rpc,
            link: ready.link,
        })
    }

    fn datanode(&self, dir: &Path, number: usize, link: SocketAddr) -> Result<Process> {
        let mut command = self.role("datanode", dir);
        command.arg("--dir").arg(dir.join(format!("data{number}")));
        command.args(["--namenode-link", &link.to_string()]);
        if self.own {
            command.arg("--domain-socket").arg(domain_socket(dir));
        }
        let name = format!("Quarry's DataNode {number}");
        let mut process = Process::start(&name, &mut command, &dir.join(format!("datanode{number}.log")))?;
        process.wait_for_line("ready ", START_LIMIT)?;
        Ok(process)
    }

    fn role(&self, role: &str, dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args([role, "--supervised"]).current_dir(dir);
        command.env("QUARRY_CONFIG", dir.join("quarry.toml"));
        command
    }

    /// Starts a NameNode and DataNodes with their files under `dir`.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start(&self, dir: &Path, datanodes: usize) -> Result<Cluster> {
        std::fs::create_dir_all(dir)?;
        let config = format!("[datanode]\ndomain_socket = {:?}\n", domain_socket(dir));
        std::fs::write(dir.join("quarry.toml"), config)?;
        let namenode = self.namenode(dir)?;
        let datanodes: Result<Vec<_>> = (0..datanodes)
            .map(|number| self.datanode(dir, number, namenode.link))
            .collect();
        let mut cluster = Cluster {
            name: QUARRY,
            home: dir.to_owned(),
            namenode: namenode.rpc,
            user: current_user()?,
            namenode_process: namenode.process,
            datanodes: datanodes?,
        };
        cluster.wait_serving().await?;
        Ok(cluster)
    }
}

/// Where the DataNodes under `dir` hand out the files of their replicas.
pub fn domain_socket(dir: &Path) -> PathBuf {
    dir.join("dn._PORT.sock")
}

/// How long a NameNode may take to end in order.
pub const END_LIMIT: Duration = Duration::from_secs(60);
