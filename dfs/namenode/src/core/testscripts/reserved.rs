//! Paths below `/.reserved`, batched listings and the list of open files, as Apache HDFS 3.5 answers.

use super::*;

fn id_of(s: &mut Script, path: &str) -> Option<u64> {
    let operation = Operation::GetFileInfo {
        path: path.to_owned(),
        need_locations: false,
    };
    match s.call(operation) {
        Ok(Reply::Status(status)) => status.map(|status| status.id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_inode_is_found_by_its_id() {
    let mut s = Script::new();
    s.call(mkdirs("/a/b")).unwrap();
    let id = id_of(&mut s, "/a").unwrap();
    let below = id_of(&mut s, "/a/b");
    assert_eq!(id_of(&mut s, &format!("/.reserved/.inodes/{id}")), Some(id));
    assert_eq!(id_of(&mut s, &format!("/.reserved/.inodes/{id}/b")), below);
    assert_eq!(id_of(&mut s, &format!("/.reserved/.inodes/{id}/none")), None);
    assert_eq!(id_of(&mut s, &format!("/.reserved/.inodes/{id}/..")), Some(16385));
    s.call(mkdirs("/.reserved/.inodes/16385/made")).unwrap();
    assert!(id_of(&mut s, "/made").is_some());
    let missing = |number: &str| Operation::GetFileInfo {
        path: format!("/.reserved/.inodes/{number}"),
        need_locations: false,
    };
    for (number, text) in [
        (
            "99999",
            "File for given inode path does not exist: /.reserved/.inodes/99999",
        ),
        ("abc", "Invalid inode path: /.reserved/.inodes/abc"),
    ] {
        assert_eq!(s.call(missing(number)), Err(FsError::FileNotFound(text.to_owned())));
    }
}

#[test]
fn raw_paths_are_the_same_files_and_change_for_superusers_only() {
    let mut s = Script::new();
    s.call(mkdirs("/a")).unwrap();
    assert_eq!(id_of(&mut s, "/.reserved/raw/a"), id_of(&mut s, "/a"));
    assert_eq!(id_of(&mut s, "/.reserved/raw"), Some(16385));
    let refused = s.call_as(caller("eve"), mkdirs("/.reserved/raw/x")).unwrap_err();
    let text = "Access denied for user eve. Superuser privilege is required for operation mkdirs";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
    s.call(mkdirs("/.reserved/raw/x")).unwrap();
    assert!(id_of(&mut s, "/x").is_some());
}

#[test]
fn reserved_names_are_not_made() {
    let mut s = Script::new();
    assert!(matches!(
        s.call(mkdirs("/.reserved/x")),
        Err(FsError::IllegalArgument(_))
    ));
    let snapshot = FsError::IllegalArgument("\".snapshot\" is a reserved name.".to_owned());
    assert_eq!(s.call(mkdirs("/d/.snapshot")), Err(snapshot));
    let refused = |text: &str| Err(FsError::InvalidPath(format!("Invalid path name {text}")));
    assert_eq!(s.create("/.reserved/foo", 1).map(|_| ()), refused("/.reserved/foo"));
    s.call(mkdirs("/a")).unwrap();
    let rename = Operation::Rename {
        source: "/a".to_owned(),
        destination: "/.reserved".to_owned(),
    };
    assert_eq!(
        s.call(rename).map(|_| ()),
        refused("Cannot rename to or from /.reserved")
    );
    assert_eq!(id_of(&mut s, "/.reserved"), Some(0), "it has a status");
}

fn batch(s: &mut Script, paths: &[&str], start_after: Option<(usize, String)>) -> BatchedListing {
    let operation = Operation::GetBatchedListing {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        start_after,
        need_locations: false,
    };
    match s.call(operation).unwrap() {
        Reply::Batched(batch) => *batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batched_listing_goes_on_where_its_page_ended() {
    let settings = CoreSettings {
        list_limit: 3,
        ..settings()
    };
    let mut s = Script::with(settings, State::new("root", "supergroup"));
    for path in ["/a/1", "/a/2", "/b/1", "/b/2", "/b/3", "/b/4", "/c/1"] {
        s.call(mkdirs(path)).unwrap();
    }
    let paths = ["/a", "/none", "/b", "/c"];
    let (mut next, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = batch(&mut s, &paths, next.take());
        pages += 1;
        for listing in page.listings {
            match listing.entries {
                Ok(entries) => seen.extend(entries.into_iter().map(|entry| (listing.index, entry.name))),
                Err(error) => {
                    assert_eq!(error, FsError::FileNotFound("Path /none does not exist".to_owned()));
                    seen.push((listing.index, "missing".to_owned()));
                }
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let names = [
        (0, "1"),
        (0, "2"),
        (1, "missing"),
        (2, "1"),
        (2, "2"),
        (2, "3"),
        (2, "4"),
        (3, "1"),
    ];
    let expected: Vec<(usize, String)> = names.iter().map(|(n, name)| (*n, (*name).to_owned())).collect();
    assert_eq!(seen, expected);
    assert!(pages >= 3, "three entries at a time");
}

#[test]
fn open_files_are_listed_below_a_path_to_superusers() {
    let mut s = Script::new();
    s.create("/of/a", 1).unwrap();
    s.create("/b", 1).unwrap();
    let open = |path: &str| Operation::ListOpenFiles {
        after: 0,
        path: path.to_owned(),
    };
    let paths = |reply: Result<Reply, FsError>| match reply.unwrap() {
        Reply::OpenFiles(entries, more) => {
            assert!(!more);
            entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(paths(s.call(open("/"))), ["/of/a", "/b"]);
    assert_eq!(paths(s.call(open("/of"))), ["/of/a"]);
    let refused = s.call_as(caller("eve"), open("/")).unwrap_err();
    let text = "Access denied for user eve. Superuser privilege is required for operation listOpenFiles";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
}
