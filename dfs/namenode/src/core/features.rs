//! What few inodes have: access control lists, extended attributes, quotas, storage policies. Kept beside the inodes, by inode id, so that
//! the millions without any of it pay nothing.

use std::collections::BTreeMap;

use super::acl::{AclEntry, Kind, Scope};
use super::edit;
use super::inode::Slot;
use super::quota::{Quota, Usage};
use super::state::{ApplyError, State, mismatch};
use super::storage_policy::UNSPECIFIED;
use super::xattr::{XAttr, XAttrNamespace};

/// The tables.
#[derive(Debug, Clone, Default)]
pub struct Features {
    /// Extended entries of access control lists, in order.
    pub acls: BTreeMap<u64, Vec<AclEntry>>,
    /// Extended attributes, in the order in which they were first set.
    pub xattrs: BTreeMap<u64, Vec<XAttr>>,
    /// Storage policies by id.
    pub policies: BTreeMap<u64, u8>,
    /// Quotas of directories, with what is used of them.
    pub quotas: BTreeMap<u64, Quota>,
}

impl Features {
    /// Extended entries of an inode's list.
    pub fn acl(&self, inode_id: u64) -> Option<&[AclEntry]> {
        if self.acls.is_empty() {
            return None;
        }
        self.acls.get(&inode_id).map(Vec::as_slice)
    }

    /// Extended attributes of an inode.
    pub fn xattrs_of(&self, inode_id: u64) -> &[XAttr] {
        self.xattrs.get(&inode_id).map_or(&[], Vec::as_slice)
    }

    /// Forgets a deleted inode.
    pub fn forget(&mut self, inode_id: u64) {
        self.acls.remove(&inode_id);
        self.xattrs.remove(&inode_id);
        self.policies.remove(&inode_id);
        self.quotas.remove(&inode_id);
    }

    /// Ids of inodes that have any of it, in order.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        let mut ids: Vec<u64> = self.acls.keys().copied().collect();
        ids.extend(self.xattrs.keys());
        ids.extend(self.policies.keys());
        ids.extend(self.quotas.keys());
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
    }
}

impl From<&AclEntry> for edit::AclEntryEdit {
    fn from(entry: &AclEntry) -> Self {
        Self {
            scope: entry.scope as u32,
            kind: entry.kind as u32,
            name: entry.name.clone(),
            permission: u32::from(entry.permission),
        }
    }
}

impl From<&XAttr> for edit::XAttrEdit {
    fn from(xattr: &XAttr) -> Self {
        Self {
            namespace: xattr.namespace as u32,
            name: xattr.name.clone(),
            value: xattr.value.clone(),
        }
    }
}

/// An entry as it was logged.
pub(crate) fn acl_entry(e: &edit::AclEntryEdit) -> Result<AclEntry, ApplyError> {
    let unknown = || mismatch("access control list", "entry", "its scope or kind is unknown");
    Ok(AclEntry {
        scope: Scope::from_number(e.scope as i32).ok_or_else(unknown)?,
        kind: Kind::from_number(e.kind as i32).ok_or_else(unknown)?,
        name: e.name.clone(),
        permission: (e.permission & 7) as u8,
    })
}

/// An attribute as it was logged.
pub(crate) fn xattr(e: &edit::XAttrEdit) -> Result<XAttr, ApplyError> {
    let namespace = XAttrNamespace::from_number(e.namespace as i32);
    Ok(XAttr {
        namespace: namespace.ok_or_else(|| mismatch("extended attribute", &e.name, "its namespace is unknown"))?,
        name: e.name.clone(),
        value: e.value.clone(),
    })
}

impl State {
    fn id_at(&self, path: &str, edit: &'static str) -> Result<(Slot, u64), ApplyError> {
        let slot = self.namespace.find(path);
        let slot = slot.ok_or_else(|| mismatch(edit, path, "it does not exist"))?;
        Ok((slot, self.namespace.get(slot).id))
    }

    pub(super) fn set_acl(&mut self, e: &edit::SetAcl) -> Result<(), ApplyError> {
        let (slot, id) = self.id_at(&e.path, "set acl")?;
        let entries: Vec<AclEntry> = e.entries.iter().map(acl_entry).collect::<Result<_, _>>()?;
        self.namespace.get_mut(slot).permission = (e.permission & 0o1777) as u16;
        if entries.is_empty() {
            self.features.acls.remove(&id);
        } else {
            self.features.acls.insert(id, entries);
        }
        Ok(())
    }

    pub(super) fn set_xattr(&mut self, e: &edit::SetXAttr) -> Result<(), ApplyError> {
        let (_, id) = self.id_at(&e.path, "set xattr")?;
        let new = xattr(
            e.xattr
                .as_ref()
                .ok_or_else(|| mismatch("set xattr", &e.path, "it sets nothing"))?,
        )?;
        let all = self.features.xattrs.entry(id).or_default();
        match all.iter_mut().find(|old| old.same_key(&new)) {
            Some(old) => *old = new,
            None => all.push(new),
        }
        Ok(())
    }

    pub(super) fn remove_xattr(&mut self, e: &edit::SetXAttr) -> Result<(), ApplyError> {
        let (_, id) = self.id_at(&e.path, "remove xattr")?;
        let gone = xattr(
            e.xattr
                .as_ref()
                .ok_or_else(|| mismatch("remove xattr", &e.path, "it names nothing"))?,
        )?;
        if let Some(all) = self.features.xattrs.get_mut(&id) {
            all.retain(|old| !old.same_key(&gone));
            if all.is_empty() {
                self.features.xattrs.remove(&id);
            }
        }
        Ok(())
    }

    pub(super) fn set_policy(&mut self, e: &edit::SetStoragePolicy) -> Result<(), ApplyError> {
        let (slot, id) = self.id_at(&e.path, "set storage policy")?;
        let before = self.usage_if_counted(slot);
        if e.policy == u32::from(UNSPECIFIED) {
            self.features.policies.remove(&id);
        } else {
            self.features.policies.insert(id, e.policy as u8);
        }
        let after = self.usage_if_counted(slot);
        self.charge(slot, after - before);
        self.recount_below(slot);
        Ok(())
    }

    pub(super) fn set_quota(&mut self, e: &edit::SetQuota) -> Result<(), ApplyError> {
        let (slot, id) = self.id_at(&e.path, "set quota")?;
        let used = match self.features.quotas.get(&id) {
            Some(old) => old.used,
            None => self.usage_of(slot),
        };
        match Quota::from_edit(e, used) {
            Some(quota) => self.features.quotas.insert(id, quota),
            None => self.features.quotas.remove(&id),
        };
        Ok(())
    }

    /// What a tree uses, if there is any quota for which it could matter.
    pub(super) fn usage_if_counted(&self, slot: Slot) -> Usage {
        if self.features.quotas.is_empty() {
            return Usage::default();
        }
        self.usage_of(slot)
    }
}
