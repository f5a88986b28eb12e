//! A file's life between create and close: addBlock, abandonBlock, fsync, complete.

use quarry_dfs_wire::block::Block;

use super::block_map::BlockState;
use super::command::{Caller, Reply, WriterBlock};
use super::datanodes::NodeIx;
use super::edit::{self, BlockEdit, Edit};
use super::error::FsError;
use super::inode::{FileBody, Slot};
use super::placement::{PlacementRequest, choose_targets};
use super::{Core, Progress};

impl Core {
    /// The open file that a writer means, if it still holds the lease. The inode's id finds it even after a rename.
    pub(crate) fn writers_file(&self, at: &WriterBlock) -> Result<(u64, Slot), FsError> {
        let by_id = self.state.open.get(at.inode_id).map(|open| open.slot);
        let by_path = || self.state.namespace.find(&at.path);
        let same = |slot: &Slot| at.inode_id == 0 || self.state.namespace.get(*slot).id == at.inode_id;
        let slot = by_id.or_else(|| by_path().filter(same));
        let slot = slot.ok_or_else(|| FsError::FileNotFound(self.lost("File does not exist", at, at.inode_id)))?;
        let inode_id = self.state.namespace.get(slot).id;
        let lost = |problem: &str| FsError::LeaseExpired(self.lost(problem, at, inode_id));
        if self.state.namespace.get(slot).is_directory() {
            return Err(lost("INode is not a regular file"));
        }
        let open = self.state.open.get(inode_id);
        let open = open.ok_or_else(|| lost("File is not open for writing"))?;
        if open.holder != at.holder {
            // The bracket that HDFS forgets is missing here, too: clients match the text.
            let problem = format!("Client (={}) is not the lease owner (={}", at.holder, open.holder);
            return Err(lost(&problem));
        }
        Ok((inode_id, slot))
    }

    /// Why a writer's file is not its any more, and what it still has.
    fn lost(&self, problem: &str, at: &WriterBlock, inode_id: u64) -> String {
        let (path, holder) = (&at.path, &at.holder);
        match self.state.open.of_holder(holder).count() {
            0 => format!("{problem}: {path} (inode {inode_id}) Holder {holder} does not have any open files."),
            n => format!("{problem}: {path} (inode {inode_id}) [Lease.  Holder: {holder}, pending creates: {n}]"),
        }
    }

    /// The file part of an open file's inode.
    pub(crate) fn file(&self, slot: Slot) -> &FileBody {
        self.state.namespace.get(slot).file().expect("only files are open")
    }

    fn last_blocks(&self, slot: Slot) -> (Option<u32>, Option<u32>) {
        let blocks = self.file(slot).blocks.as_slice();
        (blocks.last().copied(), blocks.len().checked_sub(2).map(|at| blocks[at]))
    }

    /// Whether a block's length is final and its minimum of replicas known.
    pub(crate) fn is_complete(&self, block: u32) -> bool {
        let block = self.state.blocks.get(block);
        block.is_committed() && block.replicas.as_slice().len() >= self.settings.min_replication
    }

    /// Gives an open file its next block. Repeated with the same previous block it gives the same block again.
    pub(crate) fn add_block(
        &mut self,
        caller: &Caller,
        at: &WriterBlock,
        excluded: &[String],
        favored: &[String],
    ) -> Result<Progress, FsError> {
        self.check_writable(|| format!("Cannot add block to {}", at.path))?;
        let (inode_id, file) = self.writers_file(at)?;
        let excluded = self.nodes_by_name(excluded);
        if let Some(slot) = self.repeated_block(file, at) {
            self.ensure_pipeline(caller, file, slot, &excluded);
            return Ok(self.located(caller, file, slot).into());
        }
        self.commit_previous(inode_id, file, at)?;
        self.leases.renew(&at.holder, self.now.tick_ms);
        if let (_, Some(before_last)) = self.last_blocks(file)
            && !self.is_complete(before_last)
        {
            let otherwise = Err(FsError::NotReplicatedYet(format!("Not replicated yet: {}", at.path)));
            return Ok(Progress::Park { inode_id, otherwise });
        }
        self.check_block_count(file, at)?;
        let full = self.file(file).block_size.get() as i64;
        self.check_quota(file, self.usage_of_bytes(file, full), None)?;
        let targets = self.new_block_targets(caller, file, at, &excluded, favored)?;
        let block = BlockEdit {
            inode_id,
            block_id: self.state.next_block_id,
            generation_stamp: self.state.next_generation_stamp,
            length: 0,
        };
        self.edit(Edit::AllocateBlock(block));
        let slot = self.file(file).blocks.last().expect("a block was just added");
        self.set_pipeline(self.state.blocks.get(slot).id, targets);
        Ok(self.located(caller, file, slot).into())
    }

