//! What the log says is what was answered.

use super::*;
use crate::core::image::{Content, ImageBlock, ImageFile, ImageInode, ImageRecord, StateBuilder};
use crate::core::image_pack::{PackedKind, unpack};

/// Everything durable of a state, as text.
pub(crate) fn dump(state: &State) -> String {
    let mut text = String::new();
    let result: Result<(), ()> = state.export(|content| {
        text.push_str(&format!("{content:?}\n"));
        Ok(())
    });
    result.unwrap();
    text
}

/// The state that an image of `state` gives.
pub(crate) fn through_an_image(state: &State) -> State {
    let mut builder = StateBuilder::default();
    let result: Result<(), ()> = state.export(|content| {
        let bytes = prost::Message::encode_to_vec(&ImageRecord { content: Some(content) });
        builder.add(prost::Message::decode(bytes.as_slice()).unwrap()).unwrap();
        Ok(())
    });
    result.unwrap();
    builder.finish().unwrap()
}

fn busy() -> Script {
    let mut s = Script::new();
    s.register(1..=3);
    s.write("/d/a", 3, 10);
    s.write("/d/b", 2, 20);
    s.create("/open", 1).unwrap();
    let one = Block {
        length: BLOCK,
        ..s.add_block("/open", None).block
    };
    s.received(1, one);
    s.add_block("/open", Some(one));
    s.call(Operation::Fsync {
        at: at("/open", None),
        last_block_length: Some(5),
    })
    .unwrap();
    s.call(Operation::SetOwner {
        path: "/d".to_owned(),
        owner: "bob".to_owned(),
        group: "staff".to_owned(),
    })
    .unwrap();
    s.call(Operation::SetTimes {
        path: "/d/a".to_owned(),
        modified_ms: Some(5),
        accessed_ms: Some(6),
    })
    .unwrap();
    s.call(Operation::SetReplication {
        path: "/d/b".to_owned(),
        replication: 1,
    })
    .unwrap();
    let retried = Caller {
        call: call_key(5),
        ..caller("root")
    };
    s.call_as(
        retried,
        Operation::Delete {
            path: "/d/a".to_owned(),
            recursive: false,
        },
    )
    .unwrap();
    s
}

#[test]
fn replay_gives_the_very_state() {
    let s = busy();
    assert_eq!(dump(s.restarted().core.state()), dump(s.core.state()));
}

fn build(records: &[Content]) -> Result<State, crate::core::state::ApplyError> {
    let mut builder = StateBuilder::default();
    for content in records {
        builder.add(ImageRecord {
            content: Some(content.clone()),
        })?;
    }
    builder.finish()
}

/// A record as version 1 of the image had it: one for each inode.
fn version_1(content: Content) -> Vec<Content> {
    let Content::Inodes(inodes) = content else {
        return vec![content];
    };
    let batch = unpack(&inodes.packed).unwrap();
    let mut blocks = batch.blocks.into_iter();
    let inodes = batch.inodes.into_iter().map(|inode| {
        let file = match inode.kind {
            PackedKind::Directory => None,
            PackedKind::File {
                replication,
                block_size,
                blocks: count,
            } => Some(ImageFile {
                replication: replication.into(),
                block_size: block_size.get(),
                blocks: (blocks.by_ref().take(count))
                    .map(|block| ImageBlock {
                        id: block.id,
                        generation_stamp: block.generation_stamp,
                        length: block.length,
                        state: block.state as u32,
                    })
                    .collect(),
            }),
        };
        Content::Inode(ImageInode {
            id: inode.id,
            parent_id: inode.parent_id,
            name: inode.name.to_string(),
            modified_ms: inode.modified_ms.get(),
            accessed_ms: inode.accessed_ms.get(),
            owner: inode.owner,
            group: inode.group,
            permission: inode.permission.into(),
            file,
        })
    });
    inodes.collect()
}

#[test]
fn an_image_of_version_1_gives_the_very_state() {
    let s = busy();
    let mut records = Vec::new();
    let result: Result<(), ()> = s.core.state().export(|content| {
        records.extend(version_1(content));
        Ok(())
    });
    result.unwrap();
    assert!(records.iter().any(|record| matches!(record, Content::Inode(_))));
    assert_eq!(dump(&build(&records).unwrap()), dump(s.core.state()));
    for cut in 0..records.len() {
        assert!(build(&records[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_image_gives_the_very_state_and_a_cut_one_is_refused() {
    let s = busy();
    let mut records = Vec::new();
    let result: Result<(), ()> = s.core.state().export(|content| {
        records.push(content);
        Ok(())
    });
    result.unwrap();
    assert_eq!(dump(&build(&records).unwrap()), dump(s.core.state()));
    for cut in 0..records.len() {
        assert!(build(&records[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_repeated_call_gets_its_first_answer_also_after_a_restart() {
    let mut s = busy();
    let retried = || Caller {
        call: call_key(5),
        ..caller("root")
    };
    let delete = || Operation::Delete {
        path: "/d/a".to_owned(),
        recursive: false,
    };
    assert_eq!(s.call_as(retried(), delete()), Ok(Reply::Bool(true)));
    assert_eq!(s.restarted().call_as(retried(), delete()), Ok(Reply::Bool(true)));
    assert_eq!(
        s.call(delete()),
        Ok(Reply::Bool(false)),
        "another call is not a repetition"
    );
}

#[test]
fn a_repeated_create_answers_with_the_file_that_it_made() {
    let mut s = Script::new();
    let retried = || Caller {
        call: call_key(1),
        ..caller("root")
    };
    let first = s.call_as(retried(), create("/f", "writer", 1)).unwrap();
    assert_eq!(s.call_as(retried(), create("/f", "writer", 1)).unwrap(), first);
    assert_eq!(s.log.len(), 1);
}

#[test]
fn a_gap_in_the_log_is_refused() {
    let s = busy();
    let mut state = State::new("root", "supergroup");
    state.replay(&s.log[0]).unwrap();
    assert!(state.replay(&s.log[2]).is_err());
}

#[test]
fn the_same_commands_give_the_same_decisions() {
    let (a, b) = (busy(), busy());
    assert_eq!((a.log, format!("{:?}", a.orders)), (b.log, format!("{:?}", b.orders)));
}
