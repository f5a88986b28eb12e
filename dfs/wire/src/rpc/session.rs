//! What the bytes of one connection mean, on the server's side: pure, frame in, decision out.
//!
//! 1. seven bytes of preface: `hrpc`, version 9, service class, authentication (none or SASL)
//! 2. with SASL only: the client's NEGOTIATE, answered with SUCCESS, which means "no authentication needed"
//! 3. the connection context, once: who is calling
//! 4. calls; pings at any time

use bytes::Bytes;

use super::exception::{RpcErrorCode, RpcException, class};
use super::frame::{FrameError, decode_delimited, split_delimited};
use super::reply::ReplyTo;
use crate::proto::hadoop::common::rpc_request_header_proto::OperationProto;
use crate::proto::hadoop::common::rpc_sasl_proto::SaslState;
use crate::proto::hadoop::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto, RpcSaslProto,
};

/// First bytes of every connection.
pub(super) const MAGIC: &[u8; 4] = b"hrpc";
/// Version of Hadoop RPC, in the preface and in every reply.
pub(super) const RPC_VERSION: u8 = 9;
/// The preface's byte for "no authentication".
pub(super) const AUTH_NONE: u8 = 0;
/// The preface's byte for SASL.
const AUTH_SASL: u8 = 0xDF;
/// Length of the preface, in bytes.
pub(super) const PREFACE_LENGTH: usize = 7;

/// Call id of the connection context.
pub(super) const CALL_CONTEXT: i32 = -3;
/// Call id of pings.
const CALL_PING: i32 = -4;
/// Call id of SASL messages.
const CALL_SASL: i32 = -33;
/// Call id of replies to something that never was a call.
const CALL_INVALID: i32 = -2;
/// Call id of replies to a preface that cannot be served.
const CALL_REFUSED: i32 = -1;

/// What a frame asks for.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Nothing.
    Nothing,
    /// The connection is open for calls from now on.
    Established,
    /// This frame in return.
    Reply(Bytes),
    /// The execution of a call.
    Call(Box<Call>),
}

/// A call as received.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) reply_to: ReplyTo,
    pub(super) client_id: [u8; 16],
    pub(super) method: String,
    pub(super) protocol: String,
    pub(super) caller_context: Option<String>,
    pub(super) request: Bytes,
}

/// The connection ends; the frame tells the client why.
#[derive(Debug)]
pub(super) struct Fatal {
    pub(super) reply: Bytes,
    pub(super) reason: RpcException,
}

impl Fatal {
    fn new(reply_to: &ReplyTo, code: RpcErrorCode, class: &'static str, message: impl Into<String>) -> Self {
        let reason = RpcException::rpc(class, message, code);
        Self {
            reply: reply_to.failure(&reason),
            reason,
        }
    }

    /// The frame, or a message in it, is not legal here.
    fn bad_header(reply_to: &ReplyTo, message: impl Into<String>) -> Self {
        Self::new(
            reply_to,
            RpcErrorCode::FatalInvalidRpcHeader,
            class::RPC_SERVER,
            message,
        )
    }

    /// There is no frame to speak of.
    pub(super) fn bad_frame(error: &FrameError) -> Self {
        Self::bad_header(&ReplyTo::call_id(CALL_INVALID), error.to_string())
    }
}

/// Who is calling.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) real_user: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expecting {
    Negotiation,
    Context,
    Calls,
}

/// One connection after its preface.
#[derive(Debug)]
pub(super) struct Session {
    expecting: Expecting,
    /// Known once `expecting` is `Calls`.
    caller: Option<Caller>,
}

impl Session {
    /// Judges the preface, which may be too short.
    pub(super) fn open(preface: &[u8]) -> Result<Self, Fatal> {
        let refuse =
            |code, message| Fatal::new(&ReplyTo::call_id(CALL_REFUSED), code, class::VERSION_MISMATCH, message);
        let mismatch = |message| refuse(RpcErrorCode::FatalVersionMismatch, message);
        let expecting = match *preface {
            [b'h', b'r', b'p', b'c', RPC_VERSION, _, AUTH_NONE] => Expecting::Context,
            [b'h', b'r', b'p', b'c', RPC_VERSION, _, AUTH_SASL] => Expecting::Negotiation,
            [b'h', b'r', b'p', b'c', RPC_VERSION, _, auth] => {
                return Err(refuse(
                    RpcErrorCode::FatalUnauthorized,
                    format!("Unknown authentication {auth:#04x}"),
                ));
            }
            [b'h', b'r', b'p', b'c', version, ..] => {
                return Err(mismatch(format!(
                    "Server IPC version {RPC_VERSION} cannot communicate with client version {version}"
                )));
            }
            _ => {
                return Err(mismatch(
                    "This is no Hadoop RPC connection: it does not begin with 'hrpc'".to_owned(),
                ));
            }
        };
        Ok(Self {
            expecting,
            caller: None,
        })
    }

