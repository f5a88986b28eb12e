//! truncate and concat: scenarios of TestFileTruncate and TestHDFSConcat. Every expectation is Apache HDFS 3.5's answer to the same calls.

use super::*;

/// Writes a file of full blocks and a last one of `rest` bytes; its blocks.
fn write_blocks(s: &mut Script, path: &str, replication: u16, full: usize, rest: u64) -> Vec<Block> {
    s.create(path, replication).unwrap();
    let mut previous = None;
    let mut blocks = Vec::new();
    for n in 0..=full {
        let length = if n < full { BLOCK } else { rest };
        if length == 0 {
            break;
        }
        let located = s.add_block(path, previous);
        let block = Block {
            length,
            ..located.block
        };
        nodes_of(&located).iter().for_each(|node| s.received(*node, block));
        previous = Some(block);
        blocks.push(block);
    }
    assert_eq!(s.call(complete(path, previous)), Ok(Reply::Bool(true)));
    blocks
}

fn truncate(path: &str, new_length: i64) -> Operation {
    Operation::Truncate {
        path: path.to_owned(),
        holder: "cutter".to_owned(),
        new_length,
    }
}

fn concat(target: &str, sources: &[&str]) -> Operation {
    Operation::Concat {
        target: target.to_owned(),
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
    }
}

fn illegal(text: &str) -> Result<Reply, FsError> {
    Err(FsError::IllegalArgument(text.to_owned()))
}

fn length(s: &mut Script, path: &str) -> Option<u64> {
    match s
        .call(Operation::GetFileInfo {
            path: path.to_owned(),
            need_locations: false,
        })
        .unwrap()
    {
        Reply::Status(status) => status.map(|status| status.length),
        other => panic!("{other:?}"),
    }
}

#[test]
fn truncation_at_the_end_of_a_block_is_done_at_once() {
    let mut s = Script::new();
    s.register(1..=3);
    let blocks = write_blocks(&mut s, "/f", 3, 2, 900);
    assert_eq!(s.call(truncate("/f", 2948)), Ok(Reply::Bool(true)), "nothing to do");
    assert_eq!(s.call(truncate("/f", 2048)), Ok(Reply::Bool(true)));
    assert_eq!(length(&mut s, "/f"), Some(2048));
    s.pass(31_000);
    let gone: Vec<BlockId> = s.take_deletions().into_iter().map(|(_, block)| block).collect();
    assert_eq!(gone, [blocks[2].id; 3], "the replicas of what was cut off are deleted");
    assert_eq!(s.call(truncate("/f", 0)), Ok(Reply::Bool(true)));
    assert_eq!((length(&mut s, "/f"), s.core.state().blocks.count()), (Some(0), 0));
}

#[test]
fn truncation_inside_a_block_waits_for_its_holders() {
    let mut s = Script::new();
    s.register(1..=2);
    write_blocks(&mut s, "/f", 2, 1, 900);
    assert_eq!(s.call(truncate("/f", 1500)), Ok(Reply::Bool(false)));
    assert_eq!(s.call(truncate("/f", 1500)), Ok(Reply::Bool(false)), "asked again");
    let refused = s.call(truncate("/f", 1400)).unwrap_err();
    let text = "Failed to TRUNCATE_FILE /f for cutter on 10.9.9.9 because /f is being truncated.";
    assert_eq!(refused, FsError::AlreadyBeingCreated(text.to_owned()));
    let append = Operation::Append {
        path: "/f".to_owned(),
        holder: "other".to_owned(),
        new_block: false,
    };
    let refused = s.call(append).unwrap_err();
    let text =
        "Failed to APPEND_FILE /f for other on 10.9.9.9 because another recovery is in progress by cutter on 10.9.9.9";
    assert_eq!(refused, FsError::RecoveryInProgress(text.to_owned()));
    let order = s.take_orders().into_iter().find_map(|(node, order)| match order {
        Order::Recover {
            block,
            new_generation_stamp,
            truncate_length: Some(length),
            ..
        } => Some((node, block, new_generation_stamp, length)),
        _ => None,
    });
    let (node, block, generation_stamp, to) = order.expect("a holder is told to cut");
    assert_eq!(to, 1500 - BLOCK);
    s.say(
        node,
        DataNodeMessage::Recovered {
            block: block.id,
            generation_stamp,
            length: to,
            holders: vec![uuid(1), uuid(2)],
            error: String::new(),
        },
    );
    assert_eq!(length(&mut s, "/f"), Some(1500));
    let closed = Operation::IsFileClosed { path: "/f".to_owned() };
    assert_eq!(s.call(closed), Ok(Reply::Bool(true)));
}

#[test]
fn truncation_is_refused_in_hdfs_words() {
    let mut s = Script::new();
    s.register(1..=1);
    write_blocks(&mut s, "/d/f", 1, 0, 300);
    let larger = "Cannot truncate to a larger file size. Current size: 300, truncate size: 400.";
    assert_eq!(s.call(truncate("/d/f", 400)), illegal(larger));
    let negative = "Cannot truncate to a negative file size: -1.";
    assert_eq!(s.call(truncate("/d/f", -1)), illegal(negative));
    for (path, text) in [
        ("/d", "Path is not a file: /d"),
        ("/none", "File does not exist: /none"),
    ] {
        assert_eq!(s.call(truncate(path, 0)), Err(FsError::FileNotFound(text.to_owned())));
    }
    s.create("/open", 1).unwrap();
    assert!(matches!(
        s.call(truncate("/open", 0)),
        Err(FsError::AlreadyBeingCreated(_))
    ));
    assert!(matches!(
        s.call_as(caller("eve"), truncate("/d/f", 0)),
        Err(FsError::AccessControl(_))
    ));
}

