//! A whole cluster on this machine: `quarry local`, and the same as a library for tests and benchmarks.
//!
//! All roles speak through real sockets on loopback, in one process or each in its own. The data lies in one directory; a
//! later start on the same directory finds it, on the same ports where they are free.

mod embedded;
mod endpoints;
mod lock;
mod plan;
mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use quarry_dfs_client::DfsClient;

pub use endpoints::{CoordinatorEndpoint, DataNodeEndpoint, Endpoints, NameNodeEndpoint, NodeEndpoint, WorkerEndpoint};

use crate::args::LocalArgs;
use crate::config::{Layers, Setting};
use crate::shutdown::Signals;
use crate::sql::SqlClient;
use crate::{fs, locate};
use embedded::Embedded;
use lock::DirLock;
use plan::Plan;
use processes::Processes;

/// How long a started cluster may take until SQL is answered by all its workers.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two looks at whether it is.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// How to start a cluster.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Directory of all its data; made if absent.
    pub dir: PathBuf,
    /// Number of nodes; absent: as many as the directory has, at first 1.
    pub nodes: Option<u16>,
    /// Racks that the nodes are spread over; absent: all are on the default rack.
    pub racks: Option<u16>,
    /// Volumes of each DataNode; absent: as many as the directory has, at first 1.
    pub volumes: Option<u16>,
    /// Where the roles run.
    pub mode: Mode,
    /// Configuration of all roles; directories and ports are chosen by the cluster.
    pub layers: Layers,
    /// Whether client commands without an address shall find this cluster from now on.
    pub remember: bool,
}

/// Where the roles run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// In this process.
    Embedded,
    /// Each in a process of its own.
    Processes {
        /// The `quarry` binary.
        binary: PathBuf,
        /// Whether a role that ends by itself is started again.
        restart: bool,
    },
}

impl LocalOptions {
    /// One node in this process, with defaults.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            nodes: None,
            racks: None,
            volumes: None,
            mode: Mode::Embedded,
            layers: Layers::default(),
            remember: false,
        }
    }

    /// So many nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// One configuration key, such as `namenode.default_block_size`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.layers
            .settings
            .push(Setting::flag("LocalOptions", key, value.to_string()));
        self
    }

    /// Each role in a process of its own, started from `binary`.
    #[must_use]
    pub fn processes(mut self, binary: impl Into<PathBuf>, restart: bool) -> Self {
        self.mode = Mode::Processes {
            binary: binary.into(),
            restart,
        };
        self
    }
}

/// A running cluster. End it with [`shutdown`](Self::shutdown); dropping it in [`Mode::Processes`] kills the children.
pub struct LocalCluster {
    plan: Plan,
    endpoints: Arc<Mutex<Endpoints>>,
    running: Running,
    _lock: DirLock,
}

impl std::fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalCluster")
            .field("dir", &self.plan.dir)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::large_enum_variant, reason = "there is one per cluster")]
enum Running {
    Embedded(Embedded),
    Processes(Processes),
}

impl LocalCluster {
    /// Starts a cluster and waits until SQL is answered and all its workers take part.
    ///
    /// # Errors
    /// Another cluster runs in the directory, a configuration key is wrong, or a role does not start.
    pub async fn start(options: LocalOptions) -> anyhow::Result<Self> {
        let lock = DirLock::take(&options.dir).await?;
        let dir = std::path::absolute(&options.dir)?;
        let last = Endpoints::last(&dir);
        // Nobody shall take the addresses of a dead cluster for this one's.
        Endpoints::retire(&dir)?;
        let before = plan::nodes_in(&dir);
        let nodes = options.nodes.unwrap_or(before.max(1));
        if nodes < before {
            tracing::warn!(
                nodes,
                before,
                "fewer nodes than before: blocks with replicas only on the others are missing"
            );
        }
        let plan = Plan::new(&dir, nodes, options.layers, last)?.with_shape(options.racks, options.volumes);
        let (running, endpoints) = Box::pin(start_roles(&plan, options.mode)).await?;
        let cluster = Self {
            plan,
            endpoints,
            running,
            _lock: lock,
        };
        cluster.wait_ready().await?;
        cluster.endpoints().write(&dir)?;
        if options.remember {
            locate::remember(&dir).context("remembering the cluster for client commands")?;
        }
        Ok(cluster)
    }

