//! A worker's server and its life.
//!
//! Shutting down: the worker says that it drains, stops taking connections, gives running tasks until the deadline, then ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_distributed::Worker as TaskWorker;
use quarry_dfs_client::{DfsClient, DfsClientConfig, LocalReplicas};
use quarry_engine::channels::{ChannelTimeouts, Channels};
use quarry_engine::cpu::CpuRuntime;
use quarry_engine::files::FileSystems;
use quarry_engine::query_memory::{QueryPools, default_query_memory};
use quarry_engine::registration::v1::Registration;
use quarry_engine::session::{RuntimeOptions, runtime_env};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::WorkerConfig;
use crate::error::Error;
use crate::on_cpu::OnCpu;
use crate::register::Registrar;
use crate::sessions::Sessions;
use crate::sweep::sweep;

/// Silence after which a caller is pinged, and time it has to answer: a coordinator that vanished frees its tasks.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Flow-control windows, as on the callers' side.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// Starts workers.
#[derive(Debug, Clone, Copy)]
pub struct Worker;

/// A running worker. Dropping it without [`shutdown`](WorkerHandle::shutdown) ends it at once.
#[derive(Debug)]
pub struct WorkerHandle {
    address: SocketAddr,
    id: String,
    datanode_uuid: Option<String>,
    drain_timeout: Duration,
    draining: Arc<AtomicBool>,
    registered: watch::Receiver<bool>,
    runtime: Arc<RuntimeEnv>,
    stop_registering: CancellationToken,
    stop_serving: CancellationToken,
    registrar: JoinHandle<()>,
    server: JoinHandle<()>,
    _sweeper: AbortOnDropHandle<()>,
    // Last: operators end after nobody can ask for them any more.
    _cpu: CpuRuntime,
}

impl Worker {
    /// Starts a worker. It takes tasks at once, and registers as soon as its coordinator answers.
    ///
    /// `local` are the replicas of a DataNode in the same process; they are read without a socket.
    ///
    /// # Errors
    /// If the configuration is wrong, the address is taken, or threads or directories cannot be made.
    pub async fn start(config: WorkerConfig, local: Option<Arc<dyn LocalReplicas>>) -> Result<WorkerHandle, Error> {
        let datanode_uuid = local
            .as_ref()
            .map(|local| local.datanode_uuid().to_owned())
            .or(config.datanode_uuid.clone());
        let files = FileSystems::of_client(&dfs_client(&config, local));
        Self::start_on(config, files, datanode_uuid).await
    }

