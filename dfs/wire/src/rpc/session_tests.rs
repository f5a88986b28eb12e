//! What connections may say, and what they get for saying something else.
#![allow(clippy::unwrap_used)]

use bytes::Buf;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::proto::hadoop::common::{RpcResponseHeaderProto, UserInformationProto};
use crate::rpc::frame::FrameBuilder;

const SIMPLE: &[u8] = b"hrpc\x09\x00\x00";
const SASL: &[u8] = b"hrpc\x09\x00\xdf";

fn header(call_id: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
        rpc_op: Some(OperationProto::RpcFinalPacket as i32),
        call_id,
        client_id: Bytes::from_static(&[7; 16]),
        ..Default::default()
    }
}

fn frame(header: &RpcRequestHeaderProto, messages: &[&[u8]]) -> Bytes {
    let builder = messages
        .iter()
        .fold(FrameBuilder::new().message(header), |frame, message| {
            frame.encoded(message)
        });
    builder.finish().slice(4..)
}

fn context(user: &str) -> Bytes {
    let user_info = UserInformationProto {
        effective_user: Some(user.into()),
        real_user: Some(String::new()),
    };
    let context = IpcConnectionContextProto {
        user_info: Some(user_info),
        protocol: Some("p".into()),
    };
    frame(&header(CALL_CONTEXT), &[&context.encode_to_vec()])
}

fn request(method: &str) -> Vec<u8> {
    let head = RequestHeaderProto {
        method_name: method.into(),
        declaring_class_protocol_name: "p".into(),
        client_protocol_version: 1,
    };
    head.encode_to_vec()
}

fn sasl(state: SaslState) -> Bytes {
    frame(
        &header(CALL_SASL),
        &[&RpcSaslProto {
            state: state as i32,
            ..Default::default()
        }
        .encode_to_vec()],
    )
}

fn established() -> Session {
    let mut session = Session::open(SIMPLE).unwrap();
    assert!(matches!(session.receive(context("alice")), Ok(Incoming::Established)));
    session
}

fn code(result: Result<Incoming, Fatal>) -> RpcErrorCode {
    let fatal = result.unwrap_err();
    let mut reply = fatal.reply.slice(4..);
    let header: RpcResponseHeaderProto = decode_delimited(&mut reply, "header").unwrap();
    assert_eq!(header.status, 2, "FATAL");
    assert_eq!(header.error_detail(), fatal.reason.code);
    fatal.reason.code
}

#[test]
fn a_call_arrives_with_its_caller() {
    let mut session = established();
    assert_eq!(session.caller().unwrap().user, "alice");
    assert_eq!(session.caller().unwrap().real_user, None);
    let Ok(Incoming::Call(call)) = session.receive(frame(&header(5), &[&request("mkdirs"), b"body"])) else {
        panic!()
    };
    assert_eq!(
        (call.method.as_str(), call.protocol.as_str(), &call.request[..]),
        ("mkdirs", "p", &b"body"[..])
    );
    assert_eq!(
        (call.client_id, call.reply_to.call_id, call.reply_to.retry_count),
        ([7; 16], 5, -1)
    );
}

#[test]
fn prefaces_that_cannot_be_served() {
    let cases: [(&[u8], _); 5] = [
        (b"", RpcErrorCode::FatalVersionMismatch),
        (b"hrp", RpcErrorCode::FatalVersionMismatch),
        (b"xrpc\x09\x00\x00", RpcErrorCode::FatalVersionMismatch),
        (b"hrpc\x04\x00\x00", RpcErrorCode::FatalVersionMismatch),
        (b"hrpc\x09\x00\x01", RpcErrorCode::FatalUnauthorized),
    ];
    for (preface, expected) in cases {
        let fatal = Session::open(preface).unwrap_err();
        assert_eq!(fatal.reason.code, expected, "{preface:?}");
        let mut reply = fatal.reply.slice(4..);
        let header: RpcResponseHeaderProto = decode_delimited(&mut reply, "header").unwrap();
        assert_eq!(header.call_id, u32::MAX);
    }
}

#[test]
fn sasl_is_answered_with_success_and_then_goes_on_as_simple() {
    let mut session = Session::open(SASL).unwrap();
    let Ok(Incoming::Reply(reply)) = session.receive(sasl(SaslState::Negotiate)) else {
        panic!()
    };
    let mut reply = reply.slice(4..);
    let header: RpcResponseHeaderProto = decode_delimited(&mut reply, "header").unwrap();
    let message: RpcSaslProto = decode_delimited(&mut reply, "sasl").unwrap();
    assert_eq!(
        (header.call_id, header.status, message.state()),
        (4_294_967_263, 0, SaslState::Success)
    );
    assert!(matches!(session.receive(context("bob")), Ok(Incoming::Established)));
}

