//! The shipped binary as a cluster of processes.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::process::{Group, quiet};
use crate::{USER, tools};

/// Processes of a debug build on a busy two-core machine; idle it takes about a second.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running `quarry local --processes`; ends, with all its processes, when dropped.
#[derive(Debug)]
pub struct Cluster {
    process: Group,
    dir: PathBuf,
    endpoints: Endpoints,
}

/// What this harness uses of `endpoints.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoints {
    /// The NameNode.
    pub namenode: NameNode,
    /// The DataNodes.
    pub datanodes: Vec<Role>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// The coordinator.
    pub coordinator: Coordinator,
}

/// The NameNode's entry.
#[derive(Debug, Clone, Deserialize)]
pub struct NameNode {
    /// Hadoop RPC, `127.0.0.1:PORT`.
    pub rpc: SocketAddr,
    /// Process id.
    pub pid: u32,
}

/// The entry of a worker.
#[derive(Debug, Clone, Deserialize)]
pub struct Worker {
    /// As EXPLAIN ANALYZE names it, `127.0.0.1:PORT`.
    pub addr: SocketAddr,
    /// Process id.
    pub pid: u32,
}

/// The entry of a DataNode.
#[derive(Debug, Clone, Deserialize)]
pub struct Role {
    /// Process id.
    pub pid: u32,
}

/// The coordinator's entry.
#[derive(Debug, Clone, Deserialize)]
pub struct Coordinator {
    /// Arrow Flight SQL, `127.0.0.1:PORT`.
    pub flight_sql: SocketAddr,
    /// Process id.
    pub pid: u32,
}

impl Cluster {
    /// Starts `nodes` DataNodes with workers, a NameNode and a coordinator, each its own process, with their data in `dir`.
    ///
    /// # Errors
    /// The binary is not built, or it did not get ready.
    pub fn start(dir: &Path, nodes: u16) -> Result<Self> {
        Self::start_with(dir, nodes, "")
    }

    /// As [`Self::start`], with `configuration` as the text of the configuration file.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(dir: &Path, nodes: u16, configuration: &str) -> Result<Self> {
        Self::start_in(dir, nodes, configuration, &[])
    }

    /// As [`Self::start_with`], with additional environment variables.
    ///
    /// # Errors
    /// As there.
    pub fn start_in(dir: &Path, nodes: u16, configuration: &str, variables: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join("quarry.toml");
        std::fs::write(&file, configuration)?;
        let mut command = quiet(binary()?);
        command.env("QUARRY_CONFIG", file);
        command
            .args(["local", "--processes", "--nodes", &nodes.to_string(), "--dir"])
            .arg(dir);
        command.envs(surroundings(dir)).envs(variables.iter().copied());
        // Stdin stays open: what ends the cluster is us.
        command.stdin(Stdio::piped());
        let mut process = Group::start("quarry local", &mut command)?;
        process.wait_for_line("ready", START_LIMIT)?;
        let endpoints = read_endpoints(dir)?;
        ensure!(
            endpoints.datanodes.len() == usize::from(nodes),
            "{nodes} nodes were asked for: {endpoints:?}"
        );
        Ok(Self {
            process,
            dir: dir.to_owned(),
            endpoints,
        })
    }

    /// Addresses and processes.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// A `quarry` command for this cluster, such as `["fs", "ls", "/"]`, that must succeed; returns its stdout.
    ///
    /// # Errors
    /// The command failed; with what it said.
    pub fn quarry(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args)?.output()?;
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "quarry {args:?} ended with {}: {err}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A `quarry` command that finds this cluster as a user's would: as the one that was started last.
    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(args).stdin(Stdio::null()).envs(surroundings(&self.dir));
        Ok(command)
    }

    /// The cluster's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Roles may have been put into groups of their own: the pids are on record.
        let roles = &self.endpoints;
        let datanodes = roles.datanodes.iter().map(|role| role.pid);
        let workers = roles.workers.iter().map(|worker| worker.pid);
        for pid in datanodes
            .chain(workers)
            .chain([roles.namenode.pid, roles.coordinator.pid])
        {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        self.process.signal(rustix::process::Signal::KILL);
    }
}

/// A state directory of its own, so that neither a test nor the user's cluster is mistaken for the other; the name of the user.
fn surroundings(dir: &Path) -> [(&'static str, OsString); 2] {
    [
        ("XDG_STATE_HOME", dir.join("state").into()),
        ("HADOOP_USER_NAME", USER.into()),
    ]
}

fn read_endpoints(dir: &Path) -> Result<Endpoints> {
    let file = dir.join("endpoints.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: {text}", file.display()))
}

/// A loopback address that nobody listened on a moment ago, for a role whose address a foreign program must know beforehand.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The binary that the environment variable `QUARRY_BIN` names, else that of this build: cargo puts it into the target folder of the profile that this crate was built with.
///
/// # Errors
/// It is not there.
pub fn binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("QUARRY_BIN").map(PathBuf::from) {
        ensure!(binary.is_file(), "QUARRY_BIN={}: no such file", binary.display());
        return Ok(binary);
    }
    let home = tools::home();
    let workspace = home.parent().context("this crate lies in the workspace")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let binary = target.join(profile).join("quarry");
    ensure!(
        binary.is_file(),
        "{} is missing: build it with `cargo build` (`cargo test --workspace` does so by itself)",
        binary.display()
    );
    Ok(binary)
}
