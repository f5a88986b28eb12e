//! Operations on what few inodes have, in random order, against naive models: attributes by path, quotas by counting the tree. After every
//! transaction the log and an image give the very same state.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::acl::{AclEntry, Kind, Scope};
use super::acl_calls::AclChange;
use super::command::{Operation, Reply};
use super::edit::EditRecord;
use super::namespace::is_within;
use super::quota::{KEEP, RESET};
use super::state::State;
use super::testscripts::{Script, at, create, durability, mkdirs};
use super::xattr::{SetFlags, XAttr, XAttrNamespace};
use crate::log::{frame, segment};

const BLOCK: u64 = 1024;

#[derive(Debug, Clone)]
enum Step {
    Mkdirs(String),
    Write(String, u16, u8, u64),
    Delete(String),
    Rename(String, String),
    SetXAttr(String, &'static str, u8),
    RemoveXAttr(String, &'static str),
    AddAcl(String, &'static str, u8, bool),
    RemoveAcl(String),
    Quota(String, i64, i64),
    Policy(String, &'static str),
    Replication(String, u16),
    Concat(String, String),
    Truncate(String, u8),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|names| format!("/{}", names.join("/")))
}

fn limit(most: i64) -> impl Strategy<Value = i64> {
    prop_oneof![Just(KEEP), Just(RESET), 0..most]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || prop::sample::select(vec!["x", "y"]);
    let policy = prop::sample::select(vec!["", "COLD", "ONE_SSD", "HOT"]);
    prop_oneof![
        path().prop_map(Step::Mkdirs),
        (path(), 1..4_u16, 0..3_u8, 0..BLOCK).prop_map(|(p, r, full, rest)| Step::Write(p, r, full, rest)),
        path().prop_map(Step::Delete),
        (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        (path(), name(), any::<u8>()).prop_map(|(p, n, v)| Step::SetXAttr(p, n, v)),
        (path(), name()).prop_map(|(p, n)| Step::RemoveXAttr(p, n)),
        (path(), name(), 0..8_u8, any::<bool>()).prop_map(|(p, n, bits, default)| Step::AddAcl(p, n, bits, default)),
        path().prop_map(Step::RemoveAcl),
        (path(), limit(8), limit(20_000)).prop_map(|(p, names, space)| Step::Quota(p, names, space)),
        (path(), policy).prop_map(|(p, policy)| Step::Policy(p, policy)),
        (path(), 1..4_u16).prop_map(|(p, r)| Step::Replication(p, r)),
        (path(), path()).prop_map(|(target, source)| Step::Concat(target, source)),
        (path(), 0..3_u8).prop_map(|(p, blocks)| Step::Truncate(p, blocks)),
    ]
}

fn xattr(name: &str, value: u8) -> XAttr {
    XAttr {
        namespace: XAttrNamespace::User,
        name: name.to_owned(),
        value: Some(vec![value]),
    }
}

/// Writes a file of `full` whole blocks and `rest` bytes; stops where a quota does.
fn write(s: &mut Script, path: &str, replication: u16, full: u8, rest: u64) {
    if s.call(create(path, "writer", replication)).is_err() {
        return;
    }
    let mut previous = None;
    for length in (0..full).map(|_| BLOCK).chain((rest > 0).then_some(rest)) {
        let operation = Operation::AddBlock {
            at: at(path, previous),
            excluded: vec![],
            favored: vec![],
        };
        let Ok(Reply::Block(located)) = s.call(operation) else {
            break;
        };
        let block = quarry_dfs_wire::block::Block {
            length,
            ..located.block
        };
        for node in super::testscripts::nodes_of(&located) {
            s.received(node, block);
        }
        previous = Some(block);
    }
    s.call(super::testscripts::complete(path, previous)).unwrap();
}

fn operation(step: &Step) -> Operation {
    match step.clone() {
        Step::Mkdirs(path) => mkdirs(&path),
        Step::Write(path, ..) => create(&path, "writer", 1),
        Step::Delete(path) => Operation::Delete { path, recursive: true },
        Step::Rename(source, destination) => Operation::Rename { source, destination },
        Step::SetXAttr(path, name, value) => Operation::SetXAttr {
            path,
            xattr: xattr(name, value),
            flags: SetFlags {
                create: true,
                replace: true,
            },
            raw: false,
        },
        Step::RemoveXAttr(path, name) => Operation::RemoveXAttr {
            path,
            xattr: xattr(name, 0),
            raw: false,
        },
        Step::AddAcl(path, name, bits, default) => {
            let scope = if default { Scope::Default } else { Scope::Access };
            let entry = AclEntry::new(scope, Kind::User, Some(name), bits);
            Operation::ChangeAcl {
                path,
                change: AclChange::Modify(vec![entry]),
            }
        }
        Step::RemoveAcl(path) => Operation::ChangeAcl {
            path,
            change: AclChange::Remove,
        },
        Step::Quota(path, names, space) => Operation::SetQuota {
            path,
            names,
            space,
            kind: None,
        },
        Step::Policy(path, "") => Operation::UnsetStoragePolicy { path },
        Step::Policy(path, policy) => Operation::SetStoragePolicy {
            path,
            policy: policy.to_owned(),
        },
        Step::Replication(path, replication) => Operation::SetReplication { path, replication },
        Step::Concat(target, source) => Operation::Concat {
            target,
            sources: vec![source],
        },
        Step::Truncate(path, blocks) => Operation::Truncate {
            path,
            holder: "cutter".to_owned(),
            new_length: i64::from(blocks) * BLOCK as i64,
        },
    }
}

/// Attributes by path.
type Attributes = BTreeMap<String, BTreeMap<String, u8>>;

/// What the operation did to attributes, by the naive model.
fn follow(model: &mut Attributes, step: &Step, reply: &Reply, moved_to: Option<&str>) {
    match step {
        Step::SetXAttr(path, name, value) => {
            model
                .entry(path.clone())
                .or_default()
                .insert((*name).to_owned(), *value);
        }
        Step::RemoveXAttr(path, name) => {
            model.get_mut(path).unwrap().remove(*name);
        }
        Step::Delete(path) => model.retain(|other, _| !is_within(other, path)),
        Step::Concat(_, source) => {
            model.remove(source);
        }
        Step::Rename(from, _) if *reply == Reply::Bool(true) => {
            let to = moved_to.unwrap();
            let moved: Vec<String> = model.keys().filter(|path| is_within(path, from)).cloned().collect();
            for path in moved {
                let attributes = model.remove(&path).unwrap();
                model.insert(format!("{to}{}", &path[from.len()..]), attributes);
            }
        }
        _ => {}
    }
    model.retain(|_, attributes| !attributes.is_empty());
}

fn attributes_of(state: &State) -> Attributes {
    let mut all = Attributes::new();
    state.namespace.visit_tree(state.namespace.root(), |slot, inode| {
        for xattr in state.features.xattrs_of(inode.id) {
            let value = xattr.value.as_ref().unwrap()[0];
            let of_path = all.entry(state.namespace.path_of(slot)).or_default();
            of_path.insert(xattr.name.clone(), value);
        }
        true
    });
    all
}

/// Quotas count what is there; tables speak of living inodes only.
fn check(state: &State) {
    let mut living = Vec::new();
    state.namespace.visit_tree(state.namespace.root(), |slot, inode| {
        living.push(inode.id);
        if let Some(quota) = state.features.quotas.get(&inode.id) {
            assert_eq!(quota.used, state.usage_of(slot), "{}", state.namespace.path_of(slot));
        }
        true
    });
    assert!(
        state.features.ids().all(|id| living.contains(&id)),
        "a deleted inode left something"
    );
}

/// Whether no quota is broken that was not before.
fn quotas_held(before: &State, after: &State) -> bool {
    after.features.quotas.iter().all(|(id, quota)| {
        let old = before.features.quotas.get(id).map_or(quota.used, |old| old.used);
        let fits = |limit: Option<i64>, used: i64, old: i64| limit.is_none_or(|limit| used <= limit.max(old));
        fits(quota.names, quota.used.names, old.names) && fits(quota.space, quota.used.space, old.space)
    })
}

fn reread(record: &EditRecord) -> EditRecord {
    EditRecord::decode(record.encode_to_vec().as_slice()).unwrap()
}

/// A bit of everything, so that each kind of edit is in the log.
fn everything() -> Vec<Step> {
    let path = |text: &str| text.to_owned();
    vec![
        Step::Mkdirs(path("/a/b")),
        Step::Quota(path("/a"), 20, 100_000),
        Step::Policy(path("/a"), "ONE_SSD"),
        Step::AddAcl(path("/a"), "x", 7, true),
        Step::Write(path("/a/f"), 2, 2, 10),
        Step::Write(path("/a/g"), 1, 1, 0),
        Step::SetXAttr(path("/a/f"), "x", 1),
        Step::SetXAttr(path("/a/f"), "y", 2),
        Step::RemoveXAttr(path("/a/f"), "x"),
        Step::Concat(path("/a/f"), path("/a/g")),
        Step::Truncate(path("/a/f"), 1),
        Step::Replication(path("/a/f"), 3),
        Step::RemoveAcl(path("/a")),
        Step::Rename(path("/a/f"), path("/a/b/h")),
        Step::Policy(path("/a"), ""),
        Step::Quota(path("/a"), RESET, RESET),
        Step::Delete(path("/a/b")),
    ]
}

#[test]
fn a_log_cut_at_any_byte_is_the_state_after_its_whole_transactions() {
    let mut s = Script::new();
    s.register(1..=3);
    for step in &everything() {
        match step {
            Step::Write(path, replication, full, rest) => write(&mut s, path, *replication, *full, *rest),
            _ => assert!(s.call(operation(step)).is_ok(), "{step:?}"),
        }
    }
    let mut state = State::new("root", "supergroup");
    let mut moments = vec![durability::dump(&state)];
    let (mut bytes, mut ends) = (segment::header(1), Vec::new());
    for record in &s.log {
        state.replay(record).unwrap();
        moments.push(durability::dump(&state));
        let mark = bytes.len() as u64;
        frame::put(&mut bytes, mark, record);
        ends.push(bytes.len());
    }
    let dir = tempfile::tempdir().unwrap();
    let file = segment::SegmentFile {
        first_txid: 1,
        path: segment::path_of(dir.path(), 1),
    };
    for cut in segment::HEADER_SIZE..=bytes.len() {
        std::fs::write(&file.path, &bytes[..cut]).unwrap();
        let mut state = State::new("root", "supergroup");
        segment::read(&file, true, |record| {
            state.replay(&record).unwrap();
            Ok(())
        })
        .unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(durability::dump(&state), moments[whole], "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn random_operations_keep_what_they_promise(steps in prop::collection::vec(step(), 1..40)) {
        let mut s = Script::new();
        s.register(1..=3);
        let mut model = Attributes::new();
        for step in &steps {
            let before = s.core.state().clone();
            let moved = match step {
                Step::Rename(from, _) => before.namespace.find(from),
                _ => None,
            };
            let reply = match step {
                Step::Write(path, replication, full, rest) => {
                    write(&mut s, path, *replication, *full, *rest);
                    Ok(Reply::Void)
                }
                _ => s.call(operation(step)),
            };
            let state = s.core.state();
            if let Ok(reply) = &reply {
                let to = moved.map(|slot| state.namespace.path_of(slot));
                follow(&mut model, step, reply, to.as_deref());
            }
            prop_assert_eq!(&attributes_of(state), &model, "after {:?}", step);
            check(state);
            // Setting a quota below what is used is allowed, and a policy may put bytes elsewhere.
            if !matches!(step, Step::Quota(..) | Step::Policy(..)) {
                prop_assert!(quotas_held(&before, state), "after {:?}", step);
            }
        }
        let mut state = State::new("root", "supergroup");
        for record in &s.log {
            state.replay(&reread(record)).unwrap();
            check(&state);
        }
        prop_assert_eq!(durability::dump(&state), durability::dump(s.core.state()));
        let rebuilt = durability::through_an_image(s.core.state());
        check(&rebuilt);
        prop_assert_eq!(durability::dump(&rebuilt), durability::dump(s.core.state()));
    }
}
