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
