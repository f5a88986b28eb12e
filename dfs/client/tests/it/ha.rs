//! Several NameNodes behind one name: the client finds the one that serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig, Error, HadoopConf};
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, CallContext, RpcException, RpcServer, RpcServerOptions, RpcService};

use crate::cluster::{Cluster, USER, get, payload, put};
use crate::toxic::{Toxic, Toxin};

/// A NameNode that never serves.
struct Standby;

#[async_trait]
impl RpcService for Standby {
    fn protocols(&self) -> &[&'static str] {
        &[CLIENT_PROTOCOL]
    }

    async fn call(&self, _: CallContext, _: Bytes) -> Result<Bytes, RpcException> {
        Err(RpcException::standby(
            "Operation category READ is not supported in state standby",
        ))
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn standby() -> RpcServer {
    RpcServer::bind(any_port(), Arc::new(Standby), RpcServerOptions::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_name_service_is_served_by_whoever_is_active() {
    let cluster = Cluster::start(1).await;
    let standby = standby().await;
    // Nobody listens there.
    let gone = tokio::net::TcpListener::bind(any_port())
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let property = |name: &str, value: &str| format!("<property><name>{name}</name><value>{value}</value></property>");
    let core = property("fs.defaultFS", "hdfs://service");
    let site = [
        property("dfs.nameservices", "service"),
        property("dfs.ha.namenodes.service", "a,b,c"),
        property("dfs.namenode.rpc-address.service.a", &gone.to_string()),
        property("dfs.namenode.rpc-address.service.b", &standby.local_addr().to_string()),
        property("dfs.namenode.rpc-address.service.c", &cluster.config().namenode),
        property("dfs.replication", "1"),
        property("dfs.blocksize", "1m"),
    ]
    .concat();
    for (name, text) in [("core-site.xml", core), ("hdfs-site.xml", site)] {
        std::fs::write(dir.path().join(name), format!("<configuration>{text}</configuration>")).unwrap();
    }
    let conf = HadoopConf::load(dir.path()).unwrap();
    let (authority, path) = conf.resolve("hdfs://service/d/f");
    let config = conf.client_config(authority.as_deref()).unwrap();
    let client = DfsClient::new(DfsClientConfig {
        user: USER.into(),
        ..config
    });
    put(&client, &path, payload(1, 3_000_000), 1).await;
    assert_eq!(get(&client, &path).await, payload(1, 3_000_000));
    let began = Instant::now();
    client.status("/").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "the active one is remembered");
}

#[tokio::test]
async fn only_standbys_is_an_error_that_says_so() {
    let (a, b) = (standby().await, standby().await);
    let client = DfsClient::new(DfsClientConfig {
        namenode_timeout: Duration::from_secs(1),
        ..DfsClientConfig::new(format!("{},{}", a.local_addr(), b.local_addr()))
    });
    let error = client.status("/").await.unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("standby"), "{error}");
}

/// Answers get lost; what was done is not done twice, and its success is what the caller hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_again() {
    let cluster = Cluster::start(1).await;
    let namenode: SocketAddr = cluster.config().namenode.parse().unwrap();
    let proxy = Toxic::start(any_port(), namenode).await.unwrap();
    let client = DfsClient::new(DfsClientConfig {
        namenode: proxy.address().to_string(),
        ..cluster.config()
    });
    client.mkdirs("/d").await.unwrap();
    let lose_the_answer = async {
        proxy.set(Toxin::Pass, Toxin::Hole);
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Toxin::Pass, Toxin::Pass);
        proxy.cut();
    };
    // Each of these fails when executed a second time.
    let create = client.create("/d/f", CreateOptions::default());
    let (created, ()) = tokio::join!(create, lose_the_answer);
    let mut writer = created.unwrap();
    writer.write(payload(1, 10)).await.unwrap();
    writer.close().await.unwrap();
    for step in 0..3 {
        let lose_the_answer = async {
            proxy.set(Toxin::Pass, Toxin::Hole);
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.cut();
            proxy.set(Toxin::Pass, Toxin::Pass);
        };
        let call = async {
            match step {
                0 => client.rename("/d/f", "/d/g", Default::default()).await.unwrap(),
                1 => drop(client.append("/d/g", false).await.unwrap().close().await.unwrap()),
                _ => assert!(client.delete("/d/g", false).await.unwrap(), "it was there"),
            }
        };
        tokio::join!(call, lose_the_answer);
    }
    assert!(client.list("/d").await.unwrap().is_empty());
}

#[tokio::test]
async fn safe_mode_makes_writers_wait_and_others_not() {
    use quarry_dfs_client::SafeModeAction;
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    client.safe_mode(SafeModeAction::Enter).await.unwrap();
    let refused = client.mkdirs("/d").await.unwrap_err();
    assert!(matches!(refused, Error::NotReady { .. }), "{refused}");
    let leave = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.safe_mode(SafeModeAction::Leave).await.unwrap();
    };
    let write = async {
        writer.write(payload(1, 3_000_000)).await.unwrap();
        writer.hflush().await.unwrap();
    };
    tokio::join!(leave, write);
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, payload(1, 3_000_000));
}
