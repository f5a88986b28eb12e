//! What DataNodes say: registrations, heartbeats, replicas that come and go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quarry_dfs_wire::block::{Block, BlockId};

use super::Core;
use super::command::{
    DataNodeMessage, Order, Registration, ReplicaChange, ReplicaNews, ReplicaState, Reply, ReportedReplica, SessionId,
    StorageReport,
};
use super::datanodes::{AdminState, Liveness, NodeIx};
use super::error::FsError;
use super::id_set::IdSet;
use super::replicas::StorageIx;

/// A replica reported this recently is not taken for missing when a full report that was put together earlier lacks it.
const RECENT_MS: u64 = 60_000;

/// Full reports that are coming in, and replicas too young to be in them.
#[derive(Debug, Default)]
pub struct FullReports {
    seen: BTreeMap<StorageIx, IdSet>,
    recent: VecDeque<(u64, StorageIx, BlockId)>,
}

impl FullReports {
    fn note_recent(&mut self, tick_ms: u64, storage: StorageIx, block: BlockId) {
        self.recent.push_back((tick_ms, storage, block));
        while self.recent.front().is_some_and(|(at, ..)| at + RECENT_MS < tick_ms) {
            self.recent.pop_front();
        }
    }

    fn forget_storage(&mut self, storage: StorageIx) {
        self.seen.remove(&storage);
        self.recent.retain(|(_, other, _)| *other != storage);
    }
}

impl Core {
    /// Takes a DataNode in. A second process with the uuid of a live one is refused; the same one coming back is not.
    pub(crate) fn register(&mut self, session: SessionId, registration: Registration) -> Result<(), FsError> {
        self.refuse_duplicate(&registration)?;
        if !self.hosts.admits(&registration.descriptor) {
            return Err(FsError::Io(format!(
                "DataNode denied communication with the NameNode because the host is not in the include-list: {}:{}",
                registration.descriptor.ip, registration.descriptor.xfer_port
            )));
        }
        let racks = self.datanodes.live_racks();
        let full = || {
            FsError::Io(
                "the table of DataNodes and volumes is full (65535): restart the NameNode to forget old ones"
                    .to_owned(),
            )
        };
        let registered = self
            .datanodes
            .register(registration.descriptor, session, self.now.tick_ms);
        let (node, replaced) = registered.ok_or_else(full)?;
        if let Some(old) = replaced {
            self.send(
                old,
                Order::Close {
                    reason: "a newer connection of the same DataNode took its place".to_owned(),
                },
            );
        }
        let mut present = BTreeSet::new();
        for report in registration.storages {
            present.insert(self.update_storage(node, report).ok_or_else(full)?);
        }
        self.datanodes.node_mut(node).software_version = registration.software_version;
        for storage in self.datanodes.node(node).storages.clone() {
            self.holdings.keep(storage);
            // What was promised before the connection broke will not come: the full report tells what there is.
            self.full_reports.forget_storage(storage);
            if !present.contains(&storage) {
                self.datanodes.storage_mut(storage).report.failed = true;
                self.lose_storage(storage);
            }
        }
        self.datanodes.node_mut(node).unreported = present;
        let storages = &self.datanodes.node(node).storages;
        self.replication.forget_copies_of(node, storages);
        self.place_on_rack(node);
        self.apply_wishes(node);
        self.racks_changed(racks);
        // What it still was thought to hold counts again.
        self.recheck_node(node);
        self.replication.retry_soon();
        if let Some(balancing) = self.balancer_bandwidth {
            self.send(session, Order::SetBandwidth { balancing });
        }
        Ok(())
    }

