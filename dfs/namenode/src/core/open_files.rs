//! Files being written, found by inode and by writer.

use std::collections::{BTreeMap, BTreeSet};

use super::inode::Slot;

/// Holds the lease of files under recovery. HDFS's name for it.
pub const RECOVERY_HOLDER: &str = "HDFS_NameNode";

/// A file that is being written, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFile {
    /// Where its inode is.
    pub slot: Slot,
    /// The client that holds the lease; [`RECOVERY_HOLDER`] while the NameNode itself recovers the file.
    pub holder: String,
    /// The address the writer called from.
    pub client_machine: String,
}

/// All files being written.
#[derive(Debug, Clone, Default)]
pub struct OpenFiles {
    by_inode: BTreeMap<u64, OpenFile>,
    by_holder: BTreeMap<String, BTreeSet<u64>>,
}

impl OpenFiles {
    /// The writer of an inode.
    pub fn get(&self, inode_id: u64) -> Option<&OpenFile> {
        self.by_inode.get(&inode_id)
    }

    /// Marks a file as being written, or hands it to another holder.
    pub fn insert(&mut self, inode_id: u64, open: OpenFile) {
        self.remove(inode_id);
        self.by_holder.entry(open.holder.clone()).or_default().insert(inode_id);
        self.by_inode.insert(inode_id, open);
    }

    /// Marks a file as closed.
    pub fn remove(&mut self, inode_id: u64) -> Option<OpenFile> {
        let open = self.by_inode.remove(&inode_id)?;
        if let Some(files) = self.by_holder.get_mut(&open.holder) {
            files.remove(&inode_id);
            if files.is_empty() {
                self.by_holder.remove(&open.holder);
            }
        }
        Some(open)
    }

    /// Inodes that `holder` writes, in order.
    pub fn of_holder(&self, holder: &str) -> impl Iterator<Item = u64> + '_ {
        self.by_holder.get(holder).into_iter().flatten().copied()
    }

    /// Everybody who writes, in order.
    pub fn holders(&self) -> impl Iterator<Item = &str> {
        self.by_holder.keys().map(String::as_str)
    }

    /// All of them by inode.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &OpenFile)> {
        self.by_inode.iter().map(|(id, open)| (*id, open))
    }

    /// Those with a greater inode id, by inode.
    pub fn iter_after(&self, after: u64) -> impl Iterator<Item = (u64, &OpenFile)> {
        let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.by_inode.range(range).map(|(id, open)| (*id, open))
    }

    /// Number of open files.
    pub fn count(&self) -> usize {
        self.by_inode.len()
    }
}
