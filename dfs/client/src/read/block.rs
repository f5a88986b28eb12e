//! Reading a range of one block: replica after replica until one serves it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::remote;
use crate::error::{Error, Failures, ReplicaFailure, Result, TransferError};
use crate::local::LocalReads;
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;
use crate::stats::ReadStats;

/// A range of a block, to be read from any of its replicas.
#[derive(Debug)]
pub(super) struct BlockRead<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) local: Option<&'a Arc<LocalReads>>,
    pub(super) path: &'a str,
    pub(super) stats: Option<&'a ReadStats>,
    /// Within the block.
    pub(super) range: Range<u64>,
}

impl BlockRead<'_> {
    /// Tries each replica once: the next one when the one before failed, or, if reads are hedged, when it is slow.
    pub(super) async fn run(&self, location: &BlockLocation) -> Result<Bytes> {
        let nodes = self.by_preference(location);
        let mut waiting = nodes.into_iter();
        let (mut under_way, mut hedges, mut failures) = (FuturesUnordered::new(), Vec::new(), Vec::new());
        loop {
            if under_way.is_empty() {
                let Some(node) = waiting.next() else { break };
                under_way.push(self.attempt(location, node, waiting.len() > 0));
            }
            let hedge_after = self.shared.config.hedged_read_threshold;
            let ended = tokio::select! {
                biased;
                ended = under_way.next() => ended,
                () = tokio::time::sleep(hedge_after), if self.may_hedge(hedges.len(), waiting.len()) => {
                    if let (Ok(permit), Some(node)) = (self.shared.hedges.try_acquire(), waiting.next()) {
                        tracing::debug!(path = self.path, block = %location.block, datanode = node.label(), "hedging a slow read");
                        self.shared.hedged_reads.fetch_add(1, Ordering::Relaxed);
                        hedges.push(permit);
                        under_way.push(self.attempt(location, node, false));
                    }
                    continue;
                }
            };
            match ended {
                Some((_, Ok(bytes))) => return Ok(bytes),
                Some((node, Err(reason))) => {
                    self.learn(location, node, &reason);
                    failures.push(ReplicaFailure {
                        datanode: node.label(),
                        reason,
                    });
                }
                None => {}
            }
        }
        Err(Error::BlockUnavailable {
            path: self.path.to_owned(),
            block: location.block.block.to_string(),
            failures: Failures(failures),
        })
    }

    /// Whether a slow read may get a rival. One rival per read: more would only add load where there is too much of it.
    fn may_hedge(&self, hedges: usize, waiting: usize) -> bool {
        hedges == 0 && waiting > 0 && self.shared.hedges.available_permits() > 0
    }

    /// Reads from one replica. As long as there are others, a DataNode must begin to answer soon.
    fn attempt<'l>(
        &'l self,
        location: &'l BlockLocation,
        node: &'l Arc<DataNodeInfo>,
        others: bool,
    ) -> BoxFuture<'l, (&'l Arc<DataNodeInfo>, Result<Bytes, TransferError>)> {
        let config = &self.shared.config;
        let first_byte = if others {
            config.first_byte_timeout
        } else {
            config.datanode_timeout
        };
        async move { (node, self.read_replica(location, node, first_byte).await) }.boxed()
    }

    /// Own disk first, then the NameNode's order, then DataNodes that failed a moment ago.
    pub(super) fn by_preference<'l>(&self, location: &'l BlockLocation) -> Vec<&'l Arc<DataNodeInfo>> {
        let mut nodes: Vec<_> = location.datanodes.iter().collect();
        nodes.sort_by_key(|node| (self.local(node).is_none(), self.shared.dead.contains(&node.uuid)));
        nodes
    }

    /// The DataNode's replicas, if they can be read without TCP: this process hosts it, or it is on this machine.
    pub(super) fn local(&self, node: &DataNodeInfo) -> Option<Arc<LocalReads>> {
        let hosted = self.local.filter(|local| local.datanode_uuid() == node.uuid);
        hosted
            .map(Arc::clone)
            .or_else(|| self.shared.sockets.as_ref()?.of(node))
    }

    async fn read_replica(
        &self,
        location: &BlockLocation,
        node: &DataNodeInfo,
        first_byte: Duration,
    ) -> Result<Bytes, TransferError> {
        if let Some(bytes) = self.read_local(location, node).await {
            self.stats.inspect(|stats| stats.add_local(bytes.len() as u64));
            return Ok(bytes);
        }
        let bytes = remote::read(self.shared, location, node, self.range.clone(), first_byte).await?;
        self.shared.dead.remove(&node.uuid);
        self.stats.inspect(|stats| stats.add_remote(bytes.len() as u64));
        Ok(bytes)
    }

    /// Whatever goes wrong with the files, the DataNode is asked next: it knows best what it has, and if the replica is damaged its
    /// answer shows that, too.
    async fn read_local(&self, location: &BlockLocation, node: &DataNodeInfo) -> Option<Bytes> {
        let read = self.local(node)?.read(&location.block, self.range.clone()).await;
        read.unwrap_or_else(|reason| {
            let (path, datanode) = (self.path, node.label());
            tracing::warn!(path, block = %location.block, datanode, %reason, "cannot read a replica's files; asking its DataNode");
            None
        })
    }

    /// What a failure says about the replica or its DataNode, for others to know.
    pub(super) fn learn(&self, location: &BlockLocation, node: &DataNodeInfo, reason: &TransferError) {
        tracing::warn!(path = self.path, block = %location.block, datanode = node.label(), %reason, "cannot read replica");
        match reason {
            TransferError::Connect(_) | TransferError::Lost(_) | TransferError::Silent(_) => {
                self.shared.dead.add(&node.uuid)
            }
            TransferError::Checksum(_) => self.report(location, node),
            TransferError::Refused(_) | TransferError::Protocol(_) | TransferError::Local(_) => {}
        }
    }

    /// Reports a damaged replica, without making the read wait for it.
    fn report(&self, location: &BlockLocation, node: &DataNodeInfo) {
        let namenode = Arc::clone(&self.shared.namenode);
        let (path, location, node) = (self.path.to_owned(), location.clone(), node.clone());
        self.shared.background.spawn(async move {
            if let Err(error) = namenode.report_bad_replica(&path, &location, &node).await {
                tracing::warn!(path, block = %location.block, %error, "could not report a damaged replica");
            }
        });
    }
}
