//! The durable part of the NameNode and the one function that changes it: [`State::apply`], used alike when a command is
//! executed and when the log is replayed.

use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use thiserror::Error;

use super::block_map::{BlockInfo, BlockMap, BlockState, FIRST_BLOCK_ID, FIRST_GENERATION_STAMP};
use super::edit::{self, Edit, EditRecord};
use super::features::Features;
use super::inode::{Body, FileBody, Inode, ROOT_INODE_ID, Slot};
use super::namespace::{Namespace, last_component, parent_path};
use super::node_wishes::NodeWishes;
use super::open_files::{OpenFile, OpenFiles, RECOVERY_HOLDER};
use super::quota::Usage;
use super::replicas::Replicas;
use super::retry_cache::RetryCache;
use super::small::U48;

/// Everything that survives a restart.
#[derive(Debug, Clone)]
pub struct State {
    /// The directory tree.
    pub namespace: Namespace,
    /// The blocks. Their replica sets are not durable.
    pub blocks: BlockMap,
    /// Files being written, by inode id.
    pub open: OpenFiles,
    /// What few inodes have.
    pub features: Features,
    /// Answers to repeat.
    pub retries: RetryCache,
    /// What administrators said of DataNodes.
    pub nodes: NodeWishes,
    /// The next inode's id.
    pub next_inode_id: u64,
    /// The next block's id.
    pub next_block_id: u64,
    /// The next generation stamp.
    pub next_generation_stamp: u64,
    /// The last transaction applied.
    pub last_txid: u64,
}

