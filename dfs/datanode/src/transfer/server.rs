//! Accepts connections on the transfer port.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::connection;
use crate::node::Node;

/// Pause when the system has no descriptor left: connections end and free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until shutdown.
pub(crate) async fn run(node: Arc<Node>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(node.config.max_connections));
    loop {
        let accepted = tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(%peer, limit = node.config.max_connections, "too many connections; closed this one");
            continue;
        };
        let connection = connection::run(Arc::clone(&node), stream, peer);
        let counter = Arc::clone(&node);
        node.tasks.spawn(async move {
            counter.connections.fetch_add(1, Ordering::Relaxed);
            connection.await;
            counter.connections.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
}
