//! create, addBlock, complete and their repetitions.

use super::*;

#[test]
fn the_first_ids_are_those_of_hdfs() {
    let mut s = Script::new();
    s.register(1..=3);
    assert_eq!(s.create("/f", 3).unwrap().id, 16386);
    let block = s.add_block("/f", None).block;
    assert_eq!(block.to_string(), "blk_1073741825_1001");
}

#[test]
fn complete_waits_for_the_first_report_and_says_yes_again_when_repeated() {
    let mut s = Script::new();
    s.register(1..=3);
    s.create("/f", 3).unwrap();
    let located = s.add_block("/f", None);
    let block = Block {
        length: 10,
        ..located.block
    };
    let (request, answer) = s.start(caller("root"), complete("/f", Some(block)));
    assert_eq!(answer, None);
    s.received(nodes_of(&located)[1], block);
    assert_eq!(s.late, [(request, Ok(Reply::Bool(true)))]);
    assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
    assert_eq!(
        s.call(Operation::IsFileClosed { path: "/f".to_owned() }),
        Ok(Reply::Bool(true))
    );
}

#[test]
fn complete_says_no_only_after_the_wait() {
    let mut s = Script::new();
    s.register(1..=1);
    s.create("/f", 1).unwrap();
    let block = Block {
        length: 10,
        ..s.add_block("/f", None).block
    };
    let (request, answer) = s.start(caller("root"), complete("/f", Some(block)));
    assert_eq!(answer, None);
    s.pass(4900);
    assert_eq!(s.late, []);
    s.pass(200);
    assert_eq!(s.late, [(request, Ok(Reply::Bool(false)))]);
    s.received(1, block);
    assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
}

#[test]
fn a_report_before_complete_is_not_forgotten() {
    let mut s = Script::new();
    s.register(1..=2);
    s.write("/f", 2, 5);
    assert_eq!(s.holders("/f"), [1, 2]);
}

#[test]
fn add_block_repeated_gives_the_same_block_and_pipeline() {
    let mut s = Script::new();
    s.register(1..=5);
    s.create("/f", 3).unwrap();
    let first = s.add_block("/f", None);
    assert_eq!(s.add_block("/f", None), first);
    let written = Block {
        length: BLOCK,
        ..first.block
    };
    let second = s.add_block("/f", Some(written));
    assert_ne!(second.block.id, first.block.id);
    assert_eq!((s.add_block("/f", Some(written)), second.offset), (second, BLOCK));
}

#[test]
fn add_block_waits_for_the_block_before_the_last() {
    let mut s = Script::new();
    s.register(1..=1);
    s.create("/f", 1).unwrap();
    let one = Block {
        length: BLOCK,
        ..s.add_block("/f", None).block
    };
    let two = Block {
        length: BLOCK,
        ..s.add_block("/f", Some(one)).block
    };
    let (request, answer) = s.start(caller("root"), add_block("/f", Some(two)));
    assert_eq!(answer, None);
    s.received(1, one);
    assert!(matches!(&s.late[..], [(to, Ok(Reply::Block(block)))] if *to == request && block.offset == 2 * BLOCK));
}

#[test]
fn add_block_with_a_wrong_previous_is_refused() {
    let mut s = Script::new();
    s.register(1..=1);
    s.create("/f", 1).unwrap();
    let one = s.add_block("/f", None).block;
    let wrong = Block {
        id: BlockId(one.id.0 + 9),
        ..one
    };
    assert!(matches!(s.call(add_block("/f", Some(wrong))), Err(FsError::Io(_))));
}

#[test]
fn a_cluster_without_nodes_says_so_as_hdfs_does() {
    let mut s = Script::new();
    s.create("/f", 3).unwrap();
    let error = s.call(add_block("/f", None)).unwrap_err();
    let text = "File /f could only be written to 0 of the 1 minReplication nodes. \
                There are 0 datanode(s) running and no node(s) are excluded in this operation.";
    assert_eq!(error, FsError::Io(text.to_owned()));
}

