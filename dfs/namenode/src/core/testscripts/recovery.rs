//! Files whose writer is gone.

use quarry_dfs_wire::block::GenerationStamp;

use super::*;

fn recover(s: &mut Script) -> Result<Reply, FsError> {
    s.call(Operation::RecoverLease {
        path: "/f".to_owned(),
        holder: "other".to_owned(),
    })
}

fn recovery_order(s: &mut Script) -> (u64, Block, GenerationStamp) {
    let orders = s.take_orders();
    let found = orders.into_iter().find_map(|(n, order)| match order {
        Order::Recover {
            block,
            new_generation_stamp,
            ..
        } => Some((n, block, new_generation_stamp)),
        _ => None,
    });
    found.expect("a recovery was ordered")
}

fn result(block: Block, stamp: GenerationStamp, length: u64, holders: &[u64], error: &str) -> DataNodeMessage {
    DataNodeMessage::Recovered {
        block: block.id,
        generation_stamp: stamp,
        length,
        holders: holders.iter().map(|n| uuid(*n)).collect(),
        error: error.to_owned(),
    }
}

fn half_written() -> (Script, Block) {
    let mut s = Script::new();
    s.register(1..=2);
    s.create("/f", 2).unwrap();
    let block = s.add_block("/f", None).block;
    (s, block)
}

#[test]
fn a_recovered_length_closes_the_file() {
    let (mut s, block) = half_written();
    assert_eq!(recover(&mut s), Ok(Reply::Bool(false)));
    let (primary, ordered, stamp) = recovery_order(&mut s);
    assert!(ordered == block && stamp > block.generation_stamp);
    s.say(primary, result(block, stamp, 77, &[1, 2], ""));
    assert_eq!(recover(&mut s), Ok(Reply::Bool(true)));
    let Ok(Reply::Status(Some(status))) = s.call(Operation::GetFileInfo {
        path: "/f".to_owned(),
        need_locations: false,
    }) else {
        panic!()
    };
    assert_eq!(status.length, 77);
    assert_eq!(s.holders("/f"), [1, 2]);
}

#[test]
fn the_old_writer_is_fenced_once_recovery_began() {
    let (mut s, block) = half_written();
    recover(&mut s).unwrap();
    let written = Block { length: 5, ..block };
    assert!(matches!(
        s.call(complete("/f", Some(written))),
        Err(FsError::LeaseExpired(_))
    ));
    assert!(matches!(
        s.call(create("/f", "other", 1)),
        Err(FsError::RecoveryInProgress(_))
    ));
}

#[test]
fn a_failed_attempt_is_repeated_and_its_late_answer_ignored() {
    let (mut s, block) = half_written();
    recover(&mut s).unwrap();
    let (primary, _, first) = recovery_order(&mut s);
    s.say(primary, result(block, first, 0, &[], "no replica agrees"));
    s.pass(1_200);
    let (primary, _, second) = recovery_order(&mut s);
    assert!(second > first);
    s.say(primary, result(block, first, 10, &[1], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(false))
    );
    s.say(primary, result(block, second, 20, &[1], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(true))
    );
}

#[test]
fn recovery_never_falls_below_what_was_acknowledged_as_persistent() {
    let (mut s, block) = half_written();
    s.call(Operation::Fsync {
        at: at("/f", None),
        last_block_length: Some(50),
    })
    .unwrap();
    recover(&mut s).unwrap();
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 49, &[1], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(false))
    );
    s.pass(1_200);
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 50, &[2], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(true))
    );
}

#[test]
fn the_hard_limit_closes_a_silent_writers_file() {
    let (mut s, block) = half_written();
    for _ in 0..21 * 3 {
        s.pass(20_000);
        s.heartbeat(1);
        s.heartbeat(2);
    }
    let (primary, _, _) = s
        .orders
        .iter()
        .rev()
        .find_map(|(n, order)| match order {
            Order::Recover {
                block,
                new_generation_stamp,
                ..
            } => Some((n.0, *block, *new_generation_stamp)),
            _ => None,
        })
        .expect("recovery began");
    let stamp = s.core.state().next_generation_stamp - 1;
    s.say(primary, result(block, GenerationStamp(stamp), 5, &[1], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(true))
    );
}

#[test]
fn recovery_goes_on_after_a_restart() {
    let (mut s, block) = half_written();
    recover(&mut s).unwrap();
    let mut s = s.restarted();
    s.register(1..=1);
    s.full_report(1, &[(Block { length: 33, ..block }, ReplicaState::Rwr)]);
    s.pass(1_500);
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 33, &[1], ""));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(true))
    );
}

#[test]
fn a_block_that_nobody_holds_is_dropped_when_all_had_time_to_report() {
    let (s, _) = half_written();
    let mut s = s.restarted();
    assert_eq!(recover(&mut s), Ok(Reply::Bool(false)));
    s.pass(29_000);
    assert_eq!(recover(&mut s), Ok(Reply::Bool(false)));
    s.pass(3_000);
    assert_eq!(recover(&mut s), Ok(Reply::Bool(true)));
}

