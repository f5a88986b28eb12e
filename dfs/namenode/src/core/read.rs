//! Questions about the namespace. They change nothing.

use super::Core;
use super::command::{Caller, ContentSummary, FileStatus, LocatedBlocks, Operation, Reply};
use super::error::FsError;
use super::inode::{Inode, Slot};
use super::permission::{EXECUTE, READ};

/// Entries with locations stop a page of a listing once they name this many replicas, as each costs some 200 bytes on the wire.
const LISTING_LOCATION_LIMIT: usize = 1000;

impl Core {
    pub(crate) fn execute_read(&mut self, caller: &Caller, operation: &Operation) -> Result<Reply, FsError> {
        if let Some(answer) = self.look(caller, operation) {
            return answer;
        }
        match operation {
            Operation::GetContentSummary { path } => self.get_content_summary(caller, path),
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
        Some(match operation {
            Operation::GetFileInfo { path, need_locations } => self.get_file_info(caller, path, *need_locations),
            Operation::GetListing {
                path,
                start_after,
                need_locations,
            } => self.get_listing(caller, path, start_after, *need_locations),
            Operation::GetBlockLocations { path, offset, length } => {
                self.get_block_locations(caller, path, *offset, *length)
            }
            Operation::IsFileClosed { path } => self.is_file_closed(caller, path),
            Operation::GetPreferredBlockSize { path } => self.preferred_block_size(caller, path),
            Operation::CheckAccess { path, mode } => self.check_access(caller, path, *mode),
            _ => return None,
        })
    }

    fn preferred_block_size(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.existing_file(caller, path)?;
        let file = self.state.namespace.get(slot).file();
        Ok(Reply::Number(file.map_or(0, |file| file.block_size.get())))
    }

    fn check_access(&self, caller: &Caller, path: &str, mode: u8) -> Result<Reply, FsError> {
        let slot = self.existing(caller, path)?;
        self.check_inode(caller, slot, mode).map(|()| Reply::Void)
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
        let walk = self.state.namespace.walk(path);
        match self.check_traverse(caller, &walk) {
            // Apache HDFS answers "absent" below a file, too: Hadoop's shell asks for the status of parents it has not checked.
            Err(FsError::ParentNotDirectory(_)) => return Ok(Reply::Status(None)),
            checked => checked?,
        }
        let Some(slot) = walk.target() else {
            return Ok(Reply::Status(None));
        };
        let inode = self.state.namespace.get(slot);
        let mut status = self.status(inode, String::new());
        if need_locations {
            self.check_inode(caller, slot, READ)?;
            status.locations = self.all_located_blocks(caller, inode);
        }
        Ok(Reply::Status(Some(Box::new(status))))
    }

    /// A file or directory as shown to clients, without locations.
    pub(crate) fn status(&self, inode: &Inode, name: String) -> FileStatus {
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
            locations: None,
        }
    }

    fn get_listing(
        &self,
        caller: &Caller,
        path: &str,
        start_after: &str,
        need_locations: bool,
    ) -> Result<Reply, FsError> {
        let walk = self.state.namespace.walk(path);
        self.check_traverse(caller, &walk)?;
        let Some(slot) = walk.target() else {
            return Ok(Reply::Listing(None));
        };
        let inode = self.state.namespace.get(slot);
        if !inode.is_directory() {
            let entry = self.entry(caller, inode, String::new(), need_locations);
            return Ok(Reply::Listing(Some((vec![entry], 0))));
        }
        self.check_inode(caller, slot, READ | EXECUTE)?;
        Ok(Reply::Listing(Some(self.page(
            caller,
            slot,
            start_after,
            need_locations,
        ))))
    }

    fn page(
        &self,
        caller: &Caller,
        directory: Slot,
        start_after: &str,
        need_locations: bool,
    ) -> (Vec<FileStatus>, u32) {
        let mut entries = Vec::new();
        let mut locations = 0;
        let mut rest = self.state.namespace.children_after(directory, start_after);
        while entries.len() < self.settings.list_limit && locations < LISTING_LOCATION_LIMIT {
            let Some(slot) = rest.next() else { break };
            let inode = self.state.namespace.get(slot);
            let entry = self.entry(caller, inode, inode.name.to_string(), need_locations);
            locations += entry
                .locations
                .iter()
                .flat_map(|found| &found.blocks)
                .map(|block| block.locations.len())
                .sum::<usize>();
            entries.push(entry);
        }
        (entries, rest.count() as u32)
    }

    fn entry(&self, caller: &Caller, inode: &Inode, name: String, need_locations: bool) -> FileStatus {
        let mut status = self.status(inode, name);
        if need_locations {
            status.locations = self.all_located_blocks(caller, inode);
        }
        status
    }

    fn get_block_locations(&self, caller: &Caller, path: &str, offset: u64, length: u64) -> Result<Reply, FsError> {
        let slot = self.existing_file(caller, path)?;
        self.check_inode(caller, slot, READ)?;
        let inode = self.state.namespace.get(slot);
        let Some(file) = inode.file() else {
            return Ok(Reply::Blocks(Box::default()));
        };
        let blocks = self.located_blocks(caller, inode, file, offset, length);
        self.refuse_unknown_places(path, &blocks)?;
        Ok(Reply::Blocks(Box::new(blocks)))
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
        self.check_subdirectories(caller, slot, READ | EXECUTE)?;
        let mut summary = ContentSummary::default();
        self.state.namespace.visit_tree(slot, |_, inode| {
            if let Some(file) = inode.file() {
                let length = self.file_length(file);
                summary.files += 1;
                summary.length += length;
                summary.space_consumed += length * u64::from(file.replication);
            } else {
                summary.directories += 1;
            }
            true
        });
        Ok(Reply::Summary(summary))
    }

    fn is_file_closed(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.existing_file(caller, path)?;
        Ok(Reply::Bool(
            self.state.open.get(self.state.namespace.get(slot).id).is_none(),
        ))
    }
}
