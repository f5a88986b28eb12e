//! Calls to the NameNode: one place that repeats what may be repeated and sorts exceptions into errors.
//!
//! A call keeps its client id and call id through all its repetitions, so that a NameNode which executed it and whose
//! answer was lost recognizes it (HDFS's retry cache). What is repeated:
//!
//! 1. no connection: nothing was executed; for [`CONNECT_PATIENCE`], so that a restart is survived and a wrong address is
//!    soon reported;
//! 2. connection lost or no answer: maybe executed; until the call's time is up;
//! 3. `RetriableException`, `StandbyException`: refused for now; until the call's time is up.
//!
//! Every other exception is the answer.

mod attributes;
mod cluster;
mod files;
mod tree;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, CallOptions, RpcClient, RpcClientError, RpcClientOptions};

use crate::config::DfsClientConfig;
use crate::error::{Error, Result, from_exception};

pub(crate) use files::NewFile;
pub(crate) use tree::{Entry, Page};

/// How long a NameNode that accepts no connection is waited for.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// First pause before a repetition, doubled up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause before a repetition.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The NameNode, as one client sees it.
#[derive(Debug)]
pub(crate) struct NameNode {
    rpc: RpcClient,
    address: String,
    /// The holder of this client's leases; unique, for a lease must not be inherited by accident.
    client_name: String,
    timeout: Duration,
    /// Calls made, repetitions not counted.
    pub(crate) calls: AtomicU64,
    /// How often `complete` had to be asked again: 0 against a NameNode that holds the answer until it is yes.
    pub(crate) complete_repeats: AtomicU64,
}

impl NameNode {
    pub(crate) fn new(config: &DfsClientConfig) -> Self {
        let options = RpcClientOptions {
            connect_timeout: config.connect_timeout,
            call_timeout: config.namenode_timeout,
            ..RpcClientOptions::default()
        };
        Self {
            rpc: RpcClient::new(config.namenode.clone(), config.user.clone(), CLIENT_PROTOCOL, options),
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

    /// Calls `method` about `path`, repeating as the module says.
    async fn call<Q, A>(&self, method: &'static str, path: &str, request: &Q) -> Result<A>
    where
        Q: Message,
        A: Message + Default,
    {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let call_id = self.rpc.next_call_id();
        let mut pause = FIRST_PAUSE;
        for retry_count in 0.. {
            let how = CallOptions {
                call_id: Some(call_id),
                retry_count,
                timeout: Some(self.timeout.saturating_sub(started.elapsed())),
            };
            let error = match self.rpc.call_with(method, request, how).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if started.elapsed() + pause >= patience(&error).min(self.timeout) {
                return Err(self.failed(method, path, error));
            }
            tracing::debug!(method, path, %error, retry_count, "repeating NameNode call");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        unreachable!("the loop ends with the call's time")
    }

    fn failed(&self, method: &'static str, path: &str, error: RpcClientError) -> Error {
        match error {
            RpcClientError::Exception(e) => from_exception(&e.class, &e.message, path),
            RpcClientError::Decode { problem, .. } => self.protocol_error(format!("{method}: {problem}")),
            unreachable => Error::NameNodeUnreachable {
                path: path.to_owned(),
                address: self.address.clone(),
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

/// For how long a call that failed like this is repeated.
fn patience(error: &RpcClientError) -> Duration {
    match error {
        RpcClientError::Connect { .. } => CONNECT_PATIENCE,
        RpcClientError::Lost { .. } | RpcClientError::Timeout { .. } => Duration::MAX,
        RpcClientError::Exception(e) if is_refused_for_now(&e.class) => Duration::MAX,
        RpcClientError::Exception(_) | RpcClientError::Decode { .. } => Duration::ZERO,
    }
}

fn is_refused_for_now(class: &str) -> bool {
    matches!(
        class.rsplit('.').next(),
        Some("RetriableException" | "StandbyException" | "ObserverRetryOnActiveException")
    )
}

/// Between half of `pause` and all of it, so that many clients do not return at one moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
