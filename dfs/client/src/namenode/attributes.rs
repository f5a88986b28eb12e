//! Owners, times, access control lists, extended attributes, quotas, storage policies.

use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use super::NameNode;
use crate::acl::{self, AclEntry, AclStatus};
use crate::attributes::{self, QuotaChange, StoragePolicy, StorageType, XAttr, XAttrMode};
use crate::convert;
use crate::error::Result;
use crate::status::{ContentSummary, QuotaUsage};

/// What leaves a time as it is: HDFS's -1.
const KEEP_TIME: u64 = u64::MAX;

fn entries(entries: &[AclEntry]) -> Vec<pb::AclEntryProto> {
    entries.iter().map(Into::into).collect()
}

impl NameNode {
    pub(crate) async fn set_permission(&self, path: &str, permission: u16) -> Result<()> {
        let request = pb::SetPermissionRequestProto {
            src: path.to_owned(),
            permission: convert::permission(permission),
        };
        let _: pb::SetPermissionResponseProto = self.call("setPermission", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_owner(&self, path: &str, owner: Option<&str>, group: Option<&str>) -> Result<()> {
        let request = pb::SetOwnerRequestProto {
            src: path.to_owned(),
            username: owner.map(str::to_owned),
            groupname: group.map(str::to_owned),
        };
        let _: pb::SetOwnerResponseProto = self.call("setOwner", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_times(&self, path: &str, modified: Option<u64>, accessed: Option<u64>) -> Result<()> {
        let request = pb::SetTimesRequestProto {
            src: path.to_owned(),
            mtime: modified.unwrap_or(KEEP_TIME),
            atime: accessed.unwrap_or(KEEP_TIME),
        };
        let _: pb::SetTimesResponseProto = self.call("setTimes", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_replication(&self, path: &str, replication: u16) -> Result<bool> {
        let request = pb::SetReplicationRequestProto {
            src: path.to_owned(),
            replication: replication.into(),
        };
        let answer: pb::SetReplicationResponseProto = self.call("setReplication", path, &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn acl_status(&self, path: &str) -> Result<AclStatus> {
        let request = pb::GetAclStatusRequestProto { src: path.to_owned() };
        let answer: pb::GetAclStatusResponseProto = self.call("getAclStatus", path, &request).await?;
        let status = answer.result;
        Ok(AclStatus {
            owner: status.owner,
            group: status.group,
            sticky: status.sticky,
            permission: status.permission.map_or(0, |p| (p.perm & 0o7777) as u16),
            entries: status.entries.into_iter().map(acl::entry_from_proto).collect(),
        })
    }

    pub(crate) async fn modify_acl(&self, path: &str, acl: &[AclEntry]) -> Result<()> {
        let request = pb::ModifyAclEntriesRequestProto {
            src: path.to_owned(),
            acl_spec: entries(acl),
        };
        let _: pb::ModifyAclEntriesResponseProto = self.call("modifyAclEntries", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn remove_acl_entries(&self, path: &str, acl: &[AclEntry]) -> Result<()> {
        let request = pb::RemoveAclEntriesRequestProto {
            src: path.to_owned(),
            acl_spec: entries(acl),
        };
        let _: pb::RemoveAclEntriesResponseProto = self.call("removeAclEntries", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn remove_default_acl(&self, path: &str) -> Result<()> {
        let request = pb::RemoveDefaultAclRequestProto { src: path.to_owned() };
        let _: pb::RemoveDefaultAclResponseProto = self.call("removeDefaultAcl", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn remove_acl(&self, path: &str) -> Result<()> {
        let request = pb::RemoveAclRequestProto { src: path.to_owned() };
        let _: pb::RemoveAclResponseProto = self.call("removeAcl", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_acl(&self, path: &str, acl: &[AclEntry]) -> Result<()> {
        let request = pb::SetAclRequestProto {
            src: path.to_owned(),
            acl_spec: entries(acl),
        };
        let _: pb::SetAclResponseProto = self.call("setAcl", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_xattr(&self, path: &str, name: &str, value: &[u8], mode: XAttrMode) -> Result<()> {
        let request = pb::SetXAttrRequestProto {
            src: path.to_owned(),
            x_attr: Some(attributes::xattr_to_proto(path, name, Some(value))?),
            flag: Some(mode.flags()),
        };
        let _: pb::SetXAttrResponseProto = self.call("setXAttr", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn xattrs(&self, path: &str, names: &[&str]) -> Result<Vec<XAttr>> {
        let names = names.iter().map(|name| attributes::xattr_to_proto(path, name, None));
        let request = pb::GetXAttrsRequestProto {
            src: path.to_owned(),
            x_attrs: names.collect::<Result<_>>()?,
        };
        let answer: pb::GetXAttrsResponseProto = self.call("getXAttrs", path, &request).await?;
        Ok(answer.x_attrs.into_iter().map(attributes::xattr_from_proto).collect())
    }

    pub(crate) async fn xattr_names(&self, path: &str) -> Result<Vec<String>> {
        let request = pb::ListXAttrsRequestProto { src: path.to_owned() };
        let answer: pb::ListXAttrsResponseProto = self.call("listXAttrs", path, &request).await?;
        let attributes = answer.x_attrs.into_iter().map(attributes::xattr_from_proto);
        Ok(attributes.map(|attribute| attribute.name).collect())
    }

    pub(crate) async fn remove_xattr(&self, path: &str, name: &str) -> Result<()> {
        let request = pb::RemoveXAttrRequestProto {
            src: path.to_owned(),
            x_attr: Some(attributes::xattr_to_proto(path, name, None)?),
        };
        let _: pb::RemoveXAttrResponseProto = self.call("removeXAttr", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn content_summary(&self, path: &str) -> Result<ContentSummary> {
        let request = pb::GetContentSummaryRequestProto { path: path.to_owned() };
        let answer: pb::GetContentSummaryResponseProto = self.call("getContentSummary", path, &request).await?;
        let summary = answer.summary;
        Ok(ContentSummary {
            length: summary.length,
            file_count: summary.file_count,
            directory_count: summary.directory_count,
            space_consumed: summary.space_consumed,
            quota: attributes::quota_from_wire(summary.quota),
            space_quota: attributes::quota_from_wire(summary.space_quota),
            type_quotas: attributes::type_quotas(summary.type_quota_infos),
            snapshot_length: summary.snapshot_length.unwrap_or(0),
            snapshot_file_count: summary.snapshot_file_count.unwrap_or(0),
            snapshot_directory_count: summary.snapshot_directory_count.unwrap_or(0),
            snapshot_space_consumed: summary.snapshot_space_consumed.unwrap_or(0),
            erasure_coding_policy: summary.erasure_coding_policy.unwrap_or_default(),
        })
    }

    pub(crate) async fn quota_usage(&self, path: &str) -> Result<QuotaUsage> {
        let request = pb::GetQuotaUsageRequestProto { path: path.to_owned() };
        let answer: pb::GetQuotaUsageResponseProto = self.call("getQuotaUsage", path, &request).await?;
        let usage = answer.usage;
        Ok(QuotaUsage {
            file_and_directory_count: usage.file_and_directory_count,
            space_consumed: usage.space_consumed,
            quota: attributes::quota_from_wire(usage.quota),
            space_quota: attributes::quota_from_wire(usage.space_quota),
            type_quotas: attributes::type_quotas(usage.type_quota_infos),
        })
    }

    pub(crate) async fn set_quota(
        &self,
        path: &str,
        names: QuotaChange,
        space: QuotaChange,
        kind: Option<StorageType>,
    ) -> Result<()> {
        let request = pb::SetQuotaRequestProto {
            path: path.to_owned(),
            namespace_quota: names.to_wire(),
            storagespace_quota: space.to_wire(),
            storage_type: kind.map(|kind| kind.to_proto() as i32),
        };
        let _: pb::SetQuotaResponseProto = self.call("setQuota", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn storage_policies(&self) -> Result<Vec<StoragePolicy>> {
        let request = pb::GetStoragePoliciesRequestProto {};
        let answer: pb::GetStoragePoliciesResponseProto = self.call("getStoragePolicies", "/", &request).await?;
        Ok(answer.policies.into_iter().map(attributes::storage_policy).collect())
    }

    pub(crate) async fn storage_policy(&self, path: &str) -> Result<StoragePolicy> {
        let request = pb::GetStoragePolicyRequestProto { path: path.to_owned() };
        let answer: pb::GetStoragePolicyResponseProto = self.call("getStoragePolicy", path, &request).await?;
        Ok(attributes::storage_policy(answer.storage_policy))
    }

    pub(crate) async fn set_storage_policy(&self, path: &str, policy: &str) -> Result<()> {
        let request = pb::SetStoragePolicyRequestProto {
            src: path.to_owned(),
            policy_name: policy.to_owned(),
        };
        let _: pb::SetStoragePolicyResponseProto = self.call("setStoragePolicy", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn unset_storage_policy(&self, path: &str) -> Result<()> {
        let request = pb::UnsetStoragePolicyRequestProto { src: path.to_owned() };
        let _: pb::UnsetStoragePolicyResponseProto = self.call("unsetStoragePolicy", path, &request).await?;
        Ok(())
    }
}
