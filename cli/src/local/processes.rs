//! Each role as a child process of the same binary.
//!
//! A child's standard input is a pipe that nobody writes to: it closes when this process ends, however it ends, and the
//! child ends with it. A child that ends by itself is reported and started again on its old ports, unless that was
//! switched off.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::endpoints::{Endpoints, NodeEndpoint};
use super::plan::Plan;
use crate::config::{ENV_PREFIX, Setting};
use crate::roles::READY;

/// How long a role may take to be ready: a NameNode may have a long log to replay.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a role may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before a role is started again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause before a role is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A role that ran this long did not end for what it was started with: the pauses begin anew.
const STABLE: Duration = Duration::from_secs(60);

/// Which role a child plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Namenode,
    Node(usize),
    Coordinator,
}

impl Role {
    fn name(self) -> String {
        match self {
            Self::Namenode => "namenode".into(),
            Self::Node(index) => format!("node-{}", index + 1),
            Self::Coordinator => "coordinator".into(),
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Namenode => "namenode",
            Self::Node(_) => "node",
            Self::Coordinator => "coordinator",
        }
    }
}

/// The children and who watches them.
pub(super) struct Processes {
    launcher: Launcher,
    endpoints: Arc<Mutex<Endpoints>>,
    watchers: JoinSet<()>,
    stop: CancellationToken,
    /// One per node: cancelled to kill it for good.
    nodes: Vec<CancellationToken>,
    restart: bool,
}

