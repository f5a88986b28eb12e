//! `/fsck` over HTTP: HDFS's words, the damaged replicas by name, the check before, the caller's rights.

use std::time::Duration;

use quarry_dfs_namenode::{NameNode, NameNodeConfig, NameNodeHandle};
use quarry_dfs_wire::proto::dfs_v1::{ReplicaChange, to_data_node};
use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use crate::fake_datanode::FakeDataNode;
use crate::http::get;
use crate::support::{Client, config, eventually};

/// A NameNode whose checks only say what is known: these DataNodes verify nothing by themselves.
async fn start(dir: &std::path::Path) -> NameNodeHandle {
    let fsck_verify_time = Duration::ZERO;
    let config = NameNodeConfig {
        fsck_verify_time,
        ..config(dir)
    };
    NameNode::start(config).await.unwrap()
}

/// A closed file of one block that these nodes hold.
async fn write(client: &Client, path: &str, nodes: &[&FakeDataNode], replication: u32) -> proto::ExtendedBlockProto {
    client.create(path, replication).await;
    let mut block = client.add_block(path, None).await.b;
    block.num_bytes = Some(100);
    for node in nodes {
        node.received(&block).await;
    }
    assert!(client.complete(path, Some(block.clone())).await);
    eventually("all replicas are known", async || {
        client.locations(path).await.unwrap().blocks[0].locs.len() == nodes.len()
    })
    .await;
    block
}

