//! One connection of the server, from its first byte to its last, in one task:
//!
//! ```text
//! socket ─▶ frames ─▶ session ─▶ calls ─▶ replies ─▶ socket
//! ```
//!
//! Each turn takes what is there: all frames that have arrived are judged and their calls begun, and all replies that are ready leave in
//! one write. A call that needs to wait for nothing is answered on the spot; the others run side by side and reply in any order.
//!
//! Whatever the bytes, the worst that happens is that this connection ends.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep, Timeout, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::exception::{RpcErrorCode, RpcException, class};
use super::frame::{FrameError, FrameReader};
use super::reply::ReplyTo;
use super::server::RpcServerOptions;
use super::service::{CallContext, RpcService};
use super::session::{Call, Caller, Fatal, Incoming, PREFACE_LENGTH, Session};

/// Longest frame before the connection context: SASL messages and contexts have a few hundred bytes.
const HANDSHAKE_FRAME_LIMIT: usize = 64 * 1024;
/// Bytes of replies that may wait for the client to read them before no more calls are begun.
const REPLIES_LIMIT: usize = 1024 * 1024;
/// A buffer of replies that grew beyond this is given back once they have left.
const KEEP_REPLIES: usize = 64 * 1024;
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
    let (read_half, write_half) = socket.into_split();
    let mut connection = Connection {
        frames: FrameReader::new(read_half, HANDSHAKE_FRAME_LIMIT),
        write_half,
        replies: Replies::default(),
        waiting: Waiting::default(),
        peer,
        shared: &shared,
    };
    connection.run().await;
    connection.linger().await;
    debug!(%peer, "disconnected");
}

struct Connection<'a> {
    frames: FrameReader<OwnedReadHalf>,
    write_half: OwnedWriteHalf,
    replies: Replies,
    waiting: Waiting,
    peer: SocketAddr,
    shared: &'a Shared,
}

/// Replies that have not left yet.
#[derive(Default)]
struct Replies {
    bytes: BytesMut,
    /// How many calls they answer. A call counts as running until its reply has left, so that a client that does not read cannot pile
    /// up replies here.
    calls: usize,
}

/// Since when the client has kept this side waiting.
#[derive(Default)]
struct Waiting {
    /// It does not take replies.
    to_write: Option<Instant>,
    /// It sent a part of a frame.
    for_frame: Option<Instant>,
    /// It sends nothing and has nothing to expect.
    idle: Option<Instant>,
}

/// Calls that run, and what begins them.
struct Calls<'a> {
    session: Session,
    caller: Caller,
    running: FuturesUnordered<Running<'a>>,
    /// Frames were left in the buffer for lack of room.
    held_back: bool,
}

/// How serving ended.
enum End {
    /// The client stopped sending, was idle for too long, or the server shuts down: calls that still run may be answered.
    Drain,
    /// Nothing more can be sent.
    Gone,
    /// What is in the replies is the last for the client.
    Last,
}

impl<'a> Connection<'a> {
    async fn run(&mut self) {
        match self.handshake().await {
            Ok(Some(session)) => self.serve_calls(session).await,
            Ok(None) => {}
            Err(last) => self.replies.bytes.extend_from_slice(&last),
        }
        // The client may be stuck; the timeout then ends this.
        let (bytes, patience) = (
            std::mem::take(&mut self.replies.bytes),
            self.shared.options.write_timeout,
        );
        let sent = timeout(patience, self.write_half.write_all(&bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            debug!(peer = %self.peer, "cannot write the last replies");
        }
    }

    /// Preface, SASL, connection context. None when the client is gone, an error holds the last bytes for it.
    async fn handshake(&mut self) -> Result<Option<Session>, Bytes> {
        let deadline = Instant::now() + self.shared.options.handshake_timeout;
        let (shutdown, peer) = (&self.shared.shutdown, self.peer);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(None),
            outcome = timeout_at(deadline, self.shake_hands()) => outcome.unwrap_or_else(|_| {
                debug!(%peer, "no connection context in time");
                Ok(None)
            }),
        }
    }

