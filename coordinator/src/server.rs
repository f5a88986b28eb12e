//! The coordinator as a server: start, serve, end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use datafusion::catalog::MemoryCatalogProviderList;
use quarry_dfs_client::{DfsClient, DfsClientConfig};
use quarry_engine::files::FileSystems;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::catalog::dfs::DfsStore;
use crate::catalog::store::CatalogStore;
use crate::catalog::{Catalog, SYSTEM_SCHEMA};
use crate::config::CoordinatorConfig;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::flight_sql::auth::ConnectionId;
use crate::flight_sql::{FlightSql, Lifetimes, MAX_REQUEST_BYTES};
use crate::members::WorkerState;
use crate::planning_thread::PlanningThreads;
use crate::query::QueryRegistry;
use crate::query::trace::TraceCalls;
use crate::session::Sessions;
use crate::statement::Dispatcher;
use crate::system::{SystemTables, WorkerRow};
use crate::users::Users;
use crate::writes::Writes;

/// Pings on silent connections, and how long an answer may take: a client that vanished is noticed within their sum.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often expired sessions and results are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// First and longest pause between attempts to reach the NameNode at start.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long open calls may take to end at shutdown, once their queries are cancelled.
const DRAIN: Duration = Duration::from_secs(5);

/// The coordinator role.
#[derive(Debug)]
pub struct Coordinator;

impl Coordinator {
    /// Starts the coordinator on the current runtime: connects to the NameNode (again and again, up to `start_timeout`), loads the
    /// catalog, and serves Flight SQL and the workers' registration.
    ///
    /// # Errors
    /// [`Error::Configuration`] with all problems, [`Error::Bind`], [`Error::Unavailable`] if the NameNode does not answer in time.
    pub async fn start(config: CoordinatorConfig) -> Result<CoordinatorHandle> {
        config.validate().map_err(Error::Configuration)?;
        let client = DfsClient::new(DfsClientConfig {
            user: config.user.clone(),
            domain_socket: config.domain_socket.clone(),
            ..DfsClientConfig::new(&config.namenode)
        });
        let store = Arc::new(DfsStore::new(client.clone(), &config.catalog));
        Self::start_with(config, FileSystems::of_client(&client), store).await
    }

    /// The same over other storage: `files` for tables, `store` for the catalog.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        config: CoordinatorConfig,
        files: Arc<FileSystems>,
        store: Arc<dyn CatalogStore>,
    ) -> Result<CoordinatorHandle> {
        config.validate().map_err(Error::Configuration)?;
        let users = Users::load(config.users_file.as_deref()).map_err(|problem| Error::Configuration(vec![problem]))?;
        let bind = |source| Error::Bind {
            address: config.address,
            source,
        };
        let listener = TcpListener::bind(config.address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let catalog = Arc::new(Catalog::new(store, config.catalog_refresh));
        await_catalog(&catalog, &config).await?;
        let execution = Execution::start(config.execution(), Arc::clone(&files))?;
        let writes = Arc::new(Writes::new(Arc::clone(&files), Arc::clone(&catalog), &config.warehouse));
        let parts = Parts::new(&config, users, catalog, &execution, writes)?;
        Ok(CoordinatorHandle {
            shared: Arc::new(Shared::serve(listener, address, &config, &execution, parts)),
        })
    }
}

