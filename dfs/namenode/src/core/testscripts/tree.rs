//! mkdirs, delete, renames, listing: the answers that clients rely on.

use super::*;

fn rename(s: &mut Script, from: &str, to: &str) -> Result<Reply, FsError> {
    s.call(Operation::Rename {
        source: from.to_owned(),
        destination: to.to_owned(),
    })
}

fn rename2(s: &mut Script, from: &str, to: &str, overwrite: bool) -> Result<Reply, FsError> {
    s.call(Operation::Rename2 {
        source: from.to_owned(),
        destination: to.to_owned(),
        overwrite,
        to_trash: false,
    })
}

fn touch(s: &mut Script, path: &str) {
    s.create(path, 1).unwrap();
    s.call(complete(path, None)).unwrap();
}

fn exists(s: &mut Script, path: &str) -> bool {
    s.call(Operation::GetFileInfo {
        path: path.to_owned(),
        need_locations: false,
    }) != Ok(Reply::Status(None))
}

fn list(s: &mut Script, path: &str, start_after: &str) -> Option<(Vec<String>, u32)> {
    let operation = Operation::GetListing {
        path: path.to_owned(),
        start_after: start_after.to_owned(),
        need_locations: false,
    };
    match s.call(operation).unwrap() {
        Reply::Listing(page) => {
            page.map(|(entries, left)| (entries.into_iter().map(|entry| entry.name).collect(), left))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_old_rename_moves_into_directories_and_answers_no() {
    let mut s = Script::new();
    touch(&mut s, "/a");
    s.call(mkdirs("/d/e")).unwrap();
    assert_eq!(rename(&mut s, "/missing", "/x"), Ok(Reply::Bool(false)));
    assert_eq!(rename(&mut s, "/a", "/no/parent"), Ok(Reply::Bool(false)));
    assert_eq!(rename(&mut s, "/d", "/d/e/f"), Ok(Reply::Bool(false)));
    assert_eq!(rename(&mut s, "/a", "/d"), Ok(Reply::Bool(true)));
    assert!(exists(&mut s, "/d/a") && !exists(&mut s, "/a"));
    touch(&mut s, "/b");
    touch(&mut s, "/c");
    assert_eq!(rename(&mut s, "/b", "/c"), Ok(Reply::Bool(false)));
    assert_eq!(rename(&mut s, "/b", "/b"), Ok(Reply::Bool(true)));
    assert_eq!(rename(&mut s, "/d", "/d"), Ok(Reply::Bool(false)));
    assert_eq!(
        rename(&mut s, "/d/e", "/d"),
        Ok(Reply::Bool(true)),
        "where it is already"
    );
    assert!(matches!(
        rename(&mut s, "/d", "/b/x"),
        Err(FsError::ParentNotDirectory(_))
    ));
}

#[test]
fn the_new_rename_says_why_not_and_replaces_atomically() {
    let mut s = Script::new();
    touch(&mut s, "/a");
    touch(&mut s, "/b");
    s.call(mkdirs("/d")).unwrap();
    touch(&mut s, "/d/x");
    s.call(mkdirs("/empty")).unwrap();
    assert!(matches!(
        rename2(&mut s, "/missing", "/x", false),
        Err(FsError::FileNotFound(_))
    ));
    assert!(matches!(
        rename2(&mut s, "/a", "/no/parent", false),
        Err(FsError::FileNotFound(_))
    ));
    assert!(matches!(
        rename2(&mut s, "/a", "/b/x", false),
        Err(FsError::ParentNotDirectory(_))
    ));
    assert!(matches!(
        rename2(&mut s, "/a", "/b", false),
        Err(FsError::AlreadyExists(_))
    ));
    assert!(matches!(
        rename2(&mut s, "/a", "/a", true),
        Err(FsError::AlreadyExists(_))
    ));
    assert!(matches!(rename2(&mut s, "/a", "/empty", true), Err(FsError::Io(_))));
    assert!(matches!(rename2(&mut s, "/empty", "/d", true), Err(FsError::Io(_))));
    assert!(matches!(rename2(&mut s, "/d", "/d/y", false), Err(FsError::Io(_))));
    let before = s.log.len();
    assert_eq!(rename2(&mut s, "/a", "/b", true), Ok(Reply::Void));
    assert_eq!(s.log.len(), before + 1, "replacing is one transaction");
    assert_eq!(rename2(&mut s, "/d", "/empty", true), Ok(Reply::Void));
    assert!(exists(&mut s, "/empty/x") && !exists(&mut s, "/d") && !exists(&mut s, "/a"));
}

#[test]
fn delete_answers_as_hdfs_does() {
    let mut s = Script::new();
    touch(&mut s, "/d/f");
    let delete = |path: &str, recursive| Operation::Delete {
        path: path.to_owned(),
        recursive,
    };
    assert_eq!(s.call(delete("/missing", true)), Ok(Reply::Bool(false)));
    let error = s.call(delete("/d", false)).unwrap_err();
    assert_eq!(
        error,
        FsError::NotEmpty("`/d is non empty': Directory is not empty".to_owned())
    );
    assert_eq!(s.call(delete("/", true)), Ok(Reply::Bool(false)));
    assert_eq!(s.call(delete("/d", true)), Ok(Reply::Bool(true)));
    assert!(matches!(s.call(delete("/", false)), Ok(Reply::Bool(false))));
}

#[test]
fn a_file_is_no_directory() {
    let mut s = Script::new();
    touch(&mut s, "/f");
    let below = Operation::GetFileInfo {
        path: "/f/x".to_owned(),
        need_locations: false,
    };
    assert!(matches!(s.call(below), Ok(Reply::Status(None))));
    assert!(matches!(s.call(mkdirs("/f/x")), Err(FsError::ParentNotDirectory(_))));
    assert!(matches!(s.call(mkdirs("/f")), Err(FsError::AlreadyExists(_))));
    assert!(matches!(s.create("/f/x", 1), Err(FsError::ParentNotDirectory(_))));
    s.call(mkdirs("/d")).unwrap();
    assert!(matches!(s.create("/d", 1), Err(FsError::AlreadyExists(_))));
}

#[test]
fn create_makes_parents_only_if_asked_and_replaces_only_if_asked() {
    let mut s = Script::new();
    let arguments = |overwrite, create_parent| match create("/p/f", "writer", 1) {
        Operation::Create(arguments) => Operation::Create(CreateArguments {
            overwrite,
            create_parent,
            ..arguments
        }),
        other => other,
    };
    assert!(matches!(s.call(arguments(false, false)), Err(FsError::FileNotFound(_))));
    s.call(arguments(false, true)).unwrap();
    s.call(complete("/p/f", None)).unwrap();
    assert!(matches!(s.call(arguments(false, true)), Err(FsError::AlreadyExists(_))));
    let Ok(Reply::Status(Some(new))) = s.call(arguments(true, true)) else {
        panic!()
    };
    assert_eq!(new.id, 16388, "a replaced file is another file");
}

#[test]
fn a_replaced_files_blocks_are_deleted() {
    let mut s = Script::new();
    s.register(1..=1);
    let (block, _) = s.write("/f", 1, 5);
    let Operation::Create(arguments) = create("/f", "w2", 1) else {
        panic!()
    };
    s.call(Operation::Create(CreateArguments {
        overwrite: true,
        ..arguments
    }))
    .unwrap();
    s.pass(200);
    assert_eq!(s.take_deletions(), [(1, block.id)]);
}

#[test]
fn listings_are_paged_in_byte_order_and_a_file_lists_itself() {
    let mut s = Script::with(
        CoreSettings {
            list_limit: 2,
            ..settings()
        },
        State::new("root", "supergroup"),
    );
    for name in ["b", "B", "a-1", "a", "é"] {
        touch(&mut s, &format!("/d/{name}"));
    }
    let page = |names: &[&str], left| Some((names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), left));
    assert_eq!(list(&mut s, "/d", ""), page(&["B", "a"], 3));
    assert_eq!(list(&mut s, "/d", "a"), page(&["a-1", "b"], 1));
    assert_eq!(list(&mut s, "/d", "b"), page(&["é"], 0));
    assert_eq!(list(&mut s, "/d", "zz"), page(&["é"], 0));
    assert_eq!(list(&mut s, "/d/a", ""), page(&[""], 0));
    assert_eq!(list(&mut s, "/missing", ""), None);
}

#[test]
fn limits_on_names_and_directories() {
    let mut s = Script::with(
        CoreSettings {
            max_directory_items: 2,
            ..settings()
        },
        State::new("root", "supergroup"),
    );
    let long = format!("/{}", "x".repeat(256));
    assert!(matches!(s.call(mkdirs(&long)), Err(FsError::NameTooLong(_))));
    s.call(mkdirs("/a")).unwrap();
    s.call(mkdirs("/b")).unwrap();
    assert!(matches!(s.call(mkdirs("/c")), Err(FsError::TooManyEntries(_))));
    assert!(matches!(s.create("/c", 1), Err(FsError::TooManyEntries(_))));
}

#[test]
fn summaries_count_trees() {
    let mut s = Script::new();
    s.register(1..=2);
    s.write("/d/a", 2, 10);
    s.write("/d/e/b", 1, 7);
    let expected = ContentSummary {
        length: 17,
        files: 2,
        directories: 2,
        space_consumed: 27,
        ..ContentSummary::default()
    };
    assert_eq!(
        s.call(Operation::GetContentSummary { path: "/d".to_owned() }),
        Ok(Reply::Summary(Box::new(expected)))
    );
}