/// A child that is ready, and what it said.
struct Running {
    child: Child,
    /// Waiting for a child closes its standard input if the child still owns it, which would end it.
    _stdin: ChildStdin,
    since: Instant,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Processes {
    /// Starts the NameNode, then everything else at once.
    pub(super) async fn start(
        plan: &Plan,
        binary: PathBuf,
        restart: bool,
    ) -> anyhow::Result<(Self, Arc<Mutex<Endpoints>>)> {
        let launcher = Launcher {
            binary,
            plan: plan.clone(),
        };
        std::fs::create_dir_all(plan.log_dir()).with_context(|| plan.log_dir().display().to_string())?;
        let (namenode_child, namenode) = launcher.launch(Role::Namenode, plan.namenode()).await?;
        let namenode: super::NameNodeEndpoint = namenode;
        // Nodes are told the coordinator's port while it starts, so it must be known before.
        let (coordinator_settings, port) = with_known_port(plan.coordinator(namenode.rpc))?;
        let coordinator_start = launcher.launch(Role::Coordinator, coordinator_settings);
        let node_starts = (0..usize::from(plan.nodes)).map(|index| {
            launcher.launch::<NodeEndpoint>(
                Role::Node(index),
                node_settings(plan, index, namenode.link, namenode.rpc, port),
            )
        });
        let ((coordinator_child, coordinator), nodes) = tokio::try_join!(coordinator_start, try_join_all(node_starts))?;
        let (node_children, node_endpoints): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        let (datanodes, workers) = node_endpoints
            .into_iter()
            .map(|node| (node.datanode, node.worker))
            .unzip();
        let endpoints = Arc::new(Mutex::new(Endpoints {
            namenode,
            datanodes,
            workers,
            coordinator,
        }));
        let mut processes = Self {
            launcher,
            endpoints: Arc::clone(&endpoints),
            watchers: JoinSet::new(),
            stop: CancellationToken::new(),
            nodes: Vec::new(),
            restart,
        };
        processes.watch(Role::Namenode, namenode_child);
        processes.watch(Role::Coordinator, coordinator_child);
        for (index, child) in node_children.into_iter().enumerate() {
            processes.watch(Role::Node(index), child);
        }
        Ok((processes, endpoints))
    }

    /// Starts one more node.
    pub(super) async fn add_node(&mut self) -> anyhow::Result<NodeEndpoint> {
        let index = self.nodes.len();
        let role = Role::Node(index);
        let settings = self.launcher.settings(role, &self.endpoints.lock().clone());
        let (child, endpoint) = self.launcher.launch(role, settings).await?;
        self.watch(role, child);
        Ok(endpoint)
    }

    /// Kills a node with SIGKILL; it is not started again.
    pub(super) async fn kill_node(&mut self, index: usize) -> anyhow::Result<()> {
        let token = self
            .nodes
            .get(index)
            .with_context(|| format!("there is no node {index}"))?;
        let pid = self.endpoints.lock().datanodes[index].pid;
        token.cancel();
        // The watcher reaps it; from then on its number is free again.
        while Path::new("/proc").join(pid.to_string()).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends all children, in their order.
    pub(super) async fn shutdown(mut self) {
        self.stop.cancel();
        while self.watchers.join_next().await.is_some() {}
    }

    fn watch(&mut self, role: Role, running: Running) {
        let killed = CancellationToken::new();
        if matches!(role, Role::Node(_)) {
            self.nodes.push(killed.clone());
        }
        let watcher = Watcher {
            role,
            launcher: self.launcher.clone(),
            endpoints: Arc::clone(&self.endpoints),
            stop: self.stop.clone(),
            killed,
            restart: self.restart,
        };
        self.watchers.spawn(watcher.run(running));
    }
}

fn node_settings(
    plan: &Plan,
    index: usize,
    link: SocketAddr,
    rpc: SocketAddr,
    coordinator: SocketAddr,
) -> Vec<Setting> {
    let mut settings = plan.datanode(index, link);
    settings.extend(plan.worker(index, rpc, coordinator));
    settings
}

/// Replaces a port that the system would choose later by one that it chooses now.
fn with_known_port(mut settings: Vec<Setting>) -> anyhow::Result<(Vec<Setting>, SocketAddr)> {
    let key = "coordinator.address";
    // Not among the settings if the user configured it: then it is what the user says, read by the child as well.
    let Some(setting) = settings.iter_mut().find(|setting| setting.key == key) else {
        bail!("`quarry local --processes` chooses {key} itself; remove it from the configuration");
    };
    let address = TcpListener::bind(&setting.value)?.local_addr()?;
    setting.value = address.to_string();
    Ok((settings, address))
}

/// Starts children.
#[derive(Debug, Clone)]
struct Launcher {
    binary: PathBuf,
    plan: Plan,
}

impl Launcher {
    /// Starts a role and waits until it is ready.
    async fn launch<E: DeserializeOwned>(&self, role: Role, settings: Vec<Setting>) -> anyhow::Result<(Running, E)> {
        let name = role.name();
        let log = self.plan.log_dir().join(format!("{name}.log"));
        let mut child = self
            .spawn(role, settings, &log)
            .with_context(|| format!("starting {name}"))?;
        let stdin = child.stdin.take().context("the child's standard input is a pipe")?;
        let stdout = child.stdout.take().context("the child's standard output is a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let endpoint = tokio::time::timeout(START_TIMEOUT, ready(&mut lines)).await;
        let endpoint = endpoint.with_context(|| format!("{name} was not ready after {START_TIMEOUT:?}"))?;
        let endpoint =
            endpoint.with_context(|| format!("{name} did not start; its log is {}{}", log.display(), tail(&log)))?;
        Ok((
            Running {
                child,
                _stdin: stdin,
                since: Instant::now(),
                lines,
            },
            endpoint,
        ))
    }

    fn spawn(&self, role: Role, settings: Vec<Setting>, log: &Path) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .context("log file")?;
        let mut command = Command::new(&self.binary);
        if let Some(file) = &self.plan.layers.file {
            command.arg("--config").arg(file);
        }
        for setting in self.plan.layers.with(settings).settings {
            command.arg("--set").arg(format!("{}={}", setting.key, setting.value));
        }
        // All of the environment's keys are among the settings, in their right order.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(ENV_PREFIX.as_bytes()))
        {
            command.env_remove(name);
        }
        command.arg(role.command()).arg("--supervised");
        // A process group of its own: Ctrl-C reaches this process, which then ends the children in order.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    /// What a role is told when it is started again, beside the others that run.
    fn settings(&self, role: Role, endpoints: &Endpoints) -> Vec<Setting> {
        let plan = self.plan.with_last(endpoints.clone());
        let Endpoints {
            namenode, coordinator, ..
        } = endpoints;
        match role {
            Role::Namenode => plan.namenode(),
            Role::Coordinator => plan.coordinator(namenode.rpc),
            Role::Node(index) => node_settings(&plan, index, namenode.link, namenode.rpc, coordinator.flight_sql),
        }
    }
}

async fn ready<E: DeserializeOwned>(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<E> {
    while let Some(line) = lines.next_line().await? {
        if let Some(endpoint) = line.strip_prefix(READY) {
            return Ok(serde_json::from_str(endpoint)?);
        }
    }
    bail!("it ended before it was ready")
}

/// The last lines of a log, for an error message.
fn tail(log: &Path) -> String {
    const LINES: usize = 5;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}

/// Watches one child for as long as the cluster runs.
struct Watcher {
    role: Role,
    launcher: Launcher,
    endpoints: Arc<Mutex<Endpoints>>,
    stop: CancellationToken,
    killed: CancellationToken,
    restart: bool,
}

/// Why a child is not watched any more.
enum Ended {
    Stopped,
    ByItself(std::process::ExitStatus),
}

impl Watcher {
    async fn run(self, mut running: Running) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Ended::ByItself(status) = self.watch(&mut running).await else {
                return;
            };
            if running.since.elapsed() > STABLE {
                pause = FIRST_PAUSE;
            }
            let name = self.role.name();
            tracing::warn!(role = name, %status, restart = self.restart, "a role ended by itself");
            if !self.restart {
                return;
            }
            let Some(again) = self.start_again(&mut pause).await else {
                return;
            };
            running = again;
        }
    }

    /// Returns when the child has ended and is reaped.
    async fn watch(&self, running: &mut Running) -> Ended {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.killed.cancelled() => {
                    let _ = running.child.kill().await;
                    return Ended::Stopped;
                }
                status = running.child.wait() => match status {
                    Ok(status) => return Ended::ByItself(status),
                    Err(error) => {
                        tracing::error!(role = self.role.name(), %error, "cannot wait for a role");
                        return Ended::Stopped;
                    }
                },
                // Nothing more is expected on its standard output, but a full pipe would stop it.
                line = running.lines.next_line() => if !matches!(line, Ok(Some(_))) {
                    self.output_ended(running).await;
                },
            }
        }
        self.end(running).await;
        Ended::Stopped
    }

