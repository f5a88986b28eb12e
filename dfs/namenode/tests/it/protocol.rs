//! The RPC surface: what is there, what is not, who may.

use quarry_dfs_wire::proto::hadoop::common::HaServiceStateProto;
use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::{CallOptions, NAMENODE_PROTOCOL, RpcClient, RpcClientOptions};

use crate::support::{Client, exception_class, start};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_and_bad_paths_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let unknown: Result<proto::MsyncResponseProto, _> = client.call("noSuchMethod", &proto::MsyncRequestProto {}).await;
    assert_eq!(exception_class(unknown), "RpcNoSuchMethodException");
    let absent: Result<proto::MsyncResponseProto, _> =
        client.call("createSnapshot", &proto::MsyncRequestProto {}).await;
    assert_eq!(exception_class(absent), "UnsupportedOperationException");
    assert!(
        client.status("/a/../b").await.is_none(),
        "what no file is called is not found"
    );
    let request = proto::MkdirsRequestProto {
        src: "/a/../b".to_owned(),
        ..Default::default()
    };
    let bad: Result<proto::MkdirsResponseProto, _> = client.call("mkdirs", &request).await;
    assert_eq!(exception_class(bad), "InvalidPathException");
    let request = proto::GetFileInfoRequestProto {
        src: "relative".to_owned(),
    };
    let bad: Result<proto::GetFileInfoResponseProto, _> = client.call("getFileInfo", &request).await;
    assert_eq!(exception_class(bad), "AssertionError");
    assert!(client.status("/").await.is_some(), "the connection goes on");
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_paths_answer_as_hdfs_does() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    assert!(client.status("/none").await.is_none());
    let listing = proto::GetListingRequestProto {
        src: "/none".to_owned(),
        start_after: Default::default(),
        need_location: false,
    };
    assert!(
        client
            .call::<proto::GetListingResponseProto>("getListing", &listing)
            .await
            .unwrap()
            .dir_list
            .is_none()
    );
    assert_eq!(
        exception_class(client.locations("/none").await),
        "FileNotFoundException"
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_may_not_write_to_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::as_user(&namenode, "bob");
    let request = proto::MkdirsRequestProto {
        src: "/bob".to_owned(),
        masked: proto::FsPermissionProto { perm: 0o755 },
        create_parent: true,
        unmasked: None,
    };
    let refused: Result<proto::MkdirsResponseProto, _> = client.call("mkdirs", &request).await;
    assert_eq!(exception_class(refused), "AccessControlException");
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sent_twice_happens_once() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    client.mkdirs("/d").await;
    let request = proto::DeleteRequestProto {
        src: "/d".to_owned(),
        recursive: true,
    };
    let call_id = client.0.next_call_id();
    for retry_count in 0..3 {
        let options = CallOptions {
            call_id: Some(call_id),
            retry_count,
            ..CallOptions::default()
        };
        let answer: proto::DeleteResponseProto = client.0.call_with("delete", &request, options).await.unwrap();
        assert!(answer.result, "try {retry_count}");
    }
    let again: proto::DeleteResponseProto = client.call("delete", &request).await.unwrap();
    assert!(!again.result);
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_the_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let defaults: proto::GetServerDefaultsResponseProto = client
        .call("getServerDefaults", &proto::GetServerDefaultsRequestProto {})
        .await
        .unwrap();
    assert_eq!(
        (
            defaults.server_defaults.block_size,
            defaults.server_defaults.bytes_per_checksum
        ),
        (128 << 20, 512)
    );
    let state: proto::HaServiceStateResponseProto = client
        .call("getHAServiceState", &proto::HaServiceStateRequestProto {})
        .await
        .unwrap();
    assert_eq!(state.state, HaServiceStateProto::Active as i32);
    let stats: proto::GetFsStatsResponseProto = client
        .call("getFsStats", &proto::GetFsStatusRequestProto {})
        .await
        .unwrap();
    assert_eq!((stats.capacity, stats.missing_blocks), (0, 0));
    let zones: proto::ListEncryptionZonesResponseProto = client
        .call("listEncryptionZones", &proto::ListEncryptionZonesRequestProto { id: 0 })
        .await
        .unwrap();
    assert!(zones.zones.is_empty() && !zones.has_more);
    let address = namenode.rpc_addr().to_string();
    let benchmark = RpcClient::new(address, "hdfs", NAMENODE_PROTOCOL, RpcClientOptions::default());
    let version: proto::VersionResponseProto = benchmark
        .call("versionRequest", &proto::VersionRequestProto {})
        .await
        .unwrap();
    assert_eq!(version.info.block_pool_id, namenode.block_pool_id());
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_are_all_durable() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let clients: Vec<Client> = (0..4).map(|_| Client::of(&namenode)).collect();
    let makes = clients
        .iter()
        .enumerate()
        .flat_map(|(c, client)| (0..100).map(move |n| async move { client.mkdirs(&format!("/c{c}/{n}")).await }));
    assert!(futures::future::join_all(makes).await.into_iter().all(|made| made));
    namenode.shutdown().await;
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    for c in 0..4 {
        assert_eq!(client.status(&format!("/c{c}")).await.unwrap().children_num, Some(100));
    }
    namenode.shutdown().await;
}
