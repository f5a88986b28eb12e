//! DataNodes that leave, and racks.

use super::*;
use crate::core::datanodes::AdminState;
use crate::core::topology::HostTables;

fn pass_alive(s: &mut Script, ms: u64, alive: &[u64]) {
    for _ in 0..ms / 1000 {
        s.pass(1000);
        alive.iter().for_each(|n| s.heartbeat(*n));
    }
}

/// As [`pass_alive`], with nodes that do what they are told.
fn obey(s: &mut Script, ms: u64, alive: &[u64]) {
    for _ in 0..ms / 1000 {
        s.pass(1000);
        alive.iter().for_each(|n| s.heartbeat(*n));
        for (n, order) in s.take_orders() {
            match order {
                Order::Replicate { block, targets, .. } => {
                    for target in targets {
                        s.received(target.node.uuid[3..].parse().unwrap(), block);
                    }
                }
                Order::Delete { blocks } => blocks
                    .into_iter()
                    .for_each(|block| s.change(n, ReplicaChange::Deleted, block)),
                _ => {}
            }
        }
    }
}

fn set(s: &mut Script, n: u64, wish: AdminWish) -> Result<Reply, FsError> {
    s.call(Operation::Admin(AdminOperation::SetNode { node: uuid(n), wish }))
}

fn status(s: &mut Script, n: u64) -> DataNodeStatus {
    let filter = DataNodeFilter::All;
    let Ok(Reply::DataNodes(nodes)) = s.call(Operation::GetDataNodeReport { filter }) else {
        panic!()
    };
    nodes.into_iter().find(|node| node.node.uuid == uuid(n)).unwrap()
}

#[test]
fn a_decommissioned_node_ends_empty_and_every_block_stays_whole() {
    let mut s = Script::new();
    s.register(1..=4);
    let files: Vec<String> = (0..20).map(|n| format!("/f{n}")).collect();
    for file in &files {
        s.write(file, 3, 5);
    }
    obey(&mut s, 35_000, &[1, 2, 3, 4]);
    assert!(status(&mut s, 1).blocks > 0);
    set(&mut s, 1, AdminWish::Decommission).unwrap();
    assert_eq!(status(&mut s, 1).admin, AdminState::DecommissionInProgress);
    // It serves on but gets nothing new.
    let (_, nodes) = s.write("/new", 3, 5);
    assert!(!nodes.contains(&1));
    for _ in 0..60 {
        obey(&mut s, 1_000, &[1, 2, 3, 4]);
        for file in &files {
            assert!(s.holders(file).len() >= 3);
        }
        if status(&mut s, 1).admin == AdminState::Decommissioned {
            break;
        }
    }
    assert_eq!(status(&mut s, 1).admin, AdminState::Decommissioned);
    obey(&mut s, 5_000, &[1, 2, 3, 4]);
    assert_eq!(status(&mut s, 1).blocks, 0);
    for file in &files {
        assert_eq!(s.holders(file), [2, 3, 4]);
    }
}

#[test]
fn the_only_replica_is_copied_first_and_its_node_stays_until_then() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, nodes) = s.write("/f", 1, 5);
    let (node, other) = (nodes[0], 3 - nodes[0]);
    set(&mut s, node, AdminWish::Decommission).unwrap();
    pass_alive(&mut s, 10_000, &[1, 2]);
    let orders = s.take_orders();
    assert!(
        matches!(&orders[..], [(n, Order::Replicate { .. })] if *n == node),
        "{orders:?}"
    );
    let left = status(&mut s, node);
    assert_eq!(left.admin, AdminState::DecommissionInProgress);
    assert!(left.remaining_work.under_replicated == 1 && left.remaining_work.out_of_service_only == 1);
    s.received(other, block);
    pass_alive(&mut s, 25_000, &[1, 2]);
    assert_eq!(status(&mut s, node).admin, AdminState::Decommissioned);
    pass_alive(&mut s, 5_000, &[1, 2]);
    assert_eq!(s.take_deletions(), [(node, block.id)]);
}

