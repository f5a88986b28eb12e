//! Every block of the cluster: which file it belongs to, its generation stamp and length, and who holds a good replica.
//!
//! Id, stamp, length, file and state are durable (they come from edits); the replica sets are learnt from reports.

use std::collections::BTreeMap;

use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::inode::Slot;
use super::replicas::Replicas;
use super::slab::Slab;

/// The first block's id. HDFS's value.
pub const FIRST_BLOCK_ID: u64 = 1_073_741_825;
/// The first block's generation stamp. HDFS's value.
pub const FIRST_GENERATION_STAMP: u64 = 1001;

/// How far a block has come. Persisted in the image: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockState {
    /// Its writer is (believed to be) at work; length unknown.
    UnderConstruction = 1,
    /// Its writer is gone; replicas are agreeing on a length.
    UnderRecovery = 2,
    /// The writer told the final length. HDFS calls it COMPLETE once enough replicas are reported.
    Committed = 3,
    /// The file was truncated inside it: replicas are being cut to `length`.
    UnderTruncate = 4,
}

impl BlockState {
    /// The state with a persisted number.
    pub fn from_number(number: u32) -> Option<Self> {
        let all = [
            Self::UnderConstruction,
            Self::UnderRecovery,
            Self::Committed,
            Self::UnderTruncate,
        ];
        all.into_iter().find(|state| *state as u32 == number)
    }
}

/// One block.
#[derive(Debug, Clone)]
pub struct BlockInfo {
    /// Unique for the life of the cluster.
    pub id: BlockId,
    /// Replicas with an older stamp are stale.
    pub generation_stamp: GenerationStamp,
    /// Bytes; for a block under construction the length last persisted, else final.
    pub length: u64,
    /// The file that it belongs to.
    pub file: Slot,
    /// How far it has come.
    pub state: BlockState,
    /// Storages with a good, finalized replica of this stamp and length.
    pub replicas: Replicas,
}

impl BlockInfo {
    /// Whether its length is final.
    pub fn is_committed(&self) -> bool {
        self.state == BlockState::Committed
    }
}

const PAGE: usize = 1024;
const ABSENT: u32 = u32::MAX;

const LIVE: &str = "a file's block list names live blocks";

/// All blocks by position, with an index by id.
#[derive(Debug, Clone, Default)]
pub struct BlockMap {
    slots: Slab<BlockInfo>,
    /// Ids are dense, so a page of positions costs four bytes a block where a hash table would cost twenty.
    pages: BTreeMap<u64, Box<[u32; PAGE]>>,
}

impl BlockMap {
    /// The block at a position kept in a file's block list.
    pub fn get(&self, slot: u32) -> &BlockInfo {
        self.slots.get(slot).expect(LIVE)
    }

    /// The block at a position, for change of anything but its id.
    pub fn get_mut(&mut self, slot: u32) -> &mut BlockInfo {
        self.slots.get_mut(slot).expect(LIVE)
    }

    /// The block at a position, if there is one: for walks over all positions below [`Self::end`] in steps.
    pub fn at(&self, slot: u32) -> Option<&BlockInfo> {
        self.slots.get(slot)
    }

    /// Every block's position is below this one.
    pub fn end(&self) -> u32 {
        self.slots.end()
    }

    /// The position of a block.
    pub fn slot_of(&self, id: BlockId) -> Option<u32> {
        let page = self.pages.get(&(id.0 / PAGE as u64))?;
        Some(page[(id.0 % PAGE as u64) as usize]).filter(|slot| *slot != ABSENT)
    }

    /// The block with this id.
    pub fn find(&self, id: BlockId) -> Option<&BlockInfo> {
        self.slot_of(id).map(|slot| self.get(slot))
    }

    /// The block with this id, for change.
    pub fn find_mut(&mut self, id: BlockId) -> Option<&mut BlockInfo> {
        self.slot_of(id).map(|slot| self.get_mut(slot))
    }

    /// Adds a block; its id must be new.
    pub fn insert(&mut self, block: BlockInfo) -> u32 {
        self.try_insert(block).expect("a block's id is given out once")
    }

    /// Adds a block; none if there is one with its id.
    pub fn try_insert(&mut self, block: BlockInfo) -> Option<u32> {
        let id = block.id.0;
        let page = self
            .pages
            .entry(id / PAGE as u64)
            .or_insert_with(|| Box::new([ABSENT; PAGE]));
        let place = &mut page[(id % PAGE as u64) as usize];
        if *place != ABSENT {
            return None;
        }
        *place = self.slots.insert(block);
        Some(*place)
    }

    /// Removes a block.
    pub fn remove(&mut self, slot: u32) -> BlockInfo {
        let block = self.slots.remove(slot).expect(LIVE);
        let key = block.id.0 / PAGE as u64;
        if let Some(page) = self.pages.get_mut(&key) {
            page[(block.id.0 % PAGE as u64) as usize] = ABSENT;
            if page.iter().all(|slot| *slot == ABSENT) {
                self.pages.remove(&key);
            }
        }
        block
    }

    /// Number of blocks.
    pub fn count(&self) -> usize {
        self.slots.count()
    }

    /// All blocks, in no promised but a repeatable order.
    pub fn iter(&self) -> impl Iterator<Item = &BlockInfo> {
        self.slots.iter()
    }

    /// All blocks, for change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut BlockInfo> {
        self.slots.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn block(id: u64) -> BlockInfo {
        BlockInfo {
            id: BlockId(id),
            generation_stamp: GenerationStamp(FIRST_GENERATION_STAMP),
            length: 0,
            file: Slot(0),
            state: BlockState::UnderConstruction,
            replicas: Replicas::default(),
        }
    }

    #[test]
    fn finds_by_id_across_pages_and_frees_pages() {
        let mut map = BlockMap::default();
        for id in FIRST_BLOCK_ID..FIRST_BLOCK_ID + 3000 {
            map.insert(block(id));
        }
        assert_eq!(
            map.find(BlockId(FIRST_BLOCK_ID + 2999)).unwrap().id.0,
            FIRST_BLOCK_ID + 2999
        );
        assert!(map.find(BlockId(FIRST_BLOCK_ID + 3000)).is_none() && map.find(BlockId(0)).is_none());
        for id in FIRST_BLOCK_ID..FIRST_BLOCK_ID + 3000 {
            let slot = map.slot_of(BlockId(id)).unwrap();
            map.remove(slot);
        }
        assert!(map.count() == 0 && map.pages.is_empty());
    }

    #[test]
    fn block_stays_small() {
        assert!(
            std::mem::size_of::<Option<BlockInfo>>() <= 48,
            "{}",
            std::mem::size_of::<Option<BlockInfo>>()
        );
    }
}
