//! HTTP: what HDFS's tools and operators ask for by `GET`.
//!
//! | path | answer |
//! |---|---|
//! | `/fsck` | the check of a path, as HDFS's text ([`fsck`]) |
//! | `/jmx` | figures in the form of HDFS's beans ([`jmx`]) |
//! | `/metrics` | the same for Prometheus ([`metrics`]) |
//! | `/healthz` | the process runs and decides |
//! | `/readyz` | it serves changes, too |
//!
//! Requests have no body, and heads of at most 64 KiB that must come within some seconds; connections beyond a bound wait to be accepted; a
//! client that does not take its answer is cut off. Errors are text.

mod clock;
mod fsck;
mod jmx;
mod metrics;
mod out;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Administration, caller};
use crate::error::{Error, Result};

/// Connections served at a time.
const CONNECTIONS: usize = 256;
/// Checks at a time: each is a walk over the namespace.
const CHECKS: usize = 4;
/// Largest head of a request.
const MAX_HEAD: usize = 64 << 10;
/// Time for a request's head, counted from the connection or the last answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted, as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listening server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct HttpServer {
    local_addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What handlers share.
#[derive(Debug, Clone)]
struct Shared {
    admin: Arc<Administration>,
    checks: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// A request's connection.
#[derive(Debug, Clone)]
struct Connection {
    peer: IpAddr,
    /// Ends it.
    cut: CancellationToken,
}

impl HttpServer {
    /// Opens the port.
    ///
    /// # Errors
    /// `Bind`.
    pub(crate) async fn start(admin: Arc<Administration>) -> Result<Self> {
        let address = admin.config.http_address;
        let refused = |problem: std::io::Error| Error::Bind {
            address,
            problem: problem.to_string(),
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Shared {
            admin,
            checks: Arc::new(Semaphore::new(CHECKS)),
            tasks: tasks.clone(),
        };
        tasks.spawn(accept(listener, router(shared), stop.clone(), tasks.clone()));
        Ok(Self {
            local_addr,
            stop,
            tasks,
        })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Closes the port and all connections.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/fsck", get(fsck::serve))
        .route("/jmx", get(jmx::serve))
        .route("/metrics", get(metrics::serve))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(unknown)
        .with_state(shared)
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            // Never closed.
            let permit = Arc::clone(&room).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Some((Ok((stream, peer)), permit)) => {
                let cut = stop.child_token();
                tasks.spawn(serve(stream, peer.ip().to_canonical(), router.clone(), cut, permit));
            }
            Some((Err(problem), _)) => {
                tracing::warn!(%problem, "an HTTP connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, router: Router, cut: CancellationToken, _permit: OwnedSemaphorePermit) {
    // Without it answers are only slower.
    let _ = stream.set_nodelay(true);
    let connection = Connection { peer, cut: cut.clone() };
    let service = TowerToHyperService::new(router.layer(Extension(connection)));
    let mut http = http1::Builder::new();
    let served = http
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = cut.cancelled() => {}
        served = served => if let Err(problem) = served {
            tracing::debug!(%peer, %problem, "an HTTP connection ended early");
        },
    }
}

/// A text with a status.
fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    (status, [(header::CONTENT_TYPE, "text/plain;charset=utf-8")], text).into_response()
}

async fn unknown(request: Request<Body>) -> Response {
    let path = request.uri().path();
    text(
        StatusCode::NOT_FOUND,
        format!("{path}: not served here; expected /fsck, /jmx, /metrics, /healthz or /readyz"),
    )
}

async fn healthz(State(shared): State<Shared>) -> Response {
    // An answer comes from the core: it is not poisoned, and its owner thread takes commands.
    let nobody = caller("", IpAddr::V4(Ipv4Addr::LOCALHOST));
    match shared.admin.report(nobody).await {
        Ok(_) => text(StatusCode::OK, "ok"),
        Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
    }
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let nobody = caller("", IpAddr::V4(Ipv4Addr::LOCALHOST));
    match shared.admin.report(nobody).await.map(|status| status.safe_mode) {
        Ok(None) => text(StatusCode::OK, "ok"),
        Ok(Some(why)) => text(StatusCode::SERVICE_UNAVAILABLE, format!("safe mode: {why}")),
        Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
    }
}