#[test]
fn a_block_being_written_keeps_its_node() {
    let mut s = Script::new();
    s.register(1..=3);
    s.create("/f", 2).unwrap();
    let located = s.add_block("/f", None);
    let nodes = nodes_of(&located);
    let block = Block {
        length: 5,
        ..located.block
    };
    set(&mut s, nodes[0], AdminWish::Decommission).unwrap();
    pass_alive(&mut s, 10_000, &[1, 2, 3]);
    let left = status(&mut s, nodes[0]);
    assert!(left.admin == AdminState::DecommissionInProgress && left.remaining_work.open == 1);
    nodes.iter().for_each(|n| s.received(*n, block));
    assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
    obey(&mut s, 40_000, &[1, 2, 3]);
    assert_eq!(status(&mut s, nodes[0]).admin, AdminState::Decommissioned);
    let others: Vec<u64> = (1..=3).filter(|n| *n != nodes[0]).collect();
    assert_eq!(s.holders("/f"), others);
}

#[test]
fn a_decommission_survives_a_restart_and_can_be_taken_back() {
    let mut s = Script::new();
    s.register(1..=3);
    s.write("/f", 2, 5);
    set(&mut s, 2, AdminWish::Decommission).unwrap();
    let mut s = s.restarted();
    s.register(1..=3);
    assert_ne!(status(&mut s, 2).admin, AdminState::Normal);
    set(&mut s, 2, AdminWish::InService).unwrap();
    assert_eq!(status(&mut s, 2).admin, AdminState::Normal);
    let mut s = s.restarted();
    s.register(1..=3);
    assert_eq!(status(&mut s, 2).admin, AdminState::Normal);
}

#[test]
fn a_node_in_maintenance_may_be_away_without_a_copy_until_its_time_is_over() {
    let mut s = Script::new();
    s.register(1..=4);
    let (_, nodes) = s.write("/f", 3, 5);
    let away = nodes[0];
    let alive: Vec<u64> = (1..=4).filter(|n| *n != away).collect();
    let expires_unix_ms = s.now.unix_ms + 100_000;
    set(&mut s, away, AdminWish::Maintenance { expires_unix_ms }).unwrap();
    pass_alive(&mut s, 3_000, &[1, 2, 3, 4]);
    assert_eq!(status(&mut s, away).admin, AdminState::InMaintenance);
    s.step(Command::Disconnected {
        session: SessionId(away),
    });
    pass_alive(&mut s, 60_000, &alive);
    assert!(
        s.take_orders()
            .iter()
            .all(|(_, order)| !matches!(order, Order::Replicate { .. }))
    );
    obey(&mut s, 60_000, &alive);
    assert_eq!(status(&mut s, away).admin, AdminState::Normal);
    assert_eq!(s.holders("/f"), alive);
}

#[test]
fn before_maintenance_one_replica_must_be_elsewhere() {
    let mut s = Script::new();
    s.register(1..=2);
    let (_, nodes) = s.write("/f", 1, 5);
    let expires_unix_ms = 0;
    set(&mut s, nodes[0], AdminWish::Maintenance { expires_unix_ms }).unwrap();
    pass_alive(&mut s, 5_000, &[1, 2]);
    assert_eq!(status(&mut s, nodes[0]).admin, AdminState::EnteringMaintenance);
    // The order to copy was not obeyed: nothing goes on. Only the copy helps.
    let (block, target) = s
        .take_orders()
        .into_iter()
        .find_map(|(_, order)| match order {
            Order::Replicate { block, targets, .. } => Some((block, targets[0].node.uuid[3..].parse().unwrap())),
            _ => None,
        })
        .unwrap();
    s.received(target, block);
    pass_alive(&mut s, 5_000, &[1, 2]);
    assert_eq!(status(&mut s, nodes[0]).admin, AdminState::InMaintenance);
    assert_eq!(s.holders("/f"), [1, 2]);
}

