//! Where replicas go: properties over random clusters.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn place(s: &mut Script, path: &str, replication: u16, writer: IpAddr, excluded: &[u64]) -> Vec<u64> {
    s.create(path, replication).unwrap();
    let excluded = excluded.iter().map(|n| uuid(*n)).collect();
    let caller = Caller {
        address: writer,
        ..caller("root")
    };
    match s.call_as(
        caller,
        Operation::AddBlock {
            at: at(path, None),
            excluded,
            favored: vec![],
        },
    ) {
        Ok(Reply::Block(block)) => nodes_of(&block),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn targets_are_distinct_usable_and_as_many_as_possible(
        racks in prop::collection::vec(0..3_u8, 1..9),
        full in prop::collection::btree_set(1..9_u64, 0..4),
        excluded in prop::collection::btree_set(1..9_u64, 0..4),
        replication in 1..5_u16,
        writer in 1..9_u8,
        seed in any::<u64>(),
    ) {
        let mut s = Script::with(CoreSettings { seed, ..settings() }, State::new("root", "supergroup"));
        for (n, rack) in (1..).zip(&racks) {
            let room = if full.contains(&n) { BLOCK - 1 } else { GIB };
            s.register_on(n, &format!("/r{rack}"), room);
        }
        let usable: BTreeSet<u64> = (1..=racks.len() as u64).filter(|n| !full.contains(n) && !excluded.contains(n)).collect();
        prop_assume!(!usable.is_empty());
        let excluded: Vec<u64> = excluded.into_iter().collect();
        let targets = place(&mut s, "/f", replication, IpAddr::from([10, 0, 0, writer]), &excluded);
        let distinct: BTreeSet<u64> = targets.iter().copied().collect();
        prop_assert_eq!(distinct.len(), targets.len());
        prop_assert!(distinct.is_subset(&usable));
        prop_assert_eq!(targets.len(), usable.len().min(usize::from(replication)));
        if usable.contains(&u64::from(writer)) {
            prop_assert_eq!(targets[0], u64::from(writer), "the writer's own node comes first");
        }
        let rack = |n: &u64| racks[*n as usize - 1];
        let usable_racks: BTreeSet<u8> = usable.iter().map(rack).collect();
        if targets.len() >= 2 && usable_racks.len() >= 2 {
            let used: BTreeSet<u8> = targets.iter().map(rack).collect();
            prop_assert!(used.len() >= 2, "one rack only, although there are others");
        }
        if targets.len() >= 3 && rack(&targets[0]) != rack(&targets[1]) {
            let more_there = usable.iter().any(|n| rack(n) == rack(&targets[1]) && !targets[..2].contains(n));
            prop_assert!(!more_there || rack(&targets[2]) == rack(&targets[1]), "the third goes beside the second");
        }
    }
}

#[test]
fn the_same_seed_places_alike() {
    let run = || {
        let mut s = Script::new();
        s.register(1..=8);
        (0..20)
            .map(|n| place(&mut s, &format!("/f{n}"), 3, IpAddr::from([1, 1, 1, 1]), &[]))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn load_spreads_over_the_nodes() {
    let mut s = Script::new();
    s.register(1..=5);
    let mut counts = [0; 6];
    for n in 0..200 {
        for node in place(&mut s, &format!("/f{n}"), 3, IpAddr::from([1, 1, 1, 1]), &[]) {
            counts[node as usize] += 1;
        }
    }
    assert!(counts[1..].iter().all(|count| (90..=150).contains(count)), "{counts:?}");
}

#[test]
fn a_node_that_is_asked_for_by_name_comes_first() {
    let mut s = Script::new();
    s.register(1..=5);
    s.create("/f", 3).unwrap();
    let favored = vec!["10.0.0.4:9866".to_owned()];
    let Ok(Reply::Block(block)) = s.call(Operation::AddBlock {
        at: at("/f", None),
        excluded: vec![],
        favored,
    }) else {
        panic!()
    };
    assert_eq!(nodes_of(&block)[0], 4);
}

#[test]
fn readers_hear_of_the_closest_replica_first() {
    let mut s = Script::new();
    s.register(1..=3);
    s.write("/f", 3, 5);
    for n in 1..=3_u8 {
        let near = Caller {
            address: IpAddr::from([10, 0, 0, n]),
            ..caller("root")
        };
        let operation = Operation::GetBlockLocations {
            path: "/f".to_owned(),
            offset: 0,
            length: 1,
        };
        let Ok(Reply::Blocks(blocks)) = s.call_as(near, operation) else {
            panic!()
        };
        assert_eq!(nodes_of(&blocks.blocks[0])[0], u64::from(n));
    }
}
