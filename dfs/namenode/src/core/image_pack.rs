//! Inodes of the image, many to a record: numbers as differences from the inode before, in as few bytes as they need.
//!
//! A batch can be read without the ones before it. Persisted: the layout of version 2 of the image. All numbers are LEB128 varints; a
//! "difference" is the zigzag form of the number minus its value in the inode (or block, or file) before, which is 0 for the first.
//!
//! | field | when |
//! |---|---|
//! | flags, one byte | always: see the constants |
//! | difference of the id | always |
//! | id of the parent, 0 for the root | unless `SAME_PARENT` |
//! | length of the name and the name | always |
//! | difference of the modification time, ms | always |
//! | access time, ms | unless `SAME_TIMES` |
//! | owner, group, permission | unless `SAME_RIGHTS` |
//! | replication, block size | for a file, unless `SAME_SHAPE` |
//! | number of blocks | for a file, if the flags say `MANY_BLOCKS` |
//! | per block: differences of id and generation stamp, length, state (one byte) | for a file |

use super::block_map::BlockState;
use super::inode::Inode;
use super::small::{Name, U48};

/// A file; else a directory.
const FILE: u8 = 1;
/// The parent is that of the inode before.
const SAME_PARENT: u8 = 2;
/// Owner, group and permission are those of the inode before of the same kind.
const SAME_RIGHTS: u8 = 4;
/// Replication and block size are those of the file before.
const SAME_SHAPE: u8 = 8;
/// The access time is the modification time.
const SAME_TIMES: u8 = 16;
/// The upper three bits: how many blocks a file has, if fewer than this; else the number follows.
const MANY_BLOCKS: u8 = 7;
const BLOCKS_SHIFT: u8 = 5;

/// A block as the image has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedBlock {
    /// Its id.
    pub id: u64,
    /// Its generation stamp.
    pub generation_stamp: u64,
    /// Bytes.
    pub length: u64,
    /// How far it has come.
    pub state: BlockState,
}

/// What an inode holds, as the image has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackedKind {
    /// Entries, which come later.
    Directory,
    /// Bytes.
    File {
        /// Wanted replicas per block.
        replication: u16,
        /// Bytes per block.
        block_size: U48,
        /// How many of the batch's blocks, in order, are its own.
        blocks: usize,
    },
}

/// An inode as the image has it.
#[derive(Debug, Clone)]
pub struct PackedInode {
    /// Its id.
    pub id: u64,
    /// Its directory's id; 0 for the root.
    pub parent_id: u64,
    /// Its name.
    pub name: Name,
    /// Last change, milliseconds since the epoch.
    pub modified_ms: U48,
    /// Last read, milliseconds since the epoch.
    pub accessed_ms: U48,
    /// Number of the owner's name.
    pub owner: u32,
    /// Number of the group's name.
    pub group: u32,
    /// Mode bits.
    pub permission: u16,
    /// What it holds.
    pub kind: PackedKind,
}

/// The inodes of one record, and their blocks one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    /// The inodes.
    pub inodes: Vec<PackedInode>,
    /// Their blocks.
    pub blocks: Vec<PackedBlock>,
}

/// What the inode, block or file before had.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    id: u64,
    parent_id: u64,
    modified_ms: u64,
    rights: [(u32, u32, u16); 2],
    shape: (u16, u64),
    block_id: u64,
    generation_stamp: u64,
}

/// Writes a batch.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
    count: usize,
    before: Before,
}

impl Packer {
    /// Inodes packed.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes packed.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is packed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch; the next one begins.
    pub fn take(&mut self) -> Vec<u8> {
        (self.count, self.before) = (0, Before::default());
        let room = self.bytes.capacity();
        std::mem::replace(&mut self.bytes, Vec::with_capacity(room))
    }

