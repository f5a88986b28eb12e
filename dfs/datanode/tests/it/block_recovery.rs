//! Recovery of a block whose writer is gone, led by one of several DataNodes.

use quarry_dfs_wire::proto::dfs_v1::{
    BlockRef, InitReplicaRecoveryRequest, InitReplicaRecoveryResponse, RecoverBlock, RecoveryResult, ReplicaChange,
    ReplicaState, UpdateReplicaUnderRecoveryRequest, UpdateReplicaUnderRecoveryResponse, to_data_node,
};
use quarry_dfs_wire::proto::hadoop::hdfs::Status;
use quarry_dfs_wire::rpc::exception::class;
use quarry_dfs_wire::rpc::{INTER_DATANODE_PROTOCOL, RpcClient, RpcClientError, RpcClientOptions};

use crate::client::{Conn, Flags, Writer, assert_holds, block, bytes, read, read_request, write_block, write_request};
use crate::fake_namenode::POOL;
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_840;

fn order(nodes: &Nodes, holders: &[usize], recovery: u64, durable: u64) -> RecoverBlock {
    RecoverBlock {
        block: Some(BlockRef {
            block_id: ID,
            generation_stamp: 1001,
            length: durable,
        }),
        new_generation_stamp: recovery,
        holders: holders.iter().map(|&index| nodes.target(index)).collect(),
        ..RecoverBlock::default()
    }
}

/// Has a node lead a recovery and waits for its answer.
async fn recover(nodes: &Nodes, leader: usize, order: RecoverBlock) -> RecoveryResult {
    let uuid = nodes.uuid(leader);
    let before = nodes.namenode.said(&uuid).recoveries.len();
    nodes
        .namenode
        .send(&uuid, to_data_node::Message::RecoverBlock(order))
        .await;
    let said = nodes
        .namenode
        .until(&uuid, "the recovery", |said| said.recoveries.len() > before)
        .await;
    said.recoveries[before].clone()
}

/// A client of one node's InterDatanodeProtocol.
fn peer(nodes: &Nodes, index: usize) -> RpcClient {
    let address = nodes.nodes[index].ipc_addr().to_string();
    RpcClient::new(address, "tester", INTER_DATANODE_PROTOCOL, RpcClientOptions::default())
}

async fn init(peer: &RpcClient, recovery_id: u64) -> Result<InitReplicaRecoveryResponse, RpcClientError> {
    let request = InitReplicaRecoveryRequest {
        pool_id: POOL.to_owned(),
        block: Some(BlockRef {
            block_id: ID,
            generation_stamp: 1001,
            length: 0,
        }),
        recovery_id,
    };
    peer.call("initReplicaRecovery", &request).await
}

