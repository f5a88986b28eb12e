//! Methods about access control lists, extended attributes, quotas and storage policies.

use quarry_dfs_wire::proto::hadoop::hdfs::{self as proto, AclEntryProto, BlockStoragePolicyProto, XAttrProto};
use quarry_dfs_wire::rpc::RpcException;

use super::{Answer, Call, path, unexpected};
use crate::core::acl::{AclEntry, Kind, Scope};
use crate::core::acl_calls::AclChange;
use crate::core::command::{Operation, Reply};
use crate::core::storage_policy::{POLICIES, Policy, StorageType, by_id};
use crate::core::xattr::{SetFlags, XAttr, XAttrNamespace};

fn entry(proto: AclEntryProto) -> Answer<AclEntry> {
    let unknown = || RpcException::illegal_argument("ACL entry: its scope or type is unknown");
    Ok(AclEntry {
        scope: Scope::from_number(proto.scope).ok_or_else(unknown)?,
        kind: Kind::from_number(proto.r#type).ok_or_else(unknown)?,
        name: proto.name.filter(|name| !name.is_empty()),
        // The wire's numbers of the eight combinations are the mode bits themselves.
        permission: (proto.permissions & 7) as u8,
    })
}

fn entries(protos: Vec<AclEntryProto>) -> Answer<Vec<AclEntry>> {
    protos.into_iter().map(entry).collect()
}

fn entry_proto(entry: AclEntry) -> AclEntryProto {
    AclEntryProto {
        r#type: entry.kind as i32,
        scope: entry.scope as i32,
        permissions: entry.permission.into(),
        name: entry.name,
    }
}

async fn change_acl(call: &Call<'_>, src: &str, change: AclChange) -> Answer<()> {
    let path = path(src)?;
    call.run(Operation::ChangeAcl { path, change }).await.map(|_| ())
}

pub(super) async fn modify_acl_entries(
    call: &Call<'_>,
    request: proto::ModifyAclEntriesRequestProto,
) -> Answer<proto::ModifyAclEntriesResponseProto> {
    change_acl(call, &request.src, AclChange::Modify(entries(request.acl_spec)?)).await?;
    Ok(proto::ModifyAclEntriesResponseProto {})
}

pub(super) async fn remove_acl_entries(
    call: &Call<'_>,
    request: proto::RemoveAclEntriesRequestProto,
) -> Answer<proto::RemoveAclEntriesResponseProto> {
    change_acl(call, &request.src, AclChange::RemoveEntries(entries(request.acl_spec)?)).await?;
    Ok(proto::RemoveAclEntriesResponseProto {})
}

pub(super) async fn remove_default_acl(
    call: &Call<'_>,
    request: proto::RemoveDefaultAclRequestProto,
) -> Answer<proto::RemoveDefaultAclResponseProto> {
    change_acl(call, &request.src, AclChange::RemoveDefault).await?;
    Ok(proto::RemoveDefaultAclResponseProto {})
}

pub(super) async fn remove_acl(
    call: &Call<'_>,
    request: proto::RemoveAclRequestProto,
) -> Answer<proto::RemoveAclResponseProto> {
    change_acl(call, &request.src, AclChange::Remove).await?;
    Ok(proto::RemoveAclResponseProto {})
}

pub(super) async fn set_acl(call: &Call<'_>, request: proto::SetAclRequestProto) -> Answer<proto::SetAclResponseProto> {
    change_acl(call, &request.src, AclChange::Set(entries(request.acl_spec)?)).await?;
    Ok(proto::SetAclResponseProto {})
}

pub(super) async fn get_acl_status(
    call: &Call<'_>,
    request: proto::GetAclStatusRequestProto,
) -> Answer<proto::GetAclStatusResponseProto> {
    let path = path(&request.src)?;
    match call.run(Operation::GetAclStatus { path }).await? {
        Reply::Acl(status) => Ok(proto::GetAclStatusResponseProto {
            result: proto::AclStatusProto {
                owner: status.owner,
                group: status.group,
                sticky: status.permission & 0o1000 != 0,
                entries: status.entries.into_iter().map(entry_proto).collect(),
                permission: Some(proto::FsPermissionProto {
                    perm: status.permission.into(),
                }),
            },
        }),
        other => Err(unexpected(&other)),
    }
}

fn xattr(proto: XAttrProto) -> Answer<XAttr> {
    let namespace = XAttrNamespace::from_number(proto.namespace);
    Ok(XAttr {
        namespace: namespace.ok_or_else(|| RpcException::illegal_argument("XAttr: its namespace is unknown"))?,
        name: proto.name,
        value: proto.value.map(|value| value.to_vec()),
    })
}

fn named(proto: Option<XAttrProto>) -> Answer<XAttr> {
    xattr(proto.ok_or_else(|| RpcException::illegal_argument("XAttr cannot be null."))?)
}

fn xattr_proto(xattr: XAttr) -> XAttrProto {
    XAttrProto {
        namespace: xattr.namespace as i32,
        name: xattr.name,
        value: xattr.value.map(Into::into),
    }
}

pub(super) async fn set_xattr(
    call: &Call<'_>,
    request: proto::SetXAttrRequestProto,
) -> Answer<proto::SetXAttrResponseProto> {
    let has = |flag: proto::XAttrSetFlagProto| request.flag() & flag as u32 != 0;
    let flags = SetFlags {
        create: has(proto::XAttrSetFlagProto::XattrCreate),
        replace: has(proto::XAttrSetFlagProto::XattrReplace),
    };
    let operation = Operation::SetXAttr {
        path: path(&request.src)?,
        xattr: named(request.x_attr)?,
        flags,
        raw: false,
    };
    call.run(operation).await?;
    Ok(proto::SetXAttrResponseProto {})
}

async fn run_xattrs(call: &Call<'_>, operation: Operation) -> Answer<Vec<XAttr>> {
    match call.run(operation).await? {
        Reply::XAttrs(xattrs) => Ok(xattrs),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn get_xattrs(
    call: &Call<'_>,
    request: proto::GetXAttrsRequestProto,
) -> Answer<proto::GetXAttrsResponseProto> {
    let wanted: Answer<Vec<XAttr>> = request.x_attrs.into_iter().map(xattr).collect();
    let operation = Operation::GetXAttrs {
        path: path(&request.src)?,
        wanted: wanted?,
        raw: false,
    };
    let found = run_xattrs(call, operation).await?;
    Ok(proto::GetXAttrsResponseProto {
        x_attrs: found.into_iter().map(xattr_proto).collect(),
    })
}

pub(super) async fn list_xattrs(
    call: &Call<'_>,
    request: proto::ListXAttrsRequestProto,
) -> Answer<proto::ListXAttrsResponseProto> {
    let path = path(&request.src)?;
    let found = run_xattrs(call, Operation::ListXAttrs { path, raw: false }).await?;
    Ok(proto::ListXAttrsResponseProto {
        x_attrs: found.into_iter().map(xattr_proto).collect(),
    })
}

pub(super) async fn remove_xattr(
    call: &Call<'_>,
    request: proto::RemoveXAttrRequestProto,
) -> Answer<proto::RemoveXAttrResponseProto> {
    let operation = Operation::RemoveXAttr {
        path: path(&request.src)?,
        xattr: named(request.x_attr)?,
        raw: false,
    };
    call.run(operation).await?;
    Ok(proto::RemoveXAttrResponseProto {})
}

pub(super) async fn set_quota(
    call: &Call<'_>,
    request: proto::SetQuotaRequestProto,
) -> Answer<proto::SetQuotaResponseProto> {
    let kind = request.storage_type.map(|number| {
        let kind = StorageType::from_number(number);
        kind.ok_or_else(|| RpcException::illegal_argument(format!("storage type {number} is unknown")))
    });
    let operation = Operation::SetQuota {
        path: path(&request.path)?,
        // -1 and other negative numbers arrive as unsigned ones.
        names: request.namespace_quota as i64,
        space: request.storagespace_quota as i64,
        kind: kind.transpose()?,
    };
    call.run(operation).await?;
    Ok(proto::SetQuotaResponseProto {})
}

fn types(types: &[StorageType]) -> proto::StorageTypesProto {
    proto::StorageTypesProto {
        storage_types: types.iter().map(|kind| *kind as i32).collect(),
    }
}

fn policy_proto(policy: &Policy) -> BlockStoragePolicyProto {
    BlockStoragePolicyProto {
        policy_id: policy.id.into(),
        name: policy.name.to_owned(),
        creation_policy: types(policy.types),
        creation_fallback_policy: Some(types(policy.creation_fallbacks)),
        replication_fallback_policy: Some(types(policy.replication_fallbacks)),
    }
}

pub(super) async fn get_storage_policies(
    _: &Call<'_>,
    _: proto::GetStoragePoliciesRequestProto,
) -> Answer<proto::GetStoragePoliciesResponseProto> {
    Ok(proto::GetStoragePoliciesResponseProto {
        policies: POLICIES.iter().map(policy_proto).collect(),
    })
}

pub(super) async fn get_storage_policy(
    call: &Call<'_>,
    request: proto::GetStoragePolicyRequestProto,
) -> Answer<proto::GetStoragePolicyResponseProto> {
    let path = path(&request.path)?;
    let reply = call.run(Operation::GetStoragePolicy { path }).await?;
    let policy = match &reply {
        Reply::Number(id) => u8::try_from(*id).ok().and_then(by_id),
        _ => None,
    };
    let policy = policy.ok_or_else(|| unexpected(&reply))?;
    Ok(proto::GetStoragePolicyResponseProto {
        storage_policy: policy_proto(policy),
    })
}

pub(super) async fn set_storage_policy(
    call: &Call<'_>,
    request: proto::SetStoragePolicyRequestProto,
) -> Answer<proto::SetStoragePolicyResponseProto> {
    let operation = Operation::SetStoragePolicy {
        path: path(&request.src)?,
        policy: request.policy_name,
    };
    call.run(operation).await?;
    Ok(proto::SetStoragePolicyResponseProto {})
}

pub(super) async fn unset_storage_policy(
    call: &Call<'_>,
    request: proto::UnsetStoragePolicyRequestProto,
) -> Answer<proto::UnsetStoragePolicyResponseProto> {
    let path = path(&request.src)?;
    call.run(Operation::UnsetStoragePolicy { path }).await?;
    Ok(proto::UnsetStoragePolicyResponseProto {})
}
