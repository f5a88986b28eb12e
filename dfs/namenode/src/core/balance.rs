//! Evens out the fullness of the DataNodes: a replica is copied from an over-full node to one with room and, once that copy is reported,
//! dropped from the full one.
//!
//! HDFS's balancer and mover do the same from outside: they have a DataNode take a replica over, whose report then names the DataNode that is to be
//! relieved.
//!
//! A move never lowers the number of good replicas (the copy comes first), never the number of racks, and never puts two replicas on
//! one node. It is a background matter: a few moves per node at a time, none while blocks lack replicas that somebody else should copy.

use std::collections::BTreeMap;

use quarry_dfs_wire::block::BlockId;

use super::Core;
use super::command::{AdminReply, BalanceStatus, Caller, Order, Reply};
use super::datanodes::NodeIx;
use super::error::FsError;
use super::locate::block_of;
use super::replicas::StorageIx;

/// How far a node may be from the average, percent of its capacity. HDFS's value.
const THRESHOLD_PERCENT: f64 = 10.0;
/// Copies for balancing that one node sends or receives at a time.
const MOVES_PER_NODE: usize = 4;
/// Blocks looked at on one volume per round in search of one that can be moved.
const SEARCH: usize = 2_000;

/// A replica on its way from one node to another.
#[derive(Debug, Clone, Copy)]
struct Move {
    source: StorageIx,
    target: StorageIx,
    bytes: u64,
    deadline_tick_ms: u64,
}

/// The moves under way.
#[derive(Debug, Default)]
pub struct Balance {
    status: BalanceStatus,
    moves: BTreeMap<BlockId, Move>,
    next_round_tick_ms: u64,
    /// Where the search on a volume goes on.
    cursors: BTreeMap<StorageIx, u64>,
    /// Rounds in a row in which nothing could be moved.
    idle_rounds: u32,
}

/// Rounds without a move after which balancing gives up.
const IDLE_ROUNDS: u32 = 60;

/// Fullness of a node.
#[derive(Debug, Clone, Copy)]
struct Fullness {
    node: NodeIx,
    used: u64,
    capacity: u64,
}

impl Fullness {
    fn percent(self) -> f64 {
        self.used as f64 * 100.0 / self.capacity.max(1) as f64
    }
}

impl Core {
    /// Begins to balance, or goes on with other figures.
    pub(crate) fn start_balance(&mut self, caller: &Caller, threshold: f64, bandwidth: u64) -> Result<Reply, FsError> {
        self.check_superuser(caller)?;
        if !threshold.is_finite() || !(0.0..=100.0).contains(&threshold) {
            return Err(FsError::IllegalArgument(format!(
                "threshold: {threshold}: expected percent from 1 to 100, or 0 for {THRESHOLD_PERCENT}"
            )));
        }
        self.balance.status = BalanceStatus {
            running: true,
            threshold_percent: if threshold == 0.0 { THRESHOLD_PERCENT } else { threshold },
            bytes_per_second: bandwidth,
            ..BalanceStatus::default()
        };
        (self.balance.idle_rounds, self.balance.next_round_tick_ms) = (0, 0);
        if bandwidth > 0 {
            self.tell_bandwidth(bandwidth);
        }
        self.weigh();
        Ok(self.balance_reply())
    }

    /// Orders no further moves.
    pub(crate) fn stop_balance(&mut self, caller: &Caller) -> Result<Reply, FsError> {
        self.check_superuser(caller)?;
        if self.balance.status.running {
            self.end_balance("stopped");
        }
        Ok(self.balance_reply())
    }

    fn end_balance(&mut self, text: &'static str) {
        self.balance.status.running = false;
        self.balance.status.text = text;
    }

    /// How far it is.
    pub(crate) fn balance_reply(&self) -> Reply {
        let mut status = self.balance.status;
        status.moves_in_flight = self.balance.moves.len() as u32;
        if !status.running && status.text.is_empty() {
            status.text = "never started";
        }
        Reply::Admin(AdminReply::Balance(status))
    }

    /// Tells all DataNodes how much they may send for balancing, now and when they come back.
    pub(crate) fn tell_bandwidth(&mut self, bytes_per_second: u64) {
        self.balancer_bandwidth = Some(bytes_per_second);
        let nodes = self.datanodes.iter();
        let sessions: Vec<_> = nodes.filter_map(|(ix, _)| self.datanodes.session_of(ix)).collect();
        for session in sessions {
            let balancing = bytes_per_second;
            self.send(session, Order::SetBandwidth { balancing });
        }
    }