async fn update(peer: &RpcClient, recovery_id: u64, new_length: u64) -> Result<(), RpcClientError> {
    let request = UpdateReplicaUnderRecoveryRequest {
        pool_id: POOL.to_owned(),
        block_id: ID,
        recovery_id,
        new_length,
        new_block_id: 0,
    };
    let answer: UpdateReplicaUnderRecoveryResponse = peer.call("updateReplicaUnderRecovery", &request).await?;
    assert!(answer.storage_id.starts_with("DS-"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_holders_are_brought_to_one_length_and_stamp() {
    let nodes = Nodes::start(3).await;
    let infos = nodes.infos();
    let data = bytes(3000);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &infos[1..])).await;
    writer.write(&data, 64_512, 3).await;
    for leader in [0, 2] {
        let result = recover(&nodes, leader, order(&nodes, &[0, 1, 2], 1005, 0)).await;
        assert_eq!((result.error.as_str(), result.length), ("", 3000));
        assert_eq!(result.datanode_uuids, [nodes.uuid(0), nodes.uuid(1), nodes.uuid(2)]);
        assert_eq!(result.storage_ids.len(), 3);
    }
    assert!(writer.conn.is_closed().await, "the old writer is cut off");
    for index in 0..3 {
        assert_holds(nodes.nodes[index].xfer_addr(), ID, 1005, &data).await;
        let uuid = nodes.uuid(index);
        let said = nodes
            .namenode
            .until(&uuid, "the report", |said| said.has(ReplicaChange::Received, ID))
            .await;
        let replica = said.find(ReplicaChange::Received, ID).unwrap().replica.unwrap();
        assert_eq!((replica.generation_stamp, replica.length), (1005, 3000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_bytes_of_one_holder_are_cut() {
    let nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    let data = bytes(3000);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &infos[1..])).await;
    writer.write(&data[..1024], 64_512, 2).await;
    // The second node leaves the pipeline, not its block: the first goes on alone, unacknowledged.
    init(&peer(&nodes, 1), 1004).await.unwrap();
    writer.packet(&data[1024..], Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success, Status::Error]);
    let result = recover(&nodes, 0, order(&nodes, &[0, 1], 1005, 1024)).await;
    assert_eq!(
        (result.error.as_str(), result.length, result.datanode_uuids.len()),
        ("", 1024, 2)
    );
    for node in &nodes.nodes {
        assert_holds(node.xfer_addr(), ID, 1005, &data[..1024]).await;
        let mut conn = Conn::open(node.xfer_addr()).await;
        assert!(read(&mut conn, read_request(ID, 1005, 0, 1025)).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_that_restarted_gives_way_to_one_that_did_not() {
    let mut nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    let data = bytes(3000);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &infos[1..])).await;
    writer.write(&data, 64_512, 2).await;
    nodes.restart(0).await;
    let result = recover(&nodes, 0, order(&nodes, &[0, 1], 1005, 0)).await;
    assert_eq!((result.error.as_str(), result.length), ("", 3000));
    assert_eq!(result.datanode_uuids, [nodes.uuid(1)]);
    assert_holds(nodes.nodes[1].xfer_addr(), ID, 1005, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_bytes_that_nobody_has_fail_the_recovery() {
    let nodes = Nodes::start(2).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(1000), 64_512, 1).await;
    let result = recover(&nodes, 0, order(&nodes, &[0, 1], 1005, 1001)).await;
    assert!(result.error.contains("1001 bytes were acknowledged"), "{result:?}");
    assert!(result.datanode_uuids.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn block_of_which_nobody_has_a_byte_ends_empty_only_if_all_were_asked() {
    let nodes = Nodes::start(2).await;
    let _writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    let result = recover(&nodes, 0, order(&nodes, &[0, 1], 1005, 0)).await;
    assert_eq!(
        (result.error.as_str(), result.length, result.datanode_uuids.len()),
        ("", 0, 0)
    );
    let silent = order(&nodes, &[0, 1], 1006, 0);
    nodes.nodes[1].shutdown().await;
    let result = recover(&nodes, 0, silent).await;
    assert!(result.error.contains("nobody who answered has a byte"), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_recovery_supersedes_an_older_one() {
    let nodes = Nodes::start(1).await;
    let data = bytes(1000);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let peer = peer(&nodes, 0);
    let found = init(&peer, 1005).await.unwrap().replica.unwrap();
    assert_eq!(found.replica.unwrap().state(), ReplicaState::Finalized);
    assert_eq!(found.acked, 1000);
    init(&peer, 1006).await.unwrap();
    let is_superseded = |answer: Result<(), RpcClientError>| {
        let error = answer.unwrap_err();
        assert!(error.is_exception(class::RECOVERY_IN_PROGRESS), "{error}");
    };
    is_superseded(update(&peer, 1005, 1000).await);
    is_superseded(init(&peer, 1005).await.map(drop));
    let result = recover(&nodes, 0, order(&nodes, &[0], 1005, 0)).await;
    assert!(result.error.contains("superseded"), "{result:?}");
    update(&peer, 1006, 1000).await.unwrap();
    assert_holds(nodes.nodes[0].xfer_addr(), ID, 1006, &data).await;
    assert!(update(&peer, 1007, 1000).await.is_err(), "without taking hold first");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncation_cuts_every_holder_inside_a_chunk() {
    let nodes = Nodes::start(2).await;
    let data = bytes(3000);
    write_block(nodes.nodes[0].xfer_addr(), &nodes.infos()[1..], ID, &data).await;
    let in_place = RecoverBlock {
        truncate_length: Some(700),
        ..order(&nodes, &[0, 1], 1005, 3000)
    };
    let copied = RecoverBlock {
        truncate_length: Some(513),
        new_block_id: ID + 9,
        block: Some(BlockRef {
            block_id: ID,
            generation_stamp: 1005,
            length: 700,
        }),
        ..order(&nodes, &[0, 1], 1006, 0)
    };
    let result = recover(&nodes, 1, in_place).await;
    assert_eq!(
        (result.error.as_str(), result.length, result.datanode_uuids.len()),
        ("", 700, 2)
    );
    let result = recover(&nodes, 0, copied).await;
    assert_eq!(
        (result.error.as_str(), result.length, result.datanode_uuids.len()),
        ("", 513, 2)
    );
    for node in &nodes.nodes {
        assert_holds(node.xfer_addr(), ID, 1005, &data[..700]).await;
        assert_holds(node.xfer_addr(), ID + 9, 1006, &data[..513]).await;
        let mut conn = Conn::open(node.xfer_addr()).await;
        assert!(read(&mut conn, read_request(ID, 1005, 0, 701)).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_make_no_sense_get_an_error() {
    let nodes = Nodes::start(1).await;
    let peer = peer(&nodes, 0);
    assert!(init(&peer, 1005).await.unwrap().replica.is_none());
    let foreign = InitReplicaRecoveryRequest {
        pool_id: "BP-other".to_owned(),
        ..InitReplicaRecoveryRequest::default()
    };
    for request in [
        foreign.clone(),
        InitReplicaRecoveryRequest {
            pool_id: POOL.to_owned(),
            ..foreign
        },
    ] {
        let answer: Result<InitReplicaRecoveryResponse, _> = peer.call("initReplicaRecovery", &request).await;
        assert!(matches!(answer, Err(RpcClientError::Exception(_))));
    }
    let result = recover(
        &nodes,
        0,
        RecoverBlock {
            block: None,
            ..order(&nodes, &[0], 1005, 0)
        },
    )
    .await;
    assert!(result.error.contains("names no block"), "{result:?}");
}