    /// A closed standard output reads as closed at once, again and again: wait for what else happens.
    async fn output_ended(&self, running: &mut Running) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = self.killed.cancelled() => {}
            _ = running.child.wait() => {}
        }
    }

    /// Ends the child in its turn: the nodes, whose workers leave the coordinator in order, the coordinator, the NameNode.
    async fn end(&self, running: &mut Running) {
        let turn = match self.role {
            Role::Node(_) => Duration::ZERO,
            Role::Coordinator => Duration::from_millis(200),
            Role::Namenode => Duration::from_millis(400),
        };
        tokio::time::sleep(turn).await;
        let pid = running
            .child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(END_TIMEOUT, running.child.wait()).await.is_err() {
            tracing::warn!(role = self.role.name(), "not ended in time: killed");
            let _ = running.child.kill().await;
        }
    }

    async fn start_again(&self, pause: &mut Duration) -> Option<Running> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.killed.cancelled() => return None,
                () = tokio::time::sleep(*pause) => {}
            }
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            let last = self.endpoints.lock().clone();
            match self.launch_again(&last).await {
                Ok(running) => return Some(running),
                Err(error) => tracing::error!(role = self.role.name(), "cannot be started again: {error:#}"),
            }
        }
    }

    async fn launch_again(&self, last: &Endpoints) -> anyhow::Result<Running> {
        let settings = self.launcher.settings(self.role, last);
        let running = match self.role {
            Role::Namenode => {
                let (running, endpoint) = self.launcher.launch(self.role, settings).await?;
                self.endpoints.lock().namenode = endpoint;
                running
            }
            Role::Coordinator => {
                let (running, endpoint) = self.launcher.launch(self.role, settings).await?;
                self.endpoints.lock().coordinator = endpoint;
                running
            }
            Role::Node(index) => {
                let (running, endpoint) = self.launcher.launch(self.role, settings).await?;
                self.endpoints.lock().set_node(index, endpoint);
                running
            }
        };
        let now = self.endpoints.lock().clone();
        now.write(&self.launcher.plan.dir)?;
        tracing::warn!(role = self.role.name(), pid = running.child.id(), "started again");
        Ok(running)
    }
}