    /// Orders the moves that are due.
    pub(crate) fn check_balance(&mut self) {
        let now = self.now.tick_ms;
        if now < self.balance.next_round_tick_ms {
            return;
        }
        self.balance.next_round_tick_ms = now + self.settings.replication_interval_ms;
        self.balance.moves.retain(|_, moved| moved.deadline_tick_ms > now);
        if !self.balance.status.running || self.safe_mode.is_on() {
            return;
        }
        let (over, under) = self.weigh();
        if over.is_empty() || under.is_empty() {
            if self.balance.moves.is_empty() {
                self.end_balance("balanced");
            }
            return;
        }
        let mut ordered = 0;
        for source in over {
            ordered += self.move_from(source, &under);
        }
        let waits = ordered > 0 || !self.balance.moves.is_empty();
        self.balance.idle_rounds = if waits { 0 } else { self.balance.idle_rounds + 1 };
        if self.balance.idle_rounds > IDLE_ROUNDS {
            self.end_balance("no block can be moved");
        }
    }

    /// Fullness by DataNode, what is on its way included.
    fn fullness(&self) -> Vec<Fullness> {
        let nodes = self
            .datanodes
            .iter()
            .filter(|(ix, _)| self.datanodes.is_in_service(*ix));
        let mut all: Vec<Fullness> = nodes
            .map(|(node, known)| {
                let reports = || {
                    let storages = known.storages.iter().map(|ix| &self.datanodes.storage(*ix).report);
                    storages.filter(|report| !report.failed)
                };
                Fullness {
                    node,
                    used: reports().map(|report| report.dfs_used).sum(),
                    capacity: reports().map(|report| report.dfs_used + report.remaining).sum(),
                }
            })
            .collect();
        for moved in self.balance.moves.values() {
            let (from, to) = (
                self.datanodes.storage(moved.source).node,
                self.datanodes.storage(moved.target).node,
            );
            for full in &mut all {
                if full.node == to {
                    full.used += moved.bytes;
                }
                if full.node == from {
                    full.used = full.used.saturating_sub(moved.bytes);
                }
            }
        }
        all
    }

    /// Nodes to take from, the fullest first, and to give to, the emptiest first. If only one kind is beyond the threshold, the other is made
    /// of those on the other side of the average.
    fn weigh(&mut self) -> (Vec<NodeIx>, Vec<NodeIx>) {
        let mut all = self.fullness();
        let (used, capacity) = all.iter().fold((0, 0), |(used, capacity), full| {
            (used + full.used, capacity + full.capacity)
        });
        let average = used as f64 * 100.0 / (capacity.max(1)) as f64;
        let threshold = self.balance.status.threshold_percent;
        let off = |full: &Fullness| full.percent() - average;
        let status = &mut self.balance.status;
        status.average_percent = average;
        status.over_utilized = all.iter().filter(|full| off(full) > threshold).count() as u32;
        status.under_utilized = all.iter().filter(|full| off(full) < -threshold).count() as u32;
        let excess = |full: &Fullness| ((off(full).abs() - threshold).max(0.0) / 100.0 * full.capacity as f64) as u64;
        let above: u64 = all.iter().filter(|full| off(full) > 0.0).map(excess).sum();
        let below: u64 = all.iter().filter(|full| off(full) < 0.0).map(excess).sum();
        status.bytes_left = above.max(below);
        if status.over_utilized + status.under_utilized == 0 {
            return (Vec::new(), Vec::new());
        }
        all.sort_by(|a, b| b.percent().total_cmp(&a.percent()));
        let (over_least, under_most) = (
            if status.over_utilized > 0 { threshold } else { 0.0 },
            if status.under_utilized > 0 { -threshold } else { 0.0 },
        );
        let over = all.iter().filter(|full| off(full) > over_least).map(|full| full.node);
        let under = all
            .iter()
            .rev()
            .filter(|full| off(full) < under_most)
            .map(|full| full.node);
        (over.collect(), under.collect())
    }

    fn moves_of(&self, node: NodeIx) -> usize {
        let moves = self.balance.moves.values();
        let touches = |ix: StorageIx| self.datanodes.storage(ix).node == node;
        moves
            .filter(|moved| touches(moved.source) || touches(moved.target))
            .count()
    }

    /// Orders moves from one node; how many.
    fn move_from(&mut self, source: NodeIx, under: &[NodeIx]) -> usize {
        let mut ordered = 0;
        let storages = self.datanodes.node(source).storages.clone();
        for storage in storages {
            let cursor = self.balance.cursors.get(&storage).copied().unwrap_or(0);
            let (ids, next) = self.holdings.of(storage).slice(BlockId(cursor), SEARCH);
            let mut end = next.map_or(0, |next| next.0);
            for id in ids {
                if self.moves_of(source) >= MOVES_PER_NODE {
                    end = id.0;
                    break;
                }
                ordered += usize::from(self.try_move(id, storage, under));
            }
            self.balance.cursors.insert(storage, end);
        }
        ordered
    }

