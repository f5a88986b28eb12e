//! Methods that look.

use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::RpcException;
use quarry_dfs_wire::rpc::exception::class;

use super::{Answer, Call, convert, path, unexpected};
use crate::core::command::{ContentSummary, Operation, Reply};
use crate::core::storage_policy::STORAGE_TYPES;

/// "No quota" on the wire: -1 as an unsigned number.
const NO_QUOTA: u64 = u64::MAX;

async fn status(call: &Call<'_>, src: &str, need_locations: bool) -> Answer<Option<proto::HdfsFileStatusProto>> {
    match call
        .run(Operation::GetFileInfo {
            path: path(src)?,
            need_locations,
        })
        .await?
    {
        Reply::Status(status) => Ok(status.map(|status| convert::file_status(call.pool(), *status))),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn get_file_info(
    call: &Call<'_>,
    request: proto::GetFileInfoRequestProto,
) -> Answer<proto::GetFileInfoResponseProto> {
    Ok(proto::GetFileInfoResponseProto {
        fs: status(call, &request.src, false).await?,
    })
}

/// There are no symbolic links, so the link itself is the file.
pub(super) async fn get_file_link_info(
    call: &Call<'_>,
    request: proto::GetFileLinkInfoRequestProto,
) -> Answer<proto::GetFileLinkInfoResponseProto> {
    Ok(proto::GetFileLinkInfoResponseProto {
        fs: status(call, &request.src, false).await?,
    })
}

pub(super) async fn get_located_file_info(
    call: &Call<'_>,
    request: proto::GetLocatedFileInfoRequestProto,
) -> Answer<proto::GetLocatedFileInfoResponseProto> {
    Ok(proto::GetLocatedFileInfoResponseProto {
        fs: status(call, request.src(), true).await?,
    })
}

pub(super) async fn get_listing(
    call: &Call<'_>,
    request: proto::GetListingRequestProto,
) -> Answer<proto::GetListingResponseProto> {
    let operation = Operation::GetListing {
        path: path(&request.src)?,
        start_after: String::from_utf8_lossy(&request.start_after).into_owned(),
        need_locations: request.need_location,
    };
    let listing = match call.run(operation).await? {
        Reply::Listing(listing) => listing,
        other => return Err(unexpected(&other)),
    };
    let dir_list = listing.map(|(entries, remaining_entries)| proto::DirectoryListingProto {
        partial_listing: entries
            .into_iter()
            .map(|entry| convert::file_status(call.pool(), entry))
            .collect(),
        remaining_entries,
    });
    Ok(proto::GetListingResponseProto { dir_list })
}

pub(super) async fn get_block_locations(
    call: &Call<'_>,
    request: proto::GetBlockLocationsRequestProto,
) -> Answer<proto::GetBlockLocationsResponseProto> {
    for (name, value) in [("offset", request.offset), ("length", request.length)] {
        // Java's numbers have a sign.
        if value > i64::MAX as u64 {
            let text = format!("Negative {name} is not supported. File: {}", request.src);
            return Err(RpcException::application(class::JAVA_ILLEGAL_ARGUMENT, text));
        }
    }
    let operation = Operation::GetBlockLocations {
        path: path(&request.src)?,
        offset: request.offset,
        // No bytes asked for: HDFS answers the block at the offset.
        length: request.length.max(1),
    };
    match call.run(operation).await? {
        Reply::Blocks(blocks) => {
            let locations = Some(convert::located_blocks(call.pool(), *blocks));
            Ok(proto::GetBlockLocationsResponseProto { locations })
        }
        other => Err(unexpected(&other)),
    }
}

async fn summary(call: &Call<'_>, operation: Operation) -> Answer<ContentSummary> {
    match call.run(operation).await? {
        Reply::Summary(summary) => Ok(*summary),
        other => Err(unexpected(&other)),
    }
}

/// A quota on the wire.
fn limit(quota: Option<i64>) -> u64 {
    quota.map_or(NO_QUOTA, i64::unsigned_abs)
}

/// Types that have a quota or bytes; a client takes the others for "none" and 0.
fn type_quotas(summary: &ContentSummary) -> Option<proto::StorageTypeQuotaInfosProto> {
    let infos = STORAGE_TYPES.into_iter().filter(|kind| kind.has_quota()).map(|kind| {
        let (quota, consumed) = (summary.quota.types[kind.index()], summary.types_consumed[kind.index()]);
        proto::StorageTypeQuotaInfoProto {
            r#type: Some(kind as i32),
            quota: limit(quota),
            consumed,
        }
    });
    let type_quota_info: Vec<_> = infos.collect();
    let any = type_quota_info
        .iter()
        .any(|info| info.quota != NO_QUOTA || info.consumed != 0);
    any.then_some(proto::StorageTypeQuotaInfosProto { type_quota_info })
}

pub(super) async fn get_content_summary(
    call: &Call<'_>,
    request: proto::GetContentSummaryRequestProto,
) -> Answer<proto::GetContentSummaryResponseProto> {
    let path = path(&request.path)?;
    let summary = summary(call, Operation::GetContentSummary { path }).await?;
    let summary = proto::ContentSummaryProto {
        length: summary.length,
        file_count: summary.files,
        directory_count: summary.directories,
        quota: limit(summary.quota.names),
        space_consumed: summary.space_consumed,
        space_quota: limit(summary.quota.space),
        type_quota_infos: type_quotas(&summary),
        snapshot_length: Some(0),
        snapshot_file_count: Some(0),
        snapshot_directory_count: Some(0),
        snapshot_space_consumed: Some(0),
        // HDFS's word for a file that is not erasure coded; empty for a directory.
        erasure_coding_policy: Some(if summary.is_file { "Replicated" } else { "" }.to_owned()),
    };
    Ok(proto::GetContentSummaryResponseProto { summary })
}

pub(super) async fn get_quota_usage(
    call: &Call<'_>,
    request: proto::GetQuotaUsageRequestProto,
) -> Answer<proto::GetQuotaUsageResponseProto> {
    let path = path(&request.path)?;
    let summary = summary(call, Operation::GetQuotaUsage { path }).await?;
    let usage = proto::QuotaUsageProto {
        file_and_directory_count: summary.files + summary.directories,
        quota: limit(summary.quota.names),
        space_consumed: summary.space_consumed,
        space_quota: limit(summary.quota.space),
        type_quota_infos: type_quotas(&summary),
    };
    Ok(proto::GetQuotaUsageResponseProto { usage })
}

pub(super) async fn get_preferred_block_size(
    call: &Call<'_>,
    request: proto::GetPreferredBlockSizeRequestProto,
) -> Answer<proto::GetPreferredBlockSizeResponseProto> {
    match call
        .run(Operation::GetPreferredBlockSize {
            path: path(&request.filename)?,
        })
        .await?
    {
        Reply::Number(bsize) => Ok(proto::GetPreferredBlockSizeResponseProto { bsize }),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn is_file_closed(
    call: &Call<'_>,
    request: proto::IsFileClosedRequestProto,
) -> Answer<proto::IsFileClosedResponseProto> {
    let result = call
        .run_bool(Operation::IsFileClosed {
            path: path(&request.src)?,
        })
        .await?;
    Ok(proto::IsFileClosedResponseProto { result })
}

pub(super) async fn check_access(
    call: &Call<'_>,
    request: proto::CheckAccessRequestProto,
) -> Answer<proto::CheckAccessResponseProto> {
    // The wire's numbers of the eight combinations are the mode bits themselves.
    let mode = (request.mode & 7) as u8;
    call.run(Operation::CheckAccess {
        path: path(&request.path)?,
        mode,
    })
    .await?;
    Ok(proto::CheckAccessResponseProto {})
}
