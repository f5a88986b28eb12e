//! Files whose writer is gone: agree on the last block's length, then close the file.
//!
//! 1. The NameNode takes the lease (durably: the old writer is fenced) and gives the block a new generation stamp.
//! 2. It tells one live holder, the primary, to bring all holders to one length under that stamp.
//! 3. The primary's answer makes the length final. An answer to an earlier attempt carries an older stamp and is ignored.
//! 4. No answer in time, or one that says that it failed: again from 1 with another primary.
//!
//! Truncation inside a block goes the same way, except that the length is given and the file's holder stays who it was.

use std::collections::BTreeSet;

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};

use super::Core;
use super::block_map::BlockState;
use super::command::{Caller, Order, ReplicaState, Reply, ReportedReplica};
use super::construction::RecoveryAttempt;
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::Slot;
use super::locate::block_of;
use super::open_files::RECOVERY_HOLDER;
use super::permission::WRITE;
use super::replicas::StorageIx;
use super::write::block_edit;

/// After a start, every DataNode that comes back has said by then what it holds.
const REPORTS_IN_MS: u64 = 30_000;
/// Time before a recovery that failed is tried again.
const RETRY_MS: u64 = 1000;

/// Files under recovery whose lease is not the NameNode's own.
#[derive(Debug, Default)]
pub struct Recoveries {
    truncating: BTreeSet<u64>,
}

/// How far the release of a file got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is closed.
    Closed,
    /// Its last block is being recovered or waits for a report; it will be closed then.
    Pending,
}

impl Core {
    /// Takes a file from its writer, who may be dead. True if it is closed; false while recovery goes on.
    pub(crate) fn recover_lease(&mut self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot recover the lease of {path}"))?;
        let slot = self.existing_file(caller, path)?;
        let inode_id = self.state.namespace.get(slot).id;
        if self.state.open.get(inode_id).is_none() {
            return Ok(Reply::Bool(true));
        }
        self.check_inode(caller, slot, WRITE)?;
        // The writer itself may ask too: it has lost its pipeline and wants the file closed at what is there.
        Ok(Reply::Bool(self.release(inode_id) == Release::Closed))
    }

    /// Closes an open file on behalf of its writer, after recovery if its last block needs it.
    pub(crate) fn release(&mut self, inode_id: u64) -> Release {
        let Some(open) = self.state.open.get(inode_id) else {
            return Release::Closed;
        };
        let file = open.slot;
        let last = self.file(file).blocks.last();
        if let Some(last) = last.filter(|slot| !self.state.blocks.get(*slot).is_committed()) {
            return self.recover_block(inode_id, file, last);
        }
        self.close_or_wait(inode_id, file)
    }

    fn close_or_wait(&mut self, inode_id: u64, file: Slot) -> Release {
        if self.can_close(file) {
            self.replication.closing.remove(&inode_id);
            self.close(inode_id, file);
            return Release::Closed;
        }
        self.replication.closing.insert(inode_id);
        Release::Pending
    }

    /// Something was reported about an open file: close it if that was all it waited for.
    pub(crate) fn close_if_waiting(&mut self, inode_id: u64) {
        if !self.replication.closing.contains(&inode_id) {
            return;
        }
        match self.state.open.get(inode_id).map(|open| open.slot) {
            Some(file) => {
                self.close_or_wait(inode_id, file);
            }
            None => {
                self.replication.closing.remove(&inode_id);
            }
        }
    }

    fn recover_block(&mut self, inode_id: u64, file: Slot, slot: u32) -> Release {
        let block = block_of(self.state.blocks.get(slot));
        let construction = self.construction.entry(block.id).or_default();
        if construction
            .recovery
            .as_ref()
            .is_some_and(|attempt| attempt.deadline_tick_ms > self.now.tick_ms)
        {
            return Release::Pending;
        }
        let all = construction.holders();
        let live: Vec<StorageIx> = all
            .iter()
            .copied()
            .filter(|ix| self.datanodes.is_storage_live(*ix))
            .collect();
        if all.is_empty() && block.length == 0 && self.reports_are_in() {
            self.edit(Edit::AbandonBlock(block_edit(inode_id, block)));
            return self.close_or_wait(inode_id, file);
        }
        let state = self.state.blocks.get(slot).state;
        if live.is_empty() && state != BlockState::UnderConstruction {
            // The lease is taken and nobody can be told anything: waiting needs no further entry in the log.
            let stamp = GenerationStamp(self.state.next_generation_stamp - 1);
            self.start_attempt(block, stamp, None, &live);
            return Release::Pending;
        }
        let new_generation_stamp = GenerationStamp(self.state.next_generation_stamp);
        let edit = block_edit(
            inode_id,
            Block {
                generation_stamp: new_generation_stamp,
                ..block
            },
        );
        self.edit(match state {
            BlockState::UnderTruncate => Edit::BeginTruncate(edit),
            _ => Edit::BeginRecovery(edit),
        });
        let primary = self.choose_primary(block.id, &live);
        self.start_attempt(block, new_generation_stamp, primary, &live);
        Release::Pending
    }