#[test]
fn waiting_for_holders_does_not_fill_the_log() {
    let (mut s, _) = half_written();
    for n in 1..=2 {
        s.step(Command::Disconnected { session: SessionId(n) });
    }
    recover(&mut s).unwrap();
    let before = s.log.len();
    s.pass(60_000);
    assert_eq!(s.log.len(), before);
    s.register(1..=1);
    s.pass(1_500);
    recovery_order(&mut s);
}

fn is_closed(s: &mut Script) -> bool {
    s.call(Operation::IsFileClosed { path: "/f".to_owned() }) == Ok(Reply::Bool(true))
}

fn length(s: &mut Script) -> u64 {
    match s.call(Operation::GetFileInfo {
        path: "/f".to_owned(),
        need_locations: false,
    }) {
        Ok(Reply::Status(Some(status))) => status.length,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_attempt_has_another_primary_and_one_that_waits_since_a_restart_is_the_last() {
    let mut s = Script::new();
    s.register(1..=3);
    s.create("/f", 3).unwrap();
    let located = s.add_block("/f", None);
    let block = located.block;
    s.full_report(2, &[(Block { length: 9, ..block }, ReplicaState::Rwr)]);
    s.received(3, Block { length: 9, ..block });
    recover(&mut s).unwrap();
    let mut primaries = Vec::new();
    for _ in 0..4 {
        let (primary, _, stamp) = recovery_order(&mut s);
        primaries.push(primary);
        s.say(primary, result(block, stamp, 0, &[], "no luck"));
        s.pass(1_200);
    }
    assert_eq!(primaries, [3, 1, 2, 3]);
}

#[test]
fn an_attempt_without_an_answer_is_repeated_with_another_primary() {
    let (mut s, block) = half_written();
    recover(&mut s).unwrap();
    let (first, _, _) = recovery_order(&mut s);
    for _ in 0..12 {
        s.pass(1_000);
        s.heartbeat(1);
        s.heartbeat(2);
    }
    let (second, _, stamp) = recovery_order(&mut s);
    assert_ne!(first, second);
    s.say(second, result(block, stamp, 4, &[second], ""));
    assert!(is_closed(&mut s));
}

#[test]
fn the_writer_itself_may_ask_for_recovery() {
    let (mut s, block) = half_written();
    let asked = s.call(Operation::RecoverLease {
        path: "/f".to_owned(),
        holder: "writer".to_owned(),
    });
    assert_eq!(asked, Ok(Reply::Bool(false)));
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 6, &[1, 2], ""));
    assert_eq!(recover(&mut s), Ok(Reply::Bool(true)));
}

#[test]
fn after_the_soft_limit_another_client_takes_the_file_and_not_before() {
    let (mut s, block) = half_written();
    for _ in 0..5 {
        s.pass(10_000);
        (1..=2).for_each(|n| s.heartbeat(n));
    }
    let take = || Operation::Append {
        path: "/f".to_owned(),
        holder: "other".to_owned(),
        new_block: false,
    };
    assert!(
        matches!(s.call(take()), Err(FsError::AlreadyBeingCreated(text)) if text.contains("currently owned by writer"))
    );
    s.pass(10_500);
    assert!(matches!(s.call(take()), Err(FsError::RecoveryInProgress(_))));
    assert!(matches!(s.call(take()), Err(FsError::RecoveryInProgress(_))));
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 12, &[1, 2], ""));
    assert!(matches!(s.call(take()), Ok(Reply::Appended(status, Some(_))) if status.length == 12));
}

#[test]
fn a_last_block_that_nothing_was_written_to_is_removed() {
    let mut s = Script::new();
    s.register(1..=2);
    s.create("/f", 2).unwrap();
    let first = Block {
        length: BLOCK,
        ..s.add_block("/f", None).block
    };
    (1..=2).for_each(|n| s.received(n, first));
    let second = s.add_block("/f", Some(first)).block;
    recover(&mut s).unwrap();
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(second, stamp, 0, &[1, 2], ""));
    assert!(is_closed(&mut s) && length(&mut s) == BLOCK);
    assert_eq!(s.core.state().blocks.count(), 1);
}

#[test]
fn a_result_for_a_block_that_is_gone_or_closed_changes_nothing() {
    let (mut s, block) = half_written();
    recover(&mut s).unwrap();
    let (primary, _, stamp) = recovery_order(&mut s);
    s.say(primary, result(block, stamp, 8, &[1, 2], ""));
    let edits = s.log.len();
    s.say(primary, result(block, stamp, 3, &[1], ""));
    assert!(s.log.len() == edits && length(&mut s) == 8);
    s.call(Operation::Delete {
        path: "/f".to_owned(),
        recursive: false,
    })
    .unwrap();
    let edits = s.log.len();
    s.say(primary, result(block, stamp, 3, &[1], ""));
    assert_eq!(s.log.len(), edits);
}

