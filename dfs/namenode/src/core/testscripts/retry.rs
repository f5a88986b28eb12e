//! Calls that must happen once: sent again with the same identity they get the first answer, also from a NameNode that restarted since.
//! The list is HDFS's at-most-once methods, the scenario that of TestNamenodeRetryCache.

use super::*;
use crate::core::xattr::{SetFlags, XAttr, XAttrNamespace};

fn named(call_id: i32) -> Caller {
    Caller {
        call: call_key(call_id),
        ..caller("root")
    }
}

fn xattr() -> XAttr {
    XAttr {
        namespace: XAttrNamespace::User,
        name: "a".to_owned(),
        value: Some(vec![1]),
    }
}

/// A file system in which each of [`once`] can happen, but not twice.
fn prepared() -> (Script, Block) {
    let mut s = Script::new();
    s.register(1..=2);
    s.write("/c/target", 1, 100);
    s.write("/c/source", 1, 100);
    s.write("/appended", 1, 100);
    s.call(mkdirs("/from1")).unwrap();
    s.call(mkdirs("/from2")).unwrap();
    s.call(mkdirs("/gone")).unwrap();
    s.call(mkdirs("/x/set")).unwrap();
    s.call(mkdirs("/x/removed")).unwrap();
    let set = Operation::SetXAttr {
        path: "/x/removed".to_owned(),
        xattr: xattr(),
        flags: CREATE,
        raw: false,
    };
    s.call(set).unwrap();
    s.create("/written", 2).unwrap();
    let block = s.add_block("/written", None).block;
    (s, block)
}

const CREATE: SetFlags = SetFlags {
    create: true,
    replace: false,
};

fn once(old: Block, new: Block) -> Vec<Operation> {
    vec![
        create("/made", "writer", 1),
        Operation::Append {
            path: "/appended".to_owned(),
            holder: "writer".to_owned(),
            new_block: false,
        },
        Operation::Rename {
            source: "/from1".to_owned(),
            destination: "/to1".to_owned(),
        },
        Operation::Rename2 {
            source: "/from2".to_owned(),
            destination: "/to2".to_owned(),
            overwrite: false,
            to_trash: false,
        },
        Operation::Delete {
            path: "/gone".to_owned(),
            recursive: false,
        },
        Operation::Concat {
            target: "/c/target".to_owned(),
            sources: vec!["/c/source".to_owned()],
        },
        Operation::SetXAttr {
            path: "/x/set".to_owned(),
            xattr: xattr(),
            flags: CREATE,
            raw: false,
        },
        Operation::RemoveXAttr {
            path: "/x/removed".to_owned(),
            xattr: xattr(),
            raw: false,
        },
        Operation::UpdatePipeline {
            holder: "writer".to_owned(),
            old,
            new,
            nodes: vec![uuid(1)],
        },
    ]
}

#[test]
fn every_at_most_once_call_gets_its_first_answer_again() {
    let (mut s, block) = prepared();
    let renewed = match s.call(Operation::UpdateBlockForPipeline {
        holder: "writer".to_owned(),
        block,
    }) {
        Ok(Reply::Block(located)) => located.block,
        other => panic!("{other:?}"),
    };
    let new = Block { length: 10, ..renewed };
    let operations = once(block, new);
    let mut answers = Vec::new();
    for (n, operation) in operations.iter().enumerate() {
        answers.push(s.call_as(named(n as i32), operation.clone()).unwrap());
    }
    let transactions = s.log.len();
    for (n, operation) in operations.iter().enumerate() {
        let again = s.call_as(named(n as i32), operation.clone());
        assert_eq!(again.as_ref(), Ok(&answers[n]), "{operation:?}");
    }
    assert_eq!(s.log.len(), transactions, "nothing happened twice");
    let mut restarted = s.restarted();
    for (n, operation) in operations.iter().enumerate() {
        let again = restarted.call_as(named(n as i32), operation.clone()).unwrap();
        // Where replicas are is not known yet: what is durable must be the same.
        match (&again, &answers[n]) {
            (Reply::Appended(status, _), Reply::Appended(first, _)) => assert_eq!(status, first),
            (again, first) => assert_eq!(again, first, "{operation:?}"),
        }
    }
    assert_eq!(restarted.log.len(), 0, "nothing happened twice");
    for (n, operation) in operations.iter().enumerate() {
        let other = s.call_as(named(100 + n as i32), operation.clone());
        assert_ne!(
            other.as_ref(),
            Ok(&answers[n]),
            "another call is no repetition: {operation:?}"
        );
    }
}

#[test]
fn other_calls_may_be_repeated_by_what_they_are() {
    let mut s = Script::new();
    s.register(1..=2);
    s.create("/f", 1).unwrap();
    let first = s.add_block("/f", None);
    assert_eq!(
        s.add_block("/f", None).block,
        first.block,
        "the same block while it is unwritten"
    );
    let block = Block {
        length: 7,
        ..first.block
    };
    nodes_of(&first).iter().for_each(|n| s.received(*n, block));
    for _ in 0..2 {
        assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
        assert_eq!(s.call(mkdirs("/d")), Ok(Reply::Bool(true)));
    }
    let truncate = Operation::Truncate {
        path: "/f".to_owned(),
        holder: "cutter".to_owned(),
        new_length: 3,
    };
    for _ in 0..2 {
        assert_eq!(s.call(truncate.clone()), Ok(Reply::Bool(false)));
    }
}

#[test]
fn reads_are_noted_in_access_times_once_an_hour() {
    let mut s = Script::new();
    s.register(1..=1);
    s.write("/f", 1, 5);
    let read = || Operation::GetBlockLocations {
        path: "/f".to_owned(),
        offset: 0,
        length: 1,
    };
    let accessed = |s: &mut Script| match s.call(Operation::GetFileInfo {
        path: "/f".to_owned(),
        need_locations: false,
    }) {
        Ok(Reply::Status(Some(status))) => status.accessed_ms,
        other => panic!("{other:?}"),
    };
    let created = accessed(&mut s);
    s.pass(3_600_000);
    s.call(read()).unwrap();
    assert_eq!(accessed(&mut s), created, "an hour is not more than an hour");
    s.pass(100);
    s.call(read()).unwrap();
    assert_eq!(accessed(&mut s), created + 3_600_100);
    let transactions = s.log.len();
    s.call(read()).unwrap();
    assert_eq!(s.log.len(), transactions);
    assert_eq!(accessed(&mut s.restarted()), created + 3_600_100);
}
