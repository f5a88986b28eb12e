//! Restarts and damage.

use std::fs;
use std::path::{Path, PathBuf};

use quarry_dfs_namenode::{Error, NameNode, NameNodeConfig};
use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use crate::fake_datanode::{FakeDataNode, replica};
use crate::support::{Client, config, eventually, exception_class, start};

fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = all
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_are_there_after_an_unclean_end() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (cluster, pool) = (namenode.cluster_id().to_owned(), namenode.block_pool_id().to_owned());
    let client = Client::of(&namenode);
    for n in 0..50 {
        assert!(client.mkdirs(&format!("/d/{n}")).await);
    }
    let id = client.create("/open", 1).await.file_id;
    // What a crash leaves: the files as they are, copied while the NameNode lives.
    let copy = tempfile::tempdir().unwrap();
    for file in files(dir.path(), "") {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    namenode.shutdown().await;
    let again = start(copy.path()).await;
    assert_eq!(
        (again.cluster_id(), again.block_pool_id()),
        (cluster.as_str(), pool.as_str())
    );
    let client = Client::of(&again);
    for n in 0..50 {
        assert!(client.status(&format!("/d/{n}")).await.is_some());
    }
    assert_eq!(client.status("/open").await.unwrap().file_id, id);
    assert!(client.complete("/open", None).await, "the writer goes on where it was");
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_and_damage_in_the_middle_refused_by_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    for n in 0..20 {
        client.mkdirs(&format!("/d{n}")).await;
    }
    namenode.shutdown().await;
    let segment = files(dir.path(), "edits_").pop().unwrap();
    let good = fs::read(&segment).unwrap();

    fs::write(&segment, &good[..good.len() - 3]).unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    assert!(client.status("/d18").await.is_some() && client.status("/d19").await.is_none());
    client.mkdirs("/after").await;
    namenode.shutdown().await;

    let mut bad = good;
    bad[60] ^= 1;
    fs::write(&segment, &bad).unwrap();
    match NameNode::start(config(dir.path())).await {
        Err(Error::Corrupt { file, offset, .. }) => assert_eq!((file, offset), (segment, 24)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_fold_the_log_and_purge_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = || NameNodeConfig {
        checkpoint_transactions: 10,
        ..config(dir.path())
    };
    let namenode = NameNode::start(config()).await.unwrap();
    let client = Client::of(&namenode);
    for n in 0..60 {
        client.mkdirs(&format!("/d{n}")).await;
    }
    eventually("old files are purged", async || {
        files(dir.path(), "edits_0000000000000000001").is_empty() && files(dir.path(), "image_").len() == 2
    })
    .await;
    namenode.shutdown().await;
    // The newest image is not readable: the older one and the log must do.
    let newest = files(dir.path(), "image_").pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    fs::write(&newest, bytes).unwrap();
    let namenode = NameNode::start(config()).await.unwrap();
    let client = Client::of(&namenode);
    for n in 0..60 {
        assert!(client.status(&format!("/d{n}")).await.is_some(), "/d{n}");
    }
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_namenode_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    assert!(matches!(
        NameNode::start(config(dir.path())).await,
        Err(Error::InUse { .. })
    ));
    namenode.shutdown().await;
    start(dir.path()).await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_changes_wait_for_the_datanodes() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    client.create("/f", 1).await;
    let mut block = client.add_block("/f", None).await.b;
    block.num_bytes = Some(9);
    node.received(&block).await;
    assert!(client.complete("/f", Some(block.clone())).await);
    drop(node);
    namenode.shutdown().await;

    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let delete = proto::DeleteRequestProto {
        src: "/f".to_owned(),
        recursive: false,
    };
    let refused: Result<proto::DeleteResponseProto, _> = client.call("delete", &delete).await;
    assert_eq!(exception_class(refused), "RetriableException");
    assert_eq!(client.status("/f").await.unwrap().length, 9);
    let _node = FakeDataNode::connect(&namenode, 1, &[replica(&block)]).await;
    let deleted: proto::DeleteResponseProto = client.call("delete", &delete).await.unwrap();
    assert!(deleted.result);
    namenode.shutdown().await;
}