    fn refuse_duplicate(&self, registration: &Registration) -> Result<(), FsError> {
        let new = &registration.descriptor;
        let Some(node) = self
            .datanodes
            .by_uuid(&new.uuid)
            .filter(|ix| self.datanodes.is_live(*ix))
        else {
            return Ok(());
        };
        let known = self.datanodes.node(node);
        let same_place = (&known.descriptor.ip, known.descriptor.xfer_port) == (&new.ip, new.xfer_port);
        let silent_ms = self.now.tick_ms.saturating_sub(known.last_seen_tick_ms);
        if same_place || silent_ms >= self.settings.lost_grace_ms {
            return Ok(());
        }
        Err(FsError::Io(format!(
            "DataNode {} is already connected from {}:{}: two processes use the same directory, or a copy of it",
            new.uuid, known.descriptor.ip, known.descriptor.xfer_port
        )))
    }

    fn update_storage(&mut self, node: NodeIx, report: StorageReport) -> Option<StorageIx> {
        let failed = report.failed;
        let before = self.datanodes.find_storage(node, &report.storage_id);
        let had_failed = before.is_some_and(|ix| self.datanodes.storage(ix).report.failed);
        let ix = self.datanodes.report_storage(node, report)?;
        if failed && !had_failed {
            self.lose_storage(ix);
        }
        Some(ix)
    }

    /// Takes in news from a DataNode's current session.
    pub(crate) fn take_message(&mut self, session: SessionId, message: DataNodeMessage) {
        let Some(node) = self.datanodes.by_session(session) else {
            return;
        };
        let known = self.datanodes.node_mut(node);
        (known.last_seen_tick_ms, known.stale) = (self.now.tick_ms, false);
        match message {
            DataNodeMessage::Heartbeat {
                storages,
                active_transfers,
                health,
            } => {
                let known = self.datanodes.node_mut(node);
                (known.load, known.health) = (active_transfers, health);
                for report in storages {
                    self.update_storage(node, report);
                }
            }
            DataNodeMessage::Changes(changes) => {
                for news in changes {
                    if let Some(storage) = self.datanodes.find_storage(node, &news.storage_id) {
                        self.replica_changed(storage, &news);
                    }
                }
            }
            DataNodeMessage::FullReport {
                storage_id,
                replicas,
                last_part,
            } => {
                if let Some(storage) = self.datanodes.find_storage(node, &storage_id) {
                    self.full_report(storage, &replicas, last_part);
                }
            }
            DataNodeMessage::VolumesChecked { sequence, verified } => self.volumes_checked(node, sequence, verified),
            DataNodeMessage::CopyFailed { block } => self.copy_failed(block, node),
            DataNodeMessage::Recovered {
                block,
                generation_stamp,
                length,
                holders,
                error,
            } => {
                self.recovered(block, generation_stamp, length, &holders, &error);
            }
        }
        self.check_safe_mode();
    }

    fn replica_changed(&mut self, storage: StorageIx, news: &ReplicaNews) {
        let replica = news.replica;
        let id = replica.block.id;
        match news.change {
            ReplicaChange::Receiving => {
                let replica = ReportedReplica {
                    state: ReplicaState::Rbw,
                    ..replica
                };
                if self.state.blocks.find(id).is_some_and(|block| !block.is_committed()) {
                    self.report_construction(storage, replica);
                }
            }
            ReplicaChange::Received => {
                self.release_room(storage, replica.block);
                self.replication.clear_corrupt(id, storage, self.now.unix_ms);
                self.full_reports.note_recent(self.now.tick_ms, storage, id);
                self.present(
                    storage,
                    ReportedReplica {
                        state: ReplicaState::Finalized,
                        ..replica
                    },
                );
                if !news.delete_hint.is_empty() {
                    self.finish_replacement(id, storage, &news.delete_hint);
                }
            }
            ReplicaChange::Deleted => {
                self.replication.clear_corrupt(id, storage, self.now.unix_ms);
                self.remove_replica(id, storage);
            }
            ReplicaChange::Corrupt => self.mark_corrupt(storage, replica.block),
        }
    }

