//! Who may do what.

use super::*;

fn file_of(s: &mut Script, user: &str, path: &str) {
    let create = match create(path, user, 1) {
        Operation::Create(arguments) => Operation::Create(CreateArguments {
            create_parent: false,
            ..arguments
        }),
        other => other,
    };
    s.call_as(caller(user), create).unwrap();
    let at = WriterBlock {
        holder: user.to_owned(),
        ..at(path, None)
    };
    s.call_as(caller(user), Operation::Complete { at }).unwrap();
}

fn shared() -> Script {
    let mut s = Script::new();
    s.call(mkdirs("/tmp")).unwrap();
    s.call(Operation::SetPermission {
        path: "/tmp".to_owned(),
        permission: 0o1777,
    })
    .unwrap();
    s
}

#[test]
fn only_the_superuser_writes_to_the_root() {
    let mut s = Script::new();
    let refused = s.call_as(caller("bob"), mkdirs("/bob")).unwrap_err();
    let text = "Permission denied: user=bob, access=WRITE, inode=\"/\":root:supergroup:drwxr-xr-x";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
}

#[test]
fn the_sticky_bit_keeps_others_files() {
    let mut s = shared();
    file_of(&mut s, "bob", "/tmp/f");
    let delete = || Operation::Delete {
        path: "/tmp/f".to_owned(),
        recursive: false,
    };
    assert!(matches!(s.call_as(caller("eve"), delete()), Err(FsError::AccessControl(text)) if text.contains("sticky")));
    let rename = Operation::Rename {
        source: "/tmp/f".to_owned(),
        destination: "/tmp/g".to_owned(),
    };
    assert!(s.call_as(caller("eve"), rename).is_err());
    assert_eq!(s.call_as(caller("bob"), delete()), Ok(Reply::Bool(true)));
}

#[test]
fn reading_follows_mode_owner_and_group() {
    let settings = CoreSettings {
        user_groups: [("ann".to_owned(), vec!["supergroup".to_owned(), "x".to_owned()])].into(),
        ..settings()
    };
    let settings = CoreSettings {
        supergroup: "admins".to_owned(),
        ..settings
    };
    let mut s = Script::with(settings, State::new("root", "supergroup"));
    s.call(mkdirs("/tmp")).unwrap();
    s.call(Operation::SetPermission {
        path: "/tmp".to_owned(),
        permission: 0o777,
    })
    .unwrap();
    file_of(&mut s, "bob", "/tmp/f");
    s.call_as(
        caller("bob"),
        Operation::SetPermission {
            path: "/tmp/f".to_owned(),
            permission: 0o640,
        },
    )
    .unwrap();
    let read = || Operation::GetBlockLocations {
        path: "/tmp/f".to_owned(),
        offset: 0,
        length: 1,
    };
    for (user, may) in [("bob", true), ("ann", true), ("eve", false), ("root", true)] {
        assert_eq!(s.call_as(caller(user), read()).is_ok(), may, "{user}");
    }
    // Anyone may look at a file's status: that takes only the directories above it.
    assert!(
        s.call_as(
            caller("eve"),
            Operation::GetFileInfo {
                path: "/tmp/f".to_owned(),
                need_locations: false
            }
        )
        .is_ok()
    );
}

#[test]
fn only_the_owner_changes_modes_and_only_the_superuser_owners() {
    let mut s = shared();
    file_of(&mut s, "bob", "/tmp/f");
    let chmod = || Operation::SetPermission {
        path: "/tmp/f".to_owned(),
        permission: 0o600,
    };
    assert!(s.call_as(caller("eve"), chmod()).is_err());
    assert!(s.call_as(caller("bob"), chmod()).is_ok());
    let chown = || Operation::SetOwner {
        path: "/tmp/f".to_owned(),
        owner: "eve".to_owned(),
        group: String::new(),
    };
    assert!(s.call_as(caller("bob"), chown()).is_err());
    assert!(s.call(chown()).is_ok());
}

#[test]
fn permissions_can_be_switched_off() {
    let mut s = Script::with(
        CoreSettings {
            permissions: false,
            ..settings()
        },
        State::new("root", "supergroup"),
    );
    assert!(s.call_as(caller("bob"), mkdirs("/bob")).is_ok());
}

fn with_groups(user: &str, groups: &[&str]) -> Caller {
    Caller {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..caller(user)
    }
}

fn chmod(s: &mut Script, path: &str, permission: u16) {
    let path = path.to_owned();
    s.call(Operation::SetPermission { path, permission }).unwrap();
}

fn denied(user: &str, access: &str, inode: &str) -> Result<Reply, FsError> {
    let text = format!("Permission denied: user={user}, access={access}, inode={inode}");
    Err(FsError::AccessControl(text))
}

fn delete(path: &str) -> Operation {
    Operation::Delete {
        path: path.to_owned(),
        recursive: true,
    }
}

// The expectations below are Apache HDFS 3.5's answers to the same calls (TestDFSPermission, TestStickyBit).

