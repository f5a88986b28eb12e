//! The domain socket: readers on this machine get a replica's open files instead of its bytes.
//!
//! A Unix socket speaks the data transfer protocol's operation 87 (`REQUEST_SHORT_CIRCUIT_FDS`): the answer is followed by one byte
//! that carries two descriptors, of the block file and of the checksum file, opened for reading. Only finalized replicas are handed
//! out: their files never change. The shared memory of operations 88 and 89, by which HDFS revokes descriptors, is
//! answered with `ERROR_UNSUPPORTED`; HDFS's clients then do without it.
//!
//! Who may connect is decided by the directory that the socket is in: see `docs/decisions/`.

mod pass;
mod serve;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::node::Node;
pub(crate) use socket::{Socket, path};

/// Pause when the system has no descriptor left: connections end and free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Readers on one machine; more are closed at once and read over TCP.
const MAX_CONNECTIONS: usize = 1024;

/// Serves until shutdown, then removes the socket's file.
pub(crate) async fn run(node: Arc<Node>, socket: Socket) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            accepted = socket.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the domain socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(
                limit = MAX_CONNECTIONS,
                "too many connections to the domain socket; closed this one"
            );
            continue;
        };
        let shutdown = node.shutdown.clone();
        let serving = serve::run(Arc::clone(&node), stream);
        node.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = serving => {}
            }
            drop(permit);
        });
    }
}
