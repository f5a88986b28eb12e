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