#[test]
fn small_files_between_two_heartbeats_do_not_take_a_whole_block_each() {
    let mut s = Script::new();
    s.register_on(1, "/default-rack", 4 * BLOCK);
    for n in 0..20 {
        s.write(&format!("/small-{n}"), 1, 10);
    }
}

#[test]
fn a_second_writer_is_refused_until_the_soft_limit_then_recovery_begins() {
    let mut s = Script::new();
    s.create("/f", 1).unwrap();
    let other = || create("/f", "other", 1);
    assert!(matches!(s.call(other()), Err(FsError::AlreadyBeingCreated(_))));
    s.pass(59_000);
    s.call(Operation::RenewLease {
        holder: "writer".to_owned(),
    })
    .unwrap();
    s.pass(59_000);
    assert!(matches!(s.call(other()), Err(FsError::AlreadyBeingCreated(_))));
    s.pass(2_000);
    // The file has no block, so it is closed at once; then it simply exists.
    assert!(matches!(s.call(other()), Err(FsError::AlreadyExists(_))));
    assert!(matches!(s.call(complete("/f", None)), Ok(Reply::Bool(true))));
}

#[test]
fn a_writer_that_lost_its_file_is_told() {
    let mut s = Script::new();
    s.register(1..=1);
    let id = s.create("/f", 1).unwrap().id;
    s.call(Operation::Delete {
        path: "/f".to_owned(),
        recursive: false,
    })
    .unwrap();
    let at = WriterBlock {
        inode_id: id,
        ..at("/f", None)
    };
    let result = s.call(Operation::AddBlock {
        at,
        excluded: vec![],
        favored: vec![],
    });
    let text = format!("File does not exist: /f (inode {id}) Holder writer does not have any open files.");
    assert_eq!(result, Err(FsError::FileNotFound(text)));
}

#[test]
fn a_writer_finds_its_file_by_inode_after_a_rename() {
    let mut s = Script::new();
    s.register(1..=1);
    let id = s.create("/d/f", 1).unwrap().id;
    s.call(Operation::Rename {
        source: "/d".to_owned(),
        destination: "/e".to_owned(),
    })
    .unwrap();
    let at = WriterBlock {
        inode_id: id,
        ..at("/d/f", None)
    };
    assert!(
        s.call(Operation::AddBlock {
            at,
            excluded: vec![],
            favored: vec![]
        })
        .is_ok()
    );
}

#[test]
fn an_abandoned_block_is_deleted_from_its_pipeline() {
    let mut s = Script::new();
    s.register(1..=2);
    s.create("/f", 2).unwrap();
    let block = s.add_block("/f", None).block;
    s.call(Operation::AbandonBlock {
        at: at("/f", Some(block)),
    })
    .unwrap();
    s.call(Operation::AbandonBlock {
        at: at("/f", Some(block)),
    })
    .unwrap();
    s.pass(200);
    assert_eq!(s.take_deletions(), [(1, block.id), (2, block.id)]);
    assert_ne!(s.add_block("/f", None).block.id, block.id);
}

#[test]
fn an_open_file_shows_its_last_block_and_no_length() {
    let mut s = Script::new();
    s.register(1..=1);
    s.create("/f", 1).unwrap();
    let one = Block {
        length: BLOCK,
        ..s.add_block("/f", None).block
    };
    s.received(1, one);
    let two = s.add_block("/f", Some(one)).block;
    let operation = Operation::GetBlockLocations {
        path: "/f".to_owned(),
        offset: 0,
        length: u64::MAX,
    };
    let Ok(Reply::Blocks(blocks)) = s.call(operation) else {
        panic!()
    };
    assert!(blocks.under_construction && !blocks.last_block_complete);
    assert_eq!((blocks.file_length, blocks.blocks.len()), (BLOCK, 2));
    assert_eq!(blocks.last_block.unwrap().block.id, two.id);
}

