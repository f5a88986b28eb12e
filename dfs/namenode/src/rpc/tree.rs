//! Methods that change names and attributes.

use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use super::paths::new_path;
use super::{Answer, Call, path};
use crate::core::acl_calls::Modes;
use crate::core::command::Operation;

/// "Leave as it is" for a time: -1 as an unsigned number.
const KEEP: u64 = u64::MAX;

/// Mode bits of a message: the sticky bit and the nine usual ones.
pub(super) fn mode(permission: &proto::FsPermissionProto) -> u16 {
    (permission.perm & 0o1777) as u16
}

/// Mode bits of a new file or directory, after and before the client's umask.
pub(super) fn modes(masked: &proto::FsPermissionProto, unmasked: Option<&proto::FsPermissionProto>) -> Modes {
    Modes {
        masked: mode(masked),
        unmasked: mode(unmasked.unwrap_or(masked)),
    }
}

/// A number of replicas; what does not fit is refused by the core as too large.
pub(super) fn replicas(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

pub(super) async fn mkdirs(call: &Call<'_>, request: proto::MkdirsRequestProto) -> Answer<proto::MkdirsResponseProto> {
    let operation = Operation::MakeDirectories {
        path: new_path("mkdirs", &request.src)?,
        permission: modes(&request.masked, request.unmasked.as_ref()),
        create_parent: request.create_parent,
    };
    Ok(proto::MkdirsResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn delete(call: &Call<'_>, request: proto::DeleteRequestProto) -> Answer<proto::DeleteResponseProto> {
    let operation = Operation::Delete {
        path: path(&request.src)?,
        recursive: request.recursive,
    };
    Ok(proto::DeleteResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn rename(call: &Call<'_>, request: proto::RenameRequestProto) -> Answer<proto::RenameResponseProto> {
    let operation = Operation::Rename {
        source: path(&request.src)?,
        destination: new_path("rename", &request.dst)?,
    };
    Ok(proto::RenameResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn rename2(
    call: &Call<'_>,
    request: proto::Rename2RequestProto,
) -> Answer<proto::Rename2ResponseProto> {
    let (source, destination) = (path(&request.src)?, new_path("rename", &request.dst)?);
    call.run(Operation::Rename2 {
        source,
        destination,
        overwrite: request.overwrite_dest,
        to_trash: request.move_to_trash(),
    })
    .await?;
    Ok(proto::Rename2ResponseProto {})
}

pub(super) async fn set_permission(
    call: &Call<'_>,
    request: proto::SetPermissionRequestProto,
) -> Answer<proto::SetPermissionResponseProto> {
    call.run(Operation::SetPermission {
        path: path(&request.src)?,
        permission: mode(&request.permission),
    })
    .await?;
    Ok(proto::SetPermissionResponseProto {})
}

pub(super) async fn set_owner(
    call: &Call<'_>,
    request: proto::SetOwnerRequestProto,
) -> Answer<proto::SetOwnerResponseProto> {
    let (owner, group) = (request.username().to_owned(), request.groupname().to_owned());
    call.run(Operation::SetOwner {
        path: path(&request.src)?,
        owner,
        group,
    })
    .await?;
    Ok(proto::SetOwnerResponseProto {})
}

pub(super) async fn set_times(
    call: &Call<'_>,
    request: proto::SetTimesRequestProto,
) -> Answer<proto::SetTimesResponseProto> {
    let given = |time: u64| (time != KEEP).then_some(time);
    let (modified_ms, accessed_ms) = (given(request.mtime), given(request.atime));
    call.run(Operation::SetTimes {
        path: path(&request.src)?,
        modified_ms,
        accessed_ms,
    })
    .await?;
    Ok(proto::SetTimesResponseProto {})
}

pub(super) async fn set_replication(
    call: &Call<'_>,
    request: proto::SetReplicationRequestProto,
) -> Answer<proto::SetReplicationResponseProto> {
    let operation = Operation::SetReplication {
        path: path(&request.src)?,
        replication: replicas(request.replication),
    };
    Ok(proto::SetReplicationResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn concat(call: &Call<'_>, request: proto::ConcatRequestProto) -> Answer<proto::ConcatResponseProto> {
    let sources: Answer<Vec<String>> = request.srcs.iter().map(|source| path(source)).collect();
    let operation = Operation::Concat {
        target: path(&request.trg)?,
        sources: sources?,
    };
    call.run(operation).await?;
    Ok(proto::ConcatResponseProto {})
}
