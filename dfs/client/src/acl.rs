//! Access control lists: who beside the owner, the group and the others may do what.

use std::fmt;

use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::proto::hadoop::hdfs::acl_entry_proto::{AclEntryScopeProto, AclEntryTypeProto, FsActionProto};

use crate::error::{Error, Result};

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AclScope {
    /// The file or directory itself.
    Access,
    /// What new children of a directory start with.
    Default,
}

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AclKind {
    /// A user; without a name the owner.
    User,
    /// A group; without a name the owning group.
    Group,
    /// The most that named users and all groups may do.
    Mask,
    /// Everybody else.
    Other,
}

/// One line of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// What it is for.
    pub scope: AclScope,
    /// Whom it is about.
    pub kind: AclKind,
    /// Which user or group.
    pub name: Option<String>,
    /// The bits `rwx` as a number; not looked at where entries are removed.
    pub permission: u8,
}

/// The access control list of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclStatus {
    /// Owning user.
    pub owner: String,
    /// Owning group.
    pub group: String,
    /// Whether only owners may remove entries of the directory.
    pub sticky: bool,
    /// Permission bits; with access entries, those of the group are the mask's.
    pub permission: u16,
    /// The entries, without the three that the permission bits express.
    pub entries: Vec<AclEntry>,
}

impl AclEntry {
    /// Reads a list like `user:ann:rw-,group::r--,default:other::---`, as HDFS's shell takes it; without permissions for
    /// entries to remove.
    ///
    /// # Errors
    /// [`Error::Invalid`] with HDFS's message.
    pub fn parse_list(text: &str, with_permissions: bool) -> Result<Vec<Self>> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(|entry| Self::parse(entry, with_permissions)).collect()
    }

    fn parse(text: &str, with_permission: bool) -> Result<Self> {
        let refused = |what: &str| Error::Invalid {
            path: text.to_owned(),
            message: format!("{what}{text}"),
        };
        let malformed = || refused("Invalid <aclSpec> : ");
        // Java's split drops empty fields at the end.
        let mut fields = text.trim_end_matches(':').split(':').peekable();
        let scope = match fields.next_if_eq(&"default") {
            Some(_) => AclScope::Default,
            None => AclScope::Access,
        };
        let kind = match fields.next().ok_or_else(malformed)?.to_ascii_uppercase().as_str() {
            "USER" => AclKind::User,
            "GROUP" => AclKind::Group,
            "MASK" => AclKind::Mask,
            "OTHER" => AclKind::Other,
            _ => return Err(refused("Invalid type of acl in <aclSpec> :")),
        };
        let name = fields.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let permission = if with_permission {
            let text = fields.next().ok_or_else(malformed)?;
            parse_permission(text).ok_or_else(|| refused("Invalid permission in <aclSpec> : "))?
        } else {
            0
        };
        if fields.next().is_some() {
            return Err(malformed());
        }
        Ok(Self {
            scope,
            kind,
            name,
            permission,
        })
    }
}

/// `rwx`, each letter or a dash in its place.
fn parse_permission(text: &str) -> Option<u8> {
    let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
    let mut bits = 0;
    for (letter, (expected, bit)) in letters.into_iter().zip([(b'r', 4), (b'w', 2), (b'x', 1)]) {
        match letter {
            _ if letter == expected => bits |= bit,
            b'-' => {}
            _ => return None,
        }
    }
    Some(bits)
}

/// The bits of `permission` as `rwx`.
pub(crate) fn permission_text(permission: u8) -> String {
    let letter = |bit, letter| if permission & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].into_iter().collect()
}

/// As HDFS's `getfacl` prints it: `default:user:ann:rw-`.
impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scope == AclScope::Default {
            f.write_str("default:")?;
        }
        let kind = match self.kind {
            AclKind::User => "user",
            AclKind::Group => "group",
            AclKind::Mask => "mask",
            AclKind::Other => "other",
        };
        let name = self.name.as_deref().unwrap_or_default();
        write!(f, "{kind}:{name}:{}", permission_text(self.permission))
    }
}

impl From<&AclEntry> for pb::AclEntryProto {
    fn from(entry: &AclEntry) -> Self {
        let kind = match entry.kind {
            AclKind::User => AclEntryTypeProto::User,
            AclKind::Group => AclEntryTypeProto::Group,
            AclKind::Mask => AclEntryTypeProto::Mask,
            AclKind::Other => AclEntryTypeProto::Other,
        };
        let scope = match entry.scope {
            AclScope::Access => AclEntryScopeProto::Access,
            AclScope::Default => AclEntryScopeProto::Default,
        };
        Self {
            r#type: kind as i32,
            scope: scope as i32,
            permissions: FsActionProto::try_from(i32::from(entry.permission & 7)).unwrap_or_default() as i32,
            name: entry.name.clone(),
        }
    }
}

pub(crate) fn entry_from_proto(proto: pb::AclEntryProto) -> AclEntry {
    AclEntry {
        scope: match proto.scope() {
            AclEntryScopeProto::Access => AclScope::Access,
            AclEntryScopeProto::Default => AclScope::Default,
        },
        kind: match proto.r#type() {
            AclEntryTypeProto::User => AclKind::User,
            AclEntryTypeProto::Group => AclKind::Group,
            AclEntryTypeProto::Mask => AclKind::Mask,
            AclEntryTypeProto::Other => AclKind::Other,
        },
        permission: proto.permissions as u8 & 7,
        name: proto.name.filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lists_read_as_hdfs_reads_them_and_print_as_it_prints_them() {
        let text = "user:ann:rw-,group::r--,default:other::---,mask::rwx,user::--x";
        let entries = AclEntry::parse_list(text, true).unwrap();
        let printed: Vec<_> = entries.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join(","), text);
        let removed = AclEntry::parse_list("user:ann,default:mask", false).unwrap();
        assert_eq!(removed[0].name.as_deref(), Some("ann"));
        assert_eq!(removed[1].kind, AclKind::Mask);
    }

    #[test]
    fn refusals_are_hdfs_s() {
        for (text, message) in [
            ("user:ann", "Invalid <aclSpec> : user:ann"),
            ("default", "Invalid <aclSpec> : default"),
            ("person:ann:rwx", "Invalid type of acl in <aclSpec> :person:ann:rwx"),
            ("user:ann:wrx", "Invalid permission in <aclSpec> : user:ann:wrx"),
            ("user:ann:rwx:more", "Invalid <aclSpec> : user:ann:rwx:more"),
        ] {
            let error = AclEntry::parse_list(text, true).unwrap_err();
            assert_eq!(error.remote_message(), Some(message));
        }
    }
}
