//! Evening out the fullness of DataNodes.

use super::*;

/// A cluster on which every byte counts: volumes of 1000 blocks.
const CAPACITY: u64 = 1000 * BLOCK;

fn report(n: u64, blocks: u64) -> StorageReport {
    StorageReport {
        storage_id: format!("s-{n}"),
        capacity: CAPACITY,
        dfs_used: blocks * BLOCK,
        remaining: CAPACITY - blocks * BLOCK,
        ..StorageReport::default()
    }
}

fn held(s: &mut Script, n: u64) -> u64 {
    let filter = DataNodeFilter::All;
    let Ok(Reply::DataNodes(nodes)) = s.call(Operation::GetDataNodeReport { filter }) else {
        panic!()
    };
    nodes.into_iter().find(|node| node.node.uuid == uuid(n)).unwrap().blocks
}

/// One second in which nodes do what they are told and report how full they are. `at_most` limits what one may be sending.
fn second(s: &mut Script, nodes: &[u64]) {
    s.pass(1000);
    for (n, order) in s.take_orders() {
        match order {
            Order::Replicate {
                block,
                targets,
                balancing,
                ..
            } => {
                assert!(balancing);
                s.received(targets[0].node.uuid[3..].parse().unwrap(), block);
            }
            Order::Delete { blocks } => blocks
                .into_iter()
                .for_each(|block| s.change(n, ReplicaChange::Deleted, block)),
            _ => {}
        }
    }
    for n in nodes {
        let blocks = held(s, *n);
        s.say(
            *n,
            DataNodeMessage::Heartbeat {
                storages: vec![report(*n, blocks)],
                active_transfers: 0,
                health: NodeHealth::default(),
            },
        );
    }
}

fn status(s: &mut Script, operation: AdminOperation) -> BalanceStatus {
    match s.call(Operation::Admin(operation)) {
        Ok(Reply::Admin(AdminReply::Balance(status))) => status,
        other => panic!("{other:?}"),
    }
}

const START: AdminOperation = AdminOperation::StartBalance {
    threshold_percent: 5.0,
    bytes_per_second: 1 << 20,
};

#[test]
fn full_nodes_give_to_a_new_one_until_all_are_within_the_threshold() {
    let mut s = Script::new();
    (1..=2).for_each(|n| s.register_on(n, DEFAULT_RACK, CAPACITY));
    for file in 0..300 {
        s.write(&format!("/f{file}"), 2, BLOCK);
    }
    assert_eq!(status(&mut s, AdminOperation::BalanceStatus).text, "never started");
    s.register_on(3, DEFAULT_RACK, CAPACITY);
    (0..3).for_each(|_| second(&mut s, &[1, 2, 3]));
    let begun = status(&mut s, START);
    assert!(
        begun.running && begun.over_utilized == 2 && begun.under_utilized == 1,
        "{begun:?}"
    );
    for _ in 0..200 {
        second(&mut s, &[1, 2, 3]);
        for file in [0, 100, 299] {
            assert!(s.holders(&format!("/f{file}")).len() >= 2);
        }
        if !status(&mut s, AdminOperation::BalanceStatus).running {
            break;
        }
    }
    let end = status(&mut s, AdminOperation::BalanceStatus);
    assert_eq!(end.text, "balanced", "{end:?}");
    let counts: Vec<u64> = (1..=3).map(|n| held(&mut s, n)).collect();
    assert!(counts.iter().sum::<u64>() == 600, "{counts:?}");
    assert!(counts.iter().all(|blocks| (150..=250).contains(blocks)), "{counts:?}");
    assert!(end.blocks_moved >= 100 && end.bytes_moved == end.blocks_moved * BLOCK);
}

#[test]
fn a_move_never_takes_a_block_off_its_second_rack() {
    let mut s = Script::new();
    s.register_on(1, "/a", CAPACITY);
    s.register_on(2, "/b", CAPACITY);
    for file in 0..300 {
        s.write(&format!("/f{file}"), 2, BLOCK);
    }
    // Only rack /a gets a new node: what is on /b's only node must stay there.
    s.register_on(3, "/a", CAPACITY);
    (0..3).for_each(|_| second(&mut s, &[1, 2, 3]));
    status(&mut s, START);
    (0..60).for_each(|_| second(&mut s, &[1, 2, 3]));
    assert!(held(&mut s, 3) > 50);
    assert_eq!(held(&mut s, 2), 300);
}

