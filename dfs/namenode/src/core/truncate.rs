//! truncate: a closed file becomes shorter. At a block's end at once; inside a block its holders have to cut their replicas first
//! (see `recovery`), and until they have, the file is open.
//!
//! They always cut in place. HDFS copies what is left to a new block when a snapshot, or an upgrade that can still be rolled back, needs the
//! old one; there is neither here, and no two files share a block. DataNodes can do it (`new_block_id` of `RecoverBlock`); nobody asks them to.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::{BlockList, Slot};
use super::permission::WRITE;
use super::state::{ApplyError, State, mismatch};
use super::storage_policy;

impl Core {
    /// Cuts a file. True if it is done, false if the last block is still being cut: the file closes itself then.
    pub(crate) fn truncate(
        &mut self,
        caller: &Caller,
        path: &str,
        holder: &str,
        new_length: i64,
    ) -> Result<Reply, FsError> {
        let Ok(length) = u64::try_from(new_length) else {
            let text = format!("Cannot truncate to a negative file size: {new_length}.");
            return Err(FsError::IllegalArgument(text));
        };
        self.check_writable(|| format!("Cannot truncate for {path}"))?;
        let slot = self.existing_file(caller, path)?;
        self.check_inode(caller, slot, WRITE)?;
        if self.state.policy_of(slot) == storage_policy::lazy_persist().id {
            return Err(FsError::Unsupported(format!(
                "Cannot truncate lazy persist file {path}"
            )));
        }
        if self.is_open(slot) && self.is_under_recovery(slot) {
            if self.file_length(self.file(slot)) == length {
                return Ok(Reply::Bool(false));
            }
            return Err(FsError::AlreadyBeingCreated(format!(
                "Failed to TRUNCATE_FILE {path} for {holder} on {} because {path} is being truncated.",
                caller.address
            )));
        }
        self.claim_lease(path, slot, holder, "TRUNCATE_FILE", caller)?;
        let current = self.file_length(self.file(slot));
        if current == length {
            return Ok(Reply::Bool(true));
        }
        if current < length {
            return Err(FsError::IllegalArgument(format!(
                "Cannot truncate to a larger file size. Current size: {current}, truncate size: {length}."
            )));
        }
        self.cut(caller, path, slot, holder, length)
    }

    fn is_open(&self, slot: Slot) -> bool {
        self.state.open.get(self.state.namespace.get(slot).id).is_some()
    }

    fn cut(&mut self, caller: &Caller, path: &str, slot: Slot, holder: &str, length: u64) -> Result<Reply, FsError> {
        let (keep, rest) = self.blocks_within(slot, length);
        let last = keep.checked_sub(1).map(|last| self.file(slot).blocks.as_slice()[last]);
        if rest > 0 && last.is_some_and(|last| !self.is_complete(last)) {
            return Err(FsError::Io(format!(
                "truncate: the last block of src={path} is not sufficiently replicated yet."
            )));
        }
        self.check_truncate_quota(slot, keep, rest)?;
        self.edit(Edit::DropBlocks(edit::DropBlocks {
            path: path.to_owned(),
            keep: keep as u64,
        }));
        if rest == 0 {
            return Ok(Reply::Bool(true));
        }
        self.begin_truncate(caller, path, slot, holder, rest)?;
        Ok(Reply::Bool(false))
    }

    /// A block that is being cut counts as a full one, which may be more than what is cut off.
    fn check_truncate_quota(&self, slot: Slot, keep: usize, rest: u64) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() {
            return Ok(());
        }
        let file = self.file(slot);
        let kept = &file.blocks.as_slice()[..keep];
        let mut bytes: i64 = kept.iter().map(|block| self.state.counted_bytes(file, *block)).sum();
        if let Some(last) = kept.last().filter(|_| rest > 0) {
            bytes += file.block_size.get() as i64 - self.state.counted_bytes(file, *last);
        }
        let delta = self.usage_of_bytes(slot, bytes) - self.state.usage_of_file(slot);
        self.check_quota(slot, delta, None)
    }

    /// How many blocks of a file are needed for `length` bytes, and how many bytes of the last of them; 0 bytes: all of it.
    fn blocks_within(&self, slot: Slot, length: u64) -> (usize, u64) {
        let (mut keep, mut left) = (0, length);
        for block in self.file(slot).blocks.as_slice() {
            let bytes = self.state.blocks.get(*block).length;
            if left == 0 {
                break;
            }
            keep += 1;
            if left < bytes {
                return (keep, left);
            }
            left -= bytes;
        }
        (keep, 0)
    }
}

impl State {
    pub(super) fn drop_blocks(
        &mut self,
        e: &edit::DropBlocks,
        time_ms: u64,
        removed: &mut Vec<super::block_map::BlockInfo>,
    ) -> Result<(), ApplyError> {
        let slot = self.closed_file(&e.path, "drop blocks")?;
        let used = self.usage_if_counted(slot);
        let blocks = self.file_mut(slot).blocks.as_slice().to_vec();
        let keep = usize::try_from(e.keep).unwrap_or(usize::MAX);
        if keep > blocks.len() {
            return Err(mismatch("drop blocks", &e.path, "it has fewer"));
        }
        self.file_mut(slot).blocks = blocks[..keep].iter().copied().collect::<BlockList>();
        removed.extend(blocks[keep..].iter().map(|block| self.blocks.remove(*block)));
        self.namespace.get_mut(slot).modified_ms = time_ms.into();
        let now = self.usage_if_counted(slot);
        self.charge(slot, now - used);
        Ok(())
    }
}
