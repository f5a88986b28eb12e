//! Extended attributes: names and values that users, administrators and the system attach to inodes. HDFS's rules and words.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit, RetryAnswer};
use super::error::FsError;
use super::inode::Slot;
use super::permission::{READ, WRITE};

/// Most attributes of one inode that users set. HDFS's value.
pub const MAX_PER_INODE: usize = 32;
/// Most bytes of one attribute: name without prefix and value. HDFS's value.
pub const MAX_BYTES: usize = 16384;
/// Keeps even superusers from reading a file. HDFS's name.
const UNREADABLE: &str = "security.hdfs.unreadable.by.superuser";

/// Who an attribute is for. The numbers are the wire's and the log's: persisted, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum XAttrNamespace {
    /// Whoever may read or write the file.
    User = 0,
    /// Superusers.
    Trusted = 1,
    /// The system, for security.
    Security = 2,
    /// The system.
    System = 3,
    /// The system, shown under `/.reserved/raw` only.
    Raw = 4,
}

impl XAttrNamespace {
    /// By its persisted number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::User, Self::Trusted, Self::Security, Self::System, Self::Raw]
            .into_iter()
            .find(|it| *it as i32 == number)
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::User => "user.",
            Self::Trusted => "trusted.",
            Self::Security => "security.",
            Self::System => "system.",
            Self::Raw => "raw.",
        }
    }
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XAttr {
    /// Who it is for.
    pub namespace: XAttrNamespace,
    /// Its name without the namespace's prefix.
    pub name: String,
    /// Its value, if it has one.
    pub value: Option<Vec<u8>>,
}

impl XAttr {
    /// Whether both have the same name in the same namespace.
    pub fn same_key(&self, other: &Self) -> bool {
        (self.namespace, &self.name) == (other.namespace, &other.name)
    }

    fn full_name(&self) -> String {
        format!("{}{}", self.namespace.prefix(), self.name)
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    fn is_unreadable_mark(&self) -> bool {
        self.namespace == XAttrNamespace::Security && self.full_name() == UNREADABLE
    }

    /// Whether it counts against the limit of an inode.
    fn is_users(&self) -> bool {
        matches!(self.namespace, XAttrNamespace::User | XAttrNamespace::Trusted)
    }
}

/// What to do about an attribute that is or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetFlags {
    /// It may be new.
    pub create: bool,
    /// It may be there.
    pub replace: bool,
}

fn cannot_find(path: &str) -> FsError {
    FsError::FileNotFound(format!("cannot find {path}"))
}

fn not_permitted(xattr: &XAttr) -> FsError {
    FsError::AccessControl(format!("User doesn't have permission for xattr: {}", xattr.full_name()))
}

impl Core {
    /// Whether the caller may name an attribute at all. `raw`: through `/.reserved/raw`.
    fn may_name(&self, caller: &Caller, xattr: &XAttr, raw: bool) -> bool {
        match xattr.namespace {
            XAttrNamespace::User => true,
            XAttrNamespace::Trusted => self.is_superuser(caller),
            XAttrNamespace::Raw => raw,
            XAttrNamespace::Security => xattr.is_unreadable_mark(),
            XAttrNamespace::System => false,
        }
    }

    fn check_change(&self, caller: &Caller, slot: Slot, xattr: &XAttr) -> Result<(), FsError> {
        if xattr.namespace != XAttrNamespace::User || self.is_superuser(caller) {
            return Ok(());
        }
        let inode = self.state.namespace.get(slot);
        if inode.is_directory() && inode.permission & 0o1000 != 0 {
            return self.check_owner(caller, slot);
        }
        self.check_inode(caller, slot, WRITE)
    }

    /// Attaches an attribute.
    pub(crate) fn set_xattr(
        &mut self,
        caller: &Caller,
        path: &str,
        xattr: &XAttr,
        flags: SetFlags,
        raw: bool,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set XAttr on {path}"))?;
        if xattr.bytes() > MAX_BYTES {
            return Err(FsError::IllegalArgument(format!(
                "The XAttr is too big. The maximum combined size of the name and value is {MAX_BYTES}, but the total size is {}",
                xattr.bytes()
            )));
        }
        if !self.may_name(caller, xattr, raw) {
            return Err(not_permitted(xattr));
        }
        let slot = self.found(caller, path)?.ok_or_else(|| cannot_find(path))?;
        self.check_change(caller, slot, xattr)?;
        if xattr.is_unreadable_mark() {
            self.check_unreadable_mark(slot, xattr)?;
        }
        self.check_flags(slot, xattr, flags)?;
        let xattr = Some(xattr.into());
        self.edit(Edit::SetXAttr(edit::SetXAttr {
            path: path.to_owned(),
            xattr,
        }));
        self.remember(caller, RetryAnswer::Void, 0);
        Ok(Reply::Void)
    }

