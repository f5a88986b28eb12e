//! Replicas moved the way HDFS's balancer does it: the new holder is asked, the NameNode drops the old one.

use std::time::Duration;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, DatanodeIdProto, DatanodeInfoProto, OpReplaceBlockProto, Status,
};
use quarry_dfs_wire::transfer::delimited::read_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::net::TcpStream;

use crate::cluster::{BLOCK, Cluster, eventually, get, payload, put};

fn info(cluster: &Cluster, i: usize) -> DatanodeInfoProto {
    let address = cluster.xfer_addr(i);
    DatanodeInfoProto {
        id: DatanodeIdProto {
            ip_addr: address.ip().to_string(),
            host_name: "localhost".to_owned(),
            datanode_uuid: cluster.datanode_uuid(i),
            xfer_port: address.port().into(),
            ..DatanodeIdProto::default()
        },
        ..DatanodeInfoProto::default()
    }
}

/// Has DataNode `to` take a replica over from `from`, in place of the one on `relieved`.
async fn replace(cluster: &Cluster, block: &ExtendedBlock, from: usize, to: usize, relieved: usize) {
    let request = OpReplaceBlockProto {
        header: BaseHeaderProto {
            block: block.into(),
            ..BaseHeaderProto::default()
        },
        del_hint: cluster.datanode_uuid(relieved),
        source: info(cluster, from),
        ..OpReplaceBlockProto::default()
    };
    let mut connection = TcpStream::connect(cluster.xfer_addr(to)).await.unwrap();
    op::write_op(&mut connection, &Op::Replace(Box::new(request)))
        .await
        .unwrap();
    let reply = read_delimited::<BlockOpResponseProto>(&mut connection, "reply");
    let reply = tokio::time::timeout(Duration::from_secs(20), reply)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(reply.status(), Status::Success, "{reply:?}");
}

#[tokio::test]
async fn a_replica_moves_under_its_readers() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(11, BLOCK as usize);
    put(&client, "/f", data.clone(), 2).await;
    let located = client.block_locations("/f").await.unwrap().blocks.remove(0);
    let holders: Vec<usize> = located
        .datanodes
        .iter()
        .map(|node| cluster.datanode_index(&node.uuid))
        .collect();
    let (kept, relieved) = (holders[0], holders[1]);
    let free = (0..3).find(|i| !holders.contains(i)).unwrap();
    // A reader that knows the places from before.
    let reader = client.open("/f").await.unwrap();
    replace(&cluster, &located.block, kept, free, relieved).await;
    let block = located.block.block.id;
    // Known to the NameNode already when the move has been confirmed, and in place of the other.
    let after = client.block_locations("/f").await.unwrap().blocks.remove(0);
    let mut now: Vec<usize> = after
        .datanodes
        .iter()
        .map(|node| cluster.datanode_index(&node.uuid))
        .collect();
    now.sort_unstable();
    let mut expected = vec![kept, free];
    expected.sort_unstable();
    assert_eq!(now, expected);
    eventually("the old replica is deleted", || async {
        cluster.stored(relieved, block).is_none()
    })
    .await;
    assert!(cluster.stored(free, block).unwrap() == data);
    assert_eq!(reader.read_range(0..BLOCK).await.unwrap(), data);
    assert_eq!(get(&client, "/f").await, data);
}