    fn located(&self, caller: &Caller, file: Slot, slot: u32) -> Reply {
        let offset = self.file_length(self.file(file)) - self.state.blocks.get(slot).length;
        let block = self.state.blocks.get(slot);
        let mut located = self.locate(caller, block, offset);
        // A pipeline has an order: the writer's first node is the first that placement chose.
        if let Some(construction) = self.construction.get(&block.id) {
            located.locations = construction
                .targets
                .iter()
                .map(|ix| self.datanodes.location(*ix))
                .collect();
        }
        Reply::Block(Box::new(located))
    }

    /// The block that an earlier, identical call allocated: last, still empty, after the very block that the caller names.
    fn repeated_block(&self, file: Slot, at: &WriterBlock) -> Option<u32> {
        let (last, before) = self.last_blocks(file);
        let last = last.filter(|slot| self.is_fresh(*slot))?;
        self.names_block(file, at, before).then_some(last)
    }

    /// Whether `slot` is the block that the caller names as the one before the next. Who appends to a file whose last block is
    /// full was given no block, and names none.
    fn names_block(&self, file: Slot, at: &WriterBlock, slot: Option<u32>) -> bool {
        let block = slot.map(|slot| self.state.blocks.get(slot));
        match (at.block, block) {
            (None, None) => true,
            (None, Some(block)) => block.is_committed() && block.length >= self.file(file).block_size.get(),
            (Some(named), Some(block)) => named.id == block.id,
            (Some(_), None) => false,
        }
    }

    fn is_fresh(&self, slot: u32) -> bool {
        let block = self.state.blocks.get(slot);
        block.state == BlockState::UnderConstruction && block.length == 0
    }

    /// After a restart the pipeline of an unwritten block is forgotten: choose one anew.
    fn ensure_pipeline(&mut self, caller: &Caller, file: Slot, slot: u32, excluded: &[NodeIx]) {
        let id = self.state.blocks.get(slot).id;
        if self
            .construction
            .get(&id)
            .is_some_and(|construction| !construction.targets.is_empty())
        {
            return;
        }
        let targets = self.place(caller, file, &[], excluded, &[]);
        self.set_pipeline(id, targets);
    }

    /// Makes the length of the block before the new one final.
    fn commit_previous(&mut self, inode_id: u64, file: Slot, at: &WriterBlock) -> Result<(), FsError> {
        let last = self.last_blocks(file).0;
        if !self.names_block(file, at, last) {
            let name = |block: Option<String>| block.unwrap_or_else(|| "null".to_owned());
            return Err(FsError::Io(format!(
                "Cannot allocate block in {}: passed 'previous' block {} does not match actual last block in file {}",
                at.path,
                name(at.block.map(|block| block.to_string())),
                name(last.map(|slot| super::locate::block_of(self.state.blocks.get(slot)).to_string()))
            )));
        }
        match at.block {
            Some(previous) => self.commit_last(inode_id, file, previous),
            None => Ok(()),
        }
    }