    fn check_unreadable_mark(&self, slot: Slot, xattr: &XAttr) -> Result<(), FsError> {
        if self.state.namespace.get(slot).is_directory() {
            return Err(FsError::Io(format!("Can only set '{UNREADABLE}' on a file.")));
        }
        if xattr.value.as_ref().is_some_and(|value| !value.is_empty()) {
            return Err(FsError::AccessControl(format!(
                "Attempt to set a value for '{UNREADABLE}'. Values are not allowed for this xattr."
            )));
        }
        Ok(())
    }

    fn check_flags(&self, slot: Slot, xattr: &XAttr, flags: SetFlags) -> Result<(), FsError> {
        let all = self.state.features.xattrs_of(self.state.namespace.get(slot).id);
        let exists = all.iter().any(|old| old.same_key(xattr));
        if exists && !flags.replace {
            let text = format!(
                "XAttr: {} already exists. The REPLACE flag must be specified.",
                xattr.name
            );
            return Err(FsError::Io(text));
        }
        if !exists && !flags.create {
            let text = format!(
                "XAttr: {} does not exist. The CREATE flag must be specified.",
                xattr.name
            );
            return Err(FsError::Io(text));
        }
        let counted = all.iter().filter(|old| old.is_users()).count();
        if !exists && xattr.is_users() && counted >= MAX_PER_INODE {
            return Err(FsError::Io(format!(
                "Cannot add additional XAttr to inode, would exceed limit of {MAX_PER_INODE}"
            )));
        }
        Ok(())
    }

    /// Attributes of an inode: those named, or all that the caller may see.
    pub(crate) fn get_xattrs(
        &self,
        caller: &Caller,
        path: &str,
        wanted: &[XAttr],
        raw: bool,
    ) -> Result<Reply, FsError> {
        if let Some(hidden) = wanted.iter().find(|xattr| !self.may_name(caller, xattr, raw)) {
            return Err(not_permitted(hidden));
        }
        let slot = self.found(caller, path)?.ok_or_else(|| cannot_find(path))?;
        self.check_inode(caller, slot, READ)?;
        let all = self.visible(caller, slot, raw);
        if wanted.is_empty() {
            return Ok(Reply::XAttrs(all));
        }
        let found: Option<Vec<XAttr>> = wanted
            .iter()
            .map(|wanted| all.iter().find(|xattr| xattr.same_key(wanted)).cloned())
            .collect();
        found
            .map(Reply::XAttrs)
            .ok_or_else(|| FsError::XAttrNotFound("At least one of the attributes provided was not found.".to_owned()))
    }

    fn visible(&self, caller: &Caller, slot: Slot, raw: bool) -> Vec<XAttr> {
        let all = self.state.features.xattrs_of(self.state.namespace.get(slot).id);
        all.iter()
            .filter(|xattr| self.may_name(caller, xattr, raw))
            .cloned()
            .collect()
    }

    /// Names of all attributes that the caller may see.
    pub(crate) fn list_xattrs(&self, caller: &Caller, path: &str, raw: bool) -> Result<Reply, FsError> {
        let slot = self.found(caller, path)?.ok_or_else(|| cannot_find(path))?;
        self.check_inode(caller, slot, READ)?;
        Ok(Reply::XAttrs(self.visible(caller, slot, raw)))
    }

    /// Takes an attribute off.
    pub(crate) fn remove_xattr(
        &mut self,
        caller: &Caller,
        path: &str,
        xattr: &XAttr,
        raw: bool,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot remove XAttr entry on {path}"))?;
        if !self.may_name(caller, xattr, raw) {
            return Err(not_permitted(xattr));
        }
        let slot = self.found(caller, path)?.ok_or_else(|| cannot_find(path))?;
        self.check_change(caller, slot, xattr)?;
        if xattr.is_unreadable_mark() {
            let text = format!("The xattr '{UNREADABLE}' can not be deleted.");
            return Err(FsError::AccessControl(text));
        }
        let all = self.state.features.xattrs_of(self.state.namespace.get(slot).id);
        if !all.iter().any(|old| old.same_key(xattr)) {
            return Err(FsError::Io(
                "No matching attributes found for remove operation".to_owned(),
            ));
        }
        let xattr = Some(edit::XAttrEdit {
            value: None,
            ..xattr.into()
        });
        self.edit(Edit::RemoveXAttr(edit::SetXAttr {
            path: path.to_owned(),
            xattr,
        }));
        self.remember(caller, RetryAnswer::Void, 0);
        Ok(Reply::Void)
    }

    /// Refuses superusers a file that is marked as closed to them.
    pub(crate) fn check_readable_by_superuser(&self, caller: &Caller, slot: Slot) -> Result<(), FsError> {
        let all = self.state.features.xattrs_of(self.state.namespace.get(slot).id);
        if all.iter().any(XAttr::is_unreadable_mark) && self.is_superuser(caller) {
            return Err(FsError::AccessControl(format!(
                "Access is denied for {} since the superuser is not allowed to perform this operation.",
                caller.user
            )));
        }
        Ok(())
    }
}
