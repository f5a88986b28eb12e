//! One connection of the server, from its first byte to its last.
//!
//! Reading and writing run side by side in one task, calls in tasks of their own:
//!
//! ```text
//! socket ─▶ frames ─▶ session ─▶ call tasks ─▶ outbox ─▶ socket
//! ```
//!
//! Whatever the bytes, the worst that happens is that this connection ends.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::exception::{RpcErrorCode, RpcException, class};
use super::frame::{FrameError, FrameReader};
use super::outbox::{Outgoing, send_all};
use super::server::RpcServerOptions;
use super::service::{CallContext, RpcService};
use super::session::{Call, Caller, Fatal, Incoming, PREFACE_LENGTH, Session};

/// Longest frame before the connection context: SASL messages and contexts have a few hundred bytes.
const HANDSHAKE_FRAME_LIMIT: usize = 64 * 1024;
/// Replies that may wait for the writer.
const OUTBOX_LENGTH: usize = 64;
/// What a browser or a probe gets.
const HTTP_ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks Hadoop RPC, not HTTP.\n";
/// Closing with bytes unread would reset the connection and could destroy the last reply on its way: read on a little.
const LINGER: Duration = Duration::from_secs(1);
/// What is read at most in that time, in bytes.
const LINGER_LENGTH: usize = 256 * 1024;

/// What all connections of a server have in common.
pub(super) struct Shared {
    pub(super) service: Arc<dyn RpcService>,
    pub(super) options: RpcServerOptions,
    pub(super) shutdown: CancellationToken,
}

/// Serves a connection until it ends.
pub(super) async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    if let Err(problem) = socket.set_nodelay(true) {
        debug!(%peer, %problem, "connection ended at once");
        return;
    }
    let (read_half, mut write_half) = socket.into_split();
    let (outbox, mut frames) = mpsc::channel(OUTBOX_LENGTH);
    let closing = shared.shutdown.child_token();
    let patience = shared.options.write_timeout;
    let mut connection = Connection {
        frames: FrameReader::new(read_half, HANDSHAKE_FRAME_LIMIT),
        slots: Arc::new(Semaphore::new(shared.options.max_calls_per_connection)),
        calls: JoinSet::new(),
        broken: CancellationToken::new(),
        peer,
        closing,
        shared,
    };
    let broken = connection.broken.clone();
    let closing = connection.closing.clone();
    let write = async {
        if let Err(problem) = send_all(&mut write_half, &mut frames, patience).await {
            debug!(%peer, %problem, "cannot write replies");
        }
        // After the last reply, or without a way to send it, nothing more is worth doing.
        frames.close();
        broken.cancel();
        closing.cancel();
    };
    tokio::join!(connection.read(outbox), write);
    connection.linger(write_half).await;
    debug!(%peer, "disconnected");
}

struct Connection {
    frames: FrameReader<OwnedReadHalf>,
    /// One permit per call that runs or whose reply is not written yet.
    slots: Arc<Semaphore>,
    calls: JoinSet<()>,
    /// Replies cannot leave any more.
    broken: CancellationToken,
    /// The server shuts down, or replies cannot leave any more.
    closing: CancellationToken,
    peer: SocketAddr,
    shared: Arc<Shared>,
}

/// Why reading stopped.
enum End {
    /// Calls that still run may be answered.
    Drain,
    /// This is the last frame for the client.
    Abort(Bytes),
}

impl Connection {
    async fn read(&mut self, outbox: mpsc::Sender<Outgoing>) {
        let end = match self.handshake(&outbox).await {
            Ok(Some(session)) => self.read_calls(session, &outbox).await,
            Ok(None) => End::Drain,
            Err(last) => End::Abort(last),
        };
        match end {
            End::Drain => self.drain().await,
            // The writer may be stuck behind a client that does not read; its own timeout then frees this send.
            End::Abort(frame) => {
                _ = outbox
                    .send(Outgoing {
                        frame,
                        last: true,
                        permit: None,
                    })
                    .await
            }
        }
        self.calls.abort_all();
    }

    /// Preface, SASL, connection context. None when the client is gone, an error holds the last bytes for it.
    async fn handshake(&mut self, outbox: &mpsc::Sender<Outgoing>) -> Result<Option<Session>, Bytes> {
        let deadline = Instant::now() + self.shared.options.handshake_timeout;
        let closing = self.closing.clone();
        tokio::select! {
            biased;
            () = closing.cancelled() => Ok(None),
            outcome = timeout_at(deadline, self.shake_hands(outbox)) => outcome.unwrap_or_else(|_| {
                debug!(peer = %self.peer, "no connection context in time");
                Ok(None)
            }),
        }
    }

    async fn shake_hands(&mut self, outbox: &mpsc::Sender<Outgoing>) -> Result<Option<Session>, Bytes> {
        let Ok(start) = self.frames.take(4).await else {
            return Ok(None);
        };
        if &start[..] == b"GET " {
            return Err(Bytes::from_static(HTTP_ANSWER));
        }
        let Ok(rest) = self.frames.take(PREFACE_LENGTH - start.len()).await else {
            return Ok(None);
        };
        if start.is_empty() {
            return Ok(None);
        }
        let mut session = Session::open(&[start, rest].concat()).map_err(|fatal| self.refuse(fatal))?;
        while let Some(frame) = self.next_frame().await.map_err(|fatal| self.refuse(fatal))? {
            match session.receive(frame).map_err(|fatal| self.refuse(fatal))? {
                Incoming::Established => {
                    self.frames.set_limit(self.shared.options.max_frame_length);
                    return Ok(Some(session));
                }
                Incoming::Reply(frame) => {
                    _ = outbox
                        .send(Outgoing {
                            frame,
                            last: false,
                            permit: None,
                        })
                        .await
                }
                Incoming::Nothing | Incoming::Call(_) => {}
            }
        }
        Ok(None)
    }

