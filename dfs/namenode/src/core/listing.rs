//! Listings: one directory, several at once, files being written.

use super::Core;
use super::command::{BatchedListing, Caller, FileStatus, OpenFileEntry, PartialListing, Reply};
use super::error::FsError;
use super::inode::{Inode, Slot};
use super::namespace::is_within;
use super::permission::{EXECUTE, READ};

/// Entries with locations stop a page of a listing once they name this many replicas, as each costs some 200 bytes on the wire.
const LISTING_LOCATION_LIMIT: usize = 1000;
/// Files being written in one page of their list. HDFS's value.
const OPEN_FILES_PAGE: usize = 1000;
/// Most paths in one batched listing. HDFS's value.
const BATCH_LIMIT: usize = 100;

/// Entries and how many remain after them.
type Page = (Vec<FileStatus>, u32);

impl Core {
    pub(crate) fn get_listing(
        &self,
        caller: &Caller,
        path: &str,
        start_after: &str,
        need_locations: bool,
    ) -> Result<Reply, FsError> {
        self.list(caller, path, start_after, need_locations, self.settings.list_limit)
            .map(Reply::Listing)
    }

    /// A page of a directory; a file is listed as itself; `None` where there is nothing.
    fn list(
        &self,
        caller: &Caller,
        path: &str,
        start_after: &str,
        need_locations: bool,
        limit: usize,
    ) -> Result<Option<Page>, FsError> {
        if let Some(listed) = self.list_reserved(path) {
            return Ok(Some((listed, 0)));
        }
        if let Some(directory) = path.strip_suffix("/.snapshot") {
            return Err(FsError::Snapshot(format!(
                "Directory is not a snapshottable directory: {}",
                if directory.is_empty() { "/" } else { directory }
            )));
        }
        let Some(slot) = self.found(caller, path)? else {
            return Ok(None);
        };
        let inode = self.state.namespace.get(slot);
        if !inode.is_directory() {
            let entry = self.entry(caller, slot, inode, String::new(), need_locations);
            return Ok(Some((vec![entry], 0)));
        }
        self.check_inode(caller, slot, READ | EXECUTE)?;
        Ok(Some(self.page(caller, slot, start_after, need_locations, limit)))
    }

    fn page(&self, caller: &Caller, directory: Slot, start_after: &str, need_locations: bool, limit: usize) -> Page {
        let mut entries = Vec::new();
        let mut locations = 0;
        let mut rest = self.state.namespace.children_after(directory, start_after);
        while entries.len() < limit && locations < LISTING_LOCATION_LIMIT {
            let Some(slot) = rest.next() else { break };
            let inode = self.state.namespace.get(slot);
            let entry = self.entry(caller, slot, inode, inode.name.to_string(), need_locations);
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

    fn entry(&self, caller: &Caller, slot: Slot, inode: &Inode, name: String, need_locations: bool) -> FileStatus {
        let mut status = self.status(slot, name);
        if need_locations {
            status.locations = self.all_located_blocks(caller, inode);
        }
        status
    }

    /// Entries of several paths, in one page. A path that cannot be listed says why and does not fail the others.
    pub(crate) fn get_batched_listing(
        &self,
        caller: &Caller,
        paths: &[String],
        start_after: Option<&(usize, String)>,
        need_locations: bool,
    ) -> Result<Reply, FsError> {
        if paths.len() > BATCH_LIMIT {
            return Err(FsError::IllegalArgument(format!(
                "Too many source paths ({} > {BATCH_LIMIT})",
                paths.len()
            )));
        }
        let (first, mut after) = start_after.map_or((0, ""), |(index, name)| (*index, name));
        let mut batch = BatchedListing {
            listings: Vec::new(),
            next: None,
        };
        let mut room = self.settings.list_limit;
        for (index, path) in paths.iter().enumerate().skip(first) {
            let listed = self.list(caller, path, std::mem::take(&mut after), need_locations, room);
            let listed = listed
                .and_then(|page| page.ok_or_else(|| FsError::FileNotFound(format!("Path {path} does not exist"))));
            let mut next = None;
            let entries = listed.map(|(entries, remaining)| {
                room = room.saturating_sub(entries.len());
                if remaining > 0 {
                    next = entries.last().map(|last| (index, last.name.clone()));
                }
                entries
            });
            batch.listings.push(PartialListing { index, entries });
            if next.is_none() && room == 0 && index + 1 < paths.len() {
                next = Some((index + 1, String::new()));
            }
            if next.is_some() {
                batch.next = next;
                break;
            }
        }
        Ok(Reply::Batched(Box::new(batch)))
    }

    /// Files being written below a path, a page of them in the order of their ids.
    pub(crate) fn list_open_files(&self, caller: &Caller, after: u64, path: &str) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "listOpenFiles")?;
        let mut entries = Vec::new();
        for (id, open) in self.state.open.iter_after(after) {
            let open_path = self.state.namespace.path_of(open.slot);
            if !is_within(&open_path, path) {
                continue;
            }
            if entries.len() == OPEN_FILES_PAGE {
                return Ok(Reply::OpenFiles(entries, true));
            }
            entries.push(OpenFileEntry {
                id,
                path: open_path,
                holder: open.holder.clone(),
                client_machine: open.client_machine.clone(),
            });
        }
        Ok(Reply::OpenFiles(entries, false))
    }
}
