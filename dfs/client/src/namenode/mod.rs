//! Calls to the NameNode: one place that sorts its exceptions into errors. Which server is asked, and what is repeated, is told
//! in `servers.rs`.

mod attributes;
mod cluster;
mod files;
mod servers;
mod tree;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::rpc::RpcClientError;

use crate::config::DfsClientConfig;
use crate::error::{Error, Result, from_exception};
use servers::{Caller, Failed, MAX_PAUSE, Servers};

pub(crate) use files::NewFile;
pub(crate) use tree::{Entry, Page};

/// The NameNode, as one client sees it.
#[derive(Debug)]
pub(crate) struct NameNode {
    servers: Servers,
    /// As the settings name it.
    address: String,
    /// The holder of this client's leases; unique, for a lease must not be inherited by accident.
    client_name: String,
    /// For how long a question is asked again whose answer is "not yet".
    timeout: Duration,
    /// Calls made, repetitions not counted.
    pub(crate) calls: AtomicU64,
    /// How often `complete` had to be asked again: 0 against a NameNode that holds the answer until it is yes.
    pub(crate) complete_repeats: AtomicU64,
}

impl NameNode {
    pub(crate) fn new(config: &DfsClientConfig) -> Self {
        Self {
            servers: Servers::new(config),
            address: config.namenode.clone(),
            client_name: format!("quarry_{}", uuid::Uuid::new_v4().simple()),
            timeout: config.namenode_timeout,
            calls: AtomicU64::new(0),
            complete_repeats: AtomicU64::new(0),
        }
    }

    pub(crate) fn client_name(&self) -> &str {
        &self.client_name
    }

    /// Calls `method` about `path`.
    async fn call<Q, A>(&self, method: &'static str, path: &str, request: &Q) -> Result<A>
    where
        Q: Message,
        A: Message + Default,
    {
        self.call_as(Caller::Anybody, method, path, request).await
    }

    /// Calls `method` for who has `path` open for writing: with more patience.
    async fn call_for_writer<Q, A>(&self, method: &'static str, path: &str, request: &Q) -> Result<A>
    where
        Q: Message,
        A: Message + Default,
    {
        self.call_as(Caller::Writer, method, path, request).await
    }

    async fn call_as<Q, A>(&self, caller: Caller, method: &'static str, path: &str, request: &Q) -> Result<A>
    where
        Q: Message,
        A: Message + Default,
    {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.servers.call(method, caller, request).await;
        answer.map_err(|failed| self.failed(method, path, failed))
    }

    fn failed(&self, method: &'static str, path: &str, failed: Failed) -> Error {
        match failed.error {
            RpcClientError::Exception(e) => from_exception(&e.class, &e.message, path),
            RpcClientError::Decode { problem, .. } => self.protocol_error(format!("{method}: {problem}")),
            unreachable => Error::NameNodeUnreachable {
                path: path.to_owned(),
                address: failed.address,
                method,
                message: unreachable.to_string(),
            },
        }
    }

    fn protocol_error(&self, message: impl Into<String>) -> Error {
        Error::Protocol {
            peer: format!("NameNode {}", self.address),
            message: message.into(),
        }
    }
}
