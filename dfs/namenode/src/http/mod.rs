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
mod query;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Administration, caller};
use crate::error::{Error, Result};
use out::Body;
use query::Query;

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
        tasks.spawn(accept(listener, shared, stop.clone(), tasks.clone()));
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

async fn accept(listener: TcpListener, shared: Shared, stop: CancellationToken, tasks: TaskTracker) {
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
                tasks.spawn(serve(stream, peer.ip().to_canonical(), shared.clone(), cut, permit));
            }
            Some((Err(problem), _)) => {
                tracing::warn!(%problem, "an HTTP connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, shared: Shared, cut: CancellationToken, _permit: OwnedSemaphorePermit) {
    // Without it answers are only slower.
    let _ = stream.set_nodelay(true);
    let connection = Connection { peer, cut: cut.clone() };
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, connection) = (shared.clone(), connection.clone());
        async move { Ok::<_, Infallible>(answer(shared, connection, &request).await) }
    });
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

async fn answer(shared: Shared, connection: Connection, request: &Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET {
        let refusal = format!("{}: expected GET", request.method());
        return text(StatusCode::METHOD_NOT_ALLOWED, refusal);
    }
    let query = Query::of(request.uri().query().unwrap_or_default());
    match request.uri().path() {
        "/fsck" => fsck::serve(shared, connection, &query).await,
        "/jmx" => jmx::serve(&shared, &query).await,
        "/metrics" => metrics::serve(&shared).await,
        "/healthz" => healthz(&shared).await,
        "/readyz" => readyz(&shared).await,
        path => text(
            StatusCode::NOT_FOUND,
            format!("{path}: not served here; expected /fsck, /jmx, /metrics, /healthz or /readyz"),
        ),
    }
}

/// An answer that no cache keeps.
fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A text with a status.
fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    response(status, "text/plain;charset=utf-8", Body::of(text))
}

async fn healthz(shared: &Shared) -> Response<Body> {
    // An answer comes from the core: it is not poisoned, and its owner thread takes commands.
    let nobody = caller("", IpAddr::V4(Ipv4Addr::LOCALHOST));
    match shared.admin.report(nobody).await {
        Ok(_) => text(StatusCode::OK, "ok"),
        Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
    }
}

async fn readyz(shared: &Shared) -> Response<Body> {
    let nobody = caller("", IpAddr::V4(Ipv4Addr::LOCALHOST));
    match shared.admin.report(nobody).await.map(|status| status.safe_mode) {
        Ok(None) => text(StatusCode::OK, "ok"),
        Ok(Some(why)) => text(StatusCode::SERVICE_UNAVAILABLE, format!("safe mode: {why}")),
        Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
    }
}
