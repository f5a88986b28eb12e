//! What fsck shows: files with their blocks and where each replica is, page by page; and the check of all volumes that comes before.

use std::collections::BTreeMap;
use std::sync::Arc;

use quarry_dfs_wire::block::{Block, BlockId};

use super::Core;
use super::block_map::BlockInfo;
use super::command::{AdminReply, Caller, CorruptReplica, FsckBlock, FsckEntry, FsckReplica, Order, Reply};
use super::datanodes::NodeIx;
use super::error::FsError;
use super::inode::Slot;
use super::locate::block_of;
use super::namespace::is_within;
use super::permission::{EXECUTE, READ};
use super::replicas::StorageIx;

/// Blocks in one page: a page is made while nobody else is served.
const PAGE_BLOCKS: usize = 2_000;
/// After a check there is none for this many times as long as it took, so that somebody who asks again and again does not keep the disks busy.
const REST: u64 = 9;

/// The last check of all volumes.
#[derive(Debug, Default)]
pub struct VolumeChecks {
    sequence: u64,
    began_tick_ms: u64,
    /// When the last DataNode that was asked had answered or was gone; `None` while one is at it.
    ended_tick_ms: Option<u64>,
    /// DataNodes asked, and the blocks that each verified once it answered.
    asked: BTreeMap<NodeIx, Option<u64>>,
}

