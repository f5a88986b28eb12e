//! Bytes that no honest client sends. Each connection gets its answer and its end; the server serves on.

use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::proto::hadoop::common::rpc_sasl_proto::SaslState;
use quarry_dfs_wire::proto::hadoop::common::{RpcResponseHeaderProto, RpcSaslProto};
use quarry_dfs_wire::proto::hadoop::hdfs::{MkdirsRequestProto, MkdirsResponseProto};
use quarry_dfs_wire::rpc::frame::FrameBuilder;
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcErrorCode, RpcServer, RpcServerOptions};
use tokio::time::{Instant, timeout};

use crate::support::{PATIENCE, Raw, call_frame, client, context_frame, header, server};

async fn still_serves(server: &RpcServer) {
    let answer = client(server)
        .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
        .await;
    assert!(answer.unwrap().result);
}

/// The fatal reply, after which the connection must have ended.
async fn fatal(mut raw: Raw) -> RpcResponseHeaderProto {
    let (header, _) = raw.reply().await.expect("a fatal reply");
    assert_eq!(header.status, 2);
    assert!(header.exception_class_name.is_some() && header.error_msg.is_some());
    assert!(
        raw.reply().await.is_none(),
        "the connection goes on after a fatal reply"
    );
    header
}

#[tokio::test]
async fn impossible_frame_lengths_end_the_connection() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    for length in [-1, 0, i32::MAX, i32::MIN, 64 * 1024 * 1024 + 1] {
        let mut raw = Raw::established(&server).await;
        raw.send(&i32::to_be_bytes(length)).await;
        let header = fatal(raw).await;
        assert_eq!(header.error_detail(), RpcErrorCode::FatalInvalidRpcHeader, "{length}");
        assert!(
            header.error_msg().contains(&length.to_string()),
            "{}",
            header.error_msg()
        );
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn frames_before_the_context_must_be_small() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(b"hrpc\x09\x00\x00").await;
    raw.send(&(1024 * 1024i32).to_be_bytes()).await;
    assert_eq!(fatal(raw).await.error_detail(), RpcErrorCode::FatalInvalidRpcHeader);
    still_serves(&server).await;
}

#[tokio::test]
async fn garbage_ends_the_connection() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    for garbage in [&[0xff; 40][..], &[0; 40], &[0x80; 11], b"\x05hello"] {
        let mut raw = Raw::established(&server).await;
        raw.send(&[&(garbage.len() as u32).to_be_bytes()[..], garbage].concat())
            .await;
        fatal(raw).await;
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn a_request_that_does_not_decode_ends_the_connection() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::established(&server).await;
    raw.send(&call_frame(9, CLIENT_PROTOCOL, "rename", &[0xff; 9])).await;
    let header = fatal(raw).await;
    assert_eq!(
        (header.call_id, header.error_detail()),
        (9, RpcErrorCode::FatalDeserializingRequest)
    );
    still_serves(&server).await;
}

#[tokio::test]
async fn other_versions_and_other_protocols_are_told_so() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let prefaces: [&[u8]; 4] = [
        b"hrpc\x04\x00\x00",
        b"hrpc\xff\xff\xff",
        b"SSH-2.0",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ];
    for preface in prefaces {
        let mut raw = Raw::connect(&server).await;
        raw.send(preface).await;
        let header = fatal(raw).await;
        assert_eq!(
            (header.call_id, header.error_detail()),
            (u32::MAX, RpcErrorCode::FatalVersionMismatch)
        );
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn a_browser_gets_a_text() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(b"GET /jmx HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
        .await;
    let text = String::from_utf8(raw.read_to_end().await).unwrap();
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
    assert!(text.contains("Hadoop RPC"), "{text}");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_call_before_the_context_is_fatal() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(b"hrpc\x09\x00\x00").await;
    raw.send(&call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    assert_eq!(fatal(raw).await.error_detail(), RpcErrorCode::FatalInvalidRpcHeader);
    assert!(service.contexts.lock().is_empty(), "the call must not have run");
}

#[tokio::test]
async fn half_open_connections_are_given_up() {
    let short = Duration::from_millis(50);
    let options = RpcServerOptions {
        handshake_timeout: short,
        frame_timeout: short,
        idle_timeout: short,
        ..Default::default()
    };
    let (server, _service) = server(options).await;
    let frame = call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"");
    let beginnings: [(bool, &[u8]); 6] = [
        (false, b""),
        (false, b"hr"),
        (false, b"hrpc\x09\x00\x00"),
        (true, b""),
        (true, b"\0\0"),
        (true, &frame[..frame.len() - 1]),
    ];
    for (established, bytes) in beginnings {
        let began = Instant::now();
        let mut raw = if established {
            Raw::established(&server).await
        } else {
            Raw::connect(&server).await
        };
        raw.send(bytes).await;
        assert!(raw.read_to_end().await.is_empty());
        assert!(began.elapsed() >= short);
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn a_client_that_stops_sending_still_gets_its_answers() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::established(&server).await;
    raw.send(&call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    raw.send(&call_frame(2, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    raw.finish_sending().await;
    let mut ids = [
        raw.reply().await.unwrap().0.call_id,
        raw.reply().await.unwrap().0.call_id,
    ];
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    assert!(raw.reply().await.is_none());
}

#[tokio::test]
async fn sasl_and_pings_on_a_real_connection() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::connect(&server).await;
    let negotiate = RpcSaslProto {
        state: SaslState::Negotiate as i32,
        ..Default::default()
    };
    // One byte at a time: where the stream is cut means nothing.
    let opening = [
        b"hrpc\x09\x00\xdf",
        &FrameBuilder::new().message(&header(-33)).message(&negotiate).finish()[..],
    ]
    .concat();
    for byte in opening {
        raw.send(&[byte]).await;
    }
    let (reply, body) = raw.reply().await.unwrap();
    assert_eq!((reply.call_id, reply.status), (4_294_967_263, 0));
    assert_eq!(RpcSaslProto::decode(body).unwrap().state(), SaslState::Success);
    let ping = FrameBuilder::new().message(&header(-4)).finish();
    raw.send(
        &[
            &context_frame("bob")[..],
            &ping,
            &call_frame(5, CLIENT_PROTOCOL, "mkdirs", b""),
            &ping,
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.reply().await.unwrap().0.call_id, 5);
    assert_eq!(service.contexts.lock()[0].user, "bob");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_holds_up_nobody_else() {
    let options = RpcServerOptions {
        max_calls_per_connection: 4,
        write_timeout: Duration::from_millis(200),
        drain_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let (server, _service) = server(options).await;
    let mut raw = Raw::established(&server).await;
    let request = quarry_dfs_wire::proto::hadoop::hdfs::RenameRequestProto {
        src: "x".repeat(1 << 20),
        dst: String::new(),
    };
    let frame = call_frame(1, CLIENT_PROTOCOL, "rename", &request.encode_to_vec());
    // Far more than socket buffers hold; the server must stop reading, and then give the connection up.
    let flood = async {
        for _ in 0..200 {
            raw.send(&frame).await;
        }
    };
    timeout(PATIENCE, flood)
        .await
        .expect("the server neither reads nor closes");
    still_serves(&server).await;
}