#[test]
fn holders_that_took_no_part_are_stale() {
    let (mut s, block) = half_written();
    s.register(3..=3);
    recover(&mut s).unwrap();
    let (primary, _, stamp) = recovery_order(&mut s);
    let absent = 3 - primary;
    s.say(primary, result(block, stamp, 8, &[primary], ""));
    assert_eq!(s.holders("/f"), [primary]);
    // It comes with what it had: too old, and replaced by a copy before it goes.
    s.full_report(absent, &[(Block { length: 8, ..block }, ReplicaState::Rbw)]);
    s.pass(2_000);
    assert_eq!(s.holders("/f"), [primary]);
    let copied = s
        .take_orders()
        .into_iter()
        .any(|(n, order)| n == primary && matches!(order, Order::Replicate { .. }));
    assert!(copied);
}

#[test]
fn a_pipeline_is_rebuilt_across_a_restart_of_the_namenode() {
    let (mut s, block) = half_written();
    let renew = Operation::UpdateBlockForPipeline {
        holder: "writer".to_owned(),
        block,
    };
    let Ok(Reply::Block(renewed)) = s.call(renew) else {
        panic!()
    };
    let mut s = s.restarted();
    s.register(1..=2);
    let new = Block {
        generation_stamp: renewed.block.generation_stamp,
        length: 40,
        ..block
    };
    s.call(Operation::UpdatePipeline {
        holder: "writer".to_owned(),
        old: block,
        new,
        nodes: vec![uuid(2)],
    })
    .unwrap();
    let end = Block { length: 60, ..new };
    // A replica that stayed behind with the old stamp counts for nothing.
    s.received(1, Block { length: 60, ..block });
    s.received(2, end);
    assert_eq!(s.call(complete("/f", Some(end))), Ok(Reply::Bool(true)));
    assert_eq!(s.holders("/f"), [2]);
    // And an updatePipeline that comes late is refused.
    let late = Operation::UpdatePipeline {
        holder: "writer".to_owned(),
        old: block,
        new,
        nodes: vec![uuid(1)],
    };
    assert!(s.call(late).is_err());
}

fn truncate(s: &mut Script, length: u64) {
    let slot = s.core.state.namespace.find("/f").unwrap();
    let caller = caller("root");
    s.core.begin_truncate(&caller, "/f", slot, "cutter", length).unwrap();
    // The tick lets out what begin_truncate decided.
    s.pass(100);
}

fn truncate_order(s: &mut Script) -> (u64, Block, GenerationStamp, u64) {
    let orders = s.take_orders();
    let found = orders.into_iter().find_map(|(n, order)| match order {
        Order::Recover {
            block,
            new_generation_stamp,
            truncate_length: Some(length),
            ..
        } => Some((n, block, new_generation_stamp, length)),
        _ => None,
    });
    found.expect("a truncation was ordered")
}

#[test]
fn truncation_inside_a_block_cuts_the_replicas_and_closes_the_file() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, _) = s.write("/f", 3, 100);
    truncate(&mut s, 30);
    assert!(!is_closed(&mut s) && length(&mut s) == 30);
    let (primary, named, stamp, to) = truncate_order(&mut s);
    assert!(named.id == block.id && named.generation_stamp == block.generation_stamp && to == 30);
    assert!(matches!(
        s.call(create("/f", "other", 1)),
        Err(FsError::RecoveryInProgress(_))
    ));
    // A length that was not ordered is not believed.
    s.say(primary, result(block, stamp, 100, &[1, 2, 3], ""));
    assert!(!is_closed(&mut s));
    s.pass(1_200);
    let (primary, _, stamp, _) = truncate_order(&mut s);
    s.say(primary, result(block, stamp, 30, &[1, 2], ""));
    assert!(is_closed(&mut s) && length(&mut s) == 30);
    assert_eq!(s.holders("/f"), [1, 2]);
}

#[test]
fn truncation_goes_on_after_a_restart() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, _) = s.write("/f", 2, 100);
    truncate(&mut s, 30);
    let mut s = s.restarted();
    s.register(1..=2);
    (1..=2).for_each(|n| s.full_report(n, &[(block, ReplicaState::Finalized)]));
    s.pass(1_500);
    assert!(!is_closed(&mut s) && length(&mut s) == 30);
    let (primary, _, stamp, to) = truncate_order(&mut s);
    assert_eq!(to, 30);
    s.say(primary, result(block, stamp, 30, &[1, 2], ""));
    assert!(is_closed(&mut s) && length(&mut s) == 30);
    assert_eq!(s.holders("/f"), [1, 2]);
}
