//! HDFS's permission model: owner, group, other; sticky bit; a superuser and a supergroup.

use super::Core;
use super::acl::{Kind, Scope};
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
            || self.is_member(caller, &self.settings.supergroup)
    }

    /// Whether the caller is in `group`: by the configured table, which goes before what the operating system says.
    pub(crate) fn is_member(&self, caller: &Caller, group: &str) -> bool {
        let configured = self.settings.user_groups.get(&caller.user);
        configured
            .map_or(&*caller.groups, Vec::as_slice)
            .iter()
            .any(|other| other == group)
    }

    /// Refuses callers that are not superusers, naming the operation.
    pub(crate) fn check_superuser_for(&self, caller: &Caller, operation: &str) -> Result<(), FsError> {
        self.check_superuser(caller).map_err(|refused| match refused {
            FsError::AccessControl(text) => FsError::AccessControl(format!("{text} for operation {operation}")),
            other => other,
        })
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
        let class = |shift: u16| (inode.permission >> shift) as u8 & 7;
        if owner == caller.user {
            return class(6) & bits == bits;
        }
        if let Some(granted) = self.by_acl(caller, inode, group, bits) {
            return granted;
        }
        let granted = if self.is_member(caller, group) {
            class(3)
        } else {
            class(0)
        };
        granted & bits == bits
    }

    /// What named users and groups of an access control list say; the group's mode bits are their mask. `None`: nothing, not even about
    /// the inode's own group.
    fn by_acl(&self, caller: &Caller, inode: &Inode, own_group: &str, bits: u8) -> Option<bool> {
        let entries = self.state.features.acl(inode.id)?;
        let mut entries = entries
            .iter()
            .take_while(|entry| entry.scope == Scope::Access)
            .peekable();
        entries.peek()?;
        let mask = (inode.permission >> 3) as u8 & 7;
        let mut in_a_group = false;
        for entry in entries {
            let grants = entry.permission & mask & bits == bits;
            match (entry.kind, entry.name.as_deref()) {
                (Kind::User, Some(user)) if user == caller.user => return Some(grants),
                (Kind::Group, name) if self.is_member(caller, name.unwrap_or(own_group)) => {
                    if grants {
                        return Some(true);
                    }
                    in_a_group = true;
                }
                _ => {}
            }
        }
        Some(!in_a_group && inode.permission as u8 & bits == bits)
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
    ///
    /// # Errors
    /// HDFS has two exceptions for a file in the middle: calls that make new names say so, the others speak of access.
    pub(crate) fn check_traverse(&self, caller: &Caller, walk: &Walk<'_>) -> Result<(), FsError> {
        self.check_traverse_to_create(caller, walk)
            .map_err(|refused| match refused {
                FsError::ParentNotDirectory(text) => FsError::AccessControl(text),
                other => other,
            })
    }

    /// As [`Self::check_traverse`], for calls that make new names.
    pub(crate) fn check_traverse_to_create(&self, caller: &Caller, walk: &Walk<'_>) -> Result<(), FsError> {
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
        self.check_sticky(caller, parent, slot)
    }

    /// In a directory with the sticky bit only its owner and theirs may remove entries.
    fn check_sticky(&self, caller: &Caller, parent: Slot, slot: Slot) -> Result<(), FsError> {
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

    /// Requires that the caller may remove everything below `slot`: all of every directory with entries, and no sticky bit in the way.
    pub(crate) fn check_remove_below(&self, caller: &Caller, slot: Slot) -> Result<(), FsError> {
        self.check_directories(caller, slot, |slot, inode| {
            let Some(children) = inode.children().filter(|children| !children.is_empty()) else {
                return Ok(());
            };
            self.check_inode(caller, slot, READ | WRITE | EXECUTE)?;
            if inode.permission & STICKY == 0 {
                return Ok(());
            }
            children
                .iter()
                .try_for_each(|child| self.check_sticky(caller, slot, child))
        })
    }

    /// Requires that the caller may list every directory of a tree.
    pub(crate) fn check_list_below(&self, caller: &Caller, slot: Slot) -> Result<(), FsError> {
        self.check_directories(caller, slot, |slot, inode| match inode.is_directory() {
            true => self.check_inode(caller, slot, READ | EXECUTE),
            false => Ok(()),
        })
    }

    fn check_directories(
        &self,
        caller: &Caller,
        slot: Slot,
        check: impl Fn(Slot, &Inode) -> Result<(), FsError>,
    ) -> Result<(), FsError> {
        if self.is_superuser(caller) {
            return Ok(());
        }
        let mut result = Ok(());
        self.state.namespace.visit_tree(slot, |slot, inode| {
            result = check(slot, inode);
            result.is_ok()
        });
        result
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