    /// Adds an inode.
    pub fn add(&mut self, inode: &Inode, parent_id: u64, blocks: impl ExactSizeIterator<Item = PackedBlock>) {
        let file = inode.file();
        let (modified_ms, accessed_ms) = (inode.modified_ms.get(), inode.accessed_ms.get());
        let rights = (inode.owner.number(), inode.group.number(), inode.permission);
        let shape = file.map_or(self.before.shape, |file| (file.replication, file.block_size.get()));
        let kind = usize::from(file.is_some());
        let short = u8::try_from(blocks.len()).unwrap_or(MANY_BLOCKS).min(MANY_BLOCKS);
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(file.is_some(), FILE)
            | flag(parent_id == self.before.parent_id, SAME_PARENT)
            | flag(rights == self.before.rights[kind], SAME_RIGHTS)
            | flag(shape == self.before.shape, SAME_SHAPE)
            | flag(modified_ms == accessed_ms, SAME_TIMES)
            | short << BLOCKS_SHIFT;
        self.bytes.push(flags);
        self.difference(inode.id, self.before.id);
        if flags & SAME_PARENT == 0 {
            self.number(parent_id);
        }
        self.number(inode.name.as_bytes().len() as u64);
        self.bytes.extend_from_slice(inode.name.as_bytes());
        self.difference(modified_ms, self.before.modified_ms);
        if flags & SAME_TIMES == 0 {
            self.number(accessed_ms);
        }
        if flags & SAME_RIGHTS == 0 {
            self.number(rights.0.into());
            self.number(rights.1.into());
            self.number(rights.2.into());
        }
        if flags & SAME_SHAPE == 0 {
            self.number(shape.0.into());
            self.number(shape.1);
        }
        if short == MANY_BLOCKS {
            self.number(blocks.len() as u64);
        }
        blocks.for_each(|block| self.block(&block));
        self.before.rights[kind] = rights;
        self.before = Before {
            id: inode.id,
            parent_id,
            modified_ms,
            shape,
            ..self.before
        };
        self.count += 1;
    }

    fn block(&mut self, block: &PackedBlock) {
        self.difference(block.id, self.before.block_id);
        self.difference(block.generation_stamp, self.before.generation_stamp);
        self.number(block.length);
        self.bytes.push(block.state as u8);
        (self.before.block_id, self.before.generation_stamp) = (block.id, block.generation_stamp);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn difference(&mut self, number: u64, before: u64) {
        let difference = number.wrapping_sub(before) as i64;
        self.number((difference << 1 ^ difference >> 63) as u64);
    }
}

/// Reads a batch.
///
/// # Errors
/// What is wrong with it.
pub fn unpack(bytes: &[u8]) -> Result<Batch, &'static str> {
    let mut reader = Reader(bytes);
    let mut batch = Batch::default();
    let mut before = Before::default();
    while !reader.0.is_empty() {
        let inode = reader.inode(&mut before, &mut batch.blocks)?;
        batch.inodes.push(inode);
    }
    Ok(batch)
}

struct Reader<'a>(&'a [u8]);

const CUT: &str = "a batch of inodes is cut off";
const LARGE: &str = "a number in a batch of inodes is too large";