    /// Starts a worker that reads from `files`, as the node `datanode_uuid` if it is one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(
        config: WorkerConfig,
        files: Arc<FileSystems>,
        datanode_uuid: Option<String>,
    ) -> Result<WorkerHandle, Error> {
        config.validate().map_err(Error::Configuration)?;
        let listener = TcpListener::bind(config.address).await;
        let listener = listener.map_err(|source| Error::Bind {
            address: config.address,
            source,
        })?;
        let bound = listener.local_addr().map_err(|source| Error::Bind {
            address: config.address,
            source,
        })?;
        let address = SocketAddr::new(config.host.unwrap_or(bound.ip()), bound.port());
        let threads = config.threads.unwrap_or_else(cores);
        let cpu = CpuRuntime::start("quarry-task", threads).map_err(Error::Threads)?;
        let runtime = runtime_env(&runtime_options(&config), &files).map_err(Error::Runtime)?;
        let sessions = Sessions {
            files,
            runtime: Arc::clone(&runtime),
            pools: Arc::new(QueryPools::new(query_memory_limit(&config))),
            channels: Channels::new(ChannelTimeouts::default()),
        };
        let tasks = TaskWorker::from_session_builder(sessions)
            .with_runtime_env(Arc::clone(&runtime))
            .with_version(env!("CARGO_PKG_VERSION"));
        let sweeper = AbortOnDropHandle::new(tokio::spawn(sweep(tasks.clone(), Arc::clone(&runtime))));
        let stop_serving = CancellationToken::new();
        let max_plan = usize::try_from(config.max_plan_size.as_u64()).unwrap_or(usize::MAX);
        let server = tokio::spawn(serve(
            listener,
            tasks,
            max_plan,
            OnCpu::new(cpu.handle().clone()),
            stop_serving.clone(),
        ));

        let id = uuid::Uuid::new_v4().simple().to_string();
        let draining = Arc::new(AtomicBool::new(false));
        let (registered, is_registered) = watch::channel(false);
        let registrar = Registrar {
            coordinator: config.coordinator.clone(),
            registration: registration(&config, &id, address, datanode_uuid.clone(), threads),
            runtime: Arc::clone(&runtime),
            draining: Arc::clone(&draining),
            registered,
        };
        let stop_registering = CancellationToken::new();
        let registrar = tokio::spawn(registrar.run(stop_registering.clone()));
        tracing::info!(%address, datanode = datanode_uuid, "worker started");
        Ok(WorkerHandle {
            address,
            id,
            datanode_uuid,
            drain_timeout: config.drain_timeout,
            draining,
            registered: is_registered,
            runtime,
            stop_registering,
            stop_serving,
            registrar,
            server,
            _sweeper: sweeper,
            _cpu: cpu,
        })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn dfs_client(config: &WorkerConfig, local: Option<Arc<dyn LocalReplicas>>) -> DfsClient {
    let client = DfsClient::new(DfsClientConfig {
        user: config.user.clone(),
        domain_socket: config.domain_socket.clone(),
        ..DfsClientConfig::new(config.namenode.clone())
    });
    match local {
        Some(local) => client.with_local_replicas(local),
        None => client,
    }
}

fn query_memory_limit(config: &WorkerConfig) -> u64 {
    let limit = config.query_memory_limit.map(|limit| limit.as_u64());
    limit.unwrap_or_else(|| default_query_memory(config.memory_limit.as_u64()))
}

fn runtime_options(config: &WorkerConfig) -> RuntimeOptions {
    RuntimeOptions {
        memory_limit: config.memory_limit.as_u64(),
        memory_knob: "worker.memory_limit",
        spill_dir: config.spill_dir.clone(),
        spill_limit: config.spill_limit.as_u64(),
    }
}

fn registration(
    config: &WorkerConfig,
    id: &str,
    address: SocketAddr,
    datanode_uuid: Option<String>,
    threads: usize,
) -> Registration {
    Registration {
        worker_id: id.to_owned(),
        address: address.to_string(),
        datanode_uuid,
        host: address.ip().to_string(),
        rack: config.rack.clone(),
        partitions: u32::try_from(threads).unwrap_or(u32::MAX),
        memory_limit_bytes: config.memory_limit.as_u64(),
        query_memory_bytes: query_memory_limit(config).min(config.memory_limit.as_u64()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

async fn serve(listener: TcpListener, tasks: TaskWorker, max_plan: usize, on_cpu: OnCpu, stop: CancellationToken) {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .layer(on_cpu)
        // Only what is decoded is capped: batches on their way out are never split.
        .add_service(tasks.into_worker_server().max_decoding_message_size(max_plan))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "worker's server failed");
    }
}

impl WorkerHandle {
    /// Where it takes tasks.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its id at the coordinator.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The DataNode whose replicas it reads without a socket, or on whose machine it is.
    #[must_use]
    pub fn datanode_uuid(&self) -> Option<&str> {
        self.datanode_uuid.as_deref()
    }

    /// Bytes that queries hold in its memory pool now.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.runtime.memory_pool.reserved()
    }

    /// Waits until it is registered with its coordinator; false if that took longer than `timeout`.
    pub async fn wait_registered(&self, timeout: Duration) -> bool {
        let mut registered = self.registered.clone();
        let wait = registered.wait_for(|registered| *registered);
        matches!(tokio::time::timeout(timeout, wait).await, Ok(Ok(_)))
    }

    /// Asks for no new task; running ones go on. The coordinator knows with the next heartbeat.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Leaves the coordinator, gives running tasks until the configured deadline, and ends.
    pub async fn shutdown(mut self) {
        self.drain();
        self.stop_registering.cancel();
        // Both tasks end by their tokens; a panic in one is logged by the runtime and changes nothing here.
        let _ = (&mut self.registrar).await;
        self.stop_serving.cancel();
        let ended = tokio::time::timeout(self.drain_timeout, &mut self.server).await;
        if ended.is_err() {
            tracing::warn!(timeout = ?self.drain_timeout, "tasks did not end in time");
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop_registering.cancel();
        self.stop_serving.cancel();
        self.registrar.abort();
        self.server.abort();
    }
}
