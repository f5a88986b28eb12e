//! Figures, health and hostile requests over HTTP.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fake_datanode::FakeDataNode;
use crate::support::{Client, DEADLINE, eventually, start};

/// Sends bytes as they are; all that comes back until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses a request may reset the connection with bytes of it unread.
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server answers and closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status and body of a `GET`.
pub(crate) async fn get(address: SocketAddr, target: &str) -> (u16, String) {
    let answer = raw(address, format!("GET {target} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_in_hdfs_s_beans_and_in_prometheus_text() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, _node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    assert!(client.mkdirs("/a/b").await);
    let http = namenode.http_addr();
    let query = "Hadoop:service=NameNode,name=FSNamesystemState";
    let (code, body) = get(http, &format!("/jmx?qry={query}")).await;
    let beans: serde_json::Value = serde_json::from_str(&body).unwrap();
    let bean = &beans["beans"][0];
    assert_eq!((code, bean["name"].as_str()), (200, Some(query)));
    assert_eq!((&bean["FilesTotal"], &bean["NumLiveDataNodes"]), (&3.into(), &1.into()));
    assert_eq!(bean["FSState"], "Operational");
    let (_, all) = get(http, "/jmx").await;
    for name in ["FSNamesystem\"", "NameNodeInfo", "NameNodeStatus"] {
        assert!(all.contains(name), "{name}: {all}");
    }
    let (code, metrics) = get(http, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "quarry_dfs_inodes 3",
        "quarry_dfs_datanodes{state=\"live\"} 1",
        "# TYPE quarry_dfs_transactions_total counter",
        "quarry_datanode_capacity_bytes{datanode=\"127.0.0.1:10001\"} 1073741824",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_differ_in_safe_mode() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let http = namenode.http_addr();
    eventually("a new cluster leaves safe mode", async || {
        get(http, "/readyz").await.0 == 200
    })
    .await;
    let request = quarry_dfs_wire::proto::hadoop::hdfs::SetSafeModeRequestProto {
        action: quarry_dfs_wire::proto::hadoop::hdfs::SafeModeActionProto::SafemodeEnter as i32,
        ..Default::default()
    };
    let entered: quarry_dfs_wire::proto::hadoop::hdfs::SetSafeModeResponseProto =
        Client::of(&namenode).call("setSafeMode", &request).await.unwrap();
    assert!(entered.result);
    let (code, why) = get(http, "/readyz").await;
    assert_eq!(code, 503);
    assert!(why.starts_with("safe mode: "), "{why}");
    assert_eq!(get(http, "/healthz").await, (200, "ok\n".to_owned()));
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_get_an_error_and_cost_their_connection_only() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let http = namenode.http_addr();
    let (code, text) = get(http, "/nothing").await;
    assert_eq!(code, 404);
    assert!(text.contains("expected /fsck"), "{text}");
    assert!(
        raw(http, b"\x00\xff\x13garbage\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    let long = format!("GET /fsck?path={} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    let refused = raw(http, long.as_bytes()).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{refused}");
    let post = raw(http, b"POST /fsck HTTP/1.0\r\nContent-Length: 0\r\n\r\n").await;
    assert!(post.starts_with("HTTP/1.0 405"), "{post}");
    assert_eq!(get(http, "/fsck?path=%ff%fe%zz&ugi=%00").await.0, 200);
    assert_eq!(get(http, "/healthz").await.0, 200);
    namenode.shutdown().await;
}