impl Reader<'_> {
    fn inode(&mut self, before: &mut Before, blocks: &mut Vec<PackedBlock>) -> Result<PackedInode, &'static str> {
        let flags = self.byte()?;
        let has = |flag: u8| flags & flag != 0;
        before.id = self.difference(before.id)?;
        if !has(SAME_PARENT) {
            before.parent_id = self.number()?;
        }
        let length = usize::try_from(self.number()?).map_err(|_| LARGE)?;
        let name = std::str::from_utf8(self.bytes(length)?).map_err(|_| "a name is not UTF-8")?;
        let name = Name::from(name);
        before.modified_ms = self.difference(before.modified_ms)?;
        let accessed_ms = if has(SAME_TIMES) {
            before.modified_ms
        } else {
            self.number()?
        };
        let rights = &mut before.rights[usize::from(has(FILE))];
        if !has(SAME_RIGHTS) {
            *rights = (self.small()?, self.small()?, self.small()?);
        }
        let (owner, group, permission) = *rights;
        if !has(SAME_SHAPE) {
            before.shape = (self.small()?, self.number()?);
        }
        let kind = if has(FILE) {
            PackedKind::File {
                replication: before.shape.0,
                block_size: before.shape.1.into(),
                blocks: self.blocks(flags >> BLOCKS_SHIFT, before, blocks)?,
            }
        } else {
            PackedKind::Directory
        };
        Ok(PackedInode {
            id: before.id,
            parent_id: before.parent_id,
            name,
            modified_ms: before.modified_ms.into(),
            accessed_ms: accessed_ms.into(),
            owner,
            group,
            permission,
            kind,
        })
    }

    fn blocks(&mut self, short: u8, before: &mut Before, blocks: &mut Vec<PackedBlock>) -> Result<usize, &'static str> {
        let count = if short == MANY_BLOCKS {
            self.number()?
        } else {
            u64::from(short)
        };
        // Every block takes four bytes at least, so a hostile number claims no memory.
        for _ in 0..count {
            before.block_id = self.difference(before.block_id)?;
            before.generation_stamp = self.difference(before.generation_stamp)?;
            let length = self.number()?;
            let state = BlockState::from_number(self.byte()?.into()).ok_or("a block's state is unknown")?;
            blocks.push(PackedBlock {
                id: before.block_id,
                generation_stamp: before.generation_stamp,
                length,
                state,
            });
        }
        usize::try_from(count).map_err(|_| LARGE)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (byte, rest) = self.0.split_first().ok_or(CUT)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn bytes(&mut self, length: usize) -> Result<&[u8], &'static str> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(LARGE);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(LARGE)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, &'static str> {
        T::try_from(self.number()?).map_err(|_| LARGE)
    }

    fn difference(&mut self, before: u64) -> Result<u64, &'static str> {
        let zigzag = self.number()?;
        let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(before.wrapping_add(difference as u64))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::core::inode::{Body, FileBody, NameId, Slot};

    fn any_state() -> impl Strategy<Value = BlockState> {
        prop_oneof![
            Just(BlockState::UnderConstruction),
            Just(BlockState::UnderRecovery),
            Just(BlockState::Committed)
        ]
    }

    prop_compose! {
        fn any_block()(id: u64, generation_stamp: u64, length: u64, state in any_state()) -> PackedBlock {
            PackedBlock { id, generation_stamp, length, state }
        }
    }

    prop_compose! {
        fn any_inode()(
            numbers: (u64, u64, u64), name in ".{0,40}", owner in 0..NameId::MAX, group in 0..3_u32, permission: u16,
            file: Option<(u16, u64)>,
        ) -> (Inode, u64) {
            let body = match file {
                Some((replication, block_size)) => Body::File(FileBody {
                    replication,
                    block_size: block_size.into(),
                    ..FileBody::default()
                }),
                None => Body::Directory(Box::default()),
            };
            let inode = Inode {
                id: numbers.0,
                parent: Slot(0),
                name: name.as_str().into(),
                modified_ms: numbers.1.into(),
                accessed_ms: numbers.2.into(),
                owner: NameId::new(owner).unwrap(),
                group: NameId::new(group).unwrap(),
                permission,
                body,
            };
            (inode, numbers.2)
        }
    }

    proptest! {
        #[test]
        fn batches_come_back_as_they_were(
            all in prop::collection::vec((any_inode(), prop::collection::vec(any_block(), 0..10)), 0..20),
        ) {
            let mut packer = Packer::default();
            for ((inode, parent_id), blocks) in &all {
                let own = if inode.file().is_some() { &blocks[..] } else { &[] };
                packer.add(inode, *parent_id, own.iter().copied());
            }
            prop_assert_eq!(packer.count(), all.len());
            let bytes = packer.take();
            let batch = unpack(&bytes).unwrap();
            prop_assert_eq!(batch.inodes.len(), all.len());
            let mut rest = &batch.blocks[..];
            for (((inode, parent_id), blocks), back) in all.iter().zip(&batch.inodes) {
                prop_assert_eq!((back.id, back.parent_id, &*back.name), (inode.id, *parent_id, &*inode.name));
                prop_assert_eq!((back.modified_ms, back.accessed_ms), (inode.modified_ms, inode.accessed_ms));
                prop_assert_eq!(
                    (back.owner, back.group, back.permission),
                    (inode.owner.number(), inode.group.number(), inode.permission)
                );
                match (inode.file(), back.kind) {
                    (None, PackedKind::Directory) => {}
                    (Some(file), PackedKind::File { replication, block_size, blocks: count }) => {
                        prop_assert_eq!((replication, block_size), (file.replication, file.block_size));
                        prop_assert_eq!(&rest[..count], &blocks[..]);
                        rest = &rest[count..];
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert!(rest.is_empty());
            for cut in (1..bytes.len()).step_by(1 + bytes.len() / 16) {
                // A cut between two inodes leaves a shorter batch; the frame's length and the image's end tell that.
                if let Ok(shorter) = unpack(&bytes[..cut]) {
                    prop_assert!(shorter.inodes.len() < all.len());
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = unpack(&bytes);
        }
    }
}
