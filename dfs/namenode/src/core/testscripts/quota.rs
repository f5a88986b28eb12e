//! Quotas: scenarios of TestQuota and TestQuotaByStorageType. Every expectation is Apache HDFS 3.5's answer to the same calls.

use super::*;
use crate::core::quota::{KEEP, RESET};
use crate::core::storage_policy::StorageType;

fn set(path: &str, names: i64, space: i64) -> Operation {
    Operation::SetQuota {
        path: path.to_owned(),
        names,
        space,
        kind: None,
    }
}

/// Names and bytes used, as getQuotaUsage says.
fn used(s: &mut Script, path: &str) -> (u64, u64) {
    let usage = match s.call(Operation::GetQuotaUsage { path: path.to_owned() }).unwrap() {
        Reply::Summary(summary) => summary,
        other => panic!("{other:?}"),
    };
    (usage.files + usage.directories, usage.space_consumed)
}

/// What the NameNode counted is what is there.
fn assert_counted(s: &Script) {
    let state = s.core.state();
    state.namespace.visit_tree(state.namespace.root(), |slot, inode| {
        if let Some(quota) = state.features.quotas.get(&inode.id) {
            assert_eq!(quota.used, state.usage_of(slot), "{}", state.namespace.path_of(slot));
        }
        true
    });
}

fn names_exceeded(path: &str, quota: u64, count: u64) -> FsError {
    FsError::NamespaceQuota(format!(
        "The NameSpace quota (directories and files) of directory {path} is exceeded: quota={quota} file count={count}"
    ))
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename {
        source: from.to_owned(),
        destination: to.to_owned(),
    }
}

#[test]
fn names_are_limited_where_they_are_made_and_where_they_move() {
    let mut s = Script::new();
    s.call(mkdirs("/q/a")).unwrap();
    s.call(set("/q", 3, KEEP)).unwrap();
    s.call(mkdirs("/q/b")).unwrap();
    assert_eq!(s.call(mkdirs("/q/c")), Err(names_exceeded("/q", 3, 4)));
    assert_eq!(s.create("/q/f", 1).unwrap_err(), names_exceeded("/q", 3, 4));
    s.call(mkdirs("/out/1/2")).unwrap();
    assert_eq!(s.call(rename("/out", "/q/out")), Err(names_exceeded("/q", 3, 6)));
    assert_eq!(
        s.call(rename("/q/b", "/q/a/b")),
        Ok(Reply::Bool(true)),
        "inside nothing changes"
    );
    assert_eq!(s.call(rename("/q/a", "/a")), Ok(Reply::Bool(true)));
    assert_eq!(used(&mut s, "/q"), (1, 0));
    s.call(set("/q", 0, KEEP)).unwrap();
    assert_eq!(s.call(mkdirs("/q/x")), Err(names_exceeded("/q", 0, 2)));
    s.call(set("/q", RESET, KEEP)).unwrap();
    s.call(mkdirs("/q/x")).unwrap();
    assert!(s.core.state().features.quotas.is_empty());
}

#[test]
fn a_block_being_written_counts_as_a_full_one() {
    let mut s = Script::new();
    s.register(1..=3);
    s.call(mkdirs("/q")).unwrap();
    s.call(set("/q", KEEP, 4096)).unwrap();
    s.write("/q/a", 1, 100);
    assert_eq!(used(&mut s, "/q"), (2, 100));
    s.create("/q/b", 3).unwrap();
    s.add_block("/q/b", None);
    assert_eq!(used(&mut s, "/q"), (3, 100 + 3 * BLOCK));
    s.create("/q/c", 1).unwrap();
    let refused = s.call(add_block("/q/c", None)).unwrap_err();
    let text = "The DiskSpace quota of /q is exceeded: quota = 4096 B = 4 KB but diskspace consumed = 4196 B = 4.10 KB";
    assert_eq!(refused, FsError::SpaceQuota(text.to_owned()));
    let replicate = Operation::SetReplication {
        path: "/q/b".to_owned(),
        replication: 4,
    };
    assert!(matches!(s.call(replicate), Err(FsError::SpaceQuota(_))));
    assert_counted(&s);
}