    /// Makes the length of an open file's last block final, if it is not yet.
    pub(crate) fn commit_last(&mut self, inode_id: u64, file: Slot, told: Block) -> Result<(), FsError> {
        let Some(slot) = self.last_blocks(file).0 else {
            return Ok(());
        };
        let block = self.state.blocks.get(slot);
        if block.is_committed() {
            return Ok(());
        }
        if block.state != BlockState::UnderConstruction {
            return Err(FsError::RecoveryInProgress(format!("{told} is being recovered")));
        }
        if block.id != told.id || block.generation_stamp != told.generation_stamp {
            return Err(FsError::Io(format!(
                "Commit block with mismatching generation stamp: the NameNode has {}, the client submits {told}",
                super::locate::block_of(block)
            )));
        }
        if told.length < block.length || told.length > i64::MAX as u64 {
            return Err(FsError::Io(format!(
                "Commit of {told} with {} bytes: {} were made known before",
                told.length, block.length
            )));
        }
        self.edit(Edit::CommitBlock(block_edit(inode_id, told)));
        self.finish_construction(told.id);
        Ok(())
    }

    fn check_block_count(&self, file: Slot, at: &WriterBlock) -> Result<(), FsError> {
        let limit = self.settings.max_blocks_per_file;
        if self.file(file).blocks.as_slice().len() < limit {
            return Ok(());
        }
        Err(FsError::Io(format!(
            "File has reached the limit on maximum number of blocks (max_blocks_per_file): {limit} >= {limit}, file {}",
            at.path
        )))
    }

    fn new_block_targets(
        &mut self,
        caller: &Caller,
        file: Slot,
        at: &WriterBlock,
        excluded: &[NodeIx],
        favored: &[String],
    ) -> Result<Vec<super::replicas::StorageIx>, FsError> {
        let favored = self.nodes_by_name(favored);
        let targets = self.place(caller, file, &[], excluded, &favored);
        let min = self.settings.min_replication;
        if targets.len() >= min {
            return Ok(targets);
        }
        Err(FsError::Io(format!(
            "File {} could only be written to {} of the {min} minReplication nodes. There are {} datanode(s) running and {} node(s) are excluded in this operation.",
            at.path,
            targets.len(),
            self.datanodes.live_count(),
            if excluded.is_empty() {
                "no".to_owned()
            } else {
                excluded.len().to_string()
            }
        )))
    }

    /// Chooses storages for further replicas of a block of `file` and books room on them.
    pub(crate) fn place(
        &mut self,
        caller: &Caller,
        file: Slot,
        existing: &[NodeIx],
        excluded: &[NodeIx],
        favored: &[NodeIx],
    ) -> Vec<super::replicas::StorageIx> {
        let ip = caller.address.to_string();
        let (replication, block_size) = (self.file(file).replication, self.file(file).block_size.get());
        let request = PlacementRequest {
            count: usize::from(replication).saturating_sub(existing.len()),
            block_size,
            writer_ip: Some(&ip),
            existing,
            excluded,
            favored,
            must_spread: false,
        };
        let targets = choose_targets(&self.datanodes, &mut self.rng, &request);
        for target in &targets {
            self.datanodes.storage_mut(*target).scheduled += block_size;
            let node = self.datanodes.storage(*target).node;
            self.datanodes.node_mut(node).load += 1;
        }
        targets
    }

    /// DataNodes by uuid, `ip:port` or `host:port`; unknown ones are left out.
    pub(crate) fn nodes_by_name(&self, names: &[String]) -> Vec<NodeIx> {
        names
            .iter()
            .filter_map(|name| self.datanodes.by_uuid(name).or_else(|| self.node_at(name)))
            .collect()
    }

    fn node_at(&self, name: &str) -> Option<NodeIx> {
        let (host, port) = name.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let at = |node: &super::datanodes::DataNode| {
            let d = &node.descriptor;
            d.xfer_port == port && (d.ip == host || d.hostname == host)
        };
        self.datanodes.iter().find(|(_, node)| at(node)).map(|(ix, _)| ix)
    }

