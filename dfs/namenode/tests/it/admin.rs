//! The administrators' service over real gRPC.

use quarry_dfs_namenode::{NameNode, NameNodeHandle};
use quarry_dfs_wire::proto::dfs_v1::name_node_admin_client::NameNodeAdminClient;
use quarry_dfs_wire::proto::dfs_v1::{
    AdminState, CheckpointRequest, Liveness, NodeRequest, RefreshNodesRequest, ReportRequest, SafeModeAction,
    SafeModeRequest, SetRackRequest, TopologyRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::fake_datanode::FakeDataNode;
use crate::support::{DEADLINE, config};

async fn client(namenode: &NameNodeHandle) -> NameNodeAdminClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", namenode.link_addr())).unwrap();
    NameNodeAdminClient::new(endpoint.connect().await.unwrap())
}

fn by<T>(user: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("quarry-user", user.parse().unwrap());
    request
}

fn node(name: &str) -> NodeRequest {
    NodeRequest { node: name.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_the_cluster_and_has_a_node_leave() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = NameNode::start(config(dir.path())).await.unwrap();
    let _one = FakeDataNode::connect(&namenode, 1, &[]).await;
    let _two = FakeDataNode::connect(&namenode, 2, &[]).await;
    let mut admin = client(&namenode).await;
    let report = admin.report(by("hdfs", ReportRequest {})).await.unwrap().into_inner();
    assert_eq!(report.cluster_id, namenode.cluster_id());
    assert_eq!(report.nodes.len(), 2);
    assert!(report.nodes.iter().all(|node| node.liveness() == Liveness::Live));
    let refused = admin.decommission(by("joe", node("uuid-1"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let unknown = admin.decommission(by("hdfs", node("nobody"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let vague = admin.decommission(by("hdfs", node("127.0.0.1"))).await.unwrap_err();
    assert_eq!(vague.code(), Code::InvalidArgument);
    admin.decommission(by("hdfs", node("127.0.0.1:10001"))).await.unwrap();
    let left = tokio::time::timeout(DEADLINE, async {
        loop {
            let report = admin.report(by("hdfs", ReportRequest {})).await.unwrap().into_inner();
            let one = report.nodes.iter().find(|node| node.datanode_uuid == "uuid-1").unwrap();
            if one.admin_state() == AdminState::Decommissioned {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    left.await.expect("an empty node leaves at once");
    admin.recommission(by("hdfs", node("uuid-1"))).await.unwrap();
    let rack = SetRackRequest {
        node: "uuid-2".to_owned(),
        rack: "/r9".to_owned(),
    };
    admin.set_rack(by("hdfs", rack)).await.unwrap();
    let topology = admin
        .topology(by("hdfs", TopologyRequest {}))
        .await
        .unwrap()
        .into_inner();
    let racks: Vec<&str> = topology.racks.iter().map(|rack| rack.name.as_str()).collect();
    assert_eq!(racks, ["/default-rack", "/r9"]);
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_on_disk_when_its_answer_comes_and_safe_mode_can_be_set() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = NameNode::start(config(dir.path())).await.unwrap();
    let mut admin = client(&namenode).await;
    for _ in 0..2 {
        let done = admin
            .checkpoint(by("hdfs", CheckpointRequest {}))
            .await
            .unwrap()
            .into_inner();
        let image = dir.path().join(format!("image_{:019}", done.transaction_id));
        assert!(image.exists(), "{}", image.display());
    }
    let set = |action: SafeModeAction| by("hdfs", SafeModeRequest { action: action as i32 });
    let on = admin.safe_mode(set(SafeModeAction::Enter)).await.unwrap().into_inner();
    assert!(on.on && on.text.contains("turned on manually"), "{on:?}");
    assert!(
        !admin
            .safe_mode(set(SafeModeAction::Leave))
            .await
            .unwrap()
            .into_inner()
            .on
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_hosts_are_read_again_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (racks, exclude) = (dir.path().join("racks"), dir.path().join("exclude"));
    std::fs::write(&racks, "127.0.0.1:10001 /first\n").unwrap();
    std::fs::write(&exclude, "").unwrap();
    let mut config = config(&dir.path().join("namenode"));
    (config.topology_file, config.exclude_file) = (Some(racks.clone()), Some(exclude.clone()));
    let namenode = NameNode::start(config).await.unwrap();
    let _one = FakeDataNode::connect(&namenode, 1, &[]).await;
    let mut admin = client(&namenode).await;
    let refresh = || by("hdfs", RefreshNodesRequest {});
    let first = async |admin: &mut NameNodeAdminClient<Channel>| {
        let report = admin.report(by("", ReportRequest {})).await.unwrap().into_inner();
        (report.nodes[0].rack.clone(), report.nodes[0].admin_state())
    };
    assert_eq!(first(&mut admin).await, ("/first".to_owned(), AdminState::Normal));
    std::fs::write(&racks, "127.0.0.1:10001 second\n").unwrap();
    let refused = admin.refresh_nodes(refresh()).await.unwrap_err();
    assert!(refused.message().contains("line 1"), "{refused:?}");
    std::fs::write(&racks, "127.0.0.1:10001 /second\n").unwrap();
    std::fs::write(&exclude, "127.0.0.1:10001\n").unwrap();
    admin.refresh_nodes(refresh()).await.unwrap();
    let (rack, state) = first(&mut admin).await;
    assert!(rack == "/second" && state != AdminState::Normal);
    namenode.shutdown().await;
}
