//! One connection of the client. Its task reads replies and writes calls; callers wait for theirs.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use super::client::{RpcClientError, RpcClientOptions};
use super::exception::{RpcErrorCode, RpcException};
use super::frame::{FrameBuilder, FrameError, FrameReader, decode_delimited, split_delimited};
use super::outbox::{Outgoing, send_all};
use super::session::{AUTH_NONE, CALL_CONTEXT, MAGIC, RPC_VERSION};
use crate::proto::hadoop::common::rpc_request_header_proto::OperationProto;
use crate::proto::hadoop::common::rpc_response_header_proto::RpcStatusProto;
use crate::proto::hadoop::common::{
    IpcConnectionContextProto, RpcKindProto, RpcRequestHeaderProto, RpcResponseHeaderProto, UserInformationProto,
};

/// Calls that may wait to be written; further callers wait for a place.
const OUTBOX_LENGTH: usize = 64;

/// What the client says of itself.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) protocol: String,
}

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Exception(RpcException),
    Lost(String),
}

impl Failure {
    pub(super) fn into_error(self, address: &str, method: &str) -> RpcClientError {
        match self {
            Self::Exception(exception) => RpcClientError::Exception(exception),
            Self::Lost(reason) => RpcClientError::Lost {
                address: address.to_owned(),
                method: method.to_owned(),
                reason,
            },
        }
    }
}

type Answer = Result<Bytes, Failure>;

/// A connection; dropping it closes the socket.
#[derive(Debug)]
pub(super) struct Link {
    outbox: mpsc::Sender<Outgoing>,
    waiting: Arc<Waiting>,
    _close_on_drop: DropGuard,
}

impl Link {
    /// Connects and introduces the client. The server says nothing to that unless it refuses.
    pub(super) async fn connect(address: &str, login: &Login, options: &RpcClientOptions) -> io::Result<Self> {
        let socket = timeout(options.connect_timeout, TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        let (outbox, frames) = mpsc::channel(OUTBOX_LENGTH);
        let frame = introduction(login);
        outbox
            .try_send(Outgoing {
                frame,
                last: false,
                permit: None,
            })
            .expect("the new channel is empty");
        let waiting = Arc::new(Waiting::default());
        let close = CancellationToken::new();
        tokio::spawn(run(
            socket,
            frames,
            Arc::clone(&waiting),
            close.clone(),
            options.clone(),
        ));
        Ok(Self {
            outbox,
            waiting,
            _close_on_drop: close.drop_guard(),
        })
    }

    /// Whether calls may still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.waiting.0.lock().closed.is_none()
    }

    /// Sends a call and waits for its answer.
    pub(super) async fn call(&self, call_id: i32, frame: Bytes) -> Answer {
        let place = Place::take(&self.waiting, call_id)?;
        // When the send fails, the link is closing, and `answer` is about to say why.
        let _ = self
            .outbox
            .send(Outgoing {
                frame,
                last: false,
                permit: None,
            })
            .await;
        place.answer().await
    }

    /// Closes the link unless something arrived on it after `moment`.
    pub(super) fn close_if_silent_since(&self, moment: Instant) {
        let silent = self
            .waiting
            .0
            .lock()
            .last_arrival
            .is_none_or(|arrival| arrival < moment);
        if silent {
            self.waiting
                .close(&Failure::Lost("the server has been silent".to_owned()));
        }
    }
}

/// Preface and connection context.
fn introduction(login: &Login) -> Bytes {
    let header = RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
        rpc_op: Some(OperationProto::RpcFinalPacket as i32),
        call_id: CALL_CONTEXT,
        ..Default::default()
    };
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(login.user.clone()),
            real_user: None,
        }),
        protocol: Some(login.protocol.clone()),
    };
    let frame = FrameBuilder::new().message(&header).message(&context).finish();
    [&MAGIC[..], &[RPC_VERSION, 0, AUTH_NONE], &frame].concat().into()
}

/// Reads and writes until either fails or the link is dropped; then nobody waits any more.
async fn run(
    socket: TcpStream,
    mut frames: mpsc::Receiver<Outgoing>,
    waiting: Arc<Waiting>,
    close: CancellationToken,
    options: RpcClientOptions,
) {
    let (read_half, mut write_half) = socket.into_split();
    let reader = FrameReader::new(read_half, options.max_frame_length);
    let failure = tokio::select! {
        failure = read_answers(reader, &waiting) => failure,
        sent = send_all(&mut write_half, &mut frames, options.call_timeout) => match sent {
            Ok(()) => Failure::Lost("the client closed it".to_owned()),
            Err(problem) => Failure::Lost(problem.to_string()),
        },
        () = close.cancelled() => Failure::Lost("the client closed it".to_owned()),
        () = waiting.closed() => Failure::Lost("the client closed it".to_owned()),
    };
    debug!(?failure, "link closed");
    waiting.close(&failure);
}

