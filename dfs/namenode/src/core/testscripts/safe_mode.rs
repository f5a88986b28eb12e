//! After a restart.

use super::*;

fn is_on(s: &mut Script) -> bool {
    s.call(Operation::SetSafeMode {
        action: SafeModeAction::Get,
    }) == Ok(Reply::Bool(true))
}

#[test]
fn an_empty_namespace_needs_no_safe_mode() {
    assert!(!is_on(&mut Script::new()));
}

#[test]
fn changes_wait_until_every_block_is_reported_and_not_longer() {
    let mut s = Script::new();
    s.register(1..=1);
    let (a, _) = s.write("/a", 1, 5);
    let (b, _) = s.write("/b", 1, 6);
    let mut s = s.restarted();
    assert!(is_on(&mut s));
    assert!(matches!(s.call(mkdirs("/d")), Err(FsError::Retriable(text)) if text.contains("safe mode")));
    assert!(
        s.call(Operation::GetFileInfo {
            path: "/a".to_owned(),
            need_locations: false
        })
        .is_ok()
    );
    let read = || Operation::GetBlockLocations {
        path: "/a".to_owned(),
        offset: 0,
        length: 1,
    };
    assert!(
        matches!(s.call(read()), Err(FsError::Retriable(_))),
        "a block without places may yet be reported"
    );
    s.register(1..=1);
    s.full_report(1, &[(a, ReplicaState::Finalized)]);
    assert!(is_on(&mut s));
    assert!(s.call(read()).is_ok());
    s.full_report(1, &[(a, ReplicaState::Finalized), (b, ReplicaState::Finalized)]);
    assert!(!is_on(&mut s));
    s.call(mkdirs("/d")).unwrap();
}

#[test]
fn nothing_is_deleted_or_copied_in_safe_mode() {
    let mut s = Script::new();
    s.register(1..=2);
    let (a, _) = s.write("/a", 2, 5);
    for n in 0..3 {
        s.write(&format!("/b{n}"), 1, 6);
    }
    let mut s = s.restarted();
    s.register(1..=2);
    let unknown = Block { id: BlockId(7), ..a };
    s.full_report(1, &[(a, ReplicaState::Finalized), (unknown, ReplicaState::Finalized)]);
    s.pass(20_000);
    assert_eq!(s.take_orders(), []);
}

#[test]
fn an_operators_safe_mode_lasts_and_only_a_superuser_sets_it() {
    let mut s = Script::new();
    let enter = || Operation::SetSafeMode {
        action: SafeModeAction::Enter,
    };
    assert!(matches!(
        s.call_as(caller("bob"), enter()),
        Err(FsError::AccessControl(_))
    ));
    assert_eq!(s.call(enter()), Ok(Reply::Bool(true)));
    s.pass(60_000);
    assert!(matches!(s.call(mkdirs("/d")), Err(FsError::SafeMode(_))));
    assert_eq!(
        s.call(Operation::SetSafeMode {
            action: SafeModeAction::Leave
        }),
        Ok(Reply::Bool(false))
    );
    s.call(mkdirs("/d")).unwrap();
}

#[test]
fn lost_replicas_are_copied_but_not_before_every_node_had_time_to_come_back() {
    let mut s = Script::new();
    s.register(1..=2);
    let (a, _) = s.write("/a", 2, 5);
    let mut s = s.restarted();
    s.register([1, 3]);
    s.full_report(1, &[(a, ReplicaState::Finalized)]);
    s.pass(9_000);
    assert_eq!(s.take_orders(), []);
    s.pass(3_000);
    assert!(
        s.take_orders()
            .iter()
            .any(|(n, order)| *n == 1 && matches!(order, Order::Replicate { .. }))
    );
}

#[test]
fn a_node_that_has_not_reported_yet_is_no_place_for_a_copy() {
    let mut s = Script::new();
    s.register(1..=2);
    let (a, _) = s.write("/a", 2, 5);
    let mut s = s.restarted();
    s.register([1]);
    s.connect(2, DEFAULT_RACK, GIB);
    s.full_report(1, &[(a, ReplicaState::Finalized)]);
    s.pass(15_000);
    assert_eq!(s.take_orders(), []);
    s.full_report(2, &[(a, ReplicaState::Finalized)]);
    s.pass(5_000);
    assert_eq!(s.take_orders(), []);
    assert_eq!(s.holders("/a"), [1, 2]);
}

#[test]
fn a_full_disk_neither_ends_the_wait_for_blocks_nor_hides_it() {
    let mut s = Script::new();
    s.register(1..=1);
    let (a, _) = s.write("/a", 1, 5);
    let mut s = s.restarted();
    s.step(Command::DiskSpace { low: true });
    assert!(matches!(s.call(mkdirs("/d")), Err(FsError::SafeMode(text)) if text.contains("Resources are low on NN")));
    s.step(Command::DiskSpace { low: false });
    assert!(
        matches!(s.call(mkdirs("/d")), Err(FsError::Retriable(_))),
        "blocks are missing"
    );
    s.step(Command::DiskSpace { low: true });
    s.register(1..=1);
    s.full_report(1, &[(a, ReplicaState::Finalized)]);
    assert!(is_on(&mut s), "all blocks are there, but no room");
    s.step(Command::DiskSpace { low: false });
    s.call(mkdirs("/d")).unwrap();
}