/// A record that does not fit the state before it: the log or image is damaged in a way that its checksums do not show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// Transactions must follow each other without a gap.
    #[error("transaction {found} follows transaction {last}: expected {expected}", expected = last + 1)]
    Gap {
        /// The last transaction applied.
        last: u64,
        /// The transaction offered.
        found: u64,
    },
    /// An edit of a kind that this version does not know.
    #[error("transaction {txid} holds an edit of unknown kind: a newer version wrote it")]
    UnknownEdit {
        /// The transaction.
        txid: u64,
    },
    /// An edit names a path, file or block that the state does not have.
    #[error("{edit} of {subject}: {problem}")]
    Mismatch {
        /// The kind of edit.
        edit: &'static str,
        /// What it names.
        subject: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

pub(crate) fn mismatch(edit: &'static str, subject: impl ToString, problem: &'static str) -> ApplyError {
    ApplyError::Mismatch {
        edit,
        subject: subject.to_string(),
        problem,
    }
}

impl State {
    /// The state of a newly formatted cluster: the root directory and nothing else.
    pub fn new(superuser: &str, supergroup: &str) -> Self {
        Self {
            namespace: Namespace::new(superuser, supergroup, 0o755),
            blocks: BlockMap::default(),
            open: OpenFiles::default(),
            features: Features::default(),
            retries: RetryCache::default(),
            nodes: NodeWishes::default(),
            next_inode_id: ROOT_INODE_ID + 1,
            next_block_id: FIRST_BLOCK_ID,
            next_generation_stamp: FIRST_GENERATION_STAMP,
            last_txid: 0,
        }
    }

    /// Applies one record of the log.
    ///
    /// # Errors
    /// When it does not follow from the state; the state is then unusable.
    pub fn replay(&mut self, record: &EditRecord) -> Result<(), ApplyError> {
        if record.txid != self.last_txid + 1 {
            return Err(ApplyError::Gap {
                last: self.last_txid,
                found: record.txid,
            });
        }
        for entry in &record.edits {
            let edit = entry
                .edit
                .as_ref()
                .ok_or(ApplyError::UnknownEdit { txid: record.txid })?;
            self.apply(edit, record.time_ms, &mut Vec::new())?;
        }
        if let Some(retry) = &record.retry {
            self.retries.insert(retry.clone());
        }
        self.retries.expire(record.time_ms);
        self.last_txid = record.txid;
        Ok(())
    }

    /// Applies one edit. Blocks that it removes are handed to `removed`, so that their replicas can be deleted.
    ///
    /// # Errors
    /// When the edit does not fit the state.
    pub fn apply(&mut self, edit: &Edit, time_ms: u64, removed: &mut Vec<BlockInfo>) -> Result<(), ApplyError> {
        match edit {
            Edit::MakeDirectory(e) => self.make_directory(e, time_ms),
            Edit::CreateFile(e) => self.create_file(e, time_ms),
            Edit::AllocateBlock(e) => self.charging_open(e.inode_id, |state| state.allocate_block(e)),
            Edit::CommitBlock(e) => self.charging_open(e.inode_id, |state| {
                state.change_last_block("commit", e, BlockState::Committed)
            }),
            Edit::UpdateBlock(e) => self.charging_open(e.inode_id, |state| {
                state.change_last_block("update", e, BlockState::UnderConstruction)
            }),
            Edit::AbandonBlock(e) => self.charging_open(e.inode_id, |state| state.abandon_block(e, removed)),
            Edit::CloseFile(e) => self.close_file(e, time_ms),
            Edit::ReopenFile(e) => self.charging_path(&e.path, |state| state.reopen_file(e)),
            Edit::Delete(e) => self.delete(e, time_ms, removed),
            Edit::Rename(e) => self.rename(e, time_ms),
            Edit::SetPermission(e) => self.change(&e.path, "set permission", |inode| {
                inode.permission = e.permission as u16
            }),
            Edit::SetOwner(e) => self.set_owner(e),
            Edit::SetTimes(e) => self.change(&e.path, "set times", |inode| {
                inode.modified_ms = e.modified_ms.map_or(inode.modified_ms, U48::from);
                inode.accessed_ms = e.accessed_ms.map_or(inode.accessed_ms, U48::from);
            }),
            Edit::SetReplication(e) => self.charging_path(&e.path, |state| state.set_replication(e)),
            Edit::UseGenerationStamp(e) => {
                self.use_generation_stamp(e.generation_stamp);
                Ok(())
            }
            Edit::BeginRecovery(e) => self.charging_open(e.inode_id, |state| state.begin_recovery(e)),
            Edit::BeginTruncate(e) => self.charging_open(e.inode_id, |state| state.begin_truncate(e)),
            Edit::SetAcl(e) => self.set_acl(e),
            Edit::SetXAttr(e) => self.set_xattr(e),
            Edit::RemoveXAttr(e) => self.remove_xattr(e),
            Edit::SetStoragePolicy(e) => self.set_policy(e),
            Edit::SetQuota(e) => self.set_quota(e),
            Edit::Concat(e) => self.concat(e, time_ms),
            Edit::DropBlocks(e) => self.drop_blocks(e, time_ms, removed),
            Edit::SetNodeAdmin(e) => self.nodes.set_admin(&e.uuid, e.state, e.expires_unix_ms),
            Edit::SetNodeRack(e) => {
                self.nodes.set_rack(&e.uuid, &e.rack);
                Ok(())
            }
        }
    }

    fn use_generation_stamp(&mut self, stamp: u64) {
        self.next_generation_stamp = self.next_generation_stamp.max(stamp + 1);
    }

    /// The parent directory for a new entry `path`, checked to be free.
    fn free_place(&self, path: &str, edit: &'static str) -> Result<Slot, ApplyError> {
        let parent = parent_path(path).and_then(|parent| self.namespace.find(parent));
        let parent = parent.ok_or_else(|| mismatch(edit, path, "its parent does not exist"))?;
        if !self.namespace.get(parent).is_directory() {
            return Err(mismatch(edit, path, "its parent is a file"));
        }
        if self.namespace.child(parent, last_component(path)).is_some() {
            return Err(mismatch(edit, path, "it exists"));
        }
        Ok(parent)
    }

    fn make_directory(&mut self, e: &edit::MakeDirectory, time_ms: u64) -> Result<(), ApplyError> {
        let parent = self.free_place(&e.path, "make directory")?;
        let (owner, group) = (self.namespace.intern(&e.owner), self.namespace.intern(&e.group));
        self.link(Inode {
            id: e.inode_id,
            parent,
            name: last_component(&e.path).into(),
            modified_ms: time_ms.into(),
            accessed_ms: 0.into(),
            owner,
            group,
            permission: e.permission as u16,
            body: Body::Directory(Box::default()),
        });
        self.namespace.get_mut(parent).modified_ms = time_ms.into();
        Ok(())
    }

    fn link(&mut self, inode: Inode) -> Slot {
        self.next_inode_id = self.next_inode_id.max(inode.id + 1);
        self.charge(inode.parent, Usage::NAME);
        self.namespace.link(inode)
    }

    fn create_file(&mut self, e: &edit::CreateFile, time_ms: u64) -> Result<(), ApplyError> {
        let parent = self.free_place(&e.path, "create")?;
        let (owner, group) = (self.namespace.intern(&e.owner), self.namespace.intern(&e.group));
        let file = FileBody {
            replication: e.replication as u16,
            block_size: e.block_size.into(),
            ..FileBody::default()
        };
        let slot = self.link(Inode {
            id: e.inode_id,
            parent,
            name: last_component(&e.path).into(),
            modified_ms: time_ms.into(),
            accessed_ms: time_ms.into(),
            owner,
            group,
            permission: e.permission as u16,
            body: Body::File(file),
        });
        self.namespace.get_mut(parent).modified_ms = time_ms.into();
        let open = OpenFile {
            slot,
            holder: e.holder.clone(),
            client_machine: e.client_machine.clone(),
        };
        self.open.insert(e.inode_id, open);
        Ok(())
    }

    /// The inode of an open file.
    fn open_slot(&self, inode_id: u64, edit: &'static str) -> Result<Slot, ApplyError> {
        let open = self
            .open
            .get(inode_id)
            .ok_or_else(|| mismatch(edit, format!("inode {inode_id}"), "it is not open"))?;
        Ok(open.slot)
    }

    /// Makes a change to an open file's blocks and counts what it uses then.
    fn charging_open<T>(&mut self, inode_id: u64, change: impl FnOnce(&mut Self) -> T) -> T {
        match self.open.get(inode_id).map(|open| open.slot) {
            Some(slot) => self.charging(slot, change),
            None => change(self),
        }
    }

    fn charging_path<T>(&mut self, path: &str, change: impl FnOnce(&mut Self) -> T) -> T {
        if self.features.quotas.is_empty() {
            return change(self);
        }
        match self.namespace.find(path) {
            Some(slot) => self.charging(slot, change),
            None => change(self),
        }
    }

    pub(super) fn file_mut(&mut self, slot: Slot) -> &mut FileBody {
        self.namespace.get_mut(slot).file_mut().expect("only files are open")
    }

    fn allocate_block(&mut self, e: &edit::BlockEdit) -> Result<(), ApplyError> {
        let file = self.open_slot(e.inode_id, "allocate block")?;
        if self.blocks.find(BlockId(e.block_id)).is_some() {
            return Err(mismatch("allocate block", format!("block {}", e.block_id), "it exists"));
        }
        let slot = self.blocks.insert(BlockInfo {
            id: BlockId(e.block_id),
            generation_stamp: GenerationStamp(e.generation_stamp),
            length: 0,
            file,
            state: BlockState::UnderConstruction,
            replicas: Replicas::default(),
        });
        self.file_mut(file).blocks.push(slot);
        self.next_block_id = self.next_block_id.max(e.block_id + 1);
        self.use_generation_stamp(e.generation_stamp);
        Ok(())
    }

    /// The position of block `e`, which must be one of the last two blocks of the open file that it names.
    fn tail_block(&self, edit: &'static str, e: &edit::BlockEdit) -> Result<u32, ApplyError> {
        let file = self.open_slot(e.inode_id, edit)?;
        let slot = self.blocks.slot_of(BlockId(e.block_id));
        slot.filter(|slot| self.blocks.get(*slot).file == file).ok_or_else(|| {
            mismatch(
                edit,
                format!("block {}", e.block_id),
                "it is not a block of that open file",
            )
        })
    }

    fn change_last_block(&mut self, edit: &'static str, e: &edit::BlockEdit, to: BlockState) -> Result<(), ApplyError> {
        let slot = self.tail_block(edit, e)?;
        let block = self.blocks.get_mut(slot);
        block.generation_stamp = GenerationStamp(e.generation_stamp);
        block.length = e.length;
        block.state = to;
        self.use_generation_stamp(e.generation_stamp);
        Ok(())
    }

    fn begin_recovery(&mut self, e: &edit::BlockEdit) -> Result<(), ApplyError> {
        let slot = self.tail_block("begin recovery", e)?;
        self.blocks.get_mut(slot).state = BlockState::UnderRecovery;
        self.use_generation_stamp(e.generation_stamp);
        if let Some(open) = self.open.remove(e.inode_id) {
            self.open.insert(
                e.inode_id,
                OpenFile {
                    holder: RECOVERY_HOLDER.to_owned(),
                    ..open
                },
            );
        }
        Ok(())
    }

    fn begin_truncate(&mut self, e: &edit::BlockEdit) -> Result<(), ApplyError> {
        let slot = self.tail_block("begin truncate", e)?;
        let block = self.blocks.get_mut(slot);
        block.state = BlockState::UnderTruncate;
        block.length = e.length;
        self.use_generation_stamp(e.generation_stamp);
        Ok(())
    }

    fn abandon_block(&mut self, e: &edit::BlockEdit, removed: &mut Vec<BlockInfo>) -> Result<(), ApplyError> {
        let slot = self.tail_block("abandon", e)?;
        let file = self.blocks.get(slot).file;
        if self.file_mut(file).blocks.last() != Some(slot) {
            return Err(mismatch(
                "abandon",
                format!("block {}", e.block_id),
                "it is not the last block",
            ));
        }
        self.file_mut(file).blocks.pop();
        removed.push(self.blocks.remove(slot));
        Ok(())
    }

    fn close_file(&mut self, e: &edit::CloseFile, time_ms: u64) -> Result<(), ApplyError> {
        let slot = self.open_slot(e.inode_id, "close")?;
        self.open.remove(e.inode_id);
        self.namespace.get_mut(slot).modified_ms = time_ms.into();
        Ok(())
    }

    fn reopen_file(&mut self, e: &edit::ReopenFile) -> Result<(), ApplyError> {
        let slot = self
            .namespace
            .find(&e.path)
            .ok_or_else(|| mismatch("reopen", &e.path, "it does not exist"))?;
        let inode = self.namespace.get(slot);
        let id = inode.id;
        let file = inode
            .file()
            .ok_or_else(|| mismatch("reopen", &e.path, "it is a directory"))?;
        if let Some(last) = file.blocks.last().filter(|_| e.reopen_last_block) {
            self.blocks.get_mut(last).state = BlockState::UnderConstruction;
        }
        let open = OpenFile {
            slot,
            holder: e.holder.clone(),
            client_machine: e.client_machine.clone(),
        };
        self.open.insert(id, open);
        Ok(())
    }

    fn delete(&mut self, e: &edit::Delete, time_ms: u64, removed: &mut Vec<BlockInfo>) -> Result<(), ApplyError> {
        let slot = self
            .namespace
            .find(&e.path)
            .filter(|slot| *slot != self.namespace.root());
        let slot = slot.ok_or_else(|| mismatch("delete", &e.path, "it does not exist"))?;
        let parent = self.namespace.get(slot).parent;
        let used = self.usage_if_counted(slot);
        self.charge(parent, -used);
        let (blocks, open, features) = (&mut self.blocks, &mut self.open, &mut self.features);
        self.namespace.remove_tree(slot, |inode| {
            features.forget(inode.id);
            if let Some(file) = inode.file() {
                removed.extend(file.blocks.as_slice().iter().map(|block| blocks.remove(*block)));
                open.remove(inode.id);
            }
        });
        self.namespace.get_mut(parent).modified_ms = time_ms.into();
        Ok(())
    }

    fn rename(&mut self, e: &edit::Rename, time_ms: u64) -> Result<(), ApplyError> {
        let slot = self
            .namespace
            .find(&e.source)
            .filter(|slot| *slot != self.namespace.root());
        let slot = slot.ok_or_else(|| mismatch("rename", &e.source, "it does not exist"))?;
        let parent = self.free_place(&e.destination, "rename")?;
        let old_parent = self.namespace.get(slot).parent;
        let used = self.usage_if_counted(slot);
        self.charge(old_parent, -used);
        self.namespace.relink(slot, parent, last_component(&e.destination));
        // The policies on the new path may put other bytes on other types.
        let used = self.usage_if_counted(slot);
        self.charge(parent, used);
        if !self.features.policies.is_empty() {
            self.recount_below(slot);
        }
        self.namespace.get_mut(old_parent).modified_ms = time_ms.into();
        self.namespace.get_mut(parent).modified_ms = time_ms.into();
        Ok(())
    }

    fn change(&mut self, path: &str, edit: &'static str, change: impl FnOnce(&mut Inode)) -> Result<(), ApplyError> {
        let slot = self
            .namespace
            .find(path)
            .ok_or_else(|| mismatch(edit, path, "it does not exist"))?;
        change(self.namespace.get_mut(slot));
        Ok(())
    }

    fn set_owner(&mut self, e: &edit::SetOwner) -> Result<(), ApplyError> {
        let owner = (!e.owner.is_empty()).then(|| self.namespace.intern(&e.owner));
        let group = (!e.group.is_empty()).then(|| self.namespace.intern(&e.group));
        self.change(&e.path, "set owner", |inode| {
            inode.owner = owner.unwrap_or(inode.owner);
            inode.group = group.unwrap_or(inode.group);
        })
    }

    fn set_replication(&mut self, e: &edit::SetReplication) -> Result<(), ApplyError> {
        let slot = self
            .namespace
            .find(&e.path)
            .ok_or_else(|| mismatch("set replication", &e.path, "it does not exist"))?;
        let file = self.namespace.get_mut(slot).file_mut();
        file.ok_or_else(|| mismatch("set replication", &e.path, "it is a directory"))?
            .replication = e.replication as u16;
        Ok(())
    }
}
