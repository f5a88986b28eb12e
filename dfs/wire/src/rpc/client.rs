//! The client: calls to one server over connections that many callers share and that are made when needed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::exception::RpcException;
use super::frame::FrameBuilder;
use super::link::{Link, Login};
use crate::proto::hadoop::common::rpc_request_header_proto::OperationProto;
use crate::proto::hadoop::common::{RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct RpcClientOptions {
    /// Identifies the client towards the server's retry cache. Clients that repeat each other's calls, for instance
    /// towards the two servers of a failover pair, must share it. Random by default.
    pub client_id: [u8; 16],
    /// For making a connection.
    pub connect_timeout: Duration,
    /// For a call, connecting included.
    pub call_timeout: Duration,
    /// Longest frame from the server, in bytes.
    pub max_frame_length: usize,
    /// How many connections share the calls. One carries many calls at once; more spread the load of decoding.
    pub connections: usize,
}

impl Default for RpcClientOptions {
    fn default() -> Self {
        Self {
            client_id: Uuid::new_v4().into_bytes(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(60),
            max_frame_length: 128 * 1024 * 1024,
            connections: 1,
        }
    }
}

/// How one call differs from others.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions {
    /// The id to use, from [`RpcClient::next_call_id`]. A repeated call keeps its id, so that the server can tell.
    pub call_id: Option<i32>,
    /// How many tries came before this one.
    pub retry_count: i32,
    /// Instead of the client's `call_timeout`.
    pub timeout: Option<Duration>,
}

/// A call without an answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RpcClientError {
    /// The server answered with an exception.
    #[error(transparent)]
    Exception(#[from] RpcException),
    /// No connection could be made: the call was not sent.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The server.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer came: the call may or may not have been executed.
    #[error("connection to {address} was lost before the answer to {method}: {reason}")]
    Lost {
        /// The server.
        address: String,
        /// The call.
        method: String,
        /// Why.
        reason: String,
    },
    /// No answer came in time: the call may or may not have been executed.
    #[error("no answer from {address} to {method} within {after:?}")]
    Timeout {
        /// The server.
        address: String,
        /// The call.
        method: String,
        /// How long the call waited.
        after: Duration,
    },
    /// The answer does not decode: the call was executed.
    #[error("the answer from {address} to {method} does not decode: {problem}")]
    Decode {
        /// The server.
        address: String,
        /// The call.
        method: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl RpcClientError {
    /// Whether the server may have executed the call although its answer is not known.
    pub fn may_have_been_executed(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Timeout { .. } | Self::Decode { .. } => true,
            Self::Connect { .. } | Self::Exception(_) => false,
        }
    }

    /// The server's exception, if it is one of this class of [`super::exception::class`].
    pub fn is_exception(&self, class: &str) -> bool {
        matches!(self, Self::Exception(exception) if exception.is(class))
    }
}

/// Calls the methods of one protocol on one server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct RpcClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    login: Login,
    protocol: String,
    options: RpcClientOptions,
    next_call_id: AtomicI32,
    next_slot: AtomicUsize,
    slots: Vec<Slot>,
}

/// A connection, or the place for one.
#[derive(Debug, Default)]
struct Slot {
    link: RwLock<Option<Arc<Link>>>,
    /// Makes callers that find no connection wait for one that is being made, not make their own.
    connecting: tokio::sync::Mutex<()>,
}

impl RpcClient {
    /// A client of `protocol` on `address` ("host:port"). Connects when first used.
    pub fn new(
        address: impl Into<String>,
        user: impl Into<String>,
        protocol: impl Into<String>,
        options: RpcClientOptions,
    ) -> Self {
        let protocol = protocol.into();
        Self(Arc::new(Inner {
            address: address.into(),
            login: Login {
                user: user.into(),
                protocol: protocol.clone(),
            },
            protocol,
            next_call_id: AtomicI32::new(0),
            next_slot: AtomicUsize::new(0),
            slots: (0..options.connections.max(1)).map(|_| Slot::default()).collect(),
            options,
        }))
    }

    /// The server's "host:port".
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// An id that no other call of this client has, until they wrap around after 2^31 calls.
    pub fn next_call_id(&self) -> i32 {
        self.0.next_call_id.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// Calls a method.
    ///
    /// # Errors
    /// See [`RpcClientError`]. Nothing is tried twice: only the caller knows which calls may be.
    ///
    /// # Cancel safety
    /// The answer is dropped; the server may execute the call all the same.
    pub async fn call<Req, Resp>(&self, method: &str, request: &Req) -> Result<Resp, RpcClientError>
    where
        Req: Message,
        Resp: Message + Default,
    {
        self.call_with(method, request, CallOptions::default()).await
    }

    /// Calls a method in a particular way; otherwise like [`Self::call`].
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub async fn call_with<Req, Resp>(
        &self,
        method: &str,
        request: &Req,
        how: CallOptions,
    ) -> Result<Resp, RpcClientError>
    where
        Req: Message,
        Resp: Message + Default,
    {
        let call_id = how.call_id.unwrap_or_else(|| self.next_call_id());
        let frame = self.frame(method, request, call_id, how.retry_count);
        let patience = how.timeout.unwrap_or(self.0.options.call_timeout);
        let answer = self.exchange(method, call_id, frame, patience).await?;
        Resp::decode(answer).map_err(|problem| self.decode_error(method, problem.to_string()))
    }

    fn frame(&self, method: &str, request: &impl Message, call_id: i32, retry_count: i32) -> Bytes {
        let header = RpcRequestHeaderProto {
            rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
            rpc_op: Some(OperationProto::RpcFinalPacket as i32),
            call_id,
            client_id: Bytes::copy_from_slice(&self.0.options.client_id),
            retry_count: Some(retry_count),
            ..Default::default()
        };
        let head = RequestHeaderProto {
            method_name: method.to_owned(),
            declaring_class_protocol_name: self.0.protocol.clone(),
            client_protocol_version: 1,
        };
        FrameBuilder::new()
            .message(&header)
            .message(&head)
            .message(request)
            .finish()
    }

    async fn exchange(
        &self,
        method: &str,
        call_id: i32,
        frame: Bytes,
        patience: Duration,
    ) -> Result<Bytes, RpcClientError> {
        let began = Instant::now();
        let mut used = None;
        let answer = timeout_at(began + patience, async {
            let link = self.link().await?;
            used = Some(Arc::clone(&link));
            link.call(call_id, frame)
                .await
                .map_err(|failure| failure.into_error(&self.0.address, method))
        });
        answer.await.unwrap_or_else(|_| {
            // A link that has been silent all the time is probably dead: the next call should not wait for it too.
            if let Some(link) = used {
                link.close_if_silent_since(began);
            }
            let (address, method) = (self.0.address.clone(), method.to_owned());
            Err(RpcClientError::Timeout {
                address,
                method,
                after: patience,
            })
        })
    }

    /// A connection that was alive a moment ago.
    async fn link(&self) -> Result<Arc<Link>, RpcClientError> {
        let turn = self.0.next_slot.fetch_add(1, Ordering::Relaxed);
        let slot = &self.0.slots[turn % self.0.slots.len()];
        if let Some(link) = slot.live() {
            return Ok(link);
        }
        // An async lock, held while connecting: that is its purpose.
        let _alone = slot.connecting.lock().await;
        if let Some(link) = slot.live() {
            return Ok(link);
        }
        let link = Link::connect(&self.0.address, &self.0.login, &self.0.options).await;
        let link = Arc::new(link.map_err(|source| RpcClientError::Connect {
            address: self.0.address.clone(),
            source,
        })?);
        *slot.link.write() = Some(Arc::clone(&link));
        Ok(link)
    }

    fn decode_error(&self, method: &str, problem: String) -> RpcClientError {
        RpcClientError::Decode {
            address: self.0.address.clone(),
            method: method.to_owned(),
            problem,
        }
    }
}

impl Slot {
    fn live(&self) -> Option<Arc<Link>> {
        self.link.read().as_ref().filter(|link| link.is_open()).map(Arc::clone)
    }
}
