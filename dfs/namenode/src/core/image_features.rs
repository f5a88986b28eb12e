//! What few inodes have, as records of the image. The encoding is protobuf with the field numbers given here (persisted, never renumber).

use prost::Message;

use super::edit::{AclEntryEdit, SetQuota, XAttrEdit};
use super::features::{Features, acl_entry, xattr};
use super::quota::{Quota, Usage};
use super::state::ApplyError;

/// Everything beside an inode.
#[derive(Clone, PartialEq, Message)]
pub struct ImageFeatures {
    /// The inode.
    #[prost(uint64, tag = "1")]
    pub inode_id: u64,
    /// Extended entries of its access control list.
    #[prost(message, repeated, tag = "2")]
    pub acl: Vec<AclEntryEdit>,
    /// Its extended attributes.
    #[prost(message, repeated, tag = "3")]
    pub xattrs: Vec<XAttrEdit>,
    /// Its storage policy; 0 for none.
    #[prost(uint32, tag = "4")]
    pub policy: u32,
    /// Its quotas, without a path.
    #[prost(message, optional, tag = "5")]
    pub quota: Option<SetQuota>,
}

impl Features {
    /// One record per inode that has any.
    pub fn export(&self) -> impl Iterator<Item = ImageFeatures> + '_ {
        self.ids().map(|inode_id| ImageFeatures {
            inode_id,
            acl: self.acl(inode_id).unwrap_or_default().iter().map(Into::into).collect(),
            xattrs: self.xattrs_of(inode_id).iter().map(Into::into).collect(),
            policy: self.policies.get(&inode_id).copied().unwrap_or_default().into(),
            quota: self.quotas.get(&inode_id).map(|quota| quota.to_edit("")),
        })
    }

    /// Takes a record in. What is used of a quota is counted later.
    pub(crate) fn import(&mut self, image: &ImageFeatures) -> Result<(), ApplyError> {
        let id = image.inode_id;
        let acl: Vec<_> = image.acl.iter().map(acl_entry).collect::<Result<_, _>>()?;
        if !acl.is_empty() {
            self.acls.insert(id, acl);
        }
        let xattrs: Vec<_> = image.xattrs.iter().map(xattr).collect::<Result<_, _>>()?;
        if !xattrs.is_empty() {
            self.xattrs.insert(id, xattrs);
        }
        if image.policy != 0 {
            self.policies.insert(id, image.policy as u8);
        }
        let quota = image.quota.as_ref();
        if let Some(quota) = quota.and_then(|quota| Quota::from_edit(quota, Usage::default())) {
            self.quotas.insert(id, quota);
        }
        Ok(())
    }
}