#[test]
fn append_needs_room_for_the_rest_of_the_block() {
    let mut s = Script::new();
    s.register(1..=1);
    s.call(mkdirs("/q")).unwrap();
    s.write("/q/a", 1, 100);
    s.call(set("/q", KEEP, 1000)).unwrap();
    let append = || Operation::Append {
        path: "/q/a".to_owned(),
        holder: "writer".to_owned(),
        new_block: false,
    };
    assert!(matches!(s.call(append()), Err(FsError::SpaceQuota(_))));
    s.call(set("/q", KEEP, 1024)).unwrap();
    assert!(s.call(append()).is_ok());
    assert_eq!(used(&mut s, "/q"), (2, BLOCK));
    assert_counted(&s);
}

#[test]
fn bytes_by_type_follow_the_storage_policy() {
    let mut s = Script::new();
    s.register(1..=3);
    s.call(mkdirs("/t")).unwrap();
    s.call(Operation::SetStoragePolicy {
        path: "/t".to_owned(),
        policy: "ALL_SSD".to_owned(),
    })
    .unwrap();
    let by_type = |space, kind| Operation::SetQuota {
        path: "/t".to_owned(),
        names: KEEP,
        space,
        kind: Some(kind),
    };
    s.call(by_type(2000, StorageType::Ssd)).unwrap();
    s.call(by_type(10, StorageType::Disk)).unwrap();
    s.write("/t/a", 1, 1000);
    s.create("/t/b", 1).unwrap();
    let refused = s.call(add_block("/t/b", None)).unwrap_err();
    let text = "Quota by storage type : SSD on path : /t is exceeded. quota = 1.95 KB but space consumed = 1.98 KB";
    assert_eq!(refused, FsError::TypeQuota(text.to_owned()));
    assert_counted(&s);
}

#[test]
fn only_superusers_set_quotas_and_only_sensible_ones() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    let refused = s.call_as(caller("eve"), set("/", 5, KEEP)).unwrap_err();
    let text = "Access denied for user eve. Superuser privilege is required for operation setQuota";
    assert_eq!(refused, FsError::AccessControl(text.to_owned()));
    let text = format!("Illegal value for nsQuota or ssQuota : -5 and {}", i64::MAX);
    assert_eq!(s.call(set("/", -5, KEEP)), Err(FsError::JavaIllegalArgument(text)));
    let missing = FsError::FileNotFound("Directory does not exist: /none".to_owned());
    assert_eq!(s.call(set("/none", 5, 5)), Err(missing));
    let file = FsError::NotDirectory("`/f': Is not a directory".to_owned());
    assert_eq!(s.call(set("/f", 5, 5)), Err(file));
}

#[test]
fn the_root_shows_a_quota_that_nobody_reaches() {
    let mut s = Script::new();
    match s.call(Operation::GetQuotaUsage { path: "/".to_owned() }).unwrap() {
        Reply::Summary(summary) => assert_eq!(summary.quota.names, Some(i64::MAX)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_used_is_known_again_after_a_restart_and_from_an_image() {
    let mut s = Script::new();
    s.register(1..=3);
    s.call(mkdirs("/q/in")).unwrap();
    s.call(set("/q", 100, 1 << 20)).unwrap();
    s.call(set("/q/in", 50, KEEP)).unwrap();
    s.write("/q/in/a", 3, 500);
    s.write("/q/b", 2, 7);
    s.call(rename("/q/b", "/q/in/b")).unwrap();
    s.call(Operation::Delete {
        path: "/q/in/a".to_owned(),
        recursive: false,
    })
    .unwrap();
    assert_counted(&s);
    assert_counted(&s.restarted());
    let rebuilt = durability::through_an_image(s.core.state());
    assert_counted(&Script::with(settings(), rebuilt));
}

#[test]
fn a_policy_above_a_quota_moves_its_bytes_to_other_types() {
    let mut s = Script::new();
    s.register(1..=3);
    s.call(mkdirs("/p/q")).unwrap();
    s.call(mkdirs("/plain")).unwrap();
    s.call(set("/p/q", 100, KEEP)).unwrap();
    s.write("/p/q/f", 2, 10);
    s.call(Operation::SetStoragePolicy {
        path: "/p".to_owned(),
        policy: "COLD".to_owned(),
    })
    .unwrap();
    assert_counted(&s);
    s.call(rename("/p/q", "/plain/q")).unwrap();
    assert_counted(&s);
}