    /// Addresses and processes, as they are now.
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.lock().clone()
    }

    /// Directory of the cluster's data.
    pub fn dir(&self) -> &Path {
        &self.plan.dir
    }

    /// Where Flight SQL is served, as a URL.
    pub fn sql_url(&self) -> String {
        format!("http://{}", self.endpoints.lock().coordinator.flight_sql)
    }

    /// The NameNode's RPC address, `host:port`.
    pub fn namenode_addr(&self) -> String {
        self.endpoints.lock().namenode.rpc.to_string()
    }

    /// The user that owns the cluster: who started it.
    pub fn user(&self) -> String {
        self.plan.user()
    }

    /// Threads of this machine, which the workers share.
    pub fn threads(&self) -> usize {
        plan::threads()
    }

    /// Query threads of each worker.
    pub fn worker_threads(&self) -> usize {
        self.plan.worker_threads()
    }

    /// A client of the cluster's file system.
    pub fn dfs(&self) -> DfsClient {
        DfsClient::new(fs::dfs_config(&self.plan.user_config().client, self.namenode_addr()))
    }

    /// A client that reads the replicas of one node from its disk, where the roles run in this process.
    pub fn dfs_beside_node(&self, index: usize) -> DfsClient {
        let replicas = match &self.running {
            Running::Embedded(embedded) => embedded.replicas(index),
            Running::Processes(_) => None,
        };
        let dfs = self.dfs();
        replicas.map_or_else(|| dfs.clone(), |replicas| dfs.with_local_replicas(replicas))
    }

    /// A new SQL session.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn sql(&self) -> anyhow::Result<SqlClient> {
        Ok(SqlClient::connect(&self.sql_url(), &self.user()).await?)
    }

    /// Adds a node and waits until its worker takes part.
    ///
    /// # Errors
    /// It does not start.
    pub async fn add_node(&mut self) -> anyhow::Result<()> {
        let now = self.endpoints();
        let node = match &mut self.running {
            Running::Embedded(embedded) => Box::pin(embedded.add_node(&self.plan, &now)).await?,
            Running::Processes(processes) => Box::pin(processes.add_node()).await?,
        };
        {
            let mut endpoints = self.endpoints.lock();
            endpoints.datanodes.push(node.datanode);
            endpoints.workers.push(node.worker);
        }
        self.wait_ready().await?;
        self.endpoints().write(&self.plan.dir)
    }

    /// Ends a node for good: with SIGKILL if it is a process, else by closing all its connections.
    ///
    /// # Errors
    /// There is no such node.
    pub async fn kill_node(&mut self, index: usize) -> anyhow::Result<()> {
        match &mut self.running {
            Running::Embedded(embedded) => embedded.kill_node(index).await,
            Running::Processes(processes) => processes.kill_node(index).await,
        }
    }

    /// Ends all roles in order and frees the directory.
    pub async fn shutdown(self) {
        match self.running {
            Running::Embedded(embedded) => embedded.shutdown().await,
            Running::Processes(processes) => processes.shutdown().await,
        }
        if let Err(error) = Endpoints::retire(&self.plan.dir) {
            tracing::warn!(%error, "endpoints.json of the ended cluster stays");
        }
    }

    /// Waits until SQL is answered and every worker has registered.
    async fn wait_ready(&self) -> anyhow::Result<()> {
        let wanted = self.endpoints.lock().workers.len();
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let state = self.live_workers().await;
            if matches!(state, Ok(live) if live >= wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let live = state.context("the cluster started, but does not answer SQL")?;
                bail!("only {live} of {wanted} workers registered with the coordinator within {READY_TIMEOUT:?}");
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    async fn live_workers(&self) -> anyhow::Result<usize> {
        let batches = self
            .sql()
            .await?
            .query("select 1 from system.workers where state = 'live'")
            .await?;
        Ok(batches.iter().map(arrow::array::RecordBatch::num_rows).sum())
    }
}

async fn start_roles(plan: &Plan, mode: Mode) -> anyhow::Result<(Running, Arc<Mutex<Endpoints>>)> {
    match mode {
        Mode::Embedded => {
            let (embedded, endpoints) = Box::pin(Embedded::start(plan)).await?;
            Ok((Running::Embedded(embedded), Arc::new(Mutex::new(endpoints))))
        }
        Mode::Processes { binary, restart } => {
            let (processes, endpoints) = Box::pin(Processes::start(plan, binary, restart)).await?;
            Ok((Running::Processes(processes), endpoints))
        }
    }
}

/// Runs `quarry local` until a signal.
///
/// # Errors
/// The cluster does not start.
pub async fn run(args: LocalArgs, layers: Layers) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mode = if args.processes {
        let binary = std::env::current_exe().context("the path of this program")?;
        Mode::Processes {
            binary,
            restart: !args.no_restart,
        }
    } else {
        Mode::Embedded
    };
    let options = LocalOptions {
        dir: args.dir,
        nodes: args.nodes,
        racks: args.racks,
        volumes: args.volumes,
        mode,
        layers,
        remember: true,
    };
    let cluster = tokio::select! {
        cluster = Box::pin(LocalCluster::start(options)) => cluster?,
        () = signals.next() => return Ok(()),
    };
    announce(&cluster);
    signals.next().await;
    signals.second_is_final();
    eprintln!("ending");
    cluster.shutdown().await;
    Ok(())
}

fn announce(cluster: &LocalCluster) {
    let endpoints = cluster.endpoints();
    let Endpoints {
        namenode,
        workers,
        coordinator,
        ..
    } = &endpoints;
    println!("NameNode    hdfs://{}", namenode.rpc);
    println!("Flight SQL  grpc://{}", coordinator.flight_sql);
    println!("nodes       {}", workers.len());
    println!("endpoints   {}", Endpoints::path(cluster.dir()).display());
    println!(
        "ready namenode={} sql={} nodes={}",
        namenode.rpc,
        coordinator.flight_sql,
        workers.len()
    );
}
