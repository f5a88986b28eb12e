//! Access control lists, extended attributes and storage policies: scenarios of FSAclBaseTest, FSXAttrBaseTest and TestBlockStoragePolicy.
//! Every expectation is Apache HDFS 3.5's answer to the same calls.

use super::*;
use crate::core::acl::{AclEntry, Kind, Scope};
use crate::core::acl_calls::AclChange;
use crate::core::xattr::{SetFlags, XAttr, XAttrNamespace};

fn user(name: &str, permission: u8) -> AclEntry {
    AclEntry::new(Scope::Access, Kind::User, Some(name), permission)
}

fn group(name: &str, permission: u8) -> AclEntry {
    AclEntry::new(Scope::Access, Kind::Group, Some(name), permission)
}

fn default_user(name: &str, permission: u8) -> AclEntry {
    AclEntry::new(Scope::Default, Kind::User, Some(name), permission)
}

fn change(s: &mut Script, path: &str, change: AclChange) -> Result<Reply, FsError> {
    let path = path.to_owned();
    s.call(Operation::ChangeAcl { path, change })
}

/// Extended entries and mode, as the shell would write them.
fn acl(s: &mut Script, path: &str) -> (String, u16) {
    match s.call(Operation::GetAclStatus { path: path.to_owned() }).unwrap() {
        Reply::Acl(status) => {
            let entries: Vec<String> = status.entries.iter().map(AclEntry::text).collect();
            (entries.join(","), status.permission)
        }
        other => panic!("{other:?}"),
    }
}

fn status(s: &mut Script, path: &str) -> FileStatus {
    match s
        .call(Operation::GetFileInfo {
            path: path.to_owned(),
            need_locations: false,
        })
        .unwrap()
    {
        Reply::Status(Some(status)) => *status,
        other => panic!("{other:?}"),
    }
}

fn member(user: &str, groups: &[&str]) -> Caller {
    Caller {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..caller(user)
    }
}

fn list(path: &str) -> Operation {
    Operation::GetListing {
        path: path.to_owned(),
        start_after: String::new(),
        need_locations: false,
    }
}

fn chmod(path: &str, permission: u16) -> Operation {
    Operation::SetPermission {
        path: path.to_owned(),
        permission,
    }
}

#[test]
fn named_entries_grant_within_the_mask() {
    let mut s = Script::new();
    s.call(mkdirs("/d")).unwrap();
    s.call(chmod("/d", 0o700)).unwrap();
    assert!(s.call_as(caller("alice"), list("/d")).is_err());
    change(&mut s, "/d", AclChange::Modify(vec![user("alice", 5)])).unwrap();
    assert_eq!(acl(&mut s, "/d"), ("user:alice:r-x,group::---".to_owned(), 0o750));
    assert!(status(&mut s, "/d").has_acl);
    assert!(s.call_as(caller("alice"), list("/d")).is_ok());
    let refused = s.call_as(caller("alice"), mkdirs("/d/x")).unwrap_err();
    let text = "Permission denied: user=alice, access=WRITE, inode=\"/d\":root:supergroup:drwxr-x---";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
    change(&mut s, "/d", AclChange::Modify(vec![group("staff", 5)])).unwrap();
    assert!(s.call_as(member("bob", &["staff"]), list("/d")).is_ok());
    assert!(s.call_as(member("eve", &["other"]), list("/d")).is_err());
    // chmod sets the mask, which closes the directory to both.
    s.call(chmod("/d", 0o705)).unwrap();
    assert!(s.call_as(member("bob", &["staff"]), list("/d")).is_err());
    assert!(s.call_as(caller("alice"), list("/d")).is_err());
    assert!(s.call_as(caller("eve"), list("/d")).is_ok(), "everybody else");
}

#[test]
fn removal_gives_the_group_its_bits_back() {
    let mut s = Script::new();
    s.call(mkdirs("/d")).unwrap();
    change(&mut s, "/d", AclChange::Modify(vec![user("foo", 7)])).unwrap();
    assert_eq!(acl(&mut s, "/d"), ("user:foo:rwx,group::r-x".to_owned(), 0o775));
    change(&mut s, "/d", AclChange::Remove).unwrap();
    assert_eq!(acl(&mut s, "/d"), (String::new(), 0o755));
    assert!(!status(&mut s, "/d").has_acl);
    assert!(
        s.core.state().features.acls.is_empty(),
        "nothing is left beside the inode"
    );
}

#[test]
fn the_sticky_bit_survives_a_change_of_the_list() {
    let mut s = Script::new();
    s.call(mkdirs("/d")).unwrap();
    s.call(chmod("/d", 0o1770)).unwrap();
    change(&mut s, "/d", AclChange::Modify(vec![user("foo", 7)])).unwrap();
    assert_eq!(acl(&mut s, "/d"), ("user:foo:rwx,group::rwx".to_owned(), 0o1770));
}