    /// Moves a replica to the emptiest node that may have it.
    fn try_move(&mut self, id: BlockId, source: StorageIx, under: &[NodeIx]) -> bool {
        let Some(info) = self
            .state
            .blocks
            .find(id)
            .filter(|info| info.is_committed() && info.length > 0)
        else {
            return false;
        };
        let block = block_of(info);
        let holders = info.replicas.as_slice().to_vec();
        let busy = self.balance.moves.contains_key(&id)
            || self.replication.is_in_flight(id)
            || self.replication.has_corrupt(id)
            || self.replication.urgency(id).is_some();
        if busy || !holders.iter().all(|ix| self.counts(*ix)) {
            return false;
        }
        let target = under.iter().find_map(|node| {
            let fits = self.moves_of(*node) < MOVES_PER_NODE
                && holders.iter().all(|ix| self.datanodes.storage(*ix).node != *node)
                && self.keeps_racks(&holders, source, *node);
            let storages = self.datanodes.node(*node).storages.iter().copied();
            let room = |ix: &StorageIx| {
                let storage = self.datanodes.storage(*ix);
                storage.report.remaining.saturating_sub(storage.scheduled)
            };
            let usable = storages.filter(|ix| self.datanodes.is_storage_live(*ix) && room(ix) > block.length);
            fits.then(|| usable.max_by_key(room)).flatten()
        });
        let Some(target) = target else { return false };
        let from = self.datanodes.storage(source).node;
        if !self.order_copy(from, block, &[target], true) {
            return false;
        }
        let deadline_tick_ms = self.now.tick_ms + self.settings.copy_timeout_ms;
        self.balance.moves.insert(
            id,
            Move {
                source,
                target,
                bytes: block.length,
                deadline_tick_ms,
            },
        );
        true
    }

    /// Whether the block is on as many racks after the move as before.
    fn keeps_racks(&self, holders: &[StorageIx], source: StorageIx, target: NodeIx) -> bool {
        let racks = |storages: &mut dyn Iterator<Item = &str>| {
            let mut racks: Vec<&str> = storages.collect();
            racks.sort_unstable();
            racks.dedup();
            racks.len()
        };
        let before = racks(&mut holders.iter().map(|ix| self.rack_of(*ix)));
        let stay = holders.iter().filter(|ix| **ix != source).map(|ix| self.rack_of(*ix));
        let target = self.datanodes.node(target).descriptor.rack.as_str();
        racks(&mut stay.chain([target])) >= before
    }

    /// A good replica came: if it ends a move, the replica that it replaces goes.
    pub(crate) fn finish_move(&mut self, id: BlockId, arrived: StorageIx) {
        let Some(moved) = self
            .balance
            .moves
            .get(&id)
            .copied()
            .filter(|moved| moved.target == arrived)
        else {
            return;
        };
        self.balance.moves.remove(&id);
        if self.drop_replaced(id, moved.source) {
            self.balance.status.blocks_moved += 1;
            self.balance.status.bytes_moved += moved.bytes;
        }
    }

    /// A DataNode took a replica over by order of a client, in place of the one on the DataNode with the uuid `replaces`: that one goes, if
    /// the block is as well off without it. HDFS calls it the deletion hint.
    pub(crate) fn finish_replacement(&mut self, id: BlockId, arrived: StorageIx, replaces: &str) {
        if self.safe_mode.is_on() {
            return;
        }
        let Some(replaced) = self.datanodes.by_uuid(replaces) else {
            return;
        };
        let Some(info) = self.state.blocks.find(id).filter(|info| info.is_committed()) else {
            return;
        };
        let holders = info.replicas.as_slice();
        let source = holders
            .iter()
            .copied()
            .find(|ix| *ix != arrived && self.datanodes.storage(*ix).node == replaced);
        let Some(source) = source.filter(|_| info.replicas.contains(arrived)) else {
            return;
        };
        let others: Vec<StorageIx> = holders.iter().copied().filter(|ix| *ix != arrived).collect();
        if self.keeps_racks(&others, source, self.datanodes.storage(arrived).node) {
            self.drop_replaced(id, source);
        }
    }

    /// Deletes a replica that another one took the place of; whether it did.
    fn drop_replaced(&mut self, id: BlockId, source: StorageIx) -> bool {
        let Some(info) = self.state.blocks.find(id) else {
            return false;
        };
        let (block, wanted, census) = (block_of(info), self.wanted(info), self.census(info));
        let sure = info.replicas.as_slice().iter().all(|ix| self.is_certain(*ix));
        if census.live <= wanted || !sure || !info.replicas.contains(source) {
            // Somebody else was lost meanwhile: the copy is needed as it is. A real surplus is found by the usual look.
            return false;
        }
        self.remove_replica(id, source);
        self.replication
            .delete_later(self.datanodes.storage(source).node, block);
        true
    }
}
