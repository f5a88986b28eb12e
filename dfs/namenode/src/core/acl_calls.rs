//! The calls that read and change access control lists.

use super::Core;
use super::acl::{self, AclEntry, Scope};
use super::command::{AclStatus, Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::Slot;

/// How a list is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclChange {
    /// Add or replace entries.
    Modify(Vec<AclEntry>),
    /// Remove entries.
    RemoveEntries(Vec<AclEntry>),
    /// Remove the default scope.
    RemoveDefault,
    /// Keep only what mode bits say, the group's bits as the list had them.
    Remove,
    /// Replace whole scopes; no entries: as [`Self::Remove`].
    Set(Vec<AclEntry>),
}

impl AclChange {
    /// What HDFS's messages call it.
    fn action(&self) -> &'static str {
        match self {
            Self::Modify(_) => "modify ACL entries",
            Self::RemoveEntries(_) => "remove ACL entries",
            Self::RemoveDefault => "remove default ACL entries",
            Self::Remove => "remove ACL",
            Self::Set(_) => "set ACL",
        }
    }
}

impl Core {
    /// Changes a list. Only the owner may.
    pub(crate) fn change_acl(&mut self, caller: &Caller, path: &str, change: &AclChange) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot {} on {path}", change.action()))?;
        let slot = self.existing_for_change(caller, path)?;
        self.check_owner(caller, slot)?;
        let inode = self.state.namespace.get(slot);
        let extended = self.state.features.acl(inode.id).unwrap_or_default();
        let old = acl::logical(extended, inode.permission);
        let new = match change {
            AclChange::Modify(spec) => acl::merge(&old, spec),
            AclChange::RemoveEntries(spec) => acl::remove(&old, spec),
            AclChange::RemoveDefault => Ok(acl::without_default(&old)),
            AclChange::Set(spec) if !spec.is_empty() => acl::replace(&old, spec),
            AclChange::Remove | AclChange::Set(_) => Ok(without_extended(&old)),
        };
        let new = new.and_then(|list| self.check_defaults(slot, path, list));
        // The path stands in the message once more: word for word as HDFS has it.
        let new = new.map_err(|error| match error {
            FsError::Acl(text) => FsError::Acl(format!("{text} Path: {path}")),
            other => other,
        })?;
        let (extended, mode) = acl::split(&new);
        let sticky = self.state.namespace.get(slot).permission & 0o1000;
        self.edit_acl(path, &extended, mode | sticky);
        Ok(Reply::Void)
    }

    fn check_defaults(&self, slot: Slot, path: &str, list: Vec<AclEntry>) -> Result<Vec<AclEntry>, FsError> {
        let has_default = list.iter().any(|entry| entry.scope == Scope::Default);
        if has_default && !self.state.namespace.get(slot).is_directory() {
            return Err(FsError::Acl(format!(
                "Invalid ACL: only directories may have a default ACL. Path: {path}"
            )));
        }
        Ok(list)
    }

    fn edit_acl(&mut self, path: &str, extended: &[AclEntry], mode: u16) {
        self.edit(Edit::SetAcl(edit::SetAcl {
            path: path.to_owned(),
            entries: extended.iter().map(Into::into).collect(),
            permission: u32::from(mode),
        }));
    }

    /// Mode bits of a child to be made in `parent`, and its extended entries where the parent has a default scope. There the mode
    /// before the client's umask decides.
    pub(crate) fn inherited(&self, parent: Slot, mode: Modes, is_directory: bool) -> (u16, Option<Vec<AclEntry>>) {
        let id = self.state.namespace.get(parent).id;
        let parents = self.state.features.acl(id).unwrap_or_default();
        if !parents.iter().any(|entry| entry.scope == Scope::Default) {
            return (mode.masked, None);
        }
        let (extended, mode) = acl::inherit(parents, mode.unmasked, is_directory);
        (mode, Some(extended).filter(|extended| !extended.is_empty()))
    }

    /// Gives a child that was just made its inherited entries.
    pub(crate) fn give_inherited(&mut self, path: &str, mode: u16, extended: Option<Vec<AclEntry>>) {
        if let Some(extended) = extended {
            self.edit_acl(path, &extended, mode);
        }
    }

    /// A list as clients see it.
    pub(crate) fn get_acl_status(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.found(caller, path)?;
        let slot = slot.ok_or_else(|| FsError::FileNotFound(format!("cannot find {path}")))?;
        let inode = self.state.namespace.get(slot);
        let (owner, group) = self.state.namespace.owner_and_group(inode);
        Ok(Reply::Acl(Box::new(AclStatus {
            owner: owner.to_owned(),
            group: group.to_owned(),
            permission: inode.permission,
            entries: self.state.features.acl(inode.id).unwrap_or_default().to_vec(),
        })))
    }
}

/// The mode of a new file or directory as the client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// After the client's umask.
    pub masked: u16,
    /// Before it.
    pub unmasked: u16,
}

impl Modes {
    /// Of a client that has no umask, or did not say.
    pub fn plain(mode: u16) -> Self {
        Self {
            masked: mode,
            unmasked: mode,
        }
    }
}

/// Only owner, group and other of the access scope.
fn without_extended(list: &[AclEntry]) -> Vec<AclEntry> {
    let plain =
        |entry: &&AclEntry| entry.scope == Scope::Access && entry.name.is_none() && entry.kind != acl::Kind::Mask;
    list.iter().filter(plain).cloned().collect()
}
