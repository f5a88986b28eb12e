//! Attributes over the wire, and what the audit log says of the calls.

use quarry_dfs_namenode::{NameNode, NameNodeConfig};
use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::proto::hadoop::hdfs::acl_entry_proto::{AclEntryScopeProto, AclEntryTypeProto};
use quarry_dfs_wire::proto::hadoop::hdfs::x_attr_proto::XAttrNamespaceProto;

use crate::support::{Client, config, exception_class, start};

fn xattr(value: Option<&'static [u8]>) -> proto::XAttrProto {
    proto::XAttrProto {
        namespace: XAttrNamespaceProto::User as i32,
        name: "a".to_owned(),
        value: value.map(Into::into),
    }
}

fn named_user() -> proto::AclEntryProto {
    proto::AclEntryProto {
        r#type: AclEntryTypeProto::User as i32,
        scope: AclEntryScopeProto::Access as i32,
        permissions: 7,
        name: Some("ann".to_owned()),
    }
}

/// Gives `/d` an attribute, a list, quotas and a policy.
async fn equip(client: &Client) {
    let path = || "/d".to_owned();
    let set = proto::SetXAttrRequestProto {
        src: path(),
        x_attr: Some(xattr(Some(b"v"))),
        flag: Some(proto::XAttrSetFlagProto::XattrCreate as u32),
    };
    client
        .call::<proto::SetXAttrResponseProto>("setXAttr", &set)
        .await
        .unwrap();
    let acl = proto::ModifyAclEntriesRequestProto {
        src: path(),
        acl_spec: vec![named_user()],
    };
    client
        .call::<proto::ModifyAclEntriesResponseProto>("modifyAclEntries", &acl)
        .await
        .unwrap();
    let quota = proto::SetQuotaRequestProto {
        path: path(),
        namespace_quota: 2,
        storagespace_quota: i64::MAX as u64,
        storage_type: None,
    };
    client
        .call::<proto::SetQuotaResponseProto>("setQuota", &quota)
        .await
        .unwrap();
    let policy = proto::SetStoragePolicyRequestProto {
        src: path(),
        policy_name: "COLD".to_owned(),
    };
    client
        .call::<proto::SetStoragePolicyResponseProto>("setStoragePolicy", &policy)
        .await
        .unwrap();
}

async fn assert_equipped(client: &Client) {
    let src = || "/d".to_owned();
    let get = proto::GetXAttrsRequestProto {
        src: src(),
        x_attrs: vec![xattr(None)],
    };
    let found: proto::GetXAttrsResponseProto = client.call("getXAttrs", &get).await.unwrap();
    assert_eq!(found.x_attrs, [xattr(Some(b"v"))]);
    let acl: proto::GetAclStatusResponseProto = client
        .call("getAclStatus", &proto::GetAclStatusRequestProto { src: src() })
        .await
        .unwrap();
    assert_eq!(acl.result.entries[0], named_user());
    assert_eq!(acl.result.permission.unwrap().perm, 0o775);
    let status = client.status("/d").await.unwrap();
    assert_eq!(status.flags(), proto::hdfs_file_status_proto::Flags::HasAcl as u32);
    assert_eq!(status.storage_policy(), 2);
    let usage = proto::GetQuotaUsageRequestProto { path: src() };
    let usage: proto::GetQuotaUsageResponseProto = client.call("getQuotaUsage", &usage).await.unwrap();
    assert_eq!((usage.usage.quota, usage.usage.space_quota), (2, u64::MAX));
    let refused: Result<proto::MkdirsResponseProto, _> = client.call("mkdirs", &mkdirs("/d/x/y")).await;
    assert_eq!(exception_class(refused), "NSQuotaExceededException");
}

fn mkdirs(src: &str) -> proto::MkdirsRequestProto {
    proto::MkdirsRequestProto {
        src: src.to_owned(),
        masked: proto::FsPermissionProto { perm: 0o755 },
        create_parent: true,
        unmasked: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_outlast_a_restart_by_log_and_by_image() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    assert!(client.mkdirs("/d").await);
    equip(&client).await;
    assert_equipped(&client).await;
    namenode.shutdown().await;
    let namenode = start(dir.path()).await;
    assert_equipped(&Client::of(&namenode)).await;
    namenode.request_checkpoint().await;
    namenode.shutdown().await;
    let namenode = start(dir.path()).await;
    assert_equipped(&Client::of(&namenode)).await;
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_hdfs_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let config = NameNodeConfig {
        audit_log: Some(file.clone()),
        ..config(&dir.path().join("nn"))
    };
    let namenode = NameNode::start(config).await.unwrap();
    let client = Client::of(&namenode);
    assert!(client.mkdirs("/a").await);
    assert!(client.status("/a").await.is_some());
    let rename = proto::RenameRequestProto {
        src: "/a".to_owned(),
        dst: "/b".to_owned(),
    };
    client
        .call::<proto::RenameResponseProto>("rename", &rename)
        .await
        .unwrap();
    let eve = Client::as_user(&namenode, "eve");
    let refused: Result<proto::MkdirsResponseProto, _> = eve.call("mkdirs", &mkdirs("/c\td")).await;
    assert_eq!(exception_class(refused), "AccessControlException");
    namenode.shutdown().await;
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split_once("FSNamesystem.audit: ").unwrap().1)
        .collect();
    let by_root = "ugi=hdfs (auth:SIMPLE)\tip=/127.0.0.1";
    assert_eq!(
        lines,
        [
            format!("allowed=true\t{by_root}\tcmd=mkdirs\tsrc=/a\tdst=null\tperm=hdfs:supergroup:rwxr-xr-x\tproto=rpc"),
            format!("allowed=true\t{by_root}\tcmd=getfileinfo\tsrc=/a\tdst=null\tperm=null\tproto=rpc"),
            format!("allowed=true\t{by_root}\tcmd=rename\tsrc=/a\tdst=/b\tperm=hdfs:supergroup:rwxr-xr-x\tproto=rpc"),
            "allowed=false\tugi=eve (auth:SIMPLE)\tip=/127.0.0.1\tcmd=mkdirs\tsrc=/c\\td\tdst=null\tperm=null\tproto=rpc"
                .to_owned(),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_administrators_calls_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let eve = Client::as_user(&namenode, "eve");
    for (method, operation) in [("saveNamespace", "saveNamespace"), ("rollEdits", "rollEditLog")] {
        let refused: Result<proto::RefreshNodesResponseProto, _> =
            eve.call(method, &proto::RefreshNodesRequestProto {}).await;
        let text = refused.unwrap_err().to_string();
        let expected = format!("Access denied for user eve. Superuser privilege is required for operation {operation}");
        assert!(text.contains(&expected), "{text}");
    }
    namenode.shutdown().await;
}