#[test]
fn append_reopens_the_last_block_and_a_new_stamp_makes_old_replicas_stale() {
    let mut s = Script::new();
    s.register(1..=2);
    let (block, _) = s.write("/f", 2, 5);
    let append = Operation::Append {
        path: "/f".to_owned(),
        holder: "writer".to_owned(),
        new_block: false,
    };
    let Ok(Reply::Appended(_, Some(last))) = s.call(append) else {
        panic!()
    };
    assert_eq!((last.block, last.locations.len()), (block, 2));
    let renew = Operation::UpdateBlockForPipeline {
        holder: "writer".to_owned(),
        block,
    };
    let Ok(Reply::Block(renewed)) = s.call(renew) else {
        panic!()
    };
    let new = Block {
        generation_stamp: renewed.block.generation_stamp,
        ..block
    };
    let update = Operation::UpdatePipeline {
        holder: "writer".to_owned(),
        old: block,
        new,
        nodes: vec![uuid(1)],
    };
    s.call(update).unwrap();
    let done = Block { length: 9, ..new };
    s.received(1, done);
    assert_eq!(s.call(complete("/f", Some(done))), Ok(Reply::Bool(true)));
    assert_eq!(s.holders("/f"), [1], "the replica of node 2 has the old stamp");
}

#[test]
fn append_without_writing_closes_again_at_once() {
    let mut s = Script::new();
    s.register(1..=1);
    let (block, _) = s.write("/f", 1, 5);
    s.call(Operation::Append {
        path: "/f".to_owned(),
        holder: "writer".to_owned(),
        new_block: false,
    })
    .unwrap();
    assert_eq!(s.call(complete("/f", Some(block))), Ok(Reply::Bool(true)));
    assert_eq!(s.holders("/f"), [1]);
}

// Scenarios of TestRenameWhileOpen: a writer goes on wherever its file is moved to, also over a restart.

#[test]
fn a_file_that_is_written_can_be_moved_with_its_directory() {
    let mut s = Script::new();
    s.register(1..=2);
    let id = s.create("/a/b/f", 1).unwrap().id;
    let first = s.add_block("/a/b/f", None);
    for (source, destination) in [("/a/b/f", "/a/b/g"), ("/a/b", "/a/c"), ("/a", "/z")] {
        let rename = Operation::Rename {
            source: source.to_owned(),
            destination: destination.to_owned(),
        };
        assert_eq!(s.call(rename), Ok(Reply::Bool(true)));
    }
    let mut s = s.restarted();
    s.register(1..=2);
    let block = Block {
        length: 9,
        ..first.block
    };
    s.received(1, block);
    let done = Operation::Complete {
        at: WriterBlock {
            inode_id: id,
            ..at("/a/b/f", Some(block))
        },
    };
    assert_eq!(s.call(done.clone()), Ok(Reply::Bool(true)));
    let status = Operation::GetFileInfo {
        path: "/z/c/g".to_owned(),
        need_locations: false,
    };
    assert!(matches!(s.call(status), Ok(Reply::Status(Some(status))) if status.id == id && status.length == 9));
}

#[test]
fn a_file_that_is_written_can_be_replaced_and_its_writer_hears_so() {
    let mut s = Script::new();
    s.register(1..=1);
    let id = s.create("/f", 1).unwrap().id;
    s.create("/g", 1).unwrap();
    s.call(complete("/g", None)).unwrap();
    let replace = Operation::Rename2 {
        source: "/g".to_owned(),
        destination: "/f".to_owned(),
        overwrite: true,
        to_trash: false,
    };
    s.call(replace).unwrap();
    let done = Operation::Complete {
        at: WriterBlock {
            inode_id: id,
            ..at("/f", None)
        },
    };
    let text = format!("File does not exist: /f (inode {id}) Holder writer does not have any open files.");
    assert_eq!(s.call(done), Err(FsError::FileNotFound(text)));
}
