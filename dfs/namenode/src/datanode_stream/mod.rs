//! The link to the DataNodes: one gRPC stream each, opened by the DataNode. The administrators' service is on the same port.
//!
//! A session in order: `Register` within a deadline, `Registered` or `Refused`, then reports in and orders out until either side ends
//! it. Its end is told to the core at once. Everything decided about what is said here is decided in the core.

mod admin_service;
mod convert;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quarry_dfs_wire::proto::dfs_v1::data_node_link_server::{DataNodeLink, DataNodeLinkServer};
use quarry_dfs_wire::proto::dfs_v1::name_node_admin_server::NameNodeAdminServer;
use quarry_dfs_wire::proto::dfs_v1::{FromDataNode, ToDataNode, from_data_node};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::admin::Administration;
use crate::core::command::SessionId;
use crate::driver::CoreHandle;
use crate::error::{Error, Result};
use crate::log::directory::Identity;
use admin_service::AdminService;
use session::Session;

/// Largest message from a DataNode. Reports come in parts well below it.
const MAX_MESSAGE: usize = 64 << 20;
/// Messages to a DataNode that may wait for its socket.
const QUEUE: usize = 64;
/// A peer that does not answer HTTP/2 pings for this long is cut off.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Time for the streams to end at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Checks a message, whichever it is, as a session does.
pub(crate) fn check(message: from_data_node::Message) {
    match message {
        from_data_node::Message::Register(register) => drop(convert::registration(register)),
        other => drop(convert::message(other)),
    }
}

/// The listening server.
#[derive(Debug)]
pub(crate) struct LinkServer {
    local_addr: SocketAddr,
    stop: CancellationToken,
    sessions: TaskTracker,
    server: Option<JoinHandle<()>>,
}

impl LinkServer {
    /// Opens the port.
    ///
    /// # Errors
    /// `Bind`.
    pub(crate) async fn start(admin: Arc<Administration>) -> Result<Self> {
        let config = &admin.config;
        let address = config.link_address;
        let refused = |problem: std::io::Error| Error::Bind {
            address,
            problem: problem.to_string(),
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let (stop, sessions) = (CancellationToken::new(), TaskTracker::new());
        let service = LinkService {
            core: admin.core.clone(),
            identity: Arc::new(admin.identity.clone()),
            heartbeat_interval: config.heartbeat_interval,
            next_session: AtomicU64::new(1),
            sessions: sessions.clone(),
            stop: stop.clone(),
        };
        let server = tokio::spawn(serve(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            service,
            AdminService::new(admin),
            stop.clone(),
        ));
        Ok(Self {
            local_addr,
            stop,
            sessions,
            server: Some(server),
        })
    }

    /// Where DataNodes connect.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends all sessions and closes the port.
    pub(crate) async fn shutdown(mut self) {
        self.stop.cancel();
        self.sessions.close();
        self.sessions.wait().await;
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(DRAIN, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

async fn serve(incoming: TcpIncoming, service: LinkService, admin: AdminService, stop: CancellationToken) {
    let service = DataNodeLinkServer::new(service).max_decoding_message_size(MAX_MESSAGE);
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE));
    let served = server
        .add_service(service)
        .add_service(NameNodeAdminServer::new(admin))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await;
    if let Err(problem) = served {
        tracing::error!(%problem, "the DataNode link has ended");
    }
}

struct LinkService {
    core: CoreHandle,
    identity: Arc<Identity>,
    heartbeat_interval: Duration,
    next_session: AtomicU64,
    sessions: TaskTracker,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl DataNodeLink for LinkService {
    type ConnectStream = ReceiverStream<std::result::Result<ToDataNode, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<FromDataNode>>,
    ) -> std::result::Result<Response<Self::ConnectStream>, Status> {
        let peer = request.remote_addr();
        let (outgoing, stream) = mpsc::channel(QUEUE);
        let session = Session {
            id: SessionId(self.next_session.fetch_add(1, Ordering::Relaxed)),
            core: self.core.clone(),
            identity: Arc::clone(&self.identity),
            heartbeat_interval: self.heartbeat_interval,
            outgoing,
            stop: self.stop.child_token(),
        };
        self.sessions.spawn(async move {
            let id = session.id;
            match session.run(request.into_inner()).await {
                Ok(()) => tracing::info!(session = id.0, ?peer, "DataNode disconnected"),
                Err(end) => tracing::warn!(session = id.0, ?peer, reason = end.message(), "DataNode session ended"),
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