    /// Who is calling, once that is known.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Judges a frame.
    pub(super) fn receive(&mut self, mut frame: Bytes) -> Result<Incoming, Fatal> {
        let header: RpcRequestHeaderProto =
            decode_delimited(&mut frame, "RPC request header").map_err(|error| Fatal::bad_frame(&error))?;
        let reply_to = ReplyTo {
            call_id: header.call_id,
            client_id: header.client_id.clone(),
            retry_count: header.retry_count(),
        };
        match header.call_id {
            CALL_PING => Ok(Incoming::Nothing),
            CALL_SASL => self.negotiate(&reply_to, frame),
            CALL_CONTEXT => self.establish(&reply_to, frame),
            id if id < 0 => Err(Fatal::bad_header(&reply_to, format!("Unknown out of band call #{id}"))),
            _ => self.call(&header, reply_to, frame),
        }
    }

    fn negotiate(&mut self, reply_to: &ReplyTo, mut frame: Bytes) -> Result<Incoming, Fatal> {
        if self.expecting != Expecting::Negotiation {
            return Err(Fatal::bad_header(reply_to, "SASL was not asked for, or is over"));
        }
        let message: RpcSaslProto =
            decode_delimited(&mut frame, "SASL message").map_err(|error| cannot_decode(reply_to, &error))?;
        if message.state() != SaslState::Negotiate {
            return Err(unauthorized(
                reply_to,
                "This server offers no authentication: only NEGOTIATE is understood",
            ));
        }
        self.expecting = Expecting::Context;
        let answer = RpcSaslProto {
            state: SaslState::Success as i32,
            ..Default::default()
        };
        let reply = ReplyTo::call_id(CALL_SASL).success(&prost::Message::encode_to_vec(&answer), None);
        Ok(Incoming::Reply(reply))
    }

    fn establish(&mut self, reply_to: &ReplyTo, mut frame: Bytes) -> Result<Incoming, Fatal> {
        match self.expecting {
            Expecting::Negotiation => {
                return Err(unauthorized(reply_to, "SASL negotiation was announced but not made"));
            }
            Expecting::Calls => return Err(Fatal::bad_header(reply_to, "Connection context already processed")),
            Expecting::Context => {}
        }
        let context: IpcConnectionContextProto =
            decode_delimited(&mut frame, "connection context").map_err(|error| cannot_decode(reply_to, &error))?;
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let info = context.user_info.unwrap_or_default();
        let Some(user) = named(info.effective_user) else {
            return Err(unauthorized(reply_to, "The connection context names no user"));
        };
        self.caller = Some(Caller {
            user,
            real_user: named(info.real_user),
        });
        self.expecting = Expecting::Calls;
        Ok(Incoming::Established)
    }

    fn call(&self, header: &RpcRequestHeaderProto, reply_to: ReplyTo, mut frame: Bytes) -> Result<Incoming, Fatal> {
        if self.expecting != Expecting::Calls {
            return Err(Fatal::bad_header(&reply_to, "Connection context not established"));
        }
        let Some(client_id) = client_id(&header.client_id) else {
            return Err(Fatal::bad_header(
                &reply_to,
                format!("Client id of {} bytes, expected 16", header.client_id.len()),
            ));
        };
        if header.rpc_kind() != RpcKindProto::RpcProtocolBuffer || header.rpc_op() != OperationProto::RpcFinalPacket {
            return Err(Fatal::bad_header(
                &reply_to,
                "Only protobuf calls in one packet are understood",
            ));
        }
        let decoded = decode_delimited::<RequestHeaderProto>(&mut frame, "request header")
            .and_then(|head| Ok((head, split_delimited(&mut frame, "request")?)));
        let (head, request) = decoded.map_err(|error| cannot_decode(&reply_to, &error))?;
        Ok(Incoming::Call(Box::new(Call {
            reply_to,
            client_id,
            method: head.method_name,
            protocol: head.declaring_class_protocol_name,
            caller_context: header.caller_context.as_ref().map(|context| context.context.clone()),
            request,
        })))
    }
}

/// Sixteen bytes, or none at all.
fn client_id(bytes: &[u8]) -> Option<[u8; 16]> {
    if bytes.is_empty() {
        Some([0; 16])
    } else {
        bytes.try_into().ok()
    }
}

fn cannot_decode(reply_to: &ReplyTo, error: &FrameError) -> Fatal {
    Fatal::new(
        reply_to,
        RpcErrorCode::FatalDeserializingRequest,
        class::RPC_SERVER,
        error.to_string(),
    )
}

fn unauthorized(reply_to: &ReplyTo, message: &str) -> Fatal {
    Fatal::new(
        reply_to,
        RpcErrorCode::FatalUnauthorized,
        class::ACCESS_CONTROL,
        message,
    )
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
