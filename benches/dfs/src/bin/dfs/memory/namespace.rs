//! The namespace that is measured: directories of one-block files, made by the NameNode's own code.

use std::path::Path;

use anyhow::{Context, Result};
use quarry_benches_dfs::systems::current_user;
use quarry_dfs_namenode::core::block_map::{BlockInfo, BlockState, FIRST_BLOCK_ID, FIRST_GENERATION_STAMP};
use quarry_dfs_namenode::core::inode::{Body, FileBody, Inode, Slot};
use quarry_dfs_namenode::core::replicas::Replicas;
use quarry_dfs_namenode::core::state::State;
use quarry_dfs_namenode::offline;
use quarry_dfs_wire::block::{BlockId, GenerationStamp};

/// Bytes in each file.
pub(crate) const LENGTH: u64 = 4096;
/// When all files were written, milliseconds since the epoch.
const WRITTEN_MS: u64 = 1_763_900_000_000;

/// How large the namespace is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) files: u64,
    pub(crate) per_directory: u64,
    pub(crate) replication: u16,
}

impl Shape {
    /// Where the n-th file is. Its name has 21 bytes, as those that Spark and MapReduce give.
    pub(crate) fn path(self, n: u64) -> String {
        format!("/memory/{}/{}", directory(n / self.per_directory), file(n))
    }
}

pub(crate) fn directory(n: u64) -> String {
    format!("directory-{n:06}")
}

pub(crate) fn file(n: u64) -> String {
    format!("part-{n:08}.parquet")
}

/// Block id and generation stamp of the n-th file.
pub(crate) fn block(n: u64) -> (u64, u64) {
    (FIRST_BLOCK_ID + n, FIRST_GENERATION_STAMP + n)
}

/// Writes an image of it; the answer is the image's size in bytes.
pub(crate) fn write(dir: &Path, shape: Shape) -> Result<u64> {
    let state = make(shape)?;
    offline::format_with(dir, &state)?;
    let images = std::fs::read_dir(dir)?.flatten();
    let image = images
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("image_"))
        .max_by_key(|entry| entry.file_name());
    Ok(image.context("there is no image")?.metadata()?.len())
}

fn make(shape: Shape) -> Result<State> {
    let user = current_user()?;
    let mut state = State::new(&user, "supergroup");
    let mut make = Maker {
        rights: inode(&mut state, &user),
        state,
    };
    let top = make.link("memory", make.state.namespace.root(), Body::Directory(Box::default()))?;
    let mut parent = top;
    for n in 0..shape.files {
        if n.is_multiple_of(shape.per_directory) {
            let name = directory(n / shape.per_directory);
            parent = make.link(&name, top, Body::Directory(Box::default()))?;
        }
        make.file(n, parent, shape.replication)?;
    }
    make.state.next_block_id = FIRST_BLOCK_ID + shape.files;
    make.state.next_generation_stamp = FIRST_GENERATION_STAMP + shape.files;
    Ok(make.state)
}

struct Maker {
    state: State,
    /// Carries owner, group and times of all.
    rights: Inode,
}

fn inode(state: &mut State, user: &str) -> Inode {
    let (owner, group) = (state.namespace.intern(user), state.namespace.intern("supergroup"));
    Inode {
        id: 0,
        parent: Slot(0),
        name: "".into(),
        modified_ms: WRITTEN_MS.into(),
        accessed_ms: WRITTEN_MS.into(),
        owner,
        group,
        permission: 0o755,
        body: Body::Directory(Box::default()),
    }
}

impl Maker {
    fn link(&mut self, name: &str, parent: Slot, body: Body) -> Result<Slot> {
        let id = self.state.next_inode_id;
        self.state.next_inode_id += 1;
        let inode = Inode {
            id,
            parent,
            name: name.into(),
            body,
            ..self.rights.clone()
        };
        self.state.namespace.link_in_order(inode).context("a name is taken")
    }

    fn file(&mut self, n: u64, parent: Slot, replication: u16) -> Result<()> {
        let body = FileBody {
            replication,
            block_size: (128 << 20).into(),
            ..FileBody::default()
        };
        let slot = self.link(&file(n), parent, Body::File(body))?;
        let (id, stamp) = block(n);
        let block = self.state.blocks.insert(BlockInfo {
            id: BlockId(id),
            generation_stamp: GenerationStamp(stamp),
            length: LENGTH,
            file: slot,
            state: BlockState::Committed,
            replicas: Replicas::default(),
        });
        let file = self.state.namespace.get_mut(slot).file_mut();
        file.context("it is a file")?.blocks.push(block);
        Ok(())
    }
}
