//! Volumes whose disks do not do their work are given up.
//!
//! An error in the midst of a read or write only casts doubt: this job then writes and reads a small file on every volume. A
//! full disk passes, for reads go on and room comes back. A volume that does not pass is failed until the next start; its replicas are
//! lost here, the NameNode hears so with the next heartbeat and has them made anew elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Job, Progress};
use crate::error::Result;
use crate::node::Node;

/// Pause between two looks that nobody asked for.
const EVERY: Duration = Duration::from_secs(60);
/// Many errors come at once; one look answers them all.
const GATHER: Duration = Duration::from_millis(50);

/// The job.
#[derive(Debug)]
pub(crate) struct Check;

#[async_trait]
impl Job for Check {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let worker = Arc::clone(node);
        Node::blocking(move || check(&worker)).await;
        tokio::time::sleep(GATHER).await;
        Ok(Progress::Idle(EVERY))
    }
}

fn check(node: &Node) {
    for (index, volume) in node.dataset.volumes().iter().enumerate() {
        if volume.is_failed() {
            continue;
        }
        if let Err(error) = volume.probe() {
            node.fail_volume(index, &error.to_string());
        }
    }
}