#[test]
fn every_directory_on_the_way_must_be_passable() {
    let mut s = Script::new();
    s.create("/pm/f", 1).unwrap();
    s.call(complete("/pm/f", None)).unwrap();
    chmod(&mut s, "/pm", 0o700);
    let closed = "\"/pm\":root:supergroup:drwx------";
    let status = |path: &str| Operation::GetFileInfo {
        path: path.to_owned(),
        need_locations: false,
    };
    let listing = || Operation::GetListing {
        path: "/pm".to_owned(),
        start_after: String::new(),
        need_locations: false,
    };
    let summary = || Operation::GetContentSummary { path: "/pm".to_owned() };
    for path in ["/pm/f", "/pm/none"] {
        assert_eq!(
            s.call_as(caller("alice"), status(path)),
            denied("alice", "EXECUTE", closed)
        );
    }
    for operation in [listing(), summary()] {
        assert_eq!(
            s.call_as(caller("alice"), operation),
            denied("alice", "READ_EXECUTE", closed)
        );
    }
    chmod(&mut s, "/pm", 0o711);
    assert!(s.call_as(caller("alice"), status("/pm/f")).is_ok());
    let passable = "\"/pm\":root:supergroup:drwx--x--x";
    for operation in [listing(), summary()] {
        assert_eq!(
            s.call_as(caller("alice"), operation),
            denied("alice", "READ_EXECUTE", passable)
        );
    }
}

#[test]
fn a_tree_is_deleted_by_those_who_may_empty_all_of_it() {
    let mut s = Script::new();
    s.create("/sub/a/b/f", 1).unwrap();
    chmod(&mut s, "/sub", 0o777);
    chmod(&mut s, "/sub/a", 0o777);
    let inner = "\"/sub/a/b\":root:supergroup:drwxr-xr-x";
    assert_eq!(
        s.call_as(caller("alice"), delete("/sub/a")),
        denied("alice", "ALL", inner)
    );
    assert_eq!(
        s.call_as(caller("alice"), delete("/sub/a/b/f")),
        denied("alice", "WRITE", inner)
    );
    // To the trash goes only what could be deleted.
    let move_it = |to_trash| Operation::Rename2 {
        source: "/sub/a".to_owned(),
        destination: "/sub/z".to_owned(),
        overwrite: false,
        to_trash,
    };
    assert_eq!(s.call_as(caller("alice"), move_it(true)), denied("alice", "ALL", inner));
    chmod(&mut s, "/sub/a/b", 0o1777);
    let refused = s.call_as(caller("alice"), delete("/sub/a")).unwrap_err();
    assert!(
        matches!(refused, FsError::AccessControl(text) if text.starts_with("Permission denied by sticky bit: user=alice"))
    );
    assert_eq!(
        s.call_as(caller("alice"), move_it(false)),
        Ok(Reply::Void),
        "a mere move needs less"
    );
}

#[test]
fn rights_are_asked_before_what_a_rename_makes_of_it() {
    let mut s = Script::new();
    let rename2 = |source: &str, destination: &str| Operation::Rename2 {
        source: source.to_owned(),
        destination: destination.to_owned(),
        overwrite: false,
        to_trash: false,
    };
    let root = "\"/\":root:supergroup:drwxr-xr-x";
    assert_eq!(
        s.call_as(caller("alice"), rename2("/none", "/d/z")),
        denied("alice", "WRITE", root)
    );
    let missing = FsError::FileNotFound("rename source /none is not found.".to_owned());
    assert_eq!(s.call(rename2("/none", "/d/z")), Err(missing));
}

#[test]
fn a_file_in_the_middle_of_a_path_is_told_by_what_the_call_is_for() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    let access = FsError::AccessControl("/f (is not a directory)".to_owned());
    let parent = FsError::ParentNotDirectory("/f (is not a directory)".to_owned());
    let below = || "/f/x".to_owned();
    let status = || Operation::GetFileInfo {
        path: below(),
        need_locations: false,
    };
    assert_eq!(
        s.call(status()),
        Ok(Reply::Status(None)),
        "a superuser hears that there is nothing"
    );
    assert_eq!(s.call_as(caller("alice"), status()), Err(access.clone()));
    for operation in [
        delete("/f/x"),
        Operation::SetPermission {
            path: below(),
            permission: 0o600,
        },
        Operation::GetAclStatus { path: below() },
        Operation::GetContentSummary { path: below() },
        Operation::IsFileClosed { path: below() },
    ] {
        assert_eq!(s.call(operation), Err(access.clone()));
    }
    assert_eq!(s.call(mkdirs("/f/x")), Err(parent.clone()));
    assert_eq!(s.call(create("/f/x", "writer", 1)), Err(parent));
}

#[test]
fn the_operating_systems_groups_count_unless_others_are_configured() {
    let settings = CoreSettings {
        user_groups: [("bob".to_owned(), vec!["users".to_owned()])].into(),
        ..settings()
    };
    let mut s = Script::with(settings, State::new("root", "supergroup"));
    let member = with_groups("carol", &["staff", "supergroup"]);
    assert_eq!(s.call_as(member, mkdirs("/by-carol")), Ok(Reply::Bool(true)));
    let configured = with_groups("bob", &["supergroup"]);
    assert!(
        s.call_as(configured, mkdirs("/by-bob")).is_err(),
        "the table goes first"
    );
    s.call(mkdirs("/shared")).unwrap();
    chmod(&mut s, "/shared", 0o777);
    file_of(&mut s, "ann", "/shared/f");
    let chgrp = |group: &str| Operation::SetOwner {
        path: "/shared/f".to_owned(),
        owner: String::new(),
        group: group.to_owned(),
    };
    assert!(s.call_as(with_groups("ann", &["staff"]), chgrp("staff")).is_ok());
    let refused = FsError::AccessControl("User ann does not belong to ops".to_owned());
    assert_eq!(s.call_as(with_groups("ann", &["staff"]), chgrp("ops")), Err(refused));
}