    async fn read_calls(&mut self, mut session: Session, outbox: &mpsc::Sender<Outgoing>) -> End {
        let Some(caller) = session.caller().cloned() else {
            return End::Drain;
        };
        loop {
            let frame = match self.wait_for_frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return End::Drain,
                Err(fatal) => return End::Abort(self.refuse(fatal)),
            };
            match session.receive(frame) {
                Ok(Incoming::Call(call)) => {
                    if !self.start(*call, &caller, outbox).await {
                        return End::Drain;
                    }
                }
                Ok(Incoming::Reply(_) | Incoming::Established | Incoming::Nothing) => {}
                Err(fatal) => return End::Abort(self.refuse(fatal)),
            }
        }
    }

    /// The next frame; none when the client stopped sending, was idle for too long, or the connection is closing.
    async fn wait_for_frame(&mut self) -> Result<Option<Bytes>, Fatal> {
        loop {
            while self.calls.try_join_next().is_some() {}
            let closing = self.closing.clone();
            let readable = tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(None),
                readable = timeout(self.shared.options.idle_timeout, self.frames.readable()) => readable,
            };
            match readable {
                Ok(Ok(true)) => return self.next_frame().await,
                Ok(Ok(false) | Err(_)) => return Ok(None),
                Err(_) if self.is_idle() => return Ok(None),
                Err(_) => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.slots.available_permits() == self.shared.options.max_calls_per_connection
    }

    async fn next_frame(&mut self) -> Result<Option<Bytes>, Fatal> {
        match timeout(self.shared.options.frame_timeout, self.frames.next_frame()).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(FrameError::Io(problem))) => {
                debug!(peer = %self.peer, %problem, "cannot read");
                Ok(None)
            }
            Ok(Err(problem)) => Err(Fatal::bad_frame(&problem)),
            Err(_) => {
                debug!(peer = %self.peer, "a frame did not arrive in time");
                Ok(None)
            }
        }
    }

    fn refuse(&self, fatal: Fatal) -> Bytes {
        warn!(peer = %self.peer, reason = %fatal.reason, "closing a connection for what it sent");
        fatal.reply
    }

    /// Runs a call in its own task, once a slot is free; false when the connection is closing instead.
    async fn start(&mut self, call: Call, caller: &Caller, outbox: &mpsc::Sender<Outgoing>) -> bool {
        let permit = tokio::select! {
            biased;
            () = self.closing.cancelled() => return false,
            permit = Arc::clone(&self.slots).acquire_owned() => permit.ok(),
        };
        let (shared, outbox) = (Arc::clone(&self.shared), outbox.clone());
        let (peer, caller) = (self.peer, caller.clone());
        self.calls.spawn(async move {
            let reply_to = call.reply_to.clone();
            let outcome = execute(&shared, call, caller, peer).await;
            let frame = reply_to.outcome(&outcome, shared.service.state_id());
            let last = outcome.is_err_and(|exception| exception.is_fatal());
            // Fails only when the connection is gone, and the reply's reader with it.
            let _ = outbox.send(Outgoing { frame, last, permit }).await;
        });
        true
    }

    /// Gives running calls time to finish and be answered.
    async fn drain(&mut self) {
        let calls = &mut self.calls;
        let all_done = async { while calls.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = self.broken.cancelled() => {}
            _ = timeout(self.shared.options.drain_timeout, all_done) => {}
        }
    }

    /// Says goodbye in a way that lets the last reply arrive.
    async fn linger(&mut self, mut write_half: OwnedWriteHalf) {
        if write_half.shutdown().await.is_err() {
            return;
        }
        let discard = async {
            let mut read = 0;
            while let Ok(bytes) = self.frames.take(1).await {
                read += bytes.len();
                if bytes.is_empty() || read > LINGER_LENGTH {
                    return;
                }
            }
        };
        let _ = timeout(LINGER, discard).await;
    }
}

/// Has the service execute a call. A panic and a call that takes too long become exceptions.
async fn execute(shared: &Shared, call: Call, caller: Caller, peer: SocketAddr) -> Result<Bytes, RpcException> {
    if !shared.service.protocols().contains(&call.protocol.as_str()) {
        return Err(RpcException::no_such_protocol(&call.protocol));
    }
    let method = call.method.clone();
    let context = CallContext {
        user: caller.user,
        real_user: caller.real_user,
        client_id: call.client_id,
        call_id: call.reply_to.call_id,
        retry_count: call.reply_to.retry_count,
        peer,
        protocol: call.protocol,
        method: call.method,
        caller_context: call.caller_context,
    };
    let patience = shared.options.call_timeout;
    let work = AssertUnwindSafe(shared.service.call(context, call.request)).catch_unwind();
    match timeout(patience, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => {
            error!(%peer, method, "a call panicked");
            let message = format!("internal error in {method}: see the server's log");
            Err(RpcException::rpc(
                class::RPC_SERVER,
                message,
                RpcErrorCode::ErrorRpcServer,
            ))
        }
        Err(_) => {
            warn!(%peer, method, ?patience, "a call did not finish in time");
            Err(RpcException::retriable(format!(
                "{method} did not finish within {patience:?}"
            )))
        }
    }
}
