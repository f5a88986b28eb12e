//! The server: accepts connections and hands each to its own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::{self, Shared};
use super::service::RpcService;

/// Pause after a failed accept, which mostly means that the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct RpcServerOptions {
    /// Longest frame from a client, in bytes. Hadoop's limit is 128 MiB, its usual frames are below 1 KiB.
    pub max_frame_length: usize,
    /// More connections than this are closed at once.
    pub max_connections: usize,
    /// Calls of one connection that may run or wait for their reply to be read. Reading stops above it.
    pub max_calls_per_connection: usize,
    /// From the first byte to the connection context.
    pub handshake_timeout: Duration,
    /// From the first byte of a frame to its last.
    pub frame_timeout: Duration,
    /// Without frames and without calls for this long, a connection is closed.
    pub idle_timeout: Duration,
    /// For a client to take what was written.
    pub write_timeout: Duration,
    /// For a call. One that takes longer gets `RetriableException`.
    pub call_timeout: Duration,
    /// For running calls when the client stops sending or the server shuts down.
    pub drain_timeout: Duration,
}

impl Default for RpcServerOptions {
    fn default() -> Self {
        Self {
            max_frame_length: 64 * 1024 * 1024,
            max_connections: 16_384,
            max_calls_per_connection: 512,
            handshake_timeout: Duration::from_secs(20),
            frame_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A running server. Dropping it closes everything at once; [`Self::shutdown`] lets running calls finish.
#[derive(Debug)]
pub struct RpcServer {
    local_addr: SocketAddr,
    shutdown: CancellationToken,
    /// Owns the listener and every connection's task.
    acceptor: Option<JoinHandle<()>>,
}

impl RpcServer {
    /// Listens on `address`; port 0 lets the system choose. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Those of binding the address.
    pub async fn bind(
        address: SocketAddr,
        service: Arc<dyn RpcService>,
        options: RpcServerOptions,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let shared = Arc::new(Shared {
            service,
            options,
            shutdown: shutdown.clone(),
        });
        let acceptor = tokio::spawn(accept(listener, shared));
        Ok(Self {
            local_addr,
            shutdown,
            acceptor: Some(acceptor),
        })
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Accepts no more connections and reads no more calls; running calls have `drain_timeout` to be answered.
    pub async fn shutdown(mut self) {
        self.shutdown.cancel();
        if let Some(acceptor) = self.acceptor.take() {
            // Its only failure is a panic, which the runtime has reported already.
            let _ = acceptor.await;
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => admit(socket, peer, &shared, &mut connections),
                Err(error) => {
                    warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Connections end by themselves within the drain time; the margin is for closing their sockets.
    let margin = Duration::from_secs(2);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(shared.options.drain_timeout + margin, all_ended).await;
}

fn admit(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    if connections.len() >= shared.options.max_connections {
        warn!(%peer, limit = shared.options.max_connections, "too many connections: closing a new one");
        return;
    }
    debug!(%peer, "connected");
    connections.spawn(connection::serve(socket, peer, Arc::clone(shared)));
}