/// Without its times.
fn timeless(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" at ") {
        Some((start, _)) if line.starts_with("FSCK ") => format!("{start} at T"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_tree_in_hdfs_s_words() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let nodes = [
        FakeDataNode::connect(&namenode, 1, &[]).await,
        FakeDataNode::connect(&namenode, 2, &[]).await,
    ];
    assert!(client.mkdirs("/k").await);
    let a = write(&client, "/k/a", &[&nodes[0]], 1).await;
    let b = write(&client, "/k/b", &[&nodes[0], &nodes[1]], 3).await;
    let (code, text) = get(namenode.http_addr(), "/fsck?ugi=hdfs&path=%2Fk&files=1&blocks=1").await;
    assert_eq!(code, 200);
    let pool = namenode.block_pool_id();
    let name = |block: &proto::ExtendedBlockProto| format!("{pool}:blk_{}_{}", block.block_id, block.generation_stamp);
    let (a, b) = (name(&a), name(&b));
    let expected = format!(
        "FSCK started by hdfs (auth:SIMPLE) from /127.0.0.1 for path /k at T

/k <dir>
/k/a 100 bytes, replicated: replication=1, 1 block(s):  OK
0. {a} len=100 Live_repl=1

/k/b 100 bytes, replicated: replication=3, 1 block(s):  Under replicated {b}. Target Replicas is 3 but found 2 live replica(s), 0 decommissioned replica(s), 0 decommissioning replica(s).
0. {b} len=100 Live_repl=2


Status: HEALTHY
 Number of data-nodes:\t2
 Number of racks:\t\t1
 Total dirs:\t\t\t1
 Total symlinks:\t\t0

Replicated Blocks:
 Total size:\t200 B
 Total files:\t2
 Total blocks (validated):\t2 (avg. block size 100 B)
 Minimally replicated blocks:\t2 (100.0 %)
 Over-replicated blocks:\t0 (0.0 %)
 Under-replicated blocks:\t1 (50.0 %)
 Mis-replicated blocks:\t\t0 (0.0 %)
 Default replication factor:\t3
 Average block replication:\t1.5
 Missing blocks:\t\t0
 Corrupt blocks:\t\t0
 Missing replicas:\t\t1 (25.0 %)
 Blocks queued for replication:\t0

Erasure Coded Block Groups:
"
    );
    let text = timeless(&text);
    assert!(text.starts_with(&expected), "{text}\n---\n{expected}");
    assert!(
        text.ends_with("\nFSCK ended at T\n\n\nThe filesystem under path '/k' is HEALTHY"),
        "{text}"
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_replica_is_named_until_and_after_its_repair() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let mut nodes = [
        FakeDataNode::connect(&namenode, 1, &[]).await,
        FakeDataNode::connect(&namenode, 2, &[]).await,
    ];
    let block = write(&client, "/f", &[&nodes[0], &nodes[1]], 2).await;
    nodes[0].changed(&block, ReplicaChange::Corrupt).await;
    let http = namenode.http_addr();
    let name = format!("blk_{}_{}", block.block_id, block.generation_stamp);
    let line = format!(" /f: {name} on 127.0.0.1:10001 (DS-1) CORRUPT, found ");
    let damaged = async || {
        let (_, text) = get(http, "/fsck?ugi=hdfs&path=/").await;
        text.lines().find(|found| found.starts_with(&line)).map(str::to_owned)
    };
    eventually("fsck names the damaged replica", async || {
        damaged().await.is_some_and(|line| line.ends_with("not repaired yet"))
    })
    .await;
    let (_, text) = get(http, &format!("/fsck?ugi=hdfs&blockId=blk_{}", block.block_id)).await;
    assert!(
        text.contains("No. of live Replica: 1\n") && text.contains("No. of corrupted Replica: 1\n"),
        "{text}"
    );
    assert!(
        text.contains("localhost/default-rack is CORRUPT\t ReasonCode: CORRUPTION_REPORTED\n"),
        "{text}"
    );
    // There is no third node to copy to: the damaged replica makes room.
    nodes[0]
        .expect(|message| matches!(message, to_data_node::Message::DeleteReplicas(_)))
        .await;
    nodes[0].changed(&block, ReplicaChange::Deleted).await;
    eventually("fsck tells the repair", async || {
        damaged().await.is_some_and(|line| line.contains(", repaired "))
    })
    .await;
    let (_, json) = get(http, "/fsck?ugi=hdfs&path=/&json=1").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["status"], &json["totals"]["files"]),
        (&"HEALTHY".into(), &1.into())
    );
    let replica = &json["damaged_replicas"][0];
    assert_eq!((&replica["block"], &replica["repaired"]), (&name.into(), &true.into()));
    // It is no business of users who may not ask.
    let (_, text) = get(http, "/fsck?ugi=eve&path=/").await;
    assert!(
        text.ends_with("is HEALTHY") && !text.contains("CORRUPT, found"),
        "{text}"
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_replica_damaged_makes_the_file_corrupt_and_delete_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    assert!(client.mkdirs("/d").await);
    let (kept, lost) = (
        write(&client, "/d/kept", &[&node], 1).await,
        write(&client, "/d/lost", &[&node], 1).await,
    );
    node.changed(&lost, ReplicaChange::Corrupt).await;
    let http = namenode.http_addr();
    eventually("fsck says CORRUPT", async || {
        get(http, "/fsck?ugi=hdfs&path=/d").await.1.ends_with("is CORRUPT")
    })
    .await;
    let (_, text) = get(http, "/fsck?ugi=hdfs&path=/d").await;
    let pool = namenode.block_pool_id();
    for part in [
        &*format!("\n/d/lost: CORRUPT blockpool {pool} block blk_{}\n", lost.block_id),
        "\n/d/lost: CORRUPT 1 blocks of total size 100 B.\nStatus: CORRUPT\n",
        "  UNDER MIN REPL'D BLOCKS:\t1 (50.0 %)\n  MINIMAL BLOCK REPLICATION:\t1\n  CORRUPT FILES:\t1\n  CORRUPT BLOCKS: \t1\n",
        " Corrupt blocks:\t\t1\n Missing replicas:\t\t0 (0.0 %)\n",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    let (_, list) = get(http, "/fsck?ugi=hdfs&path=/&listcorruptfileblocks=1&startblockafter=0").await;
    assert!(
        list.contains(&format!("\nblk_{}\t1\t/d/lost\n", lost.block_id)),
        "{list}"
    );
    assert!(
        list.ends_with("\n\n\nThe filesystem under path '/' has 1 CORRUPT files\n\n"),
        "{list}"
    );
    let (_, refused) = get(http, "/fsck?ugi=eve&path=/d&delete=1").await;
    assert!(refused.contains("Permission denied: user=eve"), "{refused}");
    assert!(refused.ends_with("Fsck on path '/d' FAILED"), "{refused}");
    get(http, "/fsck?ugi=hdfs&path=/d&move=1").await;
    assert!(client.status("/d/lost").await.is_none());
    assert!(client.status("/lost+found/d/lost").await.is_some());
    get(http, "/fsck?ugi=hdfs&path=/lost%2Bfound&delete=1").await;
    assert!(client.status("/lost+found/d/lost").await.is_none());
    assert!(client.status("/d/kept").await.is_some(), "{kept:?}");
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_nobody_has_read_is_found_first() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = NameNode::start(config(dir.path())).await.unwrap();
    let (client, mut node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    let block = write(&client, "/f", &[&node], 1).await;
    let http = namenode.http_addr();
    let check = tokio::spawn(async move { get(http, "/fsck?ugi=hdfs&path=/").await.1 });
    let order = node
        .expect(|message| matches!(message, to_data_node::Message::CheckVolumes(_)))
        .await;
    let to_data_node::Message::CheckVolumes(order) = order else {
        unreachable!("just checked")
    };
    assert_eq!(order.budget_ms, 5000);
    node.changed(&block, ReplicaChange::Corrupt).await;
    node.volumes_checked(order.sequence).await;
    let text = check.await.unwrap();
    assert!(text.contains(" on 127.0.0.1:10001 (DS-1) CORRUPT, found "), "{text}");
    assert!(text.ends_with("is CORRUPT"), "{text}");
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_sees_what_the_caller_may_and_open_files_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    assert!(client.mkdirs("/k/secret").await);
    client.create("/k/open", 1).await;
    let request = proto::SetPermissionRequestProto {
        src: "/k/secret".to_owned(),
        permission: proto::FsPermissionProto { perm: 0o700 },
    };
    client
        .call::<proto::SetPermissionResponseProto>("setPermission", &request)
        .await
        .unwrap();
    let http = namenode.http_addr();
    let (_, text) = get(http, "/fsck?ugi=eve&path=/k").await;
    let refusal = "Permission denied: user=eve, access=READ_EXECUTE, inode=\"/k/secret\":hdfs:supergroup:drwx------";
    assert!(
        text.contains(refusal) && text.ends_with("\n\n\nFsck on path '/k' FAILED"),
        "{text}"
    );
    for refused in ["blockId=blk_1", "listcorruptfileblocks=1"] {
        let (_, text) = get(http, &format!("/fsck?ugi=eve&path=/&{refused}")).await;
        assert!(text.contains("Superuser privilege is required"), "{text}");
    }
    let (_, text) = get(http, "/fsck?ugi=hdfs&path=/k").await;
    assert!(
        text.contains(" Total files:\t0 (Files currently being written: 1)\n"),
        "{text}"
    );
    let (_, text) = get(http, "/fsck?ugi=hdfs&path=/k&openforwrite=1").await;
    let line = "/k/open 0 bytes, replicated: replication=1, 0 block(s), OPENFORWRITE: \nStatus: HEALTHY\n";
    assert!(text.contains(line), "{text}");
    let (_, text) = get(http, "/fsck?ugi=hdfs&path=/absent").await;
    assert!(text.ends_with("\n\n\nPath '/absent' does not exist"), "{text}");
    let (_, text) = get(http, "/fsck?ugi=hdfs&path=relative").await;
    assert!(text.ends_with("Fsck on path 'relative' FAILED"), "{text}");
    let (_, text) = get(http, "/fsck?ugi=hdfs&blockId=blk_99+nonsense").await;
    assert!(
        text.contains("\n\nBlock blk_99 does not exist\nIncorrect blockId format: nonsense\n"),
        "{text}"
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_many_pages_is_walked_whole() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    // A page ends after 2,000 entries or blocks.
    for number in 0..2_100 {
        assert!(client.mkdirs(&format!("/many/d{number:05}")).await);
    }
    assert!(client.mkdirs("/many/d00000/below/deeper").await);
    let (_, text) = get(namenode.http_addr(), "/fsck?ugi=hdfs&path=/many&files=1").await;
    assert!(
        text.contains(" Total dirs:\t\t\t2103\n"),
        "{}",
        &text[text.len() - 1500..]
    );
    let lines: Vec<&str> = text.lines().filter(|line| line.ends_with(" <dir>")).collect();
    assert!(lines.is_sorted(), "depth first, in the order of names");
    namenode.shutdown().await;
}