    /// Who runs the next attempt: one that had no turn yet, of those one with the best replica; when all had theirs, they start over.
    fn choose_primary(&mut self, id: BlockId, live: &[StorageIx]) -> Option<StorageIx> {
        let construction = self.construction.entry(id).or_default();
        if live.iter().all(|ix| construction.tried.contains(ix)) {
            construction.tried.clear();
        }
        let state = |ix: &StorageIx| match construction.reported.get(ix).map(|replica| replica.state) {
            Some(ReplicaState::Finalized) => 0,
            Some(ReplicaState::Rbw) | None => 1,
            Some(ReplicaState::Rwr) => 2,
        };
        let untried = || live.iter().filter(|ix| !construction.tried.contains(ix));
        let best = untried().map(state).min()?;
        let candidates: Vec<StorageIx> = untried().copied().filter(|ix| state(ix) == best).collect();
        let primary = candidates[self.rng.below(candidates.len())];
        construction.tried.insert(primary);
        Some(primary)
    }

    /// Cuts the last block of a closed file to `length` bytes, which must be more than 0 and less than it has: opens the file for
    /// `holder`, has the holders of the block cut their replicas, and closes the file when that is done. The blocks after that one must be gone
    /// already. Durable with the step.
    ///
    /// # Errors
    /// When the block has not its minimum of replicas.
    pub(crate) fn begin_truncate(
        &mut self,
        caller: &Caller,
        path: &str,
        file: Slot,
        holder: &str,
        length: u64,
    ) -> Result<(), FsError> {
        let last = self.file(file).blocks.last();
        let Some(last) = last.filter(|slot| self.is_complete(*slot)) else {
            return Err(FsError::Io(format!(
                "truncate: the last block of src={path} is not sufficiently replicated yet."
            )));
        };
        let inode_id = self.state.namespace.get(file).id;
        self.reopen_block(last);
        self.edit(Edit::ReopenFile(edit::ReopenFile {
            path: path.to_owned(),
            holder: holder.to_owned(),
            client_machine: caller.address.to_string(),
            reopen_last_block: false,
        }));
        let block = Block {
            length,
            ..block_of(self.state.blocks.get(last))
        };
        self.edit(Edit::BeginTruncate(block_edit(inode_id, block)));
        self.leases.renew(holder, self.now.tick_ms);
        self.recoveries.truncating.insert(inode_id);
        self.recover_block(inode_id, file, last);
        Ok(())
    }

    /// Whether the last block of an open file is being recovered or cut.
    pub(crate) fn is_under_recovery(&self, file: Slot) -> bool {
        let last = self
            .file(file)
            .blocks
            .last()
            .map(|slot| self.state.blocks.get(slot).state);
        matches!(last, Some(BlockState::UnderRecovery | BlockState::UnderTruncate))
    }

    /// After a start: which files were being truncated.
    pub(crate) fn find_recoveries(&mut self) {
        let open = self.state.open.iter();
        let truncating = open.filter(|(_, open)| open.holder != RECOVERY_HOLDER && self.is_under_recovery(open.slot));
        self.recoveries.truncating = truncating.map(|(inode_id, _)| inode_id).collect();
    }

    /// Whether every DataNode that will come back has had the time to say what it holds.
    fn reports_are_in(&self) -> bool {
        !self.safe_mode.is_on() && self.now.tick_ms >= self.started_tick_ms + REPORTS_IN_MS
    }