#[test]
fn children_inherit_the_default_scope() {
    let mut s = Script::new();
    s.call(mkdirs("/d")).unwrap();
    change(&mut s, "/d", AclChange::Modify(vec![default_user("foo", 7)])).unwrap();
    let default = "default:user::rwx,default:user:foo:rwx,default:group::r-x,default:mask::rwx,default:other::r-x";
    assert_eq!(acl(&mut s, "/d"), (default.to_owned(), 0o755));
    s.call(mkdirs("/d/x/y")).unwrap();
    let inherited = format!("user:foo:rwx,group::r-x,{default}");
    assert_eq!(acl(&mut s, "/d/x/y"), (inherited, 0o755));
    s.create("/d/f", 1).unwrap();
    assert_eq!(acl(&mut s, "/d/f"), ("user:foo:rwx,group::r-x".to_owned(), 0o644));
    // The mode before the umask counts where a default scope rules.
    s.call(Operation::MakeDirectories {
        path: "/d/open".to_owned(),
        permission: Modes {
            masked: 0o700,
            unmasked: 0o777,
        },
        create_parent: true,
    })
    .unwrap();
    assert_eq!(acl(&mut s, "/d/open").1, 0o775);
    change(&mut s, "/d", AclChange::RemoveDefault).unwrap();
    assert_eq!(acl(&mut s, "/d"), (String::new(), 0o755));
}

#[test]
fn lists_are_refused_in_hdfs_words() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    let refused = change(&mut s, "/f", AclChange::Modify(vec![default_user("foo", 7)])).unwrap_err();
    let text = "Invalid ACL: only directories may have a default ACL. Path: /f Path: /f";
    assert_eq!(refused, FsError::Acl(text.to_owned()));
    let refused = change(&mut s, "/f", AclChange::Set(vec![user("foo", 5)])).unwrap_err();
    let text = "Invalid ACL: the user, group and other entries are required. Path: /f";
    assert_eq!(refused, FsError::Acl(text.to_owned()));
    let missing = change(&mut s, "/none", AclChange::Remove).unwrap_err();
    assert_eq!(
        missing,
        FsError::FileNotFound("Directory/File does not exist /none".to_owned())
    );
    let operation = Operation::ChangeAcl {
        path: "/f".to_owned(),
        change: AclChange::Remove,
    };
    let refused = s.call_as(caller("eve"), operation).unwrap_err();
    let text = "Permission denied. user=eve is not the owner of inode=/f";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
}

fn xattr(name: &str, value: &str) -> XAttr {
    let (namespace, name) = name.split_once('.').unwrap();
    let namespace = match namespace {
        "user" => XAttrNamespace::User,
        "trusted" => XAttrNamespace::Trusted,
        "security" => XAttrNamespace::Security,
        "system" => XAttrNamespace::System,
        _ => XAttrNamespace::Raw,
    };
    XAttr {
        namespace,
        name: name.to_owned(),
        value: Some(value.as_bytes().to_vec()).filter(|value| !value.is_empty()),
    }
}

const CREATE: SetFlags = SetFlags {
    create: true,
    replace: false,
};
const REPLACE: SetFlags = SetFlags {
    create: false,
    replace: true,
};

fn set(path: &str, xattr: XAttr, flags: SetFlags) -> Operation {
    Operation::SetXAttr {
        path: path.to_owned(),
        xattr,
        flags,
        raw: false,
    }
}

fn get(path: &str, wanted: &[&str]) -> Operation {
    Operation::GetXAttrs {
        path: path.to_owned(),
        wanted: wanted.iter().map(|name| xattr(name, "")).collect(),
        raw: false,
    }
}

fn io(text: &str) -> Result<Reply, FsError> {
    Err(FsError::Io(text.to_owned()))
}

fn denied(text: &str) -> Result<Reply, FsError> {
    Err(FsError::AccessControl(text.to_owned()))
}

#[test]
fn flags_say_whether_an_attribute_may_be_new_or_there() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    assert_eq!(s.call(set("/f", xattr("user.a", "1"), CREATE)), Ok(Reply::Void));
    let exists = "XAttr: a already exists. The REPLACE flag must be specified.";
    assert_eq!(s.call(set("/f", xattr("user.a", "2"), CREATE)), io(exists));
    assert_eq!(s.call(set("/f", xattr("user.a", "2"), REPLACE)), Ok(Reply::Void));
    let missing = "XAttr: b does not exist. The CREATE flag must be specified.";
    assert_eq!(s.call(set("/f", xattr("user.b", "2"), REPLACE)), io(missing));
    assert_eq!(
        s.call(get("/f", &["user.a"])),
        Ok(Reply::XAttrs(vec![xattr("user.a", "2")]))
    );
    let absent = FsError::XAttrNotFound("At least one of the attributes provided was not found.".to_owned());
    assert_eq!(s.call(get("/f", &["user.a", "user.b"])), Err(absent));
    let remove = |name: &str| Operation::RemoveXAttr {
        path: "/f".to_owned(),
        xattr: xattr(name, ""),
        raw: false,
    };
    assert_eq!(s.call(remove("user.a")), Ok(Reply::Void));
    assert_eq!(
        s.call(remove("user.a")),
        io("No matching attributes found for remove operation")
    );
    assert!(s.core.state().features.xattrs.is_empty());
}

