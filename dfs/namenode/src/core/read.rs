//! Questions about the namespace. They change nothing.

use super::Core;
use super::command::{Caller, ContentSummary, FileStatus, LocatedBlocks, Operation, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::Slot;
use super::permission::READ;
use super::quota::Quota;

impl Core {
    pub(crate) fn execute_read(&mut self, caller: &Caller, operation: &Operation) -> Result<Reply, FsError> {
        if let Some(answer) = self.look(caller, operation) {
            return answer;
        }
        match operation {
            Operation::GetBlockLocations { path, offset, length } => self.read_blocks(caller, path, *offset, *length),
            Operation::GetContentSummary { path } => self.get_content_summary(caller, path),
            Operation::GetQuotaUsage { path } => self.get_quota_usage(caller, path),
            Operation::GetBatchedListing {
                paths,
                start_after,
                need_locations,
            } => self.get_batched_listing(caller, paths, start_after.as_ref(), *need_locations),
            Operation::ListOpenFiles { after, path } => self.list_open_files(caller, *after, path),
            Operation::GetFsStats => Ok(Reply::Stats(self.fs_stats())),
            Operation::GetDataNodeReport { filter } => Ok(self.datanode_report(*filter)),
            Operation::GetAdditionalDataNode {
                at,
                existing,
                excluded,
                count,
            } => self.additional_datanode(caller, at, existing, excluded, *count),
            other => unreachable!("{other:?} is not a read"),
        }
    }

    /// Answers one of the short questions that make up most of a NameNode's calls: many threads may ask them at once. None if the
    /// operation is not one of these.
    pub fn look(&self, caller: &Caller, operation: &Operation) -> Option<Result<Reply, FsError>> {
        match self.resolve_reserved(caller, operation) {
            Ok(None) => self.look_at_plain(caller, operation),
            Ok(Some(resolved)) => self.look_at_plain(caller, &resolved),
            Err(refused) => Some(Err(refused)),
        }
    }

    fn look_at_plain(&self, caller: &Caller, operation: &Operation) -> Option<Result<Reply, FsError>> {
        Some(match operation {
            Operation::GetFileInfo { path, need_locations } => self.get_file_info(caller, path, *need_locations),
            Operation::GetListing {
                path,
                start_after,
                need_locations,
            } => self.get_listing(caller, path, start_after, *need_locations),
            Operation::GetBlockLocations { path, offset, length } => {
                match self.get_block_locations(caller, path, *offset, *length) {
                    // The read is to be noted, which only a step can.
                    Ok((_, slot)) if self.access_is_due(slot) => return None,
                    answer => answer.map(|(blocks, _)| blocks),
                }
            }
            Operation::IsFileClosed { path } => self.is_file_closed(caller, path),
            Operation::GetPreferredBlockSize { path } => self.preferred_block_size(caller, path),
            Operation::CheckAccess { path, mode } => self.check_access(caller, path, *mode),
            Operation::GetAclStatus { path } => self.get_acl_status(caller, path),
            Operation::GetXAttrs { path, wanted, raw } => self.get_xattrs(caller, path, wanted, *raw),
            Operation::ListXAttrs { path, raw } => self.list_xattrs(caller, path, *raw),
            Operation::GetStoragePolicy { path } => self.get_storage_policy(caller, path),
            Operation::GetLinkTarget { path } => self
                .existing(caller, path)
                .and_then(|_| Err(FsError::Io(format!("Path {path} is not a symbolic link")))),
            Operation::CheckRead { path, missing_ok } => self.check_read(caller, path, *missing_ok),
            Operation::CheckSuperuser { operation } => {
                self.check_superuser_for(caller, operation).map(|()| Reply::Void)
            }
            _ => return None,
        })
    }

    fn preferred_block_size(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.existing_file(caller, path)?;
        let file = self.state.namespace.get(slot).file();
        Ok(Reply::Number(file.map_or(0, |file| file.block_size.get())))
    }

    fn check_access(&self, caller: &Caller, path: &str, mode: u8) -> Result<Reply, FsError> {
        let missing = || FsError::FileNotFound(format!("Path not found: {path}"));
        let slot = self.found(caller, path)?.ok_or_else(missing)?;
        self.check_inode(caller, slot, mode).map(|()| Reply::Void)
    }

    /// The inode at `path`, if there is one that the caller may reach.
    pub(crate) fn found(&self, caller: &Caller, path: &str) -> Result<Option<Slot>, FsError> {
        let walk = self.state.namespace.walk(path);
        self.check_traverse(caller, &walk)?;
        Ok(walk.target())
    }

    /// The inode at `path`, whose attributes are to change.
    pub(crate) fn existing_for_change(&self, caller: &Caller, path: &str) -> Result<Slot, FsError> {
        let missing = || FsError::FileNotFound(format!("Directory/File does not exist {path}"));
        self.found(caller, path)?.ok_or_else(missing)
    }

    fn check_read(&self, caller: &Caller, path: &str, missing_ok: bool) -> Result<Reply, FsError> {
        match self.found(caller, path)? {
            Some(slot) => self.check_inode(caller, slot, READ).map(|()| Reply::Void),
            None if missing_ok => Ok(Reply::Void),
            None => Err(FsError::FileNotFound(format!("Path not found: {path}"))),
        }
    }

    /// The inode at `path`, which the caller may reach.
    pub(crate) fn existing(&self, caller: &Caller, path: &str) -> Result<Slot, FsError> {
        let walk = self.state.namespace.walk(path);
        self.check_traverse(caller, &walk)?;
        walk.target()
            .ok_or_else(|| FsError::FileNotFound(format!("File does not exist: {path}")))
    }

    /// The file at `path`, which the caller may reach.
    pub(crate) fn existing_file(&self, caller: &Caller, path: &str) -> Result<Slot, FsError> {
        let slot = self.existing(caller, path)?;
        if self.state.namespace.get(slot).is_directory() {
            return Err(FsError::FileNotFound(format!("Path is not a file: {path}")));
        }
        Ok(slot)
    }

    fn get_file_info(&self, caller: &Caller, path: &str, need_locations: bool) -> Result<Reply, FsError> {
        if let Some(status) = self.reserved_status(path) {
            return Ok(Reply::Status(Some(Box::new(status))));
        }
        let walk = self.state.namespace.walk(path);
        // A superuser hears "absent" below a file, too: Hadoop's shell asks for the status of parents it has not checked.
        if !self.is_superuser(caller) {
            self.check_traverse(caller, &walk)?;
        }
        let Some(slot) = walk.target() else {
            return Ok(Reply::Status(None));
        };
        let inode = self.state.namespace.get(slot);
        let mut status = self.status(slot, String::new());
        if need_locations {
            status.locations = self.all_located_blocks(caller, inode);
        }
        Ok(Reply::Status(Some(Box::new(status))))
    }

    /// A file or directory as shown to clients, without locations.
    pub(crate) fn status(&self, slot: Slot, name: String) -> FileStatus {
        let inode = self.state.namespace.get(slot);
        let (owner, group) = self.state.namespace.owner_and_group(inode);
        let file = inode.file();
        FileStatus {
            id: inode.id,
            name,
            is_directory: inode.is_directory(),
            length: file.map_or(0, |file| self.file_length(file)),
            permission: inode.permission,
            owner: owner.to_owned(),
            group: group.to_owned(),
            modified_ms: inode.modified_ms.get(),
            accessed_ms: inode.accessed_ms.get(),
            replication: file.map_or(0, |file| file.replication),
            block_size: file.map_or(0, |file| file.block_size.get()),
            children: inode.children().map_or(0, |children| children.len() as u32),
            has_acl: self.state.features.acl(inode.id).is_some(),
            storage_policy: self.state.policy_of(slot),
            locations: None,
        }
    }

    fn get_block_locations(
        &self,
        caller: &Caller,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<(Reply, Slot), FsError> {
        let slot = self.existing_file(caller, path)?;
        self.check_inode(caller, slot, READ)?;
        self.check_readable_by_superuser(caller, slot)?;
        let inode = self.state.namespace.get(slot);
        let file = self.file(slot);
        let blocks = self.located_blocks(caller, inode, file, offset, length);
        self.refuse_unknown_places(path, &blocks)?;
        Ok((Reply::Blocks(Box::new(blocks)), slot))
    }

    /// As [`Self::look`] answers, and notes that the file was read.
    fn read_blocks(&mut self, caller: &Caller, path: &str, offset: u64, length: u64) -> Result<Reply, FsError> {
        let (blocks, slot) = self.get_block_locations(caller, path, offset, length)?;
        if self.access_is_due(slot) {
            self.edit(Edit::SetTimes(edit::SetTimes {
                path: path.to_owned(),
                modified_ms: None,
                accessed_ms: Some(self.now.unix_ms),
            }));
        }
        Ok(blocks)
    }

    /// Access times are noted no more often than their precision asks, and never in safe mode.
    fn access_is_due(&self, slot: Slot) -> bool {
        let precision = self.settings.access_time_precision_ms;
        let accessed = self.state.namespace.get(slot).accessed_ms.get();
        precision > 0 && self.now.unix_ms > accessed.saturating_add(precision) && !self.safe_mode.is_on()
    }

    /// While reports are still coming in, a block without places is not lost: the client should ask again.
    fn refuse_unknown_places(&self, path: &str, blocks: &LocatedBlocks) -> Result<(), FsError> {
        let unknown = blocks.blocks.iter().any(|block| block.locations.is_empty());
        if unknown && self.safe_mode.is_startup() {
            return self.check_writable(|| format!("Zero blocklocations for {path}"));
        }
        Ok(())
    }

    fn get_content_summary(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.existing(caller, path)?;
        self.check_list_below(caller, slot)?;
        Ok(Reply::Summary(Box::new(self.summary(slot))))
    }

    fn get_quota_usage(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let missing = || FsError::FileNotFound(format!("File/Directory does not exist: {path}"));
        let slot = self.found(caller, path)?.ok_or_else(missing)?;
        self.check_list_below(caller, slot)?;
        Ok(Reply::Summary(Box::new(self.summary(slot))))
    }

    fn summary(&self, slot: Slot) -> ContentSummary {
        let mut summary = ContentSummary {
            quota: self.shown_quota(slot),
            is_file: !self.state.namespace.get(slot).is_directory(),
            ..ContentSummary::default()
        };
        self.state.namespace.visit_tree(slot, |slot, inode| {
            if let Some(file) = inode.file() {
                let used = self.state.usage_of_file(slot);
                summary.files += 1;
                summary.length += self.file_length(file);
                summary.space_consumed += used.space.unsigned_abs();
                for (sum, more) in summary.types_consumed.iter_mut().zip(used.types) {
                    *sum += more.unsigned_abs();
                }
            } else {
                summary.directories += 1;
            }
            true
        });
        summary
    }

    /// A directory's quotas as clients see them: the root directory has one of names that nobody reaches, as in HDFS.
    fn shown_quota(&self, slot: Slot) -> Quota {
        let id = self.state.namespace.get(slot).id;
        let mut quota = self.state.features.quotas.get(&id).copied().unwrap_or_default();
        if slot == self.state.namespace.root() {
            quota.names = quota.names.or(Some(i64::MAX));
        }
        quota
    }

    fn is_file_closed(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.existing_file(caller, path)?;
        Ok(Reply::Bool(
            self.state.open.get(self.state.namespace.get(slot).id).is_none(),
        ))
    }
}