#[test]
fn sasl_out_of_order_is_fatal() {
    assert_eq!(
        code(Session::open(SIMPLE).unwrap().receive(sasl(SaslState::Negotiate))),
        RpcErrorCode::FatalInvalidRpcHeader
    );
    assert_eq!(
        code(Session::open(SASL).unwrap().receive(sasl(SaslState::Initiate))),
        RpcErrorCode::FatalUnauthorized
    );
    assert_eq!(
        code(Session::open(SASL).unwrap().receive(context("bob"))),
        RpcErrorCode::FatalUnauthorized
    );
}

#[test]
fn the_context_comes_once_and_first_and_names_a_user() {
    let call = frame(&header(0), &[&request("m"), b""]);
    assert_eq!(
        code(Session::open(SIMPLE).unwrap().receive(call)),
        RpcErrorCode::FatalInvalidRpcHeader
    );
    assert_eq!(
        code(established().receive(context("mallory"))),
        RpcErrorCode::FatalInvalidRpcHeader
    );
    assert_eq!(
        code(Session::open(SIMPLE).unwrap().receive(context(""))),
        RpcErrorCode::FatalUnauthorized
    );
}

#[test]
fn pings_are_ignored_at_any_time() {
    let ping = || frame(&header(CALL_PING), &[]);
    assert!(matches!(
        Session::open(SIMPLE).unwrap().receive(ping()),
        Ok(Incoming::Nothing)
    ));
    assert!(matches!(established().receive(ping()), Ok(Incoming::Nothing)));
}

#[test]
fn malformed_calls_are_fatal() {
    let good = header(1);
    let receive =
        |header: &RpcRequestHeaderProto, messages: &[&[u8]]| code(established().receive(frame(header, messages)));
    let bad_header = RpcErrorCode::FatalInvalidRpcHeader;
    assert_eq!(receive(&header(-17), &[]), bad_header);
    assert_eq!(
        receive(
            &RpcRequestHeaderProto {
                client_id: Bytes::from_static(b"short"),
                ..good.clone()
            },
            &[]
        ),
        bad_header
    );
    assert_eq!(
        receive(
            &RpcRequestHeaderProto {
                rpc_kind: Some(1),
                ..good.clone()
            },
            &[&request("m"), b""]
        ),
        bad_header
    );
    assert_eq!(
        receive(
            &RpcRequestHeaderProto {
                rpc_op: Some(2),
                ..good.clone()
            },
            &[&request("m"), b""]
        ),
        bad_header
    );
    assert_eq!(receive(&good, &[]), RpcErrorCode::FatalDeserializingRequest);
    assert_eq!(receive(&good, &[b"\xff\xff"]), RpcErrorCode::FatalDeserializingRequest);
    assert_eq!(
        receive(&good, &[&request("m")]),
        RpcErrorCode::FatalDeserializingRequest
    );
    assert_eq!(
        code(established().receive(Bytes::from_static(b"\xff\xff\xff"))),
        bad_header
    );
}

#[test]
fn a_client_may_have_no_id() {
    let anonymous = RpcRequestHeaderProto {
        client_id: Bytes::new(),
        ..header(1)
    };
    let Ok(Incoming::Call(call)) = established().receive(frame(&anonymous, &[&request("m"), b""])) else {
        panic!()
    };
    assert_eq!(call.client_id, [0; 16]);
}

proptest! {
    #[test]
    fn no_bytes_panic(preface in any::<[u8; 7]>(), frames in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
        let _ = Session::open(&preface);
        for open in [SIMPLE, SASL] {
            let mut session = Session::open(open).unwrap();
            for frame in &frames {
                let _ = session.receive(Bytes::from(frame.clone()));
            }
        }
        for frame in &frames {
            let _ = established().receive(Bytes::from(frame.clone()));
        }
    }

    #[test]
    fn a_damaged_call_is_a_call_or_fatal(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = frame(&header(1), &[&request("getFileInfo"), b"0123456789"]).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = established().receive(Bytes::from(bytes.clone()));
        let remaining = bytes.as_slice().remaining();
        prop_assert!(remaining > 0);
    }
}

#[test]
fn constants_match_the_preface() {
    assert_eq!(SIMPLE.len(), PREFACE_LENGTH);
    assert_eq!(&SIMPLE[..4], MAGIC);
}