/// Loads the catalog, repeatedly while the NameNode is not there yet.
async fn await_catalog(catalog: &Catalog, config: &CoordinatorConfig) -> Result<()> {
    let deadline = Instant::now() + config.start_timeout;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match tokio::time::timeout(left, catalog.fresh_snapshot()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() + pause >= deadline {
            let (namenode, limit) = (&config.namenode, config.start_timeout);
            let problem =
                format!("NameNode {namenode} could not be reached within {limit:?} to load the catalog: {error}");
            return Err(Error::Unavailable(problem));
        }
        tracing::info!(namenode = config.namenode, error, "waiting for the NameNode");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the service is made of.
struct Parts {
    sessions: Arc<Sessions>,
    queries: Arc<QueryRegistry>,
    service: FlightSql,
    writes: Arc<Writes>,
}

impl Parts {
    fn new(
        config: &CoordinatorConfig,
        users: Users,
        catalog: Arc<Catalog>,
        execution: &Execution,
        writes: Arc<Writes>,
    ) -> Result<Self> {
        let sessions = Arc::new(Sessions::new(config.session_idle, config.max_sessions));
        let admission = config.admission.clone().for_tasks_of(execution.partitions());
        let queries = Arc::new(QueryRegistry::new(admission));
        let membership = execution.membership().clone();
        let workers = Arc::new(move || membership.all().into_iter().map(worker_row).collect());
        let system = SystemTables::new(Arc::clone(&queries), Arc::clone(&sessions), workers);
        let state = execution.session_state(Arc::new(MemoryCatalogProviderList::new()));
        let limits = Arc::new(config.limits.clone());
        let dispatcher = Dispatcher {
            engine: execution.engine(),
            base_state: Arc::new(move || state.clone()),
            tables: Arc::clone(execution.tables()),
            catalog,
            system: Arc::new(system),
            queries: Arc::clone(&queries),
            threads: PlanningThreads::new(limits.planning_threads, limits.planning_time, Handle::current()),
            limits,
            statement_timeout: config.statement_timeout,
            writes: Arc::clone(&writes),
        };
        let service = FlightSql::new(
            Arc::new(dispatcher),
            Arc::clone(&sessions),
            users,
            Handle::current(),
            Lifetimes {
                idle: config.session_idle,
                result: config.result_expiry,
            },
        )?;
        Ok(Self {
            sessions,
            queries,
            service,
            writes,
        })
    }
}

fn worker_row(status: crate::members::WorkerStatus) -> WorkerRow {
    let state = match status.state {
        WorkerState::Live => "live",
        WorkerState::Silent => "silent",
        WorkerState::Draining => "draining",
    };
    WorkerRow {
        address: status.worker.address,
        state: state.to_owned(),
        datanode: status.worker.datanode_uuid,
    }
}

/// A running coordinator. Clones mean the same one; it ends with [`shutdown`](Self::shutdown), or when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct CoordinatorHandle {
    shared: Arc<Shared>,
}

impl CoordinatorHandle {
    /// Address that is served, with the port that was chosen.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Stops taking calls, cancels all queries, and waits a short time for open calls to end.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.queries.cancel_all();
        let mut tasks = self.shared.tasks.lock().await;
        let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("open calls did not end in time; they are cut off");
            tasks.shutdown().await;
        }
    }
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    stop: CancellationToken,
    queries: Arc<QueryRegistry>,
    /// An async lock: only `shutdown` takes it, and joins while holding it.
    tasks: Mutex<JoinSet<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
        self.queries.cancel_all();
    }
}

impl Shared {
    fn serve(
        listener: TcpListener,
        address: SocketAddr,
        config: &CoordinatorConfig,
        execution: &Execution,
        parts: Parts,
    ) -> Self {
        let Parts {
            sessions,
            queries,
            service,
            writes,
        } = parts;
        let stop = CancellationToken::new();
        let flight = FlightServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_adaptive_window(Some(true))
            .layer(TraceCalls)
            .add_service(flight)
            .add_service(execution.membership().service())
            .serve_with_incoming_shutdown(incoming(listener), stop.clone().cancelled_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the Flight SQL server ended");
            }
        });
        tasks.spawn(crate::writes::sweep::run(writes, stop.clone()));
        tasks.spawn(expire(service, sessions, stop.clone()));
        tracing::info!(%address, namenode = config.namenode, schema = SYSTEM_SCHEMA, "coordinator serves Flight SQL");
        Self {
            address,
            stop,
            queries,
            tasks: Mutex::new(tasks),
        }
    }
}

/// Forgets what nobody uses any more, until the end.
async fn expire(service: FlightSql, sessions: Arc<Sessions>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EXPIRY_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                service.expire();
                sessions.expire(Instant::now());
            }
        }
    }
}

/// Accepted connections, numbered, without delay of small packets.
fn incoming(listener: TcpListener) -> impl futures::Stream<Item = std::io::Result<Connection>> {
    futures::stream::unfold(listener, |listener| async move {
        let connection = accept(&listener).await;
        Some((Ok(connection), listener))
    })
}

async fn accept(listener: &TcpListener) -> Connection {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                return Connection {
                    stream,
                    id: ConnectionId::next(),
                };
            }
            Err(error) => {
                // Out of descriptors, most likely: others may be closed meanwhile.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(FIRST_PAUSE).await;
            }
        }
    }
}

/// A connection that knows its number.
struct Connection {
    stream: TcpStream,
    id: ConnectionId,
}

impl Connected for Connection {
    type ConnectInfo = ConnectionId;

    fn connect_info(&self) -> ConnectionId {
        self.id
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
