//! Calls that go well, and calls that fail and leave the connection as it was.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    GetFileInfoRequestProto, MkdirsRequestProto, MkdirsResponseProto, RenameRequestProto,
};
use quarry_dfs_wire::rpc::exception::class;
use quarry_dfs_wire::rpc::{
    CLIENT_PROTOCOL, CallOptions, RpcClient, RpcClientError, RpcClientOptions, RpcErrorCode, RpcServerOptions,
};

use crate::support::{Raw, call_frame, client, eventually, server};

fn rename(i: usize) -> RenameRequestProto {
    RenameRequestProto {
        src: format!("/a{i}"),
        dst: "b".repeat(i),
    }
}

#[tokio::test]
async fn a_call_reaches_the_service_with_its_context() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let how = CallOptions {
        call_id: Some(77),
        retry_count: 3,
        timeout: None,
    };
    let answer: RenameRequestProto = client.call_with("rename", &rename(1), how).await.unwrap();
    assert_eq!(answer, rename(1));
    let context = service.contexts.lock()[0].clone();
    assert_eq!(
        (
            context.user.as_str(),
            context.real_user,
            context.call_id,
            context.retry_count
        ),
        ("alice", None, 77, 3)
    );
    assert_eq!(
        (context.protocol.as_str(), context.method.as_str()),
        (CLIENT_PROTOCOL, "rename")
    );
    assert_ne!(context.client_id, [0; 16]);
    assert!(context.peer.ip().is_loopback());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_a_connection() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let calls = (0..2000).map(|i| {
        let client = client.clone();
        async move {
            let answer: RenameRequestProto = client.call("rename", &rename(i)).await.unwrap();
            assert_eq!(answer, rename(i));
        }
    });
    join_all(calls).await;
    let contexts = service.contexts.lock();
    assert_eq!(contexts.len(), 2000);
    assert!(
        contexts.iter().all(|context| context.peer == contexts[0].peer),
        "one connection"
    );
}

#[tokio::test]
async fn replies_overtake_each_other() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let request = GetFileInfoRequestProto { src: "/slow".into() };
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call::<_, GetFileInfoRequestProto>("getFileInfo", &request).await }
    });
    eventually("the slow call runs", || service.running.load(Ordering::SeqCst) == 1).await;
    let fast: MkdirsResponseProto = client.call("mkdirs", &MkdirsRequestProto::default()).await.unwrap();
    assert!(fast.result && !slow.is_finished());
    service.gate.0.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().src, "/slow");
}

#[tokio::test]
async fn failures_leave_the_connection_as_it_was() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let failure = |method: &'static str| {
        let client = client.clone();
        async move {
            match client
                .call::<_, MkdirsResponseProto>(method, &MkdirsRequestProto::default())
                .await
            {
                Err(RpcClientError::Exception(exception)) => exception,
                other => panic!("{method}: {other:?}"),
            }
        }
    };
    let unknown = failure("noSuchThing").await;
    assert_eq!(
        (unknown.class.as_ref(), unknown.code),
        (class::NO_SUCH_METHOD, RpcErrorCode::ErrorNoSuchMethod)
    );
    assert!(unknown.message.contains("noSuchThing"), "{unknown}");
    let refused = failure("delete").await;
    assert_eq!(
        (refused.class.as_ref(), refused.code),
        (class::SAFE_MODE, RpcErrorCode::ErrorApplication)
    );
    assert_eq!(refused.message, "Cannot delete /a. Name node is in safe mode.");
    let panicked = failure("create").await;
    assert_eq!(
        (panicked.class.as_ref(), panicked.code),
        (class::RPC_SERVER, RpcErrorCode::ErrorRpcServer)
    );
    client
        .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
        .await
        .unwrap();
    let contexts = service.contexts.lock();
    assert!(
        contexts.iter().all(|context| context.peer == contexts[0].peer),
        "one connection"
    );
}

#[tokio::test]
async fn an_unknown_protocol_leaves_the_connection_as_it_was() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let mut raw = Raw::established(&server).await;
    raw.send(&call_frame(1, "org.example.Nothing", "mkdirs", b"")).await;
    let (header, body) = raw.reply().await.unwrap();
    assert_eq!(
        (header.status, header.exception_class_name()),
        (1, class::NO_SUCH_PROTOCOL)
    );
    assert_eq!(header.error_detail(), RpcErrorCode::ErrorNoSuchProtocol);
    assert!(body.is_empty());
    raw.send(&call_frame(2, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    let (header, body) = raw.reply().await.unwrap();
    assert_eq!(
        (header.call_id, header.status, header.state_id, header.client_id()),
        (2, 0, Some(42), &[3; 16][..])
    );
    assert_eq!(&body[..], [8, 1]);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout_and_the_next_call_goes_on() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let request = GetFileInfoRequestProto { src: "/slow".into() };
    let how = CallOptions {
        timeout: Some(Duration::from_millis(50)),
        ..Default::default()
    };
    let error = client
        .call_with::<_, GetFileInfoRequestProto>("getFileInfo", &request, how)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RpcClientError::Timeout { method, .. } if method == "getFileInfo"),
        "{error}"
    );
    assert!(error.may_have_been_executed());
    client
        .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
        .await
        .unwrap();
    service.gate.0.add_permits(1);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_by_the_server() {
    let options = RpcServerOptions {
        call_timeout: Duration::from_millis(30),
        ..Default::default()
    };
    let (server, _service) = server(options).await;
    let request = GetFileInfoRequestProto { src: "/slow".into() };
    let error = client(&server)
        .call::<_, GetFileInfoRequestProto>("getFileInfo", &request)
        .await
        .unwrap_err();
    assert!(error.is_exception(class::RETRIABLE), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_told_from_a_lost_one() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let address = server.local_addr().to_string();
    server.shutdown().await;
    let client = RpcClient::new(address, "alice", CLIENT_PROTOCOL, RpcClientOptions::default());
    let error = client
        .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcClientError::Connect { .. }), "{error}");
    assert!(!error.may_have_been_executed());
}

#[tokio::test]
async fn answers_that_do_not_decode_are_said_to_be_so() {
    let (server, _service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    // The answer of mkdirs is a number where a text is expected.
    let error = client
        .call::<_, RenameRequestProto>("mkdirs", &MkdirsRequestProto::default())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcClientError::Decode { .. }), "{error}");
    client
        .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn several_connections_share_the_calls() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let options = RpcClientOptions {
        connections: 3,
        ..Default::default()
    };
    let client = RpcClient::new(server.local_addr().to_string(), "alice", CLIENT_PROTOCOL, options);
    for _ in 0..9 {
        client
            .call::<_, MkdirsResponseProto>("mkdirs", &MkdirsRequestProto::default())
            .await
            .unwrap();
    }
    let contexts = service.contexts.lock();
    let peers: std::collections::HashSet<_> = contexts.iter().map(|context| context.peer).collect();
    assert_eq!(peers.len(), 3);
    assert!(
        contexts
            .iter()
            .all(|context| context.client_id == contexts[0].client_id),
        "one client all the same"
    );
}
