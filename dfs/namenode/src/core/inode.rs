//! Inodes and the arena that holds them. Nothing here knows paths, permissions or blocks' contents.

use super::children::Children;
use super::slab::Slab;
use super::small::{Name, U48};

/// Id of the root directory; every later inode gets the next number. HDFS's value.
pub const ROOT_INODE_ID: u64 = 16385;

/// Position of an inode in the arena. Positions are reused after a deletion: never store one beyond its inode's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A user or group name's number in [`super::names::Names`], of 24 bits like HDFS's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameId([u8; 3]);

impl NameId {
    /// The largest number.
    pub const MAX: u32 = (1 << 24) - 1;

    /// The id with a number; none beyond [`Self::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        let [high, rest @ ..] = number.to_be_bytes();
        if high == 0 { Some(Self(rest)) } else { None }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c])
    }
}

/// One file or directory.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Unique for the life of the cluster.
    pub id: u64,
    /// The directory that holds it; the root is its own parent.
    pub parent: Slot,
    /// Its name within the parent; empty for the root.
    pub name: Name,
    /// Last change, milliseconds since the epoch.
    pub modified_ms: U48,
    /// Last read, milliseconds since the epoch (set by `setTimes` only).
    pub accessed_ms: U48,
    /// Owner.
    pub owner: NameId,
    /// Group.
    pub group: NameId,
    /// Mode bits, including sticky (01777).
    pub permission: u16,
    /// What kind of inode it is.
    pub body: Body,
}

/// The part that differs between directory and file.
#[derive(Debug, Clone)]
pub enum Body {
    /// A directory and its entries.
    Directory(Box<Children>),
    /// A file.
    File(FileBody),
}

/// What only files have.
#[derive(Debug, Clone, Default)]
pub struct FileBody {
    /// Wanted number of replicas per block.
    pub replication: u16,
    /// Bytes per block; only the last block may be shorter.
    pub block_size: U48,
    /// Blocks in file order, as positions in the block map.
    pub blocks: BlockList,
}

/// A file's blocks. Most files have one, which then needs no allocation of its own.
#[derive(Debug, Clone, Default)]
pub enum BlockList {
    /// An empty file.
    #[default]
    None,
    /// Exactly one block.
    One(u32),
    /// Two or more.
    Many(Box<Vec<u32>>),
}

impl BlockList {
    /// The blocks in file order.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    /// The last block.
    pub fn last(&self) -> Option<u32> {
        self.as_slice().last().copied()
    }

    /// Appends a block.
    pub fn push(&mut self, slot: u32) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(slot),
            Self::One(first) => Self::Many(Box::new(vec![first, slot])),
            Self::Many(mut slots) => {
                slots.push(slot);
                Self::Many(slots)
            }
        };
    }

    /// Removes the last block and returns it.
    pub fn pop(&mut self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(slot) => {
                let slot = *slot;
                *self = Self::None;
                Some(slot)
            }
            Self::Many(slots) => {
                let last = slots.pop();
                if let [only] = slots[..] {
                    *self = Self::One(only);
                }
                last
            }
        }
    }
}

impl FromIterator<u32> for BlockList {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut list = Self::None;
        slots.into_iter().for_each(|slot| list.push(slot));
        list
    }
}

impl Inode {
    /// Its entries, if it is a directory.
    pub fn children(&self) -> Option<&Children> {
        match &self.body {
            Body::Directory(children) => Some(children),
            Body::File(_) => None,
        }
    }

    /// Its file part, if it is a file.
    pub fn file(&self) -> Option<&FileBody> {
        match &self.body {
            Body::File(file) => Some(file),
            Body::Directory(_) => None,
        }
    }

    /// Its file part for change, if it is a file.
    pub fn file_mut(&mut self) -> Option<&mut FileBody> {
        match &mut self.body {
            Body::File(file) => Some(file),
            Body::Directory(_) => None,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }
}

/// All inodes by position, with reuse of freed positions.
#[derive(Debug, Clone, Default)]
pub struct Arena(Slab<Inode>);

const LIVE: &str = "a kept slot names a live inode";

impl Arena {
    /// The inode at `slot`. Panics on a freed position: such a slot must not have been kept.
    pub fn get(&self, slot: Slot) -> &Inode {
        self.0.get(slot.0).expect(LIVE)
    }

    /// The inode at `slot`, for change.
    pub fn get_mut(&mut self, slot: Slot) -> &mut Inode {
        self.0.get_mut(slot.0).expect(LIVE)
    }

    /// Stores an inode.
    pub fn insert(&mut self, inode: Inode) -> Slot {
        Slot(self.0.insert(inode))
    }

    /// Takes an inode out; its position is free for the next one.
    pub fn remove(&mut self, slot: Slot) -> Inode {
        self.0.remove(slot.0).expect(LIVE)
    }

    /// Number of inodes.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_list_keeps_order_through_all_its_forms() {
        let mut list = BlockList::default();
        for slot in 0..4 {
            list.push(slot);
            assert_eq!(list.as_slice(), (0..=slot).collect::<Vec<_>>());
        }
        for slot in (0..4).rev() {
            assert_eq!(list.pop(), Some(slot));
            assert_eq!(list.as_slice(), (0..slot).collect::<Vec<_>>());
        }
        assert_eq!(list.pop(), None);
    }

    #[test]
    fn inode_stays_small() {
        // 10 million one-block files must fit a modest heap: growth here is multiplied by every file.
        assert!(
            std::mem::size_of::<Option<Inode>>() <= 80,
            "{}",
            std::mem::size_of::<Option<Inode>>()
        );
    }
}
