//! Lost DataNodes, surplus and corrupt replicas.

use super::*;

fn replicate_orders(s: &mut Script) -> Vec<(u64, Block, Vec<u64>)> {
    let orders = s.take_orders().into_iter().filter_map(|(n, order)| match order {
        Order::Replicate { block, targets, .. } => Some((
            n,
            block,
            targets
                .iter()
                .map(|place| place.node.uuid[3..].parse().unwrap())
                .collect(),
        )),
        _ => None,
    });
    orders.collect()
}

/// Time in which everybody but the dead gives signs of life.
fn pass_alive(s: &mut Script, ms: u64, alive: &[u64]) {
    for _ in 0..ms / 1000 {
        s.pass(1000);
        alive.iter().for_each(|n| s.heartbeat(*n));
    }
}

fn set_replication(s: &mut Script, replication: u16) {
    let path = "/f".to_owned();
    s.call(Operation::SetReplication { path, replication }).unwrap();
}

/// A DataNode comes right back with a new connection; what it holds it has still to report.
fn reconnect(s: &mut Script, n: u64) {
    s.step(Command::Disconnected { session: SessionId(n) });
    s.connect(n, DEFAULT_RACK, GIB);
}

#[test]
fn a_lost_nodes_replica_is_copied_after_the_grace_and_not_before() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, nodes) = s.write("/f", 2, 5);
    let spare = (1..=3).find(|n| !nodes.contains(n)).unwrap();
    s.step(Command::Disconnected {
        session: SessionId(nodes[0]),
    });
    pass_alive(&mut s, 9_000, &[nodes[1], spare]);
    assert_eq!(replicate_orders(&mut s), []);
    pass_alive(&mut s, 3_000, &[nodes[1], spare]);
    assert_eq!(replicate_orders(&mut s), [(nodes[1], block, vec![spare])]);
    s.received(spare, block);
    let mut expected = vec![nodes[1], spare];
    expected.sort_unstable();
    assert_eq!(s.holders("/f"), expected);
}

#[test]
fn a_node_that_comes_right_back_costs_nothing() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, nodes) = s.write("/f", 2, 5);
    s.step(Command::Disconnected {
        session: SessionId(nodes[0]),
    });
    s.pass(5_000);
    s.connect(nodes[0], DEFAULT_RACK, GIB);
    s.full_report(nodes[0], &[(block, ReplicaState::Finalized)]);
    pass_alive(&mut s, 20_000, &[1, 2, 3]);
    assert_eq!(replicate_orders(&mut s), []);
    assert_eq!(s.holders("/f").len(), 2);
}

#[test]
fn a_silent_node_is_given_up() {
    let mut s = Script::new();
    s.register(1..=3);
    let (_, nodes) = s.write("/f", 2, 5);
    let alive: Vec<u64> = (1..=3).filter(|n| *n != nodes[0]).collect();
    pass_alive(&mut s, 31_000, &alive);
    // Stale by now: read from last, not yet given up.
    let operation = Operation::GetBlockLocations {
        path: "/f".to_owned(),
        offset: 0,
        length: u64::MAX,
    };
    let Ok(Reply::Blocks(blocks)) = s.call(operation) else {
        panic!()
    };
    assert_eq!(nodes_of(&blocks.blocks[0]), [nodes[1], nodes[0]]);
    pass_alive(&mut s, 600_000, &alive);
    assert_eq!(s.holders("/f").len(), 1);
    assert!(
        s.take_orders()
            .iter()
            .any(|(n, order)| *n == nodes[0] && matches!(order, Order::Close { .. }))
    );
}

#[test]
fn a_copy_that_never_arrives_is_ordered_anew() {
    let mut s = Script::new();
    s.register(1..=2);
    s.write("/f", 1, 5);
    set_replication(&mut s, 2);
    pass_alive(&mut s, 3_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s).len(), 1);
    pass_alive(&mut s, 290_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), []);
    pass_alive(&mut s, 20_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s).len(), 1);
}

#[test]
fn a_copy_whose_source_says_that_it_failed_is_ordered_anew_soon() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, nodes) = s.write("/f", 1, 5);
    set_replication(&mut s, 2);
    pass_alive(&mut s, 3_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s).len(), 1);
    let failed = DataNodeMessage::CopyFailed { block: block.id };
    s.say(3 - nodes[0], failed.clone());
    pass_alive(&mut s, 20_000, &[1, 2]);
    assert_eq!(
        replicate_orders(&mut s),
        [],
        "another node's failure is not the source's"
    );
    s.say(nodes[0], failed);
    pass_alive(&mut s, 2_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [], "what is in the way has time to pass");
    pass_alive(&mut s, 5_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [(nodes[0], block, vec![3 - nodes[0]])]);
}

