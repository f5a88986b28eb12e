//! Listings of several directories and of open files.

use quarry_dfs_wire::proto::hadoop::hdfs::{self as proto, OpenFilesTypeProto};
use quarry_dfs_wire::rpc::RpcException;

use super::{Answer, Call, convert, exception, path, unexpected};
use crate::core::command::{Operation, PartialListing, Reply};

/// Where a page of a batched listing begins, as our own bytes that the client sends back: position of the path (u32be), last name.
fn start_after(bytes: &[u8]) -> Answer<Option<(usize, String)>> {
    let Some((index, name)) = bytes.split_first_chunk::<4>() else {
        return match bytes {
            [] => Ok(None),
            _ => Err(RpcException::illegal_argument(
                "startAfter is none that a page ended with",
            )),
        };
    };
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Some((u32::from_be_bytes(*index) as usize, name)))
}

fn next_page(next: Option<(usize, String)>) -> Vec<u8> {
    next.map_or_else(Vec::new, |(index, name)| {
        let mut bytes = (index as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(name.as_bytes());
        bytes
    })
}

fn partial(pool: &str, listing: PartialListing) -> proto::BatchedDirectoryListingProto {
    let parent_idx = listing.index as u32;
    match listing.entries {
        Ok(entries) => proto::BatchedDirectoryListingProto {
            partial_listing: entries
                .into_iter()
                .map(|entry| convert::file_status(pool, entry))
                .collect(),
            parent_idx,
            exception: None,
        },
        Err(error) => {
            let refusal = exception::of(error);
            let exception = Some(proto::RemoteExceptionProto {
                class_name: refusal.class.into_owned(),
                message: Some(refusal.message),
            });
            proto::BatchedDirectoryListingProto {
                partial_listing: Vec::new(),
                parent_idx,
                exception,
            }
        }
    }
}

pub(super) async fn get_batched_listing(
    call: &Call<'_>,
    request: proto::GetBatchedListingRequestProto,
) -> Answer<proto::GetBatchedListingResponseProto> {
    let paths: Answer<Vec<String>> = request.paths.iter().map(|text| path(text)).collect();
    let operation = Operation::GetBatchedListing {
        paths: paths?,
        start_after: start_after(&request.start_after)?,
        need_locations: request.need_location,
    };
    match call.run(operation).await? {
        Reply::Batched(batch) => {
            let listings = batch.listings.into_iter();
            Ok(proto::GetBatchedListingResponseProto {
                listings: listings.map(|listing| partial(call.pool(), listing)).collect(),
                has_more: batch.next.is_some(),
                start_after: next_page(batch.next).into(),
            })
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn list_open_files(
    call: &Call<'_>,
    request: proto::ListOpenFilesRequestProto,
) -> Answer<proto::ListOpenFilesResponseProto> {
    let all = request.types.is_empty() || request.types.contains(&(OpenFilesTypeProto::AllOpenFiles as i32));
    let operation = Operation::ListOpenFiles {
        after: u64::try_from(request.id).unwrap_or_default(),
        path: match request.path() {
            "" => "/".to_owned(),
            text => path(text)?,
        },
    };
    let (entries, has_more) = match call.run(operation).await? {
        // Decommissioning never waits for an open file here: its blocks are copied when it is closed.
        Reply::OpenFiles(entries, has_more) if all => (entries, has_more),
        Reply::OpenFiles(..) => (Vec::new(), false),
        other => return Err(unexpected(&other)),
    };
    let entries = entries.into_iter().map(|open| proto::OpenFilesBatchResponseProto {
        id: open.id as i64,
        path: open.path,
        client_name: open.holder,
        client_machine: open.client_machine,
    });
    Ok(proto::ListOpenFilesResponseProto {
        entries: entries.collect(),
        has_more,
        types: request.types,
    })
}
