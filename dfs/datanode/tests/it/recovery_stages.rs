//! Pipelines on replicas that exist: append, and recovery after each way of breaking.

use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    ExtendedBlockProto, GetBalancerBandwidthRequestProto, GetBalancerBandwidthResponseProto,
    GetDatanodeInfoRequestProto, GetDatanodeInfoResponseProto, GetReplicaVisibleLengthRequestProto,
    GetReplicaVisibleLengthResponseProto, GetVolumeReportRequestProto, GetVolumeReportResponseProto,
    OpTransferBlockProto, OpWriteBlockProto, Status, TriggerBlockReportRequestProto, TriggerBlockReportResponseProto,
};
use quarry_dfs_wire::rpc::{CLIENT_DATANODE_PROTOCOL, RpcClient, RpcClientError, RpcClientOptions};
use quarry_dfs_wire::transfer::op::Op;

use crate::client::{Conn, Flags, Writer, assert_holds, block, bytes, header, write_block, write_request};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_827;

fn stage(
    block: ExtendedBlockProto,
    stage: BlockConstructionStage,
    new_stamp: u64,
    received: (u64, u64),
) -> OpWriteBlockProto {
    OpWriteBlockProto {
        stage: stage.into(),
        latest_generation_stamp: new_stamp,
        min_bytes_rcvd: received.0,
        max_bytes_rcvd: received.1,
        ..write_request(block, &[])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn append_goes_on_inside_the_last_chunk() {
    let nodes = Nodes::start(1).await;
    let address = nodes.nodes[0].xfer_addr();
    let data = bytes(2000);
    write_block(address, &[], ID, &data[..1000]).await;
    let append = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupAppend,
        1002,
        (1000, 1000),
    );
    let mut writer = Writer::start(address, append).await;
    writer.offset = 1000;
    // A packet that starts inside a chunk ends in it.
    writer.packet(&data[1000..1024], Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success]);
    writer.write(&data[1024..], 64_512, 1).await;
    writer.finish(1).await;
    assert_holds(address, ID, 1002, &data).await;
    let dir = nodes.pool_dir(0).join("current/finalized/subdir0/subdir0");
    let files = std::fs::read_dir(dir).unwrap().count();
    assert_eq!(files, 2, "the checksum file of the old stamp is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn append_may_keep_the_stamp_but_not_miss_bytes() {
    let nodes = Nodes::start(1).await;
    let address = nodes.nodes[0].xfer_addr();
    write_block(address, &[], ID, &bytes(1024)).await;
    let wrong = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupAppend,
        1002,
        (1023, 1023),
    );
    let (_, reply) = Writer::try_start(address, wrong).await;
    assert_eq!(reply.status(), Status::Error);
    assert!(reply.message().contains("1024"), "{reply:?}");
    let same = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupAppend,
        1001,
        (1024, 1024),
    );
    let mut writer = Writer::start(address, same).await;
    writer.offset = 1024;
    writer.write(&bytes(10), 64_512, 1).await;
    writer.finish(1).await;
    assert_holds(address, ID, 1001, &[bytes(1024), bytes(10)].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streaming_recovery_fences_the_old_writer_and_goes_on_from_the_acked_bytes() {
    let nodes = Nodes::start(1).await;
    let address = nodes.nodes[0].xfer_addr();
    let data = bytes(5000);
    let mut old = Writer::start(address, write_request(block(ID, 1001), &[])).await;
    old.write(&data[..3000], 64_512, 1).await;
    // The old writer's connection stays open and silent: the worst case.
    let recovery = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupStreamingRecovery,
        1002,
        (3000, 4000),
    );
    let mut new = Writer::start(address, recovery).await;
    assert!(old.conn.is_closed().await, "the old writer is cut off");
    new.offset = 2560;
    new.write(&data[2560..], 64_512, 1).await;
    new.finish(1).await;
    assert_holds(address, ID, 1002, &data).await;
    let late = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupStreamingRecovery,
        1002,
        (0, 9000),
    );
    let (_, reply) = Writer::try_start(address, late).await;
    assert!(reply.message().contains("FINALIZED"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_next_node_never_confirmed_are_cut_by_streaming_recovery() {
    let nodes = Nodes::start(2).await;
    let address = nodes.nodes[0].xfer_addr();
    let infos = nodes.infos();
    let data = bytes(3000);
    let mut old = Writer::start(address, write_request(block(ID, 1001), &infos[1..])).await;
    old.write(&data[..1024], 64_512, 2).await;
    nodes.nodes[1].shutdown().await;
    old.packet(&[0; 500], Flags::default()).await.unwrap();
    assert_eq!(old.ack().await.unwrap().statuses, [Status::Success, Status::Error]);
    let recovery = stage(
        block(ID, 1001),
        BlockConstructionStage::PipelineSetupStreamingRecovery,
        1002,
        (1024, 1524),
    );
    let mut new = Writer::start(address, recovery).await;
    new.offset = 1024;
    new.write(&data[1024..], 64_512, 1).await;
    new.finish(1).await;
    assert_holds(address, ID, 1002, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_recovery_completes_and_repeats() {
    let nodes = Nodes::start(1).await;
    let address = nodes.nodes[0].xfer_addr();
    let data = bytes(3000);
    let mut old = Writer::start(address, write_request(block(ID, 1001), &[])).await;
    old.write(&data, 64_512, 1).await;
    for new_stamp in [1002, 1003] {
        let close = stage(
            block(ID, 1001),
            BlockConstructionStage::PipelineCloseRecovery,
            new_stamp,
            (3000, 3000),
        );
        let (_, reply) = Writer::try_start(address, close).await;
        assert_eq!(reply.status(), Status::Success, "{reply:?}");
        let said = nodes.namenode.said(&nodes.uuid(0));
        let event = said
            .find(ReplicaChange::Received, ID)
            .expect("reported before the reply")
            .replica
            .unwrap();
        assert_eq!((event.generation_stamp, event.length), (new_stamp, 3000));
        assert_holds(address, ID, new_stamp, &data).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_brings_a_new_node_into_a_running_pipeline() {
    let nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    let data = bytes(100_000);
    let mut old = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    old.write(&data[..70_001], 64_512, 1).await;
    let transfer = OpTransferBlockProto {
        header: header(block(ID, 1001)),
        targets: infos[1..].to_vec(),
        ..OpTransferBlockProto::default()
    };
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    conn.send(Op::Transfer(Box::new(transfer))).await;
    assert_eq!(conn.reply().await.status(), Status::Success);
    let recovery = OpWriteBlockProto {
        targets: infos[1..].to_vec(),
        ..stage(
            block(ID, 1001),
            BlockConstructionStage::PipelineSetupStreamingRecovery,
            1002,
            (70_001, 70_001),
        )
    };
    let mut new = Writer::start(nodes.nodes[0].xfer_addr(), recovery).await;
    new.offset = 69_632;
    new.write(&data[69_632..], 64_512, 2).await;
    new.finish(2).await;
    for node in &nodes.nodes {
        assert_holds(node.xfer_addr(), ID, 1002, &data).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visible_length_is_the_acked_length() {
    let nodes = Nodes::start(1).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(700), 64_512, 1).await;
    let address = nodes.nodes[0].ipc_addr().to_string();
    let client = RpcClient::new(address, "tester", CLIENT_DATANODE_PROTOCOL, RpcClientOptions::default());
    let ask = |id| GetReplicaVisibleLengthRequestProto { block: block(id, 1001) };
    let answer: GetReplicaVisibleLengthResponseProto = client.call("getReplicaVisibleLength", &ask(ID)).await.unwrap();
    assert_eq!(answer.length, 700);
    let absent = client
        .call::<_, GetReplicaVisibleLengthResponseProto>("getReplicaVisibleLength", &ask(ID + 1))
        .await;
    assert!(matches!(absent, Err(RpcClientError::Exception(_))));
    let unknown = client
        .call::<_, GetReplicaVisibleLengthResponseProto>("refreshNamenodes", &ask(ID))
        .await;
    let Err(RpcClientError::Exception(exception)) = unknown else {
        panic!("must be unknown")
    };
    assert!(exception.class.contains("RpcNoSuchMethodException"), "{exception:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_learn_what_a_datanode_is_and_stores() {
    let nodes = Nodes::start(1).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(700)).await;
    let address = nodes.nodes[0].ipc_addr().to_string();
    let client = RpcClient::new(address, "tester", CLIENT_DATANODE_PROTOCOL, RpcClientOptions::default());
    let info: GetDatanodeInfoResponseProto = client
        .call("getDatanodeInfo", &GetDatanodeInfoRequestProto {})
        .await
        .unwrap();
    assert_eq!(info.local_info.software_version, env!("CARGO_PKG_VERSION"));
    let volumes: GetVolumeReportResponseProto = client
        .call("getVolumeReport", &GetVolumeReportRequestProto {})
        .await
        .unwrap();
    let [volume] = &volumes.volume_info[..] else {
        panic!("one volume: {volumes:?}")
    };
    assert_eq!((volume.num_blocks, volume.used_space), (1, 700));
    assert_eq!(volume.path, nodes.dir(0).display().to_string());
    let bandwidth: GetBalancerBandwidthResponseProto = client
        .call("getBalancerBandwidth", &GetBalancerBandwidthRequestProto {})
        .await
        .unwrap();
    assert_eq!(bandwidth.bandwidth, 100 << 20);
    let reports = nodes.namenode.said(&nodes.uuid(0)).full_reports.len();
    let trigger = TriggerBlockReportRequestProto {
        incremental: false,
        nn_address: None,
    };
    let _: TriggerBlockReportResponseProto = client.call("triggerBlockReport", &trigger).await.unwrap();
    nodes
        .namenode
        .until(&nodes.uuid(0), "the report", |said| said.full_reports.len() > reports)
        .await;
}
