//! Keeping this client's leases alive while it has files open for writing.
//!
//! One call renews all of a client's leases. The renewing task runs while at least one file is open and belongs to the
//! runtime on which the first of them was opened; should that runtime end, the next opened file starts another.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::namenode::NameNode;
use crate::task::Task;

/// HDFS's interval: half of the soft limit, after which another client may take the lease over.
const RENEW_INTERVAL: Duration = Duration::from_secs(30);

/// Pause after a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct State {
    open_files: usize,
    renewer: Option<Task>,
}

/// The leases of one client.
#[derive(Debug)]
pub(crate) struct Leases {
    namenode: Arc<NameNode>,
    state: Arc<Mutex<State>>,
}

/// One file that is open for writing.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Arc<Mutex<State>>,
}

impl Leases {
    pub(crate) fn new(namenode: Arc<NameNode>) -> Self {
        Self {
            namenode,
            state: Arc::default(),
        }
    }

    /// Keeps the client's leases alive until the returned one is dropped.
    pub(crate) fn hold(&self) -> Lease {
        let mut state = self.state.lock();
        state.open_files += 1;
        if state.renewer.as_ref().is_none_or(Task::is_finished) {
            state.renewer = Some(Task::spawn(renew(Arc::clone(&self.namenode))));
        }
        Lease {
            state: Arc::clone(&self.state),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.open_files -= 1;
        if state.open_files == 0 {
            state.renewer = None;
        }
    }
}

async fn renew(namenode: Arc<NameNode>) {
    let mut pause = RENEW_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        pause = match namenode.renew_lease().await {
            Ok(()) => RENEW_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "could not renew the leases of this client's open files");
                RENEW_AGAIN
            }
        };
    }
}
