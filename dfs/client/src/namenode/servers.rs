//! The NameNodes of one name service: which of them to ask, and for how long.
//!
//! A call keeps its client id and call id through all its repetitions, on whichever server, so that a NameNode which
//! executed it and whose answer was lost recognizes it (HDFS's retry cache, which its log carries over restarts and to the
//! other NameNodes). What is repeated, and where:
//!
//! 1. no connection: nothing was executed; the next server;
//! 2. connection lost or no answer: maybe executed; the next server;
//! 3. `StandbyException`, `ObserverRetryOnActiveException`: not executed; the next server;
//! 4. `RetriableException`: refused for now; the same server;
//! 5. `SafeModeException`: the same server, but only for who has a file open: it will have to wait anyway, and losing its
//!    bytes is worse. Everybody else is told at once.
//!
//! Every other exception is the answer. With one server, "the next" is the same one. There is a pause whenever all servers
//! have been asked in vain, longer each time.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, CallOptions, RpcClient, RpcClientError, RpcClientOptions};

use crate::config::DfsClientConfig;

/// First pause before a repetition, doubled up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause before a repetition.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody who can be told that it does not work now.
    Anybody,
    /// A writer, whose file hangs on it.
    Writer,
}

/// A call that did not work out.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: RpcClientError,
    /// The last server asked.
    pub(super) address: String,
}

/// For how long calls are repeated.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// In all.
    call: Duration,
    /// In all, for writers.
    writer: Duration,
    /// While no connection can be made.
    connect: Duration,
    /// One attempt.
    attempt: Duration,
}

#[derive(Debug)]
pub(super) struct Servers {
    servers: Vec<RpcClient>,
    /// The one that answered last.
    active: AtomicUsize,
    next_call_id: AtomicI32,
    limits: Limits,
}

impl Servers {
    pub(super) fn new(config: &DfsClientConfig) -> Self {
        let options = RpcClientOptions {
            connect_timeout: config.connect_timeout,
            call_timeout: config.namenode_timeout,
            ..RpcClientOptions::default()
        };
        let server = |address: &str| RpcClient::new(address, config.user.clone(), CLIENT_PROTOCOL, options.clone());
        let servers: Vec<_> = config.namenodes().map(server).collect();
        // With another server to ask, one that hangs is left sooner.
        let share = if servers.len() > 1 { 4 } else { 2 };
        Self {
            limits: Limits {
                call: config.namenode_timeout,
                writer: config.writer_timeout.max(config.namenode_timeout),
                connect: config.namenode_down_timeout,
                attempt: config.namenode_timeout / share,
            },
            servers,
            active: AtomicUsize::new(0),
            next_call_id: AtomicI32::new(0),
        }
    }

    /// Calls `method`, repeating as the module says.
    pub(super) async fn call<Q, A>(&self, method: &'static str, caller: Caller, request: &Q) -> Result<A, Failed>
    where
        Q: Message,
        A: Message + Default,
    {
        let started = Instant::now();
        let call_id = self.next_call_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let mut pause = FIRST_PAUSE;
        for retry_count in 0.. {
            let index = self.active.load(Ordering::Relaxed) % self.servers.len();
            let server = &self.servers[index];
            let left = self.limit(caller).saturating_sub(started.elapsed());
            let how = CallOptions {
                call_id: Some(call_id),
                retry_count,
                timeout: Some(left.min(self.limits.attempt).max(FIRST_PAUSE)),
            };
            let error = match server.call_with(method, request, how).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let next = next_after(&error, caller);
            if started.elapsed() + pause >= self.patience(&error, next, caller) {
                let address = server.address().to_owned();
                return Err(Failed { error, address });
            }
            tracing::debug!(method, server = server.address(), %error, retry_count, "repeating NameNode call");
            if next == Next::OtherServer {
                self.leave(index);
            }
            let all_asked = (retry_count as usize + 1).is_multiple_of(self.servers.len());
            if next == Next::SameServer || all_asked {
                tokio::time::sleep(jittered(pause)).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
        unreachable!("the loop ends with the call's time")
    }

    fn limit(&self, caller: Caller) -> Duration {
        match caller {
            Caller::Anybody => self.limits.call,
            Caller::Writer => self.limits.writer,
        }
    }

    /// For how long a call that failed like this is repeated.
    fn patience(&self, error: &RpcClientError, next: Next, caller: Caller) -> Duration {
        let alone = self.servers.len() == 1;
        match (next, error, caller) {
            (Next::Nobody, ..) => Duration::ZERO,
            // A wrong address shall be told soon.
            (_, RpcClientError::Connect { .. }, Caller::Anybody) if alone => self.limits.connect.min(self.limits.call),
            _ => self.limit(caller),
        }
    }

    /// Has further calls ask the next server, unless another call has seen to that already.
    fn leave(&self, index: usize) {
        let next = (index + 1) % self.servers.len();
        let _ = self
            .active
            .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Whom to ask after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// That was the answer.
    Nobody,
    SameServer,
    OtherServer,
}

fn next_after(error: &RpcClientError, caller: Caller) -> Next {
    match error {
        RpcClientError::Connect { .. } | RpcClientError::Lost { .. } | RpcClientError::Timeout { .. } => {
            Next::OtherServer
        }
        RpcClientError::Decode { .. } => Next::Nobody,
        RpcClientError::Exception(exception) => match exception.simple_class() {
            "StandbyException" | "ObserverRetryOnActiveException" => Next::OtherServer,
            "RetriableException" => Next::SameServer,
            "SafeModeException" if caller == Caller::Writer => Next::SameServer,
            _ => Next::Nobody,
        },
    }
}

/// Between half of `pause` and all of it, so that many clients do not return at one moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use quarry_dfs_wire::rpc::RpcException;

    use super::*;

    #[test]
    fn every_failure_has_its_way_on() {
        let exception = |exception: RpcException| RpcClientError::Exception(exception);
        for (error, anybody, writer) in [
            (
                exception(RpcException::standby("s")),
                Next::OtherServer,
                Next::OtherServer,
            ),
            (
                exception(RpcException::retriable("r")),
                Next::SameServer,
                Next::SameServer,
            ),
            (exception(RpcException::safe_mode("m")), Next::Nobody, Next::SameServer),
            (exception(RpcException::file_not_found("f")), Next::Nobody, Next::Nobody),
        ] {
            assert_eq!(next_after(&error, Caller::Anybody), anybody, "{error}");
            assert_eq!(next_after(&error, Caller::Writer), writer, "{error}");
        }
    }
}
