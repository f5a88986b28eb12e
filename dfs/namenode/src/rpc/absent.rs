//! What Quarry does not have: questions about it hear "none", orders hear "unsupported" with the feature's name.

use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::RpcException;

use super::{Answer, Call, path};
use crate::core::command::Operation;

/// Methods of features that do not exist here, by feature.
const ABSENT: [(&str, &[&str]); 9] = [
    (
        "snapshots",
        &[
            "createSnapshot",
            "deleteSnapshot",
            "renameSnapshot",
            "allowSnapshot",
            "disallowSnapshot",
            "getSnapshotListing",
            "getSnapshotDiffReport",
            "getSnapshotDiffReportListing",
        ],
    ),
    (
        "erasure coding",
        &[
            "setErasureCodingPolicy",
            "unsetErasureCodingPolicy",
            "addErasureCodingPolicies",
            "removeErasureCodingPolicy",
            "enableErasureCodingPolicy",
            "disableErasureCodingPolicy",
            "getECTopologyResultForPolicies",
        ],
    ),
    (
        "encryption zones",
        &[
            "createEncryptionZone",
            "reencryptEncryptionZone",
            "listReencryptionStatus",
        ],
    ),
    (
        "centralized cache management",
        &[
            "addCacheDirective",
            "modifyCacheDirective",
            "removeCacheDirective",
            "listCacheDirectives",
            "addCachePool",
            "modifyCachePool",
            "removeCachePool",
            "listCachePools",
        ],
    ),
    ("delegation tokens", &["renewDelegationToken", "cancelDelegationToken"]),
    ("inotify", &["getCurrentEditLogTxid", "getEditsFromTxid"]),
    ("symbolic links", &["createSymlink"]),
    ("rolling upgrade", &["rollingUpgrade"]),
    ("the storage policy satisfier", &["satisfyStoragePolicy"]),
];

/// The refusal of a method that belongs to an absent feature; `None` for other methods.
pub(super) fn refusal(method: &str) -> Option<RpcException> {
    let (feature, _) = ABSENT.iter().find(|(_, methods)| methods.contains(&method))?;
    let text = format!("{method} is unsupported: Quarry does not have {feature}");
    Some(RpcException::unsupported(text))
}

pub(super) async fn get_link_target(
    call: &Call<'_>,
    request: proto::GetLinkTargetRequestProto,
) -> Answer<proto::GetLinkTargetResponseProto> {
    let path = path(&request.path)?;
    call.run(Operation::GetLinkTarget { path }).await?;
    Ok(proto::GetLinkTargetResponseProto { target_path: None })
}

async fn check_read(call: &Call<'_>, src: &str, missing_ok: bool) -> Answer<()> {
    let path = path(src)?;
    call.run(Operation::CheckRead { path, missing_ok }).await.map(|_| ())
}

pub(super) async fn get_enclosing_root(
    call: &Call<'_>,
    request: proto::GetEnclosingRootRequestProto,
) -> Answer<proto::GetEnclosingRootResponseProto> {
    check_read(call, request.filename(), true).await?;
    Ok(proto::GetEnclosingRootResponseProto {
        enclosing_root_path: Some("/".to_owned()),
    })
}

pub(super) async fn get_erasure_coding_policies(
    _: &Call<'_>,
    _: proto::GetErasureCodingPoliciesRequestProto,
) -> Answer<proto::GetErasureCodingPoliciesResponseProto> {
    Ok(proto::GetErasureCodingPoliciesResponseProto {
        ec_policies: Vec::new(),
    })
}

pub(super) async fn get_erasure_coding_policy(
    call: &Call<'_>,
    request: proto::GetErasureCodingPolicyRequestProto,
) -> Answer<proto::GetErasureCodingPolicyResponseProto> {
    check_read(call, &request.src, false).await?;
    Ok(proto::GetErasureCodingPolicyResponseProto { ec_policy: None })
}

pub(super) async fn get_erasure_coding_codecs(
    _: &Call<'_>,
    _: proto::GetErasureCodingCodecsRequestProto,
) -> Answer<proto::GetErasureCodingCodecsResponseProto> {
    Ok(proto::GetErasureCodingCodecsResponseProto { codec: Vec::new() })
}

pub(super) async fn list_encryption_zones(
    call: &Call<'_>,
    _: proto::ListEncryptionZonesRequestProto,
) -> Answer<proto::ListEncryptionZonesResponseProto> {
    let operation = "listEncryptionZones";
    call.run(Operation::CheckSuperuser { operation }).await?;
    Ok(proto::ListEncryptionZonesResponseProto {
        zones: Vec::new(),
        has_more: false,
    })
}

pub(super) async fn get_ez_for_path(
    call: &Call<'_>,
    request: proto::GetEzForPathRequestProto,
) -> Answer<proto::GetEzForPathResponseProto> {
    check_read(call, &request.src, true).await?;
    Ok(proto::GetEzForPathResponseProto { zone: None })
}

pub(super) async fn get_data_encryption_key(
    _: &Call<'_>,
    _: proto::GetDataEncryptionKeyRequestProto,
) -> Answer<proto::GetDataEncryptionKeyResponseProto> {
    Ok(proto::GetDataEncryptionKeyResponseProto {
        data_encryption_key: None,
    })
}

/// As Apache HDFS without security.
pub(super) async fn get_delegation_token(
    _: &Call<'_>,
    _: proto::GetDelegationTokenRequestProto,
) -> Answer<proto::GetDelegationTokenResponseProto> {
    Ok(proto::GetDelegationTokenResponseProto { token: None })
}

pub(super) async fn get_snapshottable_dir_listing(
    _: &Call<'_>,
    _: proto::GetSnapshottableDirListingRequestProto,
) -> Answer<proto::GetSnapshottableDirListingResponseProto> {
    Ok(proto::GetSnapshottableDirListingResponseProto {
        snapshottable_dir_list: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_absent_feature_is_named() {
        for (feature, methods) in ABSENT {
            for method in methods {
                let refusal = refusal(method).map(|refusal| refusal.message);
                assert!(refusal.is_some_and(|text| text.contains(feature)), "{method}");
            }
        }
        assert!(refusal("getFileInfo").is_none());
    }
}