#[test]
fn the_exclude_file_decommissions_and_the_include_file_keeps_out() {
    let mut s = Script::new();
    s.register(1..=3);
    let refresh = |include: &[&str], exclude: &[&str]| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Operation::Admin(AdminOperation::RefreshNodes {
            hosts: HostTables {
                include: set(include),
                exclude: set(exclude),
                ..HostTables::default()
            },
        })
    };
    s.call(refresh(&[], &["host2"])).unwrap();
    pass_alive(&mut s, 2_000, &[1, 2, 3]);
    assert_eq!(status(&mut s, 2).admin, AdminState::Decommissioned);
    s.call(refresh(&["10.0.0.1", "host2:9866"], &[])).unwrap();
    assert_eq!(status(&mut s, 2).admin, AdminState::Normal);
    assert!(!status(&mut s, 3).live);
    s.pass(100);
    let closed = s
        .take_orders()
        .into_iter()
        .any(|(n, order)| n == 3 && matches!(order, Order::Close { .. }));
    assert!(closed);
    assert!(matches!(
        s.call_as(caller("joe"), refresh(&[], &[])),
        Err(FsError::AccessControl(_))
    ));
}

#[test]
fn names_that_fit_nobody_or_several_are_refused() {
    let mut s = Script::new();
    s.register(1..=2);
    let name = |node: &str| {
        Operation::Admin(AdminOperation::SetNode {
            node: node.to_owned(),
            wish: AdminWish::Decommission,
        })
    };
    assert!(matches!(s.call(name("nobody")), Err(FsError::FileNotFound(_))));
    assert!(matches!(
        s.call_as(caller("joe"), name("host1")),
        Err(FsError::AccessControl(_))
    ));
    assert!(s.call(name("host1:9866")).is_ok());
}

#[test]
fn blocks_on_one_rack_get_a_replica_on_another_when_there_is_one() {
    let mut s = Script::new();
    (1..=3).for_each(|n| s.register_on(n, "/r1", GIB));
    s.write("/f", 3, 5);
    obey(&mut s, 35_000, &[1, 2, 3]);
    s.register_on(4, "/r2", GIB);
    obey(&mut s, 10_000, &[1, 2, 3, 4]);
    let holders = s.holders("/f");
    assert!(holders.len() == 3 && holders.contains(&4), "{holders:?}");
}

#[test]
fn the_table_and_the_administrator_decide_on_racks() {
    let mut s = Script::new();
    s.register(1..=2);
    let racks = [("10.0.0.1".to_owned(), "/a".to_owned())].into();
    let hosts = HostTables {
        racks,
        ..HostTables::default()
    };
    s.call(Operation::Admin(AdminOperation::RefreshNodes { hosts }))
        .unwrap();
    assert_eq!(status(&mut s, 1).node.rack, "/a");
    let set = |rack: &str| {
        Operation::Admin(AdminOperation::SetRack {
            node: uuid(1),
            rack: rack.to_owned(),
        })
    };
    s.call(set("/b/")).unwrap();
    assert_eq!(status(&mut s, 1).node.rack, "/b");
    let mut s = s.restarted();
    s.register(1..=1);
    assert_eq!(status(&mut s, 1).node.rack, "/b");
    s.call(set("")).unwrap();
    assert_eq!(status(&mut s, 1).node.rack, DEFAULT_RACK);
    assert!(matches!(s.call(set("b")), Err(FsError::IllegalArgument(_))));
}

#[test]
fn the_most_urgent_block_is_copied_first() {
    let mut s = Script::new();
    s.register(1..=5);
    let mut stuck = settings();
    stuck.max_copies_per_node = 1;
    stuck.max_copies_per_node_hard = 1;
    s.core.settings = stuck;
    let (_, all) = s.write("/two-left", 3, 5);
    let (urgent, one) = s.write("/one-left", 3, 5);
    let at = |s: &mut Script, file: &str, n: u64, block: Block| {
        if s.holders(file).contains(&n) {
            s.change(n, ReplicaChange::Deleted, block);
        }
    };
    let (first, _) = (s.core.state.blocks.iter().next().unwrap().id, ());
    at(&mut s, "/two-left", all[0], Block { id: first, ..urgent });
    at(&mut s, "/one-left", one[0], urgent);
    at(&mut s, "/one-left", one[1], urgent);
    pass_alive(&mut s, 2_000, &[1, 2, 3, 4, 5]);
    let orders = s.take_orders();
    assert!(
        matches!(&orders[0].1, Order::Replicate { block, .. } if block.id == urgent.id),
        "{orders:?}"
    );
}
