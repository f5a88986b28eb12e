//! append, and the calls with which a writer repairs its pipeline.

use quarry_dfs_wire::block::{Block, GenerationStamp};

use super::Core;
use super::block_map::BlockInfo;
use super::block_map::BlockState;
use super::command::{Caller, LocatedBlock, ReplicaState, Reply, ReportedReplica, WriterBlock};
use super::datanodes::NodeIx;
use super::edit::{self, Edit, RetryAnswer};
use super::error::FsError;
use super::inode::Slot;
use super::locate::block_of;
use super::permission::WRITE;
use super::placement::{PlacementRequest, choose_targets};
use super::replicas::StorageIx;
use super::write::block_edit;

impl Core {
    /// Opens a closed file for writing at its end. The last block is written on if it has room, unless a new one is asked for.
    pub(crate) fn append(
        &mut self,
        caller: &Caller,
        path: &str,
        holder: &str,
        new_block: bool,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot append to file{path}"))?;
        let missing = || {
            FsError::FileNotFound(format!(
                "Failed to append to non-existent file {path} for client {}",
                caller.address
            ))
        };
        let slot = self.found(caller, path)?.ok_or_else(missing)?;
        if self.state.namespace.get(slot).is_directory() {
            return Err(FsError::AlreadyExists(format!(
                "Cannot append to directory {path}; already exists as a directory."
            )));
        }
        self.check_inode(caller, slot, WRITE)?;
        self.claim_lease(path, slot, holder, "APPEND_FILE", caller)?;
        let inode_id = self.state.namespace.get(slot).id;
        let reopened = self.block_with_room(path, slot)?.filter(|_| !new_block);
        if let Some(last) = reopened {
            // The block counts as a full one while it is written on.
            let room = self.file(slot).block_size.get() as i64 - self.state.counted_bytes(self.file(slot), last);
            self.check_quota(slot, self.usage_of_bytes(slot, room), None)?;
            self.reopen_block(last);
        }
        self.edit(Edit::ReopenFile(edit::ReopenFile {
            path: path.to_owned(),
            holder: holder.to_owned(),
            client_machine: caller.address.to_string(),
            reopen_last_block: reopened.is_some(),
        }));
        self.leases.renew(holder, self.now.tick_ms);
        self.remember(caller, RetryAnswer::Appended, inode_id);
        self.appended_before(inode_id)
    }

    fn block_with_room(&self, path: &str, slot: Slot) -> Result<Option<u32>, FsError> {
        let file = self.file(slot);
        let Some(last) = file.blocks.last() else {
            return Ok(None);
        };
        let block = self.state.blocks.get(last);
        if !self.is_complete(last) {
            let text = format!(
                "append: lastBlock={} of src={path} is not sufficiently replicated yet.",
                block_of(block)
            );
            return Err(FsError::Io(text));
        }
        Ok((block.length < file.block_size.get()).then_some(last))
    }

    /// Turns a complete block into one under construction: its holders are the pipeline, and what they have is on record, so that
    /// a writer that appends nothing can close the file again.
    pub(crate) fn reopen_block(&mut self, slot: u32) {
        self.safe_mode.block_removed(true);
        let block = self.state.blocks.get_mut(slot);
        let holders = block.replicas.as_slice().to_vec();
        let known = ReportedReplica {
            block: block_of(block),
            state: ReplicaState::Finalized,
        };
        block.replicas.clear();
        let id = block.id;
        for holder in &holders {
            self.holdings.remove(*holder, id);
        }
        self.replication.forget(id, &mut self.datanodes);
        self.set_pipeline(id, holders.clone());
        for holder in holders {
            self.report_construction(holder, known);
        }
    }

    /// The answer of append for a file that is open for it.
    pub(crate) fn appended_before(&self, inode_id: u64) -> Result<Reply, FsError> {
        let open = self.state.open.get(inode_id);
        let open =
            open.ok_or_else(|| FsError::FileNotFound(format!("File of inode {inode_id} is not open any more")))?;
        let status = Box::new(self.status(open.slot, String::new()));
        let last = self
            .file(open.slot)
            .blocks
            .last()
            .map(|slot| self.state.blocks.get(slot));
        // A last block with room that was not reopened is named all the same, without locations: the caller wants a new one after it.
        let block_size = self.file(open.slot).block_size.get();
        let unfinished = |block: &&BlockInfo| !block.is_committed() || block.length < block_size;
        let last = last.filter(unfinished).map(|block| {
            let offset = status.length - block.length;
            Box::new(self.pipeline_block(block_of(block), offset))
        });
        Ok(Reply::Appended(status, last))
    }

    fn pipeline_block(&self, block: Block, offset: u64) -> LocatedBlock {
        let live = |ix: &StorageIx| self.datanodes.is_storage_live(*ix);
        let targets = self
            .construction
            .get(&block.id)
            .map_or(&[][..], |construction| &construction.targets);
        let locations = targets
            .iter()
            .copied()
            .filter(live)
            .map(|ix| self.datanodes.location(ix))
            .collect();
        LocatedBlock {
            block,
            offset,
            corrupt: false,
            locations,
        }
    }