#[test]
fn a_copy_that_its_target_does_not_have_when_it_comes_back_is_ordered_anew() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, nodes) = s.write("/f", 1, 5);
    let target = 3 - nodes[0];
    set_replication(&mut s, 2);
    pass_alive(&mut s, 3_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [(nodes[0], block, vec![target])]);
    reconnect(&mut s, target);
    pass_alive(&mut s, 4_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [], "it may be there for all one knows");
    s.full_report(target, &[]);
    pass_alive(&mut s, 4_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [(nodes[0], block, vec![target])]);
}

#[test]
fn a_copy_that_its_target_has_when_it_comes_back_is_kept() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, nodes) = s.write("/f", 1, 5);
    set_replication(&mut s, 2);
    pass_alive(&mut s, 3_000, &[1, 2, 3]);
    let target = replicate_orders(&mut s)[0].2[0];
    reconnect(&mut s, target);
    s.full_report(target, &[(block, ReplicaState::Finalized)]);
    pass_alive(&mut s, 10_000, &[1, 2, 3]);
    assert_eq!(replicate_orders(&mut s), []);
    let mut expected = vec![nodes[0], target];
    expected.sort_unstable();
    assert_eq!(s.holders("/f"), expected);
}

/// The last of a pipeline is killed before it has the end of the block, and comes right back.
#[test]
fn a_pipeline_node_that_comes_back_without_the_whole_block_is_not_waited_for() {
    let mut s = Script::new();
    s.register(1..=3);
    s.create("/f", 2).unwrap();
    let located = s.add_block("/f", None);
    let block = Block {
        length: 5,
        ..located.block
    };
    let nodes = nodes_of(&located);
    let spare = (1..=3).find(|n| !nodes.contains(n)).unwrap();
    s.received(nodes[0], block);
    assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
    pass_alive(&mut s, 4_000, &[1, 2, 3]);
    assert_eq!(replicate_orders(&mut s), []);
    reconnect(&mut s, nodes[1]);
    let cut = Block { length: 3, ..block };
    s.full_report(nodes[1], &[(cut, ReplicaState::Rwr)]);
    pass_alive(&mut s, 4_000, &[1, 2, 3]);
    assert_eq!(replicate_orders(&mut s), [(nodes[0], block, vec![spare])]);
}

#[test]
fn surplus_is_deleted_but_not_right_after_a_start() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, _) = s.write("/f", 3, 5);
    set_replication(&mut s, 1);
    pass_alive(&mut s, 28_000, &[1, 2, 3]);
    assert_eq!(s.take_deletions(), []);
    pass_alive(&mut s, 5_000, &[1, 2, 3]);
    let deletions = s.take_deletions();
    assert!(
        deletions.len() == 2 && deletions.iter().all(|(_, id)| *id == block.id),
        "{deletions:?}"
    );
    assert_eq!(s.holders("/f").len(), 1);
}

#[test]
fn surplus_stays_while_a_holder_is_out_of_contact() {
    let mut s = Script::new();
    s.register(1..=3);
    s.write("/f", 3, 5);
    pass_alive(&mut s, 40_000, &[1, 2, 3]);
    set_replication(&mut s, 1);
    s.step(Command::Disconnected { session: SessionId(1) });
    pass_alive(&mut s, 8_000, &[2, 3]);
    assert_eq!(s.take_deletions(), []);
}

#[test]
fn a_corrupt_replica_is_replaced_first_and_deleted_then() {
    let mut s = Script::new();
    s.register(1..=3);
    let (block, nodes) = s.write("/f", 2, 5);
    let spare = (1..=3).find(|n| !nodes.contains(n)).unwrap();
    s.change(nodes[0], ReplicaChange::Corrupt, block);
    assert_eq!(s.holders("/f"), [nodes[1]]);
    pass_alive(&mut s, 2_000, &[1, 2, 3]);
    let orders = s.take_orders();
    assert!(
        matches!(&orders[..], [(from, Order::Replicate { .. })] if *from == nodes[1]),
        "{orders:?}"
    );
    s.received(spare, block);
    pass_alive(&mut s, 2_000, &[1, 2, 3]);
    assert_eq!(s.take_deletions(), [(nodes[0], block.id)]);
}