    /// Takes the last block back from an open file, so that the writer can ask for another. Gone already is fine.
    pub(crate) fn abandon_block(&mut self, at: &WriterBlock) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot abandon block of {}", at.path))?;
        let (inode_id, file) = self.writers_file(at)?;
        let Some(block) = at.block else { return Ok(Reply::Void) };
        let last = self.last_blocks(file).0.map(|slot| self.state.blocks.get(slot));
        if last.is_some_and(|last| last.id == block.id && last.state == BlockState::UnderConstruction) {
            self.edit(Edit::AbandonBlock(block_edit(inode_id, block)));
        }
        Ok(Reply::Void)
    }

    /// Makes an open file's entry durable, with the length of its last block if told.
    pub(crate) fn fsync(&mut self, at: &WriterBlock, last_block_length: Option<u64>) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot fsync file {}", at.path))?;
        let (inode_id, file) = self.writers_file(at)?;
        self.leases.renew(&at.holder, self.now.tick_ms);
        let (Some(length), Some(slot)) = (last_block_length, self.last_blocks(file).0) else {
            return Ok(Reply::Void);
        };
        let block = self.state.blocks.get(slot);
        if block.state == BlockState::UnderConstruction && length > block.length && length <= i64::MAX as u64 {
            let known = Block {
                length,
                ..super::locate::block_of(block)
            };
            self.edit(Edit::UpdateBlock(block_edit(inode_id, known)));
        }
        Ok(Reply::Void)
    }

    /// Closes a file. Waits until every block has its minimum of replicas; repeated, says yes again.
    pub(crate) fn complete(&mut self, at: &WriterBlock) -> Result<Progress, FsError> {
        self.check_writable(|| format!("Cannot complete file {}", at.path))?;
        let (inode_id, file) = match self.writers_file(at) {
            Ok(found) => found,
            Err(_) if self.was_completed(at) => return Ok(Reply::Bool(true).into()),
            Err(error) => return Err(error),
        };
        if let Some(told) = at.block {
            self.commit_last(inode_id, file, told)?;
        }
        self.leases.renew(&at.holder, self.now.tick_ms);
        if !self.can_close(file) {
            return Ok(Progress::Park {
                inode_id,
                otherwise: Ok(Reply::Bool(false)),
            });
        }
        self.close(inode_id, file);
        Ok(Reply::Bool(true).into())
    }

    /// Whether the last blocks are complete; all earlier ones were when their successors' successor was added.
    pub(crate) fn can_close(&self, file: Slot) -> bool {
        let (last, before) = self.last_blocks(file);
        last.into_iter().chain(before).all(|slot| self.is_complete(slot))
    }

    /// Closes an open file whose blocks are complete.
    pub(crate) fn close(&mut self, inode_id: u64, file: Slot) {
        let blocks: Vec<u32> = self.file(file).blocks.as_slice().to_vec();
        self.edit(Edit::CloseFile(edit::CloseFile { inode_id }));
        self.parked.wake(inode_id);
        for slot in blocks {
            self.queue_block(self.state.blocks.get(slot).id);
        }
    }

    /// Whether an earlier call closed the file that the caller means.
    fn was_completed(&self, at: &WriterBlock) -> bool {
        let Some(slot) = self.state.namespace.find(&at.path) else {
            return false;
        };
        let inode = self.state.namespace.get(slot);
        let Some(file) = inode.file() else { return false };
        let same = at.inode_id == 0 || inode.id == at.inode_id;
        let last = file.blocks.last().map(|slot| self.state.blocks.get(slot));
        let same_block = match (last, at.block) {
            (None, None) => true,
            (Some(last), Some(told)) => last.id == told.id && last.generation_stamp == told.generation_stamp,
            _ => false,
        };
        same && same_block && self.state.open.get(inode.id).is_none()
    }
}

/// The edit's form of a block.
pub(crate) fn block_edit(inode_id: u64, block: Block) -> BlockEdit {
    BlockEdit {
        inode_id,
        block_id: block.id.0,
        generation_stamp: block.generation_stamp.0,
        length: block.length,
    }
}