/// Hands answers to their callers until the connection ends.
async fn read_answers(mut reader: FrameReader<OwnedReadHalf>, waiting: &Waiting) -> Failure {
    loop {
        match reader.next_frame().await {
            Ok(Some(frame)) => match dispatch(frame, waiting) {
                Ok(()) => {}
                Err(failure) => return failure,
            },
            Ok(None) => return Failure::Lost("the server closed it".to_owned()),
            Err(problem) => return Failure::Lost(problem.to_string()),
        }
    }
}

/// Hands one answer to its caller. An error ends the connection.
fn dispatch(mut frame: Bytes, waiting: &Waiting) -> Result<(), Failure> {
    let unreadable = |problem: FrameError| Failure::Lost(problem.to_string());
    let header: RpcResponseHeaderProto = decode_delimited(&mut frame, "RPC response header").map_err(unreadable)?;
    // The wire has an unsigned field for a signed number: same 32 bits.
    let call_id = header.call_id as i32;
    match RpcStatusProto::try_from(header.status) {
        Ok(RpcStatusProto::Success) => {
            let response = split_delimited(&mut frame, "response").map_err(unreadable)?;
            waiting.answer(call_id, Ok(response));
            Ok(())
        }
        Ok(RpcStatusProto::Error) => {
            waiting.answer(call_id, Err(Failure::Exception(exception(header))));
            Ok(())
        }
        // Whichever call it answers, no other will be answered after it.
        Ok(RpcStatusProto::Fatal) => Err(Failure::Exception(exception(header))),
        Err(_) => Err(Failure::Lost(format!("unknown reply status {}", header.status))),
    }
}

fn exception(header: RpcResponseHeaderProto) -> RpcException {
    let code = header.error_detail.and_then(|code| RpcErrorCode::try_from(code).ok());
    let fallback = if header.status == RpcStatusProto::Fatal as i32 {
        RpcErrorCode::FatalUnknown
    } else {
        RpcErrorCode::ErrorApplication
    };
    RpcException {
        class: header
            .exception_class_name
            .unwrap_or_else(|| super::exception::class::IO.to_owned())
            .into(),
        message: header.error_msg.unwrap_or_default(),
        code: code.unwrap_or(fallback),
    }
}

/// Who waits for which answer. Never locked across a wait.
#[derive(Debug, Default)]
struct Waiting(Mutex<WaitingState>, tokio::sync::Notify);

#[derive(Debug, Default)]
struct WaitingState {
    callers: HashMap<i32, oneshot::Sender<Answer>>,
    /// Why there will be no more answers.
    closed: Option<Failure>,
    last_arrival: Option<Instant>,
}

impl Waiting {
    fn answer(&self, call_id: i32, answer: Answer) {
        let mut state = self.0.lock();
        state.last_arrival = Some(Instant::now());
        if let Some(caller) = state.callers.remove(&call_id) {
            // Fails when the caller gave up a moment ago.
            let _ = caller.send(answer);
        }
    }

    /// Fails everybody who waits and everybody who comes later. Only the first reason counts.
    fn close(&self, failure: &Failure) {
        let callers = {
            let mut state = self.0.lock();
            state.closed.get_or_insert_with(|| failure.clone());
            std::mem::take(&mut state.callers)
        };
        for caller in callers.into_values() {
            let _ = caller.send(Err(failure.clone()));
        }
        self.1.notify_one();
    }

    /// Waits until [`Self::close`] was called. For one waiter, the link's task.
    async fn closed(&self) {
        self.1.notified().await;
    }
}

/// A caller's place among those who wait; given up when dropped.
struct Place<'a> {
    waiting: &'a Waiting,
    call_id: i32,
    answer: oneshot::Receiver<Answer>,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a Waiting, call_id: i32) -> Result<Self, Failure> {
        let (sender, answer) = oneshot::channel();
        let mut state = waiting.0.lock();
        match &state.closed {
            Some(failure) => Err(failure.clone()),
            None => {
                state.callers.insert(call_id, sender);
                Ok(Self {
                    waiting,
                    call_id,
                    answer,
                })
            }
        }
    }

    async fn answer(mut self) -> Answer {
        (&mut self.answer)
            .await
            .unwrap_or_else(|_| Err(Failure::Lost("another call took this one's id".to_owned())))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.0.lock().callers.remove(&self.call_id);
    }
}