#[test]
fn with_no_room_elsewhere_the_corrupt_replica_makes_room() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, _) = s.write("/f", 2, 5);
    s.change(1, ReplicaChange::Corrupt, block);
    pass_alive(&mut s, 2_000, &[1, 2]);
    assert_eq!(s.take_deletions(), [(1, block.id)]);
    s.change(1, ReplicaChange::Deleted, block);
    pass_alive(&mut s, 2_000, &[1, 2]);
    assert_eq!(replicate_orders(&mut s), [(2, block, vec![1])]);
}

#[test]
fn the_last_copy_is_kept_however_bad() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, nodes) = s.write("/f", 1, 5);
    s.change(nodes[0], ReplicaChange::Corrupt, block);
    pass_alive(&mut s, 120_000, &[1, 2]);
    assert_eq!(s.take_deletions(), []);
    let operation = Operation::GetBlockLocations {
        path: "/f".to_owned(),
        offset: 0,
        length: u64::MAX,
    };
    let Ok(Reply::Blocks(blocks)) = s.call(operation) else {
        panic!()
    };
    assert!(blocks.blocks[0].corrupt && nodes_of(&blocks.blocks[0]) == nodes);
    // A full report that lists it does not make it good again; a fresh copy does.
    s.full_report(nodes[0], &[(block, ReplicaState::Finalized)]);
    assert_eq!(
        s.call(Operation::GetFsStats)
            .map(|reply| matches!(reply, Reply::Stats(stats) if stats.missing == 1)),
        Ok(true)
    );
    s.received(nodes[0], block);
    assert_eq!(
        s.call(Operation::GetFsStats)
            .map(|reply| matches!(reply, Reply::Stats(stats) if stats.missing == 0)),
        Ok(true)
    );
}

#[test]
fn a_deleted_files_replicas_are_deleted_also_on_nodes_that_were_away() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, _) = s.write("/f", 2, 5);
    s.step(Command::Disconnected { session: SessionId(2) });
    s.call(Operation::Delete {
        path: "/f".to_owned(),
        recursive: false,
    })
    .unwrap();
    s.pass(200);
    assert_eq!(s.take_deletions(), [(1, block.id)]);
    s.connect(2, DEFAULT_RACK, GIB);
    s.full_report(2, &[(block, ReplicaState::Finalized)]);
    s.pass(200);
    assert_eq!(s.take_deletions(), [(2, block.id)]);
}

#[test]
fn a_block_that_was_never_given_out_is_left_alone() {
    let mut s = Script::new();
    s.register(1..=1);
    let (block, _) = s.write("/f", 1, 5);
    let future = Block {
        id: BlockId(block.id.0 + 1000),
        ..block
    };
    s.full_report(
        1,
        &[(block, ReplicaState::Finalized), (future, ReplicaState::Finalized)],
    );
    s.pass(120_000);
    assert_eq!(s.take_deletions(), []);
}

#[test]
fn what_a_full_report_lacks_is_gone_unless_it_just_came() {
    let mut s = Script::new();
    s.register(1..=1);
    s.write("/old", 1, 5);
    s.pass(29_000);
    s.heartbeat(1);
    s.pass(29_000);
    s.heartbeat(1);
    s.pass(5_000);
    s.write("/young", 1, 5);
    s.full_report(1, &[]);
    assert_eq!((s.holders("/old"), s.holders("/young")), (vec![], vec![1]));
}

#[test]
fn a_second_process_with_a_live_uuid_is_refused() {
    let mut s = Script::new();
    s.register(1..=1);
    let descriptor = DataNodeDescriptor {
        uuid: uuid(1),
        ip: "10.0.0.77".to_owned(),
        hostname: "copy".to_owned(),
        xfer_port: 1,
        ipc_port: 2,
        rack: DEFAULT_RACK.to_owned(),
    };
    let registration = Registration {
        descriptor,
        storages: vec![],
        software_version: String::new(),
    };
    let (request, session) = (RequestId(99), SessionId(99));
    let replies = s.step(Command::Register {
        request,
        session,
        registration,
    });
    assert!(matches!(&replies[..], [(_, Err(FsError::Io(text)))] if text.contains("already connected")));
}