    /// A finished replica takes what it holds, no longer what its whole block was promised: many small files between two heartbeats would
    /// seem to fill every volume.
    fn release_room(&mut self, storage: StorageIx, replica: Block) {
        let Some(block) = self.state.blocks.find(replica.id) else {
            return;
        };
        // A copy was promised its length.
        if self.replication.is_copied_to(replica.id, storage) {
            return;
        }
        let promised = self.file(block.file).block_size.get();
        let storage = self.datanodes.storage_mut(storage);
        storage.scheduled = storage
            .scheduled
            .saturating_sub(promised.saturating_sub(replica.length));
    }

    /// A storage has a replica: sort it into what is known of its block.
    fn present(&mut self, storage: StorageIx, replica: ReportedReplica) {
        let id = replica.block.id;
        let Some(block) = self.state.blocks.find(id) else {
            return self.delete_unknown(storage, replica);
        };
        let (file, committed) = (block.file, block.is_committed());
        if !committed {
            self.report_construction(storage, replica);
        } else if replica.state == ReplicaState::Finalized {
            self.take_replica(storage, replica);
        } else if replica.state == ReplicaState::Rwr {
            // It missed the end of a block that others completed.
            self.mark_corrupt(storage, replica.block);
        }
        let inode_id = self.state.namespace.get(file).id;
        self.parked.wake(inode_id);
        self.close_if_waiting(inode_id);
    }

    /// Nobody knows the block any more. One that was never given out is kept: then it is the NameNode that forgot.
    fn delete_unknown(&mut self, storage: StorageIx, replica: ReportedReplica) {
        if replica.block.id.0 < self.state.next_block_id {
            self.replication
                .delete_later(self.datanodes.storage(storage).node, replica.block);
        }
    }

    /// A finalized replica of a block whose length is final: good if it is the very version, else of no use.
    pub(crate) fn take_replica(&mut self, storage: StorageIx, replica: ReportedReplica) {
        let id = replica.block.id;
        if self.replication.is_corrupt(id, storage) {
            return;
        }
        let Some(block) = self.state.blocks.find_mut(id) else {
            return;
        };
        if (block.generation_stamp, block.length) != (replica.block.generation_stamp, replica.block.length) {
            return self.mark_corrupt(storage, replica.block);
        }
        if !block.replicas.insert(storage) {
            return;
        }
        if block.replicas.as_slice().len() == 1 {
            self.safe_mode.block_found();
        }
        self.holdings.add(storage, id);
        self.replication.copy_arrived(id, storage, &mut self.datanodes);
        self.queue_block(id);
        self.finish_move(id, storage);
    }

    /// A storage no longer has a good replica of a block.
    pub(crate) fn remove_replica(&mut self, id: BlockId, storage: StorageIx) {
        if let Some(construction) = self.construction.get_mut(&id) {
            construction.reported.remove(&storage);
        }
        let Some(block) = self.state.blocks.find_mut(id) else {
            return;
        };
        if block.replicas.remove(storage) {
            if block.replicas.as_slice().is_empty() {
                self.safe_mode.block_lost();
            }
            self.holdings.remove(storage, id);
        }
        self.queue_block(id);
    }

    fn full_report(&mut self, storage: StorageIx, replicas: &[ReportedReplica], last_part: bool) {
        let mut seen = self.full_reports.seen.remove(&storage).unwrap_or_default();
        for replica in replicas {
            seen.insert(replica.block.id);
            self.present(storage, *replica);
        }
        if !last_part {
            self.full_reports.seen.insert(storage, seen);
            return;
        }
        let node = self.datanodes.storage(storage).node;
        let known = self.datanodes.node_mut(node);
        known.unreported.remove(&storage);
        known.last_report_unix_ms = self.now.unix_ms;
        let recent = self.full_reports.recent.iter();
        for (_, _, id) in recent.filter(|(_, other, _)| *other == storage) {
            seen.insert(*id);
        }
        self.drop_unreported(storage, &seen);
        let lacking = self.replication.give_up_unreported(storage, &seen, &mut self.datanodes);
        for id in lacking {
            self.queue_block(id);
        }
    }

