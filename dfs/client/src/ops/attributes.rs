//! Owners, times, access control lists, extended attributes, quotas, storage policies.

use crate::acl::{AclEntry, AclStatus};
use crate::attributes::{QuotaChange, StoragePolicy, StorageType, XAttr, XAttrMode};
use crate::client::{DfsClient, parse};
use crate::error::Result;
use crate::status::{ContentSummary, QuotaUsage};

impl DfsClient {
    /// Sets permission bits.
    pub async fn set_permission(&self, path: &str, permission: u16) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_permission(path.as_str(), permission).await
    }

    /// Sets owner, group or both.
    pub async fn set_owner(&self, path: &str, owner: Option<&str>, group: Option<&str>) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_owner(path.as_str(), owner, group).await
    }

    /// Sets when a file was last changed or read, in milliseconds since 1970; what is absent stays as it is.
    pub async fn set_times(&self, path: &str, modified_ms: Option<u64>, accessed_ms: Option<u64>) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_times(path.as_str(), modified_ms, accessed_ms).await
    }

    /// Sets how many replicas a file's blocks shall have; false for directories. The copies come and go in the background.
    pub async fn set_replication(&self, path: &str, replication: u16) -> Result<bool> {
        let path = parse(path)?;
        self.namenode().set_replication(path.as_str(), replication).await
    }

    /// The access control list of a file or directory.
    pub async fn acl_status(&self, path: &str) -> Result<AclStatus> {
        let path = parse(path)?;
        self.namenode().acl_status(path.as_str()).await
    }

    /// Adds entries to an access control list, replacing those of the same scope, kind and name.
    pub async fn modify_acl_entries(&self, path: &str, entries: &[AclEntry]) -> Result<()> {
        let path = parse(path)?;
        self.namenode().modify_acl(path.as_str(), entries).await
    }

    /// Removes entries from an access control list; their permissions are not looked at.
    pub async fn remove_acl_entries(&self, path: &str, entries: &[AclEntry]) -> Result<()> {
        let path = parse(path)?;
        self.namenode().remove_acl_entries(path.as_str(), entries).await
    }

    /// Removes the entries that new children of a directory start with.
    pub async fn remove_default_acl(&self, path: &str) -> Result<()> {
        let path = parse(path)?;
        self.namenode().remove_default_acl(path.as_str()).await
    }

    /// Removes all entries but the three that the permission bits express.
    pub async fn remove_acl(&self, path: &str) -> Result<()> {
        let path = parse(path)?;
        self.namenode().remove_acl(path.as_str()).await
    }

    /// Replaces an access control list.
    pub async fn set_acl(&self, path: &str, entries: &[AclEntry]) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_acl(path.as_str(), entries).await
    }

    /// Sets an extended attribute; the name begins with its namespace: `user.origin`.
    pub async fn set_xattr(&self, path: &str, name: &str, value: &[u8], mode: XAttrMode) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_xattr(path.as_str(), name, value, mode).await
    }

    /// The extended attributes of those names, or all that the user may see.
    ///
    /// # Errors
    /// When one that is named is not there.
    pub async fn xattrs(&self, path: &str, names: &[&str]) -> Result<Vec<XAttr>> {
        let path = parse(path)?;
        self.namenode().xattrs(path.as_str(), names).await
    }

    /// The names of the extended attributes that the user may see.
    pub async fn xattr_names(&self, path: &str) -> Result<Vec<String>> {
        let path = parse(path)?;
        self.namenode().xattr_names(path.as_str()).await
    }

    /// Removes an extended attribute.
    pub async fn remove_xattr(&self, path: &str, name: &str) -> Result<()> {
        let path = parse(path)?;
        self.namenode().remove_xattr(path.as_str(), name).await
    }

    /// What the tree at `path` holds, and its quotas.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such path.
    pub async fn content_summary(&self, path: &str) -> Result<ContentSummary> {
        let path = parse(path)?;
        self.namenode().content_summary(path.as_str()).await
    }

    /// What the tree at `path` uses of its quotas: cheaper than the summary where there are quotas.
    pub async fn quota_usage(&self, path: &str) -> Result<QuotaUsage> {
        let path = parse(path)?;
        self.namenode().quota_usage(path.as_str()).await
    }

    /// Limits the names in a directory tree, or the bytes of its replicas; with `kind`, the bytes on that medium only.
    pub async fn set_quota(
        &self,
        path: &str,
        names: QuotaChange,
        space: QuotaChange,
        kind: Option<StorageType>,
    ) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_quota(path.as_str(), names, space, kind).await
    }

    /// The storage policies that there are.
    pub async fn storage_policies(&self) -> Result<Vec<StoragePolicy>> {
        self.namenode().storage_policies().await
    }

    /// The storage policy that holds for a file or directory.
    pub async fn storage_policy(&self, path: &str) -> Result<StoragePolicy> {
        let path = parse(path)?;
        self.namenode().storage_policy(path.as_str()).await
    }

    /// Sets the storage policy of a file or directory by its name.
    pub async fn set_storage_policy(&self, path: &str, policy: &str) -> Result<()> {
        let path = parse(path)?;
        self.namenode().set_storage_policy(path.as_str(), policy).await
    }

    /// Has a file or directory follow its parent's storage policy again.
    pub async fn unset_storage_policy(&self, path: &str) -> Result<()> {
        let path = parse(path)?;
        self.namenode().unset_storage_policy(path.as_str()).await
    }
}