    /// The last block of an open file, checked to be the writer's.
    fn writers_block(&self, holder: &str, block: Block) -> Result<(u64, Block), FsError> {
        let gone = || FsError::Io(format!("{block} does not exist or is not under construction"));
        let info = self
            .state
            .blocks
            .find(block.id)
            .filter(|info| info.state == BlockState::UnderConstruction)
            .ok_or_else(gone)?;
        let inode = self.state.namespace.get(info.file);
        let at = WriterBlock {
            path: self.state.namespace.path_of(info.file),
            inode_id: inode.id,
            holder: holder.to_owned(),
            block: Some(block),
        };
        let (inode_id, slot) = self.writers_file(&at)?;
        let last = self.file(slot).blocks.last();
        if last != self.state.blocks.slot_of(block.id) {
            return Err(gone());
        }
        Ok((inode_id, block_of(info)))
    }

    /// Gives a new generation stamp for a pipeline that is about to be rebuilt. The block takes it on with [`Self::update_pipeline`].
    pub(crate) fn update_block_for_pipeline(&mut self, holder: &str, block: Block) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot get a new generation stamp for {block}"))?;
        let (_, current) = self.writers_block(holder, block)?;
        let generation_stamp = self.state.next_generation_stamp;
        self.edit(Edit::UseGenerationStamp(edit::UseGenerationStamp { generation_stamp }));
        self.leases.renew(holder, self.now.tick_ms);
        let renewed = Block {
            generation_stamp: GenerationStamp(generation_stamp),
            ..current
        };
        Ok(Reply::Block(Box::new(self.pipeline_block(renewed, 0))))
    }

    /// Moves a block to a rebuilt pipeline and its new generation stamp: from now on replicas with the old stamp are stale.
    pub(crate) fn update_pipeline(
        &mut self,
        caller: &Caller,
        holder: &str,
        old: Block,
        new: Block,
        nodes: &[String],
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Pipeline not updated: {old}"))?;
        let (inode_id, current) = self.writers_block(holder, old)?;
        let given_out = new.generation_stamp.0 < self.state.next_generation_stamp;
        let newer = new.generation_stamp > current.generation_stamp && new.length >= current.length;
        if old.id != new.id || !given_out || !newer || new.length > i64::MAX as u64 {
            return Err(FsError::Io(format!(
                "Update {current} (length {}) to an older block {new} (length {}) is refused",
                current.length, new.length
            )));
        }
        self.edit(Edit::UpdateBlock(block_edit(inode_id, new)));
        let nodes = self.nodes_by_name(nodes);
        let targets = self.storages_for(new, &nodes);
        self.set_pipeline(new.id, targets);
        self.leases.renew(holder, self.now.tick_ms);
        self.remember(caller, RetryAnswer::Void, 0);
        Ok(Reply::Void)
    }

    /// The storage on which each node has (or will have) the block.
    fn storages_for(&self, block: Block, nodes: &[NodeIx]) -> Vec<StorageIx> {
        nodes.iter().filter_map(|node| self.storage_on(block, *node)).collect()
    }

    /// The storage on which a node has (or will have) a block: where it is known to be, else its first.
    pub(crate) fn storage_on(&self, block: Block, node: NodeIx) -> Option<StorageIx> {
        let known = self
            .construction
            .get(&block.id)
            .map(super::construction::Construction::holders)
            .unwrap_or_default();
        let on_node = known.into_iter().find(|ix| self.datanodes.storage(*ix).node == node);
        on_node.or_else(|| self.datanodes.node(node).storages.first().copied())
    }

    /// Chooses further nodes for a pipeline that lost some. The answer lists the existing ones first.
    pub(crate) fn additional_datanode(
        &mut self,
        caller: &Caller,
        at: &WriterBlock,
        existing: &[String],
        excluded: &[String],
        count: usize,
    ) -> Result<Reply, FsError> {
        let (_, slot) = self.writers_file(at)?;
        let block = at
            .block
            .ok_or_else(|| FsError::IllegalArgument("getAdditionalDatanode names no block".to_owned()))?;
        let (existing, excluded) = (self.nodes_by_name(existing), self.nodes_by_name(excluded));
        let ip = caller.address.to_string();
        let block_size = self.file(slot).block_size.get();
        let request = PlacementRequest {
            count,
            block_size,
            writer_ip: Some(&ip),
            existing: &existing,
            excluded: &excluded,
            favored: &[],
            must_spread: false,
        };
        let chosen = choose_targets(&self.datanodes, &mut self.rng, &request);
        let all = self.storages_for(block, &existing).into_iter().chain(chosen);
        let locations = all.map(|ix| self.datanodes.location(ix)).collect();
        Ok(Reply::Block(Box::new(LocatedBlock {
            block,
            offset: 0,
            corrupt: false,
            locations,
        })))
    }
}
