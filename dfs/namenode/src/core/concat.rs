//! concat: files become one by moving their blocks. No byte is copied.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit, RetryAnswer};
use super::error::FsError;
use super::inode::{BlockList, Slot};
use super::permission::{READ, WRITE};
use super::state::{ApplyError, State, mismatch};

impl Core {
    /// Moves the blocks of `sources` to the end of `target` and deletes the sources.
    pub(crate) fn concat(&mut self, caller: &Caller, target: &str, sources: &[String]) -> Result<Reply, FsError> {
        if sources.is_empty() {
            return Err(FsError::JavaIllegalArgument("No sources given".to_owned()));
        }
        self.check_writable(|| format!("Cannot concat {target}"))?;
        let slot = self.existing_file(caller, target)?;
        self.check_inode(caller, slot, WRITE)?;
        let inode = self.state.namespace.get(slot);
        if self.state.open.get(inode.id).is_some() {
            return Err(FsError::IllegalArgument(format!(
                "concat: target file {target} is under construction"
            )));
        }
        let mut moved = Vec::new();
        for source in sources {
            let from = self.existing_file(caller, source)?;
            self.check_inode(caller, from, READ)?;
            self.check_inode(caller, self.state.namespace.get(from).parent, WRITE)?;
            self.check_concat_source(slot, target, from, source)?;
            if moved.contains(&from) {
                let text = "concat: at least two of the source files are the same";
                return Err(FsError::IllegalArgument(text.to_owned()));
            }
            moved.push(from);
        }
        self.check_concat_quota(slot, &moved)?;
        self.edit(Edit::Concat(edit::Concat {
            target: target.to_owned(),
            sources: sources.to_vec(),
        }));
        for block in self.file(slot).blocks.as_slice().to_vec() {
            self.queue_block(self.state.blocks.get(block).id);
        }
        self.remember(caller, RetryAnswer::Void, 0);
        Ok(Reply::Void)
    }

    fn check_concat_source(&self, target: Slot, target_path: &str, from: Slot, path: &str) -> Result<(), FsError> {
        let (source, end) = (self.state.namespace.get(from), self.state.namespace.get(target));
        if source.parent != end.parent {
            return Err(FsError::IllegalArgument(format!(
                "Source file {path} is not in the same directory with the target {target_path}"
            )));
        }
        if from == target {
            return Err(FsError::IllegalArgument(format!(
                "concat: the src file {path} is the same with the target file {target_path}"
            )));
        }
        if self.state.open.get(source.id).is_some() || self.file(from).blocks.as_slice().is_empty() {
            return Err(FsError::IllegalArgument(format!(
                "concat: source file {path} is invalid or empty or underConstruction"
            )));
        }
        let (size, limit) = (self.file(from).block_size.get(), self.file(target).block_size.get());
        if size > limit {
            return Err(FsError::IllegalArgument(format!(
                "concat: source file {path} has preferred block size {size} which is greater than the target file's preferred block size {limit}"
            )));
        }
        let blocks = self.file(from).blocks.as_slice().len() + self.file(target).blocks.as_slice().len();
        if blocks > self.settings.max_blocks_per_file.max(1) {
            return Err(FsError::Io(format!(
                "concat: the file {target_path} would have more than the maximum number of blocks (max_blocks_per_file): {}",
                self.settings.max_blocks_per_file
            )));
        }
        Ok(())
    }

    /// The sources' bytes get the target's replication.
    fn check_concat_quota(&self, target: Slot, moved: &[Slot]) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() {
            return Ok(());
        }
        let mut delta = super::quota::Usage::default();
        for from in moved {
            let file = self.file(*from);
            let bytes = file
                .blocks
                .as_slice()
                .iter()
                .map(|block| self.state.counted_bytes(file, *block));
            delta = delta + self.usage_of_bytes(target, bytes.sum()) - self.state.usage_of_file(*from);
        }
        self.check_quota(self.state.namespace.get(target).parent, delta, None)
    }
}

impl State {
    pub(super) fn concat(&mut self, e: &edit::Concat, time_ms: u64) -> Result<(), ApplyError> {
        let target = self.closed_file(&e.target, "concat")?;
        let parent = self.namespace.get(target).parent;
        let mut used = self.usage_if_counted(target);
        let mut blocks = self.file_mut(target).blocks.as_slice().to_vec();
        for path in &e.sources {
            let source = self.closed_file(path, "concat")?;
            if source == target {
                return Err(mismatch("concat", path, "it is the target"));
            }
            used = used + self.usage_if_counted(source);
            let moved = std::mem::take(&mut self.file_mut(source).blocks);
            for block in moved.as_slice() {
                self.blocks.get_mut(*block).file = target;
            }
            blocks.extend_from_slice(moved.as_slice());
            self.namespace
                .remove_tree(source, |inode| self.features.forget(inode.id));
        }
        self.file_mut(target).blocks = blocks.into_iter().collect::<BlockList>();
        self.namespace.get_mut(target).modified_ms = time_ms.into();
        self.namespace.get_mut(parent).modified_ms = time_ms.into();
        let now = self.usage_if_counted(target);
        self.charge(parent, now - used);
        Ok(())
    }

    /// The file at `path`, which nobody writes.
    pub(super) fn closed_file(&self, path: &str, edit: &'static str) -> Result<Slot, ApplyError> {
        let slot = self.namespace.find(path);
        let slot = slot.filter(|slot| self.namespace.get(*slot).file().is_some());
        let slot = slot.ok_or_else(|| mismatch(edit, path, "it is no file"))?;
        match self.open.get(self.namespace.get(slot).id) {
            None => Ok(slot),
            Some(_) => Err(mismatch(edit, path, "it is open")),
        }
    }
}