#[test]
fn namespaces_are_for_whom_they_are_for() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    s.call(chmod("/f", 0o666)).unwrap();
    let refused = |name: &str| denied(&format!("User doesn't have permission for xattr: {name}"));
    for name in ["system.x", "security.x", "raw.x"] {
        assert_eq!(s.call(set("/f", xattr(name, "1"), CREATE)), refused(name));
    }
    assert_eq!(s.call(set("/f", xattr("trusted.t", "1"), CREATE)), Ok(Reply::Void));
    assert_eq!(
        s.call_as(caller("eve"), set("/f", xattr("user.u", "1"), CREATE)),
        Ok(Reply::Void)
    );
    assert_eq!(
        s.call_as(caller("eve"), set("/f", xattr("trusted.e", "1"), CREATE)),
        refused("trusted.e")
    );
    assert_eq!(
        s.call_as(caller("eve"), get("/f", &[])),
        Ok(Reply::XAttrs(vec![xattr("user.u", "1")]))
    );
    let raw = Operation::SetXAttr {
        path: "/.reserved/raw/f".to_owned(),
        xattr: xattr("raw.r", "1"),
        flags: CREATE,
        raw: false,
    };
    assert_eq!(s.call(raw), Ok(Reply::Void));
    let names = |reply: Result<Reply, FsError>| match reply.unwrap() {
        Reply::XAttrs(all) => all.into_iter().map(|xattr| xattr.name).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        names(s.call(get("/f", &[]))),
        ["t", "u"],
        "raw ones show below /.reserved/raw only"
    );
    assert_eq!(names(s.call(get("/.reserved/raw/f", &[]))), ["t", "u", "r"]);
}

#[test]
fn attributes_are_limited_in_number_and_size() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    let big = |bytes: usize| set("/f", xattr("user.big", &"z".repeat(bytes)), CREATE);
    let text =
        "The XAttr is too big. The maximum combined size of the name and value is 16384, but the total size is 16385";
    assert_eq!(s.call(big(16382)), Err(FsError::IllegalArgument(text.to_owned())));
    assert_eq!(s.call(big(16381)), Ok(Reply::Void));
    for n in 1..32 {
        s.call(set("/f", xattr(&format!("user.a{n}"), "v"), CREATE)).unwrap();
    }
    let full = "Cannot add additional XAttr to inode, would exceed limit of 32";
    assert_eq!(s.call(set("/f", xattr("user.more", "v"), CREATE)), io(full));
    assert_eq!(s.call(set("/f", xattr("user.a1", "w"), REPLACE)), Ok(Reply::Void));
}

#[test]
fn a_file_can_be_closed_to_superusers() {
    let mut s = Script::new();
    s.register(1..=1);
    s.write("/f", 1, 5);
    let mark = || xattr("security.hdfs.unreadable.by.superuser", "");
    s.call(set("/f", mark(), CREATE)).unwrap();
    let read = Operation::GetBlockLocations {
        path: "/f".to_owned(),
        offset: 0,
        length: 1,
    };
    let text = "Access is denied for root since the superuser is not allowed to perform this operation.";
    assert_eq!(s.call(read.clone()), denied(text));
    assert!(s.call_as(caller("eve"), read).is_ok());
    let remove = Operation::RemoveXAttr {
        path: "/f".to_owned(),
        xattr: mark(),
        raw: false,
    };
    let text = "The xattr 'security.hdfs.unreadable.by.superuser' can not be deleted.";
    assert_eq!(s.call(remove), denied(text));
}

#[test]
fn storage_policies_are_inherited_until_taken_back() {
    let mut s = Script::new();
    s.call(mkdirs("/p/q")).unwrap();
    s.create("/p/q/f", 1).unwrap();
    let set = |path: &str, policy: &str| Operation::SetStoragePolicy {
        path: path.to_owned(),
        policy: policy.to_owned(),
    };
    let of = |s: &mut Script, path: &str| s.call(Operation::GetStoragePolicy { path: path.to_owned() });
    assert_eq!(of(&mut s, "/p"), Ok(Reply::Number(7)), "HOT where nothing is said");
    s.call(set("/p", "cold")).unwrap();
    assert_eq!(of(&mut s, "/p/q/f"), Ok(Reply::Number(2)));
    assert_eq!(status(&mut s, "/p/q/f").storage_policy, 2);
    s.call(set("/p/q", "ALL_SSD")).unwrap();
    assert_eq!(of(&mut s, "/p/q/f"), Ok(Reply::Number(12)));
    s.call(Operation::UnsetStoragePolicy {
        path: "/p/q".to_owned(),
    })
    .unwrap();
    assert_eq!(of(&mut s, "/p/q/f"), Ok(Reply::Number(2)));
    let unknown = FsError::IllegalArgument("Cannot find a block policy with the name nope".to_owned());
    assert_eq!(s.call(set("/p", "nope")), Err(unknown));
    let late = s.call(set("/p/q/f", "LAZY_PERSIST")).unwrap_err();
    assert!(matches!(late, FsError::IllegalArgument(text) if text.ends_with("cannot be set after file creation.")));
}