#[test]
fn concat_moves_blocks_and_deletes_the_sources() {
    let mut s = Script::new();
    s.register(1..=3);
    let mut expected = write_blocks(&mut s, "/d/t", 1, 1, 10);
    expected.extend(write_blocks(&mut s, "/d/a", 2, 1, 5));
    expected.extend(write_blocks(&mut s, "/d/b", 1, 0, 7));
    assert_eq!(s.call(concat("/d/t", &["/d/a", "/d/b"])), Ok(Reply::Void));
    let total = expected.iter().map(|block| block.length).sum();
    assert_eq!(length(&mut s, "/d/t"), Some(total));
    assert_eq!((length(&mut s, "/d/a"), length(&mut s, "/d/b")), (None, None));
    let blocks = Operation::GetBlockLocations {
        path: "/d/t".to_owned(),
        offset: 0,
        length: u64::MAX,
    };
    match s.call(blocks).unwrap() {
        Reply::Blocks(found) => {
            let found: Vec<Block> = found.blocks.into_iter().map(|located| located.block).collect();
            assert_eq!(found, expected);
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..20 {
        s.pass(2_000);
        (1..=3).for_each(|n| s.heartbeat(n));
    }
    assert_eq!(
        s.take_deletions().len(),
        2,
        "the surplus replicas of the source with two"
    );
}

#[test]
fn concat_is_refused_in_hdfs_words() {
    let mut s = Script::new();
    s.register(1..=2);
    write_blocks(&mut s, "/d/t", 1, 0, 10);
    write_blocks(&mut s, "/d/s", 1, 0, 10);
    write_blocks(&mut s, "/d/empty", 1, 0, 0);
    write_blocks(&mut s, "/other/s", 1, 0, 10);
    s.create("/d/open", 1).unwrap();
    assert_eq!(
        s.call(concat("/d/t", &[])),
        Err(FsError::JavaIllegalArgument("No sources given".to_owned()))
    );
    let unusable = |path| format!("concat: source file {path} is invalid or empty or underConstruction");
    for (target, sources, text) in [
        (
            "/d/t",
            &["/d/t"][..],
            "concat: the src file /d/t is the same with the target file /d/t".to_owned(),
        ),
        (
            "/d/t",
            &["/d/s", "/d/s"],
            "concat: at least two of the source files are the same".to_owned(),
        ),
        (
            "/d/t",
            &["/other/s"],
            "Source file /other/s is not in the same directory with the target /d/t".to_owned(),
        ),
        ("/d/t", &["/d/empty"], unusable("/d/empty")),
        ("/d/t", &["/d/open"], unusable("/d/open")),
        (
            "/d/open",
            &["/d/s"],
            "concat: target file /d/open is under construction".to_owned(),
        ),
    ] {
        assert_eq!(s.call(concat(target, sources)), illegal(&text));
    }
    let big = Operation::Create(CreateArguments {
        block_size: 2 * BLOCK,
        ..match create("/d/big", "writer", 1) {
            Operation::Create(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    });
    s.call(big).unwrap();
    let block = Block {
        length: 5,
        ..s.add_block("/d/big", None).block
    };
    (1..=2).for_each(|n| s.received(n, block));
    s.call(complete("/d/big", Some(block))).unwrap();
    let text = "concat: source file /d/big has preferred block size 2048 which is greater than the target file's preferred block size 1024";
    assert_eq!(s.call(concat("/d/t", &["/d/big"])), illegal(text));
    assert_eq!(length(&mut s, "/d/s"), Some(10), "nothing happened");
}

#[test]
fn a_writer_right_after_a_truncation_keeps_its_lease() {
    let mut s = Script::new();
    s.register(1..=2);
    write_blocks(&mut s, "/f", 2, 0, 900);
    assert_eq!(s.call(truncate("/f", 500)), Ok(Reply::Bool(false)));
    let order = s.take_orders().into_iter().find_map(|(node, order)| match order {
        Order::Recover {
            block,
            new_generation_stamp,
            ..
        } => Some((node, block.id, new_generation_stamp)),
        _ => None,
    });
    let (node, block, generation_stamp) = order.expect("a holder is told to cut");
    s.say(
        node,
        DataNodeMessage::Recovered {
            block,
            generation_stamp,
            length: 500,
            holders: vec![uuid(1), uuid(2)],
            error: String::new(),
        },
    );
    let append = Operation::Append {
        path: "/f".to_owned(),
        holder: "writer".to_owned(),
        new_block: false,
    };
    assert!(s.call(append).is_ok(), "before the next tick");
    s.pass(2_000);
    let open = s.core.state().open.iter().map(|(_, open)| open.holder.clone());
    assert_eq!(open.collect::<Vec<_>>(), ["writer"]);
}
