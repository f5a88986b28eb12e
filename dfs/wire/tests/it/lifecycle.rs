//! How servers and connections come and go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quarry_dfs_wire::proto::hadoop::hdfs::{GetFileInfoRequestProto, MkdirsRequestProto, MkdirsResponseProto};
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcClient, RpcClientError, RpcClientOptions, RpcServer, RpcServerOptions};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{PATIENCE, Raw, TestService, call_frame, client, eventually, server};

async fn mkdirs(client: &RpcClient) -> Result<MkdirsResponseProto, RpcClientError> {
    client.call("mkdirs", &MkdirsRequestProto::default()).await
}

#[tokio::test]
async fn shutdown_answers_the_calls_that_run() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    let request = GetFileInfoRequestProto { src: "/slow".into() };
    let slow = tokio::spawn(async move { client.call::<_, GetFileInfoRequestProto>("getFileInfo", &request).await });
    eventually("the slow call runs", || service.running.load(Ordering::SeqCst) == 1).await;
    let shutdown = tokio::spawn(server.shutdown());
    sleep(Duration::from_millis(20)).await;
    assert!(!shutdown.is_finished());
    service.gate.0.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().src, "/slow");
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let options = RpcServerOptions {
        drain_timeout: Duration::from_millis(50),
        ..Default::default()
    };
    let (server, service) = server(options).await;
    let client = client(&server);
    let request = GetFileInfoRequestProto { src: "/stuck".into() };
    let stuck = tokio::spawn(async move { client.call::<_, GetFileInfoRequestProto>("getFileInfo", &request).await });
    eventually("the call runs", || service.running.load(Ordering::SeqCst) == 1).await;
    timeout(PATIENCE, server.shutdown())
        .await
        .expect("shutdown waits for ever");
    let error = stuck.await.unwrap().unwrap_err();
    assert!(matches!(error, RpcClientError::Lost { .. }), "{error}");
    assert!(error.may_have_been_executed());
}

#[tokio::test]
async fn a_client_connects_again_after_the_server_came_back() {
    let (server, service) = server(RpcServerOptions::default()).await;
    let (address, client) = (server.local_addr(), client(&server));
    mkdirs(&client).await.unwrap();
    server.shutdown().await;
    let server = RpcServer::bind(address, service, RpcServerOptions::default())
        .await
        .unwrap();
    let mut tries = 0;
    let again = async {
        // The call that meets the dying connection may be lost; the client does not repeat it by itself.
        while mkdirs(&client).await.is_err() {
            tries += 1;
        }
    };
    timeout(PATIENCE, again).await.expect("the client does not come back");
    assert!(tries <= 2, "{tries} tries");
    drop(server);
}

#[tokio::test]
async fn a_server_that_is_silent_is_left_for_a_new_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = RpcClientOptions {
        call_timeout: Duration::from_millis(50),
        ..Default::default()
    };
    let client = RpcClient::new(
        silent.local_addr().unwrap().to_string(),
        "alice",
        CLIENT_PROTOCOL,
        options,
    );
    let mut peers = Vec::new();
    for _ in 0..2 {
        let (answer, accepted) = tokio::join!(mkdirs(&client), silent.accept());
        assert!(matches!(answer, Err(RpcClientError::Timeout { .. })), "{answer:?}");
        peers.push(accepted.unwrap());
    }
    assert_ne!(peers[0].1, peers[1].1);
}

#[tokio::test]
async fn a_dropped_client_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = RpcClient::new(address, "alice", CLIENT_PROTOCOL, RpcClientOptions::default());
    let call = tokio::spawn(async move { mkdirs(&client).await });
    let (mut socket, _) = listener.accept().await.unwrap();
    call.abort();
    let mut everything = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut everything);
    timeout(PATIENCE, end).await.expect("the connection stays").unwrap();
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed() {
    let options = RpcServerOptions {
        max_connections: 2,
        ..Default::default()
    };
    let (server, _service) = server(options).await;
    let mut first = Raw::established(&server).await;
    first.send(&call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    assert!(first.reply().await.is_some());
    let mut second = Raw::established(&server).await;
    second.send(&call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"")).await;
    assert!(second.reply().await.is_some());
    let mut third = Raw::connect(&server).await;
    assert!(third.read_to_end().await.is_empty());
    drop(first);
    let began = Instant::now();
    let client = client(&server);
    while mkdirs(&client).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the freed place is not given out");
    }
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let service = std::sync::Arc::new(TestService::default());
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), service, RpcServerOptions::default())
        .await
        .unwrap();
    let address = server.local_addr();
    let client = client(&server);
    mkdirs(&client).await.unwrap();
    drop(server);
    let refused = async {
        while TcpListener::bind(address).await.is_err() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("the port stays taken");
}

#[tokio::test]
async fn calls_above_the_limit_wait_for_a_place() {
    let options = RpcServerOptions {
        max_calls_per_connection: 2,
        ..Default::default()
    };
    let (server, service) = server(options).await;
    let mut raw = Raw::established(&server).await;
    let request = prost::Message::encode_to_vec(&GetFileInfoRequestProto { src: "/slow".into() });
    for id in 0..5 {
        raw.send(&call_frame(id, CLIENT_PROTOCOL, "getFileInfo", &request))
            .await;
    }
    eventually("two calls run", || service.running.load(Ordering::SeqCst) == 2).await;
    // Another connection's round trip is time enough for a third call to start, if it could.
    mkdirs(&client(&server)).await.unwrap();
    assert_eq!(service.running.load(Ordering::SeqCst), 2);
    service.gate.0.add_permits(5);
    for _ in 0..5 {
        assert_eq!(raw.reply().await.unwrap().0.status, 0);
    }
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn idle_connections_cost_little_and_hinder_nobody() {
    // Both ends are in this process, which may have 1024 descriptors.
    const IDLE: usize = 400;
    let (server, _service) = server(RpcServerOptions::default()).await;
    let client = client(&server);
    mkdirs(&client).await.unwrap();
    let before = resident();
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut raw = Raw::established(&server).await;
        raw.send(&call_frame(1, CLIENT_PROTOCOL, "mkdirs", b"")).await;
        assert!(raw.reply().await.is_some());
        idle.push(raw);
    }
    let each = resident().saturating_sub(before) / IDLE;
    // Both ends together: 10,000 of them are less than 250 MB.
    assert!(each < 24 * 1024, "{each} bytes");
    mkdirs(&client).await.unwrap();
}