impl Core {
    /// Has all DataNodes verify what they hold for about `budget_ms`, unless they are at it or were just now.
    pub(crate) fn check_volumes(&mut self, caller: &Caller, budget_ms: u32) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "fsck")?;
        let now = self.now.tick_ms;
        self.end_check();
        let checks = &self.volume_checks;
        let is_due = checks.sequence == 0
            || checks
                .ended_tick_ms
                .is_some_and(|end| now >= end + REST * (end - checks.began_tick_ms));
        if is_due {
            self.volume_checks.sequence += 1;
            (self.volume_checks.began_tick_ms, self.volume_checks.ended_tick_ms) = (now, None);
            let live = self
                .datanodes
                .iter()
                .filter_map(|(ix, _)| Some((ix, self.datanodes.session_of(ix)?)));
            let live: Vec<_> = live.collect();
            self.volume_checks.asked = live.iter().map(|(ix, _)| (*ix, None)).collect();
            let sequence = self.volume_checks.sequence;
            for (_, session) in live {
                self.send(session, Order::CheckVolumes { sequence, budget_ms });
            }
        }
        Ok(self.checks_pending())
    }

    /// Notes the end of a check once nobody is at it.
    fn end_check(&mut self) {
        if self.volume_checks.ended_tick_ms.is_none() && self.silent().next().is_none() {
            self.volume_checks.ended_tick_ms = Some(self.now.tick_ms);
        }
    }

    fn silent(&self) -> impl Iterator<Item = NodeIx> {
        let asked = self.volume_checks.asked.iter();
        let silent = asked.filter(|(ix, answer)| answer.is_none() && self.datanodes.is_live(**ix));
        silent.map(|(ix, _)| *ix)
    }

    /// A DataNode has verified what it holds; what it found it reported before.
    pub(crate) fn volumes_checked(&mut self, node: NodeIx, sequence: u64, verified: u64) {
        if sequence == self.volume_checks.sequence
            && let Some(answer) = self.volume_checks.asked.get_mut(&node)
        {
            *answer = Some(verified);
            self.end_check();
        }
    }

    /// Live DataNodes that have not answered the last check.
    pub(crate) fn checks_pending(&self) -> Reply {
        let names = self.silent().map(|ix| {
            let node = &self.datanodes.node(ix).descriptor;
            format!("{}:{}", node.ip, node.xfer_port)
        });
        Reply::Admin(AdminReply::Names(names.collect()))
    }

    /// A path itself, or with `entries_after` the entries of a directory behind that name. `None`: it does not exist.
    pub(crate) fn fsck_list(&self, caller: &Caller, path: &str, entries_after: Option<&str>) -> Result<Reply, FsError> {
        let slot = match self.existing(caller, path) {
            Ok(slot) => slot,
            Err(FsError::FileNotFound(_)) => return Ok(Reply::Admin(AdminReply::Fsck(None, false))),
            Err(error) => return Err(error),
        };
        let Some(after) = entries_after else {
            let entry = self.fsck_entry(slot, path.to_owned());
            return Ok(Reply::Admin(AdminReply::Fsck(Some(vec![entry]), false)));
        };
        if !self.state.namespace.get(slot).is_directory() {
            return Ok(Reply::Admin(AdminReply::Fsck(Some(Vec::new()), false)));
        }
        self.check_inode(caller, slot, READ | EXECUTE)?;
        let (mut entries, mut blocks) = (Vec::new(), 0);
        let mut rest = self.state.namespace.children_after(slot, after);
        for slot in rest.by_ref() {
            let name = self.state.namespace.get(slot).name.to_string();
            let entry = self.fsck_entry(slot, format!("{}/{name}", path.trim_end_matches('/')));
            blocks += 1 + entry.blocks.len();
            entries.push(entry);
            if blocks >= PAGE_BLOCKS {
                break;
            }
        }
        let more = rest.next().is_some();
        Ok(Reply::Admin(AdminReply::Fsck(Some(entries), more)))
    }

    fn fsck_entry(&self, slot: Slot, path: String) -> FsckEntry {
        let inode = self.state.namespace.get(slot);
        let file = inode.file();
        let blocks = file.map_or(&[][..], |file| file.blocks.as_slice()).iter();
        let open = self.state.open.get(inode.id);
        FsckEntry {
            path,
            is_directory: file.is_none(),
            length: file.map_or(0, |file| self.file_length(file)),
            replication: file.map_or(0, |file| file.replication),
            storage_policy: self.state.policy_of(slot),
            open: open.is_some(),
            blocks: blocks
                .map(|slot| self.fsck_block(self.state.blocks.get(*slot)))
                .collect(),
        }
    }

    fn fsck_block(&self, info: &BlockInfo) -> FsckBlock {
        let construction = self.construction.get(&info.id).filter(|_| !info.is_committed());
        let holders = construction.map_or_else(|| info.replicas.as_slice().to_vec(), |open| open.holders());
        let corrupt = self.replication.corrupt_holders(info.id);
        let census = self.census(info);
        let expected = self.expected_live(info, &census);
        FsckBlock {
            block: block_of(info),
            committed: info.is_committed(),
            census,
            expected,
            wanted: self.wanted(info),
            is_spread: self.is_spread(info),
            is_queued: self.replication.urgency(info.id).is_some() || self.replication.is_in_flight(info.id),
            replicas: holders.into_iter().map(|ix| self.fsck_replica(ix, false)).collect(),
            corrupt: corrupt.into_iter().map(|ix| self.fsck_replica(ix, true)).collect(),
        }
    }

    fn fsck_replica(&self, ix: StorageIx, corrupt: bool) -> FsckReplica {
        let storage = self.datanodes.storage(ix);
        let node = self.datanodes.node(storage.node);
        FsckReplica {
            node: Arc::clone(&node.descriptor),
            storage_id: Arc::clone(&storage.id),
            storage_type: storage.report.storage_type,
            admin: node.admin,
            live: self.datanodes.is_live(storage.node),
            stale: node.stale,
            corrupt,
        }
    }

    /// One block and the file that it belongs to.
    pub(crate) fn fsck_one_block(&self, caller: &Caller, id: BlockId) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "fsck")?;
        let found = self.state.blocks.find(id).map(|info| {
            let path = self.state.namespace.path_of(info.file);
            let mut entry = self.fsck_entry(info.file, path);
            entry.blocks.retain(|block| block.block.id == id);
            entry
        });
        Ok(Reply::Admin(AdminReply::Fsck(found.map(|entry| vec![entry]), false)))
    }

    /// Replicas at or below a path that were found to be corrupt since the start.
    pub(crate) fn corrupt_history(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "fsck")?;
        let found = self
            .replication
            .corrupt_found()
            .filter(|found| is_within(&found.path, path));
        let replicas = found.map(|found| {
            let storage = self.datanodes.storage(found.storage);
            let node = &self.datanodes.node(storage.node).descriptor;
            CorruptReplica {
                path: found.path.clone(),
                block: found.replica,
                node: format!("{}:{}", node.ip, node.xfer_port),
                storage_id: storage.id.to_string(),
                is_known: self.replication.is_corrupt(found.replica.id, found.storage),
                found_unix_ms: found.unix_ms,
                gone_unix_ms: found.gone_unix_ms,
            }
        });
        Ok(Reply::Admin(AdminReply::CorruptReplicas(replicas.collect())))
    }

    /// Where the file of a block is, for the record of a corrupt replica.
    pub(crate) fn path_of_block(&self, block: Block) -> String {
        let info = self.state.blocks.find(block.id);
        info.map_or_else(String::new, |info| self.state.namespace.path_of(info.file))
    }
}