    fn drop_unreported(&mut self, storage: StorageIx, seen: &IdSet) {
        let held = self.holdings.of(storage).iter();
        let gone: Vec<BlockId> = held.filter(|id| !seen.contains(*id)).collect();
        for id in gone {
            self.remove_replica(id, storage);
        }
        self.replication.retain_corrupt_on(storage, Some(seen));
    }

    /// What a storage was about to report or reported lately is void.
    pub(crate) fn forget_reports_of(&mut self, storage: StorageIx) {
        self.full_reports.forget_storage(storage);
    }

    /// A connection ended. The DataNode may come right back; until the grace is over its replicas count.
    pub(crate) fn disconnected(&mut self, session: SessionId) {
        if let Some(node) = self.datanodes.by_session(session) {
            self.datanodes.end_session(
                node,
                Liveness::Lost {
                    since_tick_ms: self.now.tick_ms,
                },
            );
        }
    }

    /// Gives up DataNodes that are silent or did not come back.
    pub(crate) fn check_datanodes(&mut self) {
        let now = self.now.tick_ms;
        let (grace, silent) = (self.settings.lost_grace_ms, self.settings.silent_dead_ms);
        let stale_ms = self.settings.stale_ms;
        let quiet = self.datanodes.iter().filter(|(ix, node)| {
            self.datanodes.is_live(*ix) && !node.stale && now >= node.last_seen_tick_ms + stale_ms
        });
        let quiet: Vec<NodeIx> = quiet.map(|(ix, _)| ix).collect();
        for node in quiet {
            self.datanodes.node_mut(node).stale = true;
        }
        let gone = self.datanodes.iter().filter(|(_, node)| match node.liveness {
            Liveness::Live(_) => now >= node.last_seen_tick_ms + silent,
            Liveness::Lost { since_tick_ms } => now >= since_tick_ms + grace,
            Liveness::Dead => false,
        });
        let gone: Vec<NodeIx> = gone.map(|(ix, _)| ix).collect();
        for node in gone {
            self.close_session(node, &format!("silent for {} ms", self.settings.silent_dead_ms));
            self.give_up(node);
        }
    }

    /// Ends a DataNode's connection, if it has one.
    pub(crate) fn close_session(&mut self, node: NodeIx, reason: &str) {
        if let Some(session) = self.datanodes.session_of(node) {
            let reason = reason.to_owned();
            self.send(session, Order::Close { reason });
        }
    }

    /// A DataNode is dead: its replicas do not count from now on, unless its absence was announced.
    pub(crate) fn give_up(&mut self, node: NodeIx) {
        self.datanodes.end_session(node, Liveness::Dead);
        if self.datanodes.node(node).admin != AdminState::InMaintenance {
            self.lose_node(node);
        }
    }

    /// All replicas of a DataNode are gone.
    pub(crate) fn lose_node(&mut self, node: NodeIx) {
        for storage in self.datanodes.node(node).storages.clone() {
            self.lose_storage(storage);
        }
        let freed = self.replication.forget_node(node, &mut self.datanodes);
        for block in freed {
            self.queue_block(block);
        }
    }

    /// A client found replicas that do not match their checksums.
    pub(crate) fn report_bad_blocks(&mut self, blocks: &[(Block, Vec<String>)]) -> Result<Reply, FsError> {
        for (block, nodes) in blocks {
            for node in self.nodes_by_name(nodes) {
                let holders = self
                    .state
                    .blocks
                    .find(block.id)
                    .map(|info| info.replicas.as_slice().to_vec())
                    .unwrap_or_default();
                let storage = holders.into_iter().find(|ix| self.datanodes.storage(*ix).node == node);
                if let Some(storage) = storage {
                    self.mark_corrupt(storage, *block);
                }
            }
        }
        Ok(Reply::Void)
    }
}