    async fn shake_hands(&mut self) -> Result<Option<Session>, Bytes> {
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
        loop {
            let frame = match self.frames.next_frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(FrameError::Io(_)) => return Ok(None),
                Err(problem) => return Err(self.refuse(Fatal::bad_frame(&problem))),
            };
            match session.receive(frame).map_err(|fatal| self.refuse(fatal))? {
                Incoming::Established => {
                    self.frames.set_limit(self.shared.options.max_frame_length);
                    return Ok(Some(session));
                }
                Incoming::Reply(frame) => {
                    if self.write_half.write_all(&frame).await.is_err() {
                        return Ok(None);
                    }
                }
                Incoming::Nothing | Incoming::Call(_) => {}
            }
        }
    }

    fn refuse(&self, fatal: Fatal) -> Bytes {
        warn!(peer = %self.peer, reason = %fatal.reason, "closing a connection for what it sent");
        fatal.reply
    }

    /// Reads calls and answers them until one of the sides ends it.
    async fn serve_calls(&mut self, session: Session) {
        let Some(caller) = session.caller().cloned() else {
            return;
        };
        let shared = self.shared;
        let mut calls = Calls {
            session,
            caller,
            running: FuturesUnordered::new(),
            held_back: false,
        };
        let end = {
            // A token of its own: looking at the common one at every turn would be a lock that all connections meet at.
            let token = shared.shutdown.child_token();
            let mut closing = pin!(token.cancelled());
            let mut timer = pin!(sleep_until(Instant::now() + shared.options.idle_timeout));
            poll_fn(|cx| {
                if closing.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(End::Drain);
                }
                if let Poll::Ready(end) = self.poll_turn(cx, &mut calls) {
                    return Poll::Ready(end);
                }
                self.poll_patience(cx, &calls, timer.as_mut())
            })
            .await
        };
        match end {
            End::Drain => self.drain(calls).await,
            End::Gone => self.replies.bytes.clear(),
            End::Last => {}
        }
    }

    /// Takes all there is of everything; ready only when serving has ended.
    fn poll_turn(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Poll<End> {
        loop {
            if let Some(end) = self.begin_calls(cx, calls) {
                return Poll::Ready(end);
            }
            while let Poll::Ready(Some(done)) = calls.running.poll_next_unpin(cx) {
                if self.reply(&done.reply_to, &done.outcome) {
                    return Poll::Ready(End::Last);
                }
            }
            if let Poll::Ready(Err(problem)) = self.poll_write(cx) {
                debug!(peer = %self.peer, %problem, "cannot write replies");
                return Poll::Ready(End::Gone);
            }
            if !self.has_room(calls) {
                return Poll::Pending;
            }
            if calls.held_back {
                continue;
            }
            match ready!(self.frames.poll_fill(cx)) {
                Ok(true) => {}
                Ok(false) if self.frames.is_empty() => return Poll::Ready(End::Drain),
                Ok(false) => return Poll::Ready(self.end_with(Fatal::bad_frame(&FrameError::Truncated))),
                Err(problem) => {
                    debug!(peer = %self.peer, %problem, "cannot read");
                    return Poll::Ready(End::Drain);
                }
            }
        }
    }

    /// Whether another call may be begun.
    fn has_room(&self, calls: &Calls<'_>) -> bool {
        calls.running.len() + self.replies.calls < self.shared.options.max_calls_per_connection
            && self.replies.bytes.len() < REPLIES_LIMIT
    }

    /// Begins the calls that have arrived, as far as there is room. An end is returned for what ends the connection.
    fn begin_calls(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Option<End> {
        loop {
            calls.held_back = !self.has_room(calls);
            if calls.held_back {
                return None;
            }
            let frame = match self.frames.buffered_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(problem) => return Some(self.end_with(Fatal::bad_frame(&problem))),
            };
            (self.waiting.for_frame, self.waiting.idle) = (None, None);
            match calls.session.receive(frame) {
                Ok(Incoming::Call(call)) => {
                    if self.begin(cx, *call, calls) {
                        return Some(End::Last);
                    }
                }
                Ok(Incoming::Reply(_) | Incoming::Established | Incoming::Nothing) => {}
                Err(fatal) => return Some(self.end_with(fatal)),
            }
        }
    }

    fn end_with(&mut self, fatal: Fatal) -> End {
        let last = self.refuse(fatal);
        self.replies.bytes.extend_from_slice(&last);
        End::Last
    }

    /// Begins a call; many are answered at once. True when that was the last answer.
    fn begin(&mut self, cx: &mut Context<'_>, call: Call, calls: &mut Calls<'a>) -> bool {
        let (service, peer) = (&self.shared.service, self.peer);
        if !service.protocols().contains(&call.protocol.as_str()) {
            let outcome = Err(RpcException::no_such_protocol(&call.protocol));
            return self.reply(&call.reply_to, &outcome);
        }
        let context = CallContext {
            user: calls.caller.user.clone(),
            real_user: calls.caller.real_user.clone(),
            client_id: call.client_id,
            call_id: call.reply_to.call_id,
            retry_count: call.reply_to.retry_count,
            peer,
            protocol: call.protocol,
            method: call.method.clone(),
            caller_context: call.caller_context,
        };
        let mut work = service.call(context, call.request);
        match poll_work(&mut work, cx) {
            Poll::Ready(outcome) => {
                let outcome = outcome.unwrap_or_else(|Panicked| Err(internal_error(&call.method, peer)));
                self.reply(&call.reply_to, &outcome)
            }
            Poll::Pending => {
                let patience = self.shared.options.call_timeout;
                // It is polled again with a waker of its own, so nothing that happens meanwhile is missed.
                calls.running.push(Running {
                    work: Box::pin(timeout(patience, Work(work))),
                    reply_to: Some(call.reply_to),
                    method: call.method,
                    patience,
                    peer,
                });
                false
            }
        }
    }

    /// Adds a reply to those that leave next; true when nothing may follow it.
    fn reply(&mut self, to: &ReplyTo, outcome: &Result<Bytes, RpcException>) -> bool {
        to.put_outcome(&mut self.replies.bytes, outcome, self.shared.service.state_id());
        self.replies.calls += 1;
        outcome.as_ref().is_err_and(RpcException::is_fatal)
    }

    /// Writes replies; ready when all have left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replies.bytes.is_empty() {
            match Pin::new(&mut self.write_half).poll_write(cx, &self.replies.bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.replies.bytes.advance(written),
                Poll::Ready(Err(problem)) => return Poll::Ready(Err(problem)),
                Poll::Pending => {
                    self.waiting.to_write.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
        self.waiting.to_write = None;
        self.replies.calls = 0;
        if self.replies.bytes.capacity() > KEEP_REPLIES {
            self.replies.bytes = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the client kept this side waiting for too long. The timer may be early, never late.
    fn poll_patience(&mut self, cx: &mut Context<'_>, calls: &Calls<'_>, mut timer: Pin<&mut Sleep>) -> Poll<End> {
        loop {
            let now = Instant::now();
            let (deadline, end) = self.deadline(now, calls);
            if deadline <= now {
                debug!(peer = %self.peer, "the client kept this side waiting for too long");
                return Poll::Ready(end);
            }
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    fn deadline(&mut self, now: Instant, calls: &Calls<'_>) -> (Instant, End) {
        let options = &self.shared.options;
        if let Some(since) = self.waiting.to_write {
            self.waiting.idle = None;
            return (since + options.write_timeout, End::Gone);
        }
        if !self.frames.is_empty() && !calls.held_back {
            self.waiting.idle = None;
            let since = self.waiting.for_frame.get_or_insert(now);
            return (*since + options.frame_timeout, End::Drain);
        }
        if !calls.running.is_empty() {
            self.waiting.idle = None;
            return (now + options.idle_timeout, End::Drain);
        }
        let since = self.waiting.idle.get_or_insert(now);
        (*since + options.idle_timeout, End::Drain)
    }

    /// Gives running calls time to finish and be answered.
    async fn drain(&mut self, mut calls: Calls<'a>) {
        let patience = self.shared.options.drain_timeout;
        let all_done = poll_fn(|cx| {
            while let Poll::Ready(Some(done)) = calls.running.poll_next_unpin(cx) {
                if self.reply(&done.reply_to, &done.outcome) {
                    return Poll::Ready(());
                }
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) if calls.running.is_empty() => Poll::Ready(()),
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            }
        });
        // Calls that are not done by then are dropped.
        let _ = timeout(patience, all_done).await;
    }

    /// Says goodbye in a way that lets the last reply arrive.
    async fn linger(&mut self) {
        if self.write_half.shutdown().await.is_err() {
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

type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, RpcException>> + Send + 'a>>;

/// A call's outcome, or that it panicked.
type Outcome = Result<Result<Bytes, RpcException>, Panicked>;

/// A call panicked. The runtime's hook has told why.
struct Panicked;

fn poll_work(work: &mut CallFuture<'_>, cx: &mut Context<'_>) -> Poll<Outcome> {
    match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    }
}

/// The service's part of a call.
struct Work<'a>(CallFuture<'a>);

impl Future for Work<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        poll_work(&mut self.0, cx)
    }
}

/// A call that has to wait for something.
struct Running<'a> {
    work: Pin<Box<Timeout<Work<'a>>>>,
    reply_to: Option<ReplyTo>,
    method: String,
    patience: Duration,
    peer: SocketAddr,
}

/// A call that ran.
struct Done {
    reply_to: ReplyTo,
    outcome: Result<Bytes, RpcException>,
}

impl Future for Running<'_> {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        let outcome = match ready!(self.work.as_mut().poll(cx)) {
            Ok(outcome) => outcome.unwrap_or_else(|Panicked| Err(internal_error(&self.method, self.peer))),
            Err(_) => Err(self.too_slow()),
        };
        let reply_to = self.reply_to.take().expect("a future is not polled after its end");
        Poll::Ready(Done { reply_to, outcome })
    }
}

impl Running<'_> {
    fn too_slow(&self) -> RpcException {
        let (method, patience) = (&self.method, self.patience);
        warn!(peer = %self.peer, method, ?patience, "a call did not finish in time");
        RpcException::retriable(format!("{method} did not finish within {patience:?}"))
    }
}

fn internal_error(method: &str, peer: SocketAddr) -> RpcException {
    error!(%peer, method, "a call panicked");
    let message = format!("internal error in {method}: see the server's log");
    RpcException::rpc(class::RPC_SERVER, message, RpcErrorCode::ErrorRpcServer)
}