    fn start_attempt(
        &mut self,
        block: Block,
        stamp: GenerationStamp,
        primary: Option<StorageIx>,
        holders: &[StorageIx],
    ) {
        let wait = if primary.is_some() {
            self.settings.recovery_timeout_ms
        } else {
            RETRY_MS
        };
        let node = primary.map(|ix| self.datanodes.storage(ix).node);
        let construction = self.construction.entry(block.id).or_default();
        construction.recovery = Some(RecoveryAttempt {
            generation_stamp: stamp,
            deadline_tick_ms: self.now.tick_ms + wait,
        });
        let Some(session) = node.and_then(|node| self.datanodes.session_of(node)) else {
            return;
        };
        let holders = holders.iter().map(|ix| self.datanodes.location(*ix)).collect();
        let state = self.state.blocks.find(block.id).map(|info| info.state);
        self.send(
            session,
            Order::Recover {
                block,
                new_generation_stamp: stamp,
                holders,
                truncate_length: (state == Some(BlockState::UnderTruncate)).then_some(block.length),
            },
        );
    }

    /// Starts the attempts that are due, also after a restart: the lease says which files are under recovery.
    pub(crate) fn check_recoveries(&mut self) {
        if self.safe_mode.is_on() {
            return;
        }
        // A file that was cut may be open again by now, for a writer whom nothing here may disturb.
        let mut truncating = std::mem::take(&mut self.recoveries.truncating);
        truncating.retain(|inode_id| {
            let open = self.state.open.get(*inode_id);
            open.is_some_and(|open| self.is_under_recovery(open.slot))
        });
        let orphans = self.state.open.of_holder(RECOVERY_HOLDER);
        let files: Vec<u64> = orphans.chain(truncating.iter().copied()).collect();
        self.recoveries.truncating = truncating;
        for inode_id in files {
            self.release(inode_id);
        }
    }

    /// The end of a recovery.
    pub(crate) fn recovered(
        &mut self,
        id: BlockId,
        stamp: GenerationStamp,
        length: u64,
        holders: &[String],
        error: &str,
    ) {
        let current = self
            .construction
            .get_mut(&id)
            .and_then(|construction| construction.recovery.as_mut());
        let Some(attempt) = current.filter(|attempt| attempt.generation_stamp == stamp) else {
            return;
        };
        if !error.is_empty() {
            attempt.deadline_tick_ms = self.now.tick_ms + RETRY_MS;
            return;
        }
        let Some(info) = self.state.blocks.find(id).filter(|info| !info.is_committed()) else {
            return;
        };
        let file = info.file;
        let inode_id = self.state.namespace.get(file).id;
        let block = Block {
            id,
            generation_stamp: stamp,
            length,
        };
        let truncating = info.state == BlockState::UnderTruncate;
        if truncating && length != info.length {
            return self.retry_recovery(id);
        }
        if length == 0 && info.length == 0 {
            // Nothing was ever written: an empty block would only be in a reader's way.
            self.edit(Edit::AbandonBlock(block_edit(inode_id, block)));
        } else if length < info.length || length > i64::MAX as u64 {
            // Less than what was acknowledged as persistent: other holders must have it. Try again with another primary.
            return self.retry_recovery(id);
        } else {
            self.settle(inode_id, block, holders);
        }
        self.close_or_wait(inode_id, file);
    }

    fn retry_recovery(&mut self, id: BlockId) {
        let attempt = self
            .construction
            .get_mut(&id)
            .and_then(|construction| construction.recovery.as_mut());
        if let Some(attempt) = attempt {
            attempt.deadline_tick_ms = self.now.tick_ms + RETRY_MS;
        }
    }

    fn settle(&mut self, inode_id: u64, block: Block, holders: &[String]) {
        let nodes: BTreeSet<_> = holders.iter().filter_map(|uuid| self.datanodes.by_uuid(uuid)).collect();
        for node in nodes {
            if let Some(storage) = self.storage_on(block, node) {
                self.report_construction(
                    storage,
                    ReportedReplica {
                        block,
                        state: ReplicaState::Finalized,
                    },
                );
            }
        }
        // Those who took no part are stale, not expected.
        self.set_pipeline(block.id, Vec::new());
        self.edit(Edit::CommitBlock(block_edit(inode_id, block)));
        self.finish_construction(block.id);
    }
}
