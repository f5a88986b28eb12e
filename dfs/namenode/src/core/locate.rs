//! Blocks of a file with the places of their replicas, closest to the caller first.

use quarry_dfs_wire::block::Block;

use super::Core;
use super::block_map::BlockInfo;
use super::command::{Caller, LocatedBlock, LocatedBlocks};
use super::datanodes::AdminState;
use super::inode::{FileBody, Inode};
use super::replicas::StorageIx;
use super::rng::Rng;

impl Core {
    /// Length of a file: all blocks, the last one as far as its length was made known.
    pub(crate) fn file_length(&self, file: &FileBody) -> u64 {
        file.blocks
            .as_slice()
            .iter()
            .map(|slot| self.state.blocks.get(*slot).length)
            .sum()
    }

    /// The blocks of a file that `offset..offset+length` touches.
    pub(crate) fn located_blocks(
        &self,
        caller: &Caller,
        inode: &Inode,
        file: &FileBody,
        offset: u64,
        length: u64,
    ) -> LocatedBlocks {
        let slots = file.blocks.as_slice();
        let last = slots.last().map(|slot| self.state.blocks.get(*slot));
        let last_is_final = last.is_none_or(BlockInfo::is_committed);
        let end = offset.saturating_add(length);
        let mut result = LocatedBlocks {
            under_construction: self.state.open.get(inode.id).is_some(),
            // HDFS says so of an empty file.
            last_block_complete: last.is_some() && last_is_final,
            ..LocatedBlocks::default()
        };
        let mut at = 0;
        for (n, slot) in slots.iter().enumerate() {
            let block = self.state.blocks.get(*slot);
            let is_last = n + 1 == slots.len();
            // The length of an unfinished last block is for a DataNode to say, so it is listed whenever the range may reach it.
            let open_end = is_last && !last_is_final;
            let touched = at < end && (at + block.length > offset || open_end);
            if touched || is_last {
                let located = self.locate(caller, block, at);
                if touched {
                    result.blocks.push(located.clone());
                }
                result.last_block = is_last.then_some(located).or(result.last_block);
            }
            at += block.length;
        }
        let unfinished = last.filter(|_| !last_is_final).map_or(0, |block| block.length);
        result.file_length = at - unfinished;
        result
    }

    /// One block with its replicas' places.
    pub(crate) fn locate(&self, caller: &Caller, block: &BlockInfo, offset: u64) -> LocatedBlock {
        let mut holders = match self.construction.get(&block.id) {
            Some(construction) if !block.is_committed() => construction.holders_of(block.generation_stamp),
            _ => block.replicas.as_slice().to_vec(),
        };
        let all_corrupt = holders.is_empty() && self.replication.has_corrupt(block.id);
        if all_corrupt {
            holders = self.replication.corrupt_holders(block.id);
        }
        self.sort_by_closeness(caller, block, &mut holders);
        LocatedBlock {
            block: block_of(block),
            offset,
            corrupt: all_corrupt,
            locations: holders.into_iter().map(|ix| self.datanodes.location(ix)).collect(),
        }
    }

    /// The caller's node first, then its rack, then the rest; silent nodes last. Equal ones are shuffled, differently for each block and
    /// moment, to spread the load.
    fn sort_by_closeness(&self, caller: &Caller, block: &BlockInfo, holders: &mut [StorageIx]) {
        let mut rng = Rng::new(block.id.0 ^ self.now.tick_ms ^ self.settings.seed);
        let ip = caller.address.to_string();
        let rack = self
            .datanodes
            .iter()
            .find(|(_, node)| node.descriptor.ip == ip)
            .map(|(_, node)| node.descriptor.rack.as_str());
        let distance = |ix: &StorageIx| {
            let node = self.datanodes.node(self.datanodes.storage(*ix).node);
            let far = match () {
                () if node.descriptor.ip == ip => 0,
                () if Some(node.descriptor.rack.as_str()) == rack => 1,
                () => 2,
            };
            // Nodes that leave have least else to do but may be gone any moment: last of those that are sure to answer.
            let leaves = node.admin != AdminState::Normal;
            (!self.datanodes.is_storage_live(*ix), node.stale, leaves, far)
        };
        for n in (1..holders.len()).rev() {
            holders.swap(n, rng.below(n + 1));
        }
        holders.sort_by_key(distance);
    }

    /// Blocks of a file for a listing: all of them, none for a directory.
    pub(crate) fn all_located_blocks(&self, caller: &Caller, inode: &Inode) -> Option<LocatedBlocks> {
        let file = inode.file()?;
        Some(self.located_blocks(caller, inode, file, 0, u64::MAX))
    }
}

/// The public part of a block.
pub(crate) fn block_of(info: &BlockInfo) -> Block {
    Block {
        id: info.id,
        generation_stamp: info.generation_stamp,
        length: info.length,
    }
}