#[test]
fn balancing_can_be_stopped_and_is_for_superusers() {
    let mut s = Script::new();
    s.register(1..=1);
    assert!(matches!(
        s.call_as(caller("joe"), Operation::Admin(START)),
        Err(FsError::AccessControl(_))
    ));
    let bad = AdminOperation::StartBalance {
        threshold_percent: f64::NAN,
        bytes_per_second: 0,
    };
    assert!(matches!(
        s.call(Operation::Admin(bad)),
        Err(FsError::IllegalArgument(_))
    ));
    assert!(status(&mut s, START).running);
    assert_eq!(status(&mut s, AdminOperation::StopBalance).text, "stopped");
    // What nodes may send was told, and is told to those that come later.
    s.register(2..=2);
    s.pass(100);
    let told = s.take_orders();
    let told = told
        .iter()
        .filter(|(_, order)| matches!(order, Order::SetBandwidth { balancing } if *balancing == 1 << 20));
    assert_eq!(told.count(), 2);
}

fn settle(s: &mut Script) {
    // Surplus is looked at only some time after a start.
    s.pass(31_000);
    (1..=4).for_each(|n| s.heartbeat(n));
    s.take_orders();
}

#[test]
fn a_replica_that_was_taken_over_goes_where_the_client_said() {
    let mut s = Script::new();
    (1..=4).for_each(|n| s.register_on(n, &format!("/r{n}"), GIB));
    let (block, nodes) = s.write("/f", 3, BLOCK);
    let free = (1..=4).find(|n| !nodes.contains(n)).unwrap();
    for relieved in nodes {
        s.took_over(free, block, relieved);
        let mut left: Vec<u64> = (1..=4).filter(|n| *n != relieved).collect();
        assert_eq!(s.holders("/f"), left);
        s.pass(1000);
        assert_eq!(s.take_deletions(), [(relieved, block.id)]);
        // And back, for the next round.
        s.change(relieved, ReplicaChange::Deleted, block);
        s.took_over(relieved, block, free);
        left = (1..=4).filter(|n| *n != free).collect();
        assert_eq!(s.holders("/f"), left);
        s.pass(1000);
        assert_eq!(s.take_deletions(), [(free, block.id)]);
        s.change(free, ReplicaChange::Deleted, block);
    }
}

#[test]
fn a_hint_deletes_nothing_that_is_needed() {
    let mut s = Script::new();
    s.register_on(1, "/a", GIB);
    s.register_on(2, "/b", GIB);
    s.register_on(3, "/a", GIB);
    s.register_on(4, "/b", GIB);
    let (block, nodes) = s.write("/f", 2, BLOCK);
    settle(&mut s);
    let free: Vec<u64> = (1..=4).filter(|n| !nodes.contains(n)).collect();
    let rack = |n: u64| n % 2;
    let same = |n: u64| *free.iter().find(|other| rack(**other) == rack(n)).unwrap();
    // Nobody of that name; somebody who has no replica; the new holder itself: the usual look takes care of the surplus.
    let arrived = same(nodes[0]);
    s.took_over(arrived, block, 99);
    s.took_over(arrived, block, same(nodes[1]));
    s.took_over(arrived, block, arrived);
    assert_eq!(s.holders("/f").len(), 3);
    // The other rack would be left without one.
    s.took_over(arrived, block, nodes[1]);
    assert_eq!(s.holders("/f").len(), 3);
    s.took_over(arrived, block, nodes[0]);
    let mut left = vec![arrived, nodes[1]];
    left.sort_unstable();
    assert_eq!(s.holders("/f"), left);
}

#[test]
fn a_hint_is_ignored_while_a_replica_is_missing_or_the_new_one_is_bad() {
    let mut s = Script::new();
    s.register(1..=4);
    let (block, nodes) = s.write("/f", 3, BLOCK);
    let free = (1..=4).find(|n| !nodes.contains(n)).unwrap();
    // Cut short on the way, or of another version: no replica at all.
    s.took_over(free, Block { length: 1, ..block }, nodes[0]);
    assert_eq!(s.holders("/f").len(), 3);
    s.change(free, ReplicaChange::Deleted, block);
    // One of the three is gone: the new one takes its place, not that of the one named.
    s.change(nodes[2], ReplicaChange::Deleted, block);
    s.took_over(free, block, nodes[0]);
    let mut left = vec![nodes[0], nodes[1], free];
    left.sort_unstable();
    assert_eq!(s.holders("/f"), left);
    // In safe mode nothing is deleted.
    s.call(Operation::SetSafeMode {
        action: SafeModeAction::Enter,
    })
    .unwrap();
    s.took_over(nodes[2], block, nodes[0]);
    assert_eq!(s.holders("/f").len(), 4);
}
