//! HDFS's permission model: owner, group, other; sticky bit; a superuser and a supergroup.

use super::Core;
use super::command::Caller;
use super::error::FsError;
use super::inode::{Inode, Slot};
use super::namespace::Walk;

/// Mode bit: read.
pub const READ: u8 = 4;
/// Mode bit: write.
pub const WRITE: u8 = 2;
/// Mode bit: execute or traverse.
pub const EXECUTE: u8 = 1;
const STICKY: u16 = 0o1000;

/// HDFS's name of a combination of mode bits, as in its refusals.
fn access_name(bits: u8) -> &'static str {
    const NAMES: [&str; 8] = [
        "NONE",
        "EXECUTE",
        "WRITE",
        "WRITE_EXECUTE",
        "READ",
        "READ_EXECUTE",
        "READ_WRITE",
        "ALL",
    ];
    NAMES[usize::from(bits & 7)]
}

/// `drwxr-xr-x` of an inode.
fn mode_text(inode: &Inode) -> String {
    let kind = if inode.is_directory() { 'd' } else { '-' };
    let bits = (0..9).map(|bit| {
        if inode.permission & (0o400 >> bit) != 0 {
            b"rwx"[bit % 3] as char
        } else {
            '-'
        }
    });
    let mut text: String = std::iter::once(kind).chain(bits).collect();
    if inode.permission & STICKY != 0 {
        let last = if inode.permission & 1 != 0 { 't' } else { 'T' };
        text.pop();
        text.push(last);
    }
    text
}

impl Core {
    /// Whether `caller` is above all permissions.
    pub(crate) fn is_superuser(&self, caller: &Caller) -> bool {
        !self.settings.permissions
            || caller.user == self.settings.superuser
            || self.groups_of(&caller.user).contains(&self.settings.supergroup)
    }

    fn groups_of(&self, user: &str) -> &[String] {
        self.settings.user_groups.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether `user` is in `group`.
    pub(crate) fn is_member(&self, user: &str, group: &str) -> bool {
        self.groups_of(user).iter().any(|other| other == group)
    }

    /// Refuses callers that are not superusers.
    pub(crate) fn check_superuser(&self, caller: &Caller) -> Result<(), FsError> {
        if self.is_superuser(caller) {
            return Ok(());
        }
        Err(FsError::AccessControl(format!(
            "Access denied for user {}. Superuser privilege is required",
            caller.user
        )))
    }

    fn allows(&self, caller: &Caller, inode: &Inode, bits: u8) -> bool {
        let (owner, group) = self.state.namespace.owner_and_group(inode);
        let shift = match () {
            () if owner == caller.user => 6,
            () if self.is_member(&caller.user, group) => 3,
            () => 0,
        };
        (inode.permission >> shift) as u8 & bits == bits
    }

    fn denied(&self, caller: &Caller, slot: Slot, bits: u8) -> FsError {
        let inode = self.state.namespace.get(slot);
        let (owner, group) = self.state.namespace.owner_and_group(inode);
        FsError::AccessControl(format!(
            "Permission denied: user={}, access={}, inode=\"{}\":{owner}:{group}:{}",
            caller.user,
            access_name(bits),
            self.state.namespace.path_of(slot),
            mode_text(inode),
        ))
    }

    /// Requires `bits` on one inode.
    pub(crate) fn check_inode(&self, caller: &Caller, slot: Slot, bits: u8) -> Result<(), FsError> {
        if self.is_superuser(caller) || self.allows(caller, self.state.namespace.get(slot), bits) {
            return Ok(());
        }
        Err(self.denied(caller, slot, bits))
    }

    /// Requires that the caller may follow the path as far as it exists, and that what it passes through are directories.
    pub(crate) fn check_traverse(&self, caller: &Caller, walk: &Walk<'_>) -> Result<(), FsError> {
        let passed = walk.found.len() - usize::from(walk.missing.is_empty());
        for slot in &walk.found[..passed] {
            if !self.state.namespace.get(*slot).is_directory() {
                let path = self.state.namespace.path_of(*slot);
                return Err(FsError::ParentNotDirectory(format!("{path} (is not a directory)")));
            }
            self.check_inode(caller, *slot, EXECUTE)?;
        }
        Ok(())
    }

    /// Requires write permission on the deepest existing ancestor: entries will appear there.
    pub(crate) fn check_ancestor_write(&self, caller: &Caller, walk: &Walk<'_>) -> Result<(), FsError> {
        let ancestor = match walk.target() {
            Some(slot) => self.state.namespace.get(slot).parent,
            None => walk.last(),
        };
        self.check_inode(caller, ancestor, WRITE)
    }

    /// Requires that the caller may remove `slot` from its directory.
    pub(crate) fn check_unlink(&self, caller: &Caller, slot: Slot) -> Result<(), FsError> {
        let parent = self.state.namespace.get(slot).parent;
        self.check_inode(caller, parent, WRITE)?;
        let directory = self.state.namespace.get(parent);
        if directory.permission & STICKY == 0 || self.is_superuser(caller) {
            return Ok(());
        }
        let owns = |inode: &Inode| self.state.namespace.names.get(inode.owner) == caller.user;
        if owns(directory) || owns(self.state.namespace.get(slot)) {
            return Ok(());
        }
        Err(self.sticky_denied(caller, slot, parent))
    }

    fn sticky_denied(&self, caller: &Caller, slot: Slot, parent: Slot) -> FsError {
        let describe = |slot: Slot| {
            let inode = self.state.namespace.get(slot);
            let (owner, group) = self.state.namespace.owner_and_group(inode);
            format!(
                "\"{}\":{owner}:{group}:{}",
                self.state.namespace.path_of(slot),
                mode_text(inode)
            )
        };
        FsError::AccessControl(format!(
            "Permission denied by sticky bit: user={}, path={}, parent={}",
            caller.user,
            describe(slot),
            describe(parent)
        ))
    }

    /// Requires `bits` on every directory with entries in a tree.
    pub(crate) fn check_subdirectories(&self, caller: &Caller, slot: Slot, bits: u8) -> Result<(), FsError> {
        if self.is_superuser(caller) {
            return Ok(());
        }
        let mut refused = None;
        self.state.namespace.visit_tree(slot, |slot, inode| {
            let matters = inode.children().is_some_and(|children| !children.is_empty());
            if matters && !self.allows(caller, inode, bits) {
                refused = Some(slot);
            }
            refused.is_none()
        });
        refused.map_or(Ok(()), |slot| Err(self.denied(caller, slot, bits)))
    }

    /// Requires that the caller owns the inode.
    pub(crate) fn check_owner(&self, caller: &Caller, slot: Slot) -> Result<(), FsError> {
        let inode = self.state.namespace.get(slot);
        let owner = self.state.namespace.names.get(inode.owner);
        if owner == caller.user || self.is_superuser(caller) {
            return Ok(());
        }
        let path = self.state.namespace.path_of(slot);
        Err(FsError::AccessControl(format!(
            "Permission denied. user={} is not the owner of inode={path}",
            caller.user
        )))
    }
}
