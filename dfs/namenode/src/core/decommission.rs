//! DataNodes that leave: for good (decommission) or for a while (maintenance).
//!
//! What an administrator wishes is durable (`State::nodes`), or comes from the exclude file; how far it is follows from the blocks.
//! A leaving node is swept again and again, a slice of its blocks per round: each block that would be in want without the node is queued for
//! copying. A sweep that found none ends it. A decommissioned node's replicas are then surplus and deleted, so that it ends empty.

use std::collections::BTreeMap;

use quarry_dfs_wire::block::BlockId;

use super::Core;
use super::command::{AdminWish, Caller, Reply};
use super::datanodes::{AdminState, Liveness, NodeIx};
use super::edit::{self, Edit};
use super::error::FsError;
use super::replicas::StorageIx;
use super::replication::SLICE;
use super::topology::{HostTables, is_rack, names_of, normal_rack};

/// A block that is being written keeps its node from leaving for this long; after that its other nodes must do.
const OPEN_BLOCK_WAIT_MS: u64 = 10 * 60_000;

/// What still keeps a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Blocks with too few replicas elsewhere.
    pub under_replicated: u64,
    /// Those of them with no replica on a node in service.
    pub out_of_service_only: u64,
    /// Blocks that are being written on it.
    pub open: u64,
}

/// A pass over the blocks of a leaving node.
#[derive(Debug, Default)]
struct Sweep {
    /// Volume (by its position in the node's list) and block to go on from.
    at: (usize, u64),
    counted: Remaining,
    /// The last whole pass.
    last: Option<Remaining>,
    started_tick_ms: u64,
}

/// The nodes that leave.
#[derive(Debug, Default)]
pub struct Leaving {
    sweeps: BTreeMap<NodeIx, Sweep>,
}

impl Leaving {
    /// What keeps a node as of the last whole pass over its blocks.
    pub fn remaining(&self, node: NodeIx) -> Option<Remaining> {
        self.sweeps.get(&node).and_then(|sweep| sweep.last)
    }
}

impl Core {
    /// The one DataNode with this name.
    ///
    /// # Errors
    /// When there is none or the name fits several.
    pub(crate) fn node_named(&self, name: &str) -> Result<NodeIx, FsError> {
        let known = |at: usize| {
            let fits = self
                .datanodes
                .iter()
                .filter(move |(_, node)| names_of(&node.descriptor)[at] == name);
            fits.map(|(ix, _)| ix).collect::<Vec<_>>()
        };
        for at in 0..5 {
            match known(at)[..] {
                [] => {}
                [node] => return Ok(node),
                _ => {
                    return Err(FsError::IllegalArgument(format!(
                        "{name} names several DataNodes: give host:port or the uuid"
                    )));
                }
            }
        }
        Err(FsError::FileNotFound(format!(
            "no DataNode is called {name}: expected a uuid, host:port, ip:port, host name or ip"
        )))
    }

    /// Has a node leave or stay. Durable.
    pub(crate) fn set_admin(&mut self, caller: &Caller, name: &str, wish: AdminWish) -> Result<Reply, FsError> {
        self.check_superuser(caller)?;
        let node = self.node_named(name)?;
        self.record_wish(node, wish);
        self.apply_wishes(node);
        Ok(self.node_reply(node))
    }

    fn record_wish(&mut self, node: NodeIx, wish: AdminWish) {
        let uuid = self.datanodes.node(node).descriptor.uuid.clone();
        let (state, expires_unix_ms) = match wish {
            AdminWish::InService => (0, 0),
            AdminWish::Decommission => (1, 0),
            AdminWish::Maintenance { expires_unix_ms } => (2, expires_unix_ms),
        };
        self.edit(Edit::SetNodeAdmin(edit::SetNodeAdmin {
            uuid,
            state,
            expires_unix_ms,
        }));
    }

    /// Puts a node on a rack, or back to where the table says. Durable.
    pub(crate) fn set_rack(&mut self, caller: &Caller, name: &str, rack: &str) -> Result<Reply, FsError> {
        self.check_superuser(caller)?;
        let node = self.node_named(name)?;
        if !rack.is_empty() && !is_rack(rack) {
            return Err(FsError::IllegalArgument(format!(
                "{rack:?}: expected a rack such as /rack1"
            )));
        }
        let rack = if rack.is_empty() {
            String::new()
        } else {
            normal_rack(rack)
        };
        let uuid = self.datanodes.node(node).descriptor.uuid.clone();
        self.edit(Edit::SetNodeRack(edit::SetNodeRack { uuid, rack }));
        self.place_on_rack(node);
        Ok(self.node_reply(node))
    }

    fn node_reply(&self, node: NodeIx) -> Reply {
        Reply::DataNodes(vec![self.node_status(node)])
    }

    /// Takes new tables in.
    pub(crate) fn refresh_nodes(&mut self, caller: &Caller, hosts: &HostTables) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "refreshNodes")?;
        self.hosts = hosts.clone();
        let nodes: Vec<NodeIx> = self.datanodes.iter().map(|(ix, _)| ix).collect();
        for node in nodes {
            if self.hosts.admits(&self.datanodes.node(node).descriptor) {
                self.place_on_rack(node);
                self.apply_wishes(node);
            } else {
                self.close_session(node, "it is not in the include file any more");
                self.give_up(node);
            }
        }
        Ok(Reply::Void)
    }

    /// The rack by, in this order, the administrator's word, the table, the node itself.
    pub(crate) fn place_on_rack(&mut self, node: NodeIx) {
        let known = self.datanodes.node(node);
        let told = self.state.nodes.get(&known.descriptor.uuid);
        let told = told.map(|told| told.rack.as_str()).filter(|rack| !rack.is_empty());
        let table = self.hosts.rack(&known.descriptor);
        let rack = told.or(table).unwrap_or(&known.own_rack).to_owned();
        if rack == known.descriptor.rack {
            return;
        }
        let racks = self.datanodes.live_racks();
        self.datanodes.set_rack(node, rack);
        self.racks_changed(racks);
        self.recheck_node(node);
    }

    /// With a second rack all blocks may be badly distributed.
    pub(crate) fn racks_changed(&mut self, before: usize) {
        if before == 1 && self.datanodes.live_racks() > 1 && self.state.blocks.count() > 0 {
            self.replication.recheck_all();
        }
    }

    /// All blocks of a node are to be looked at.
    pub(crate) fn recheck_node(&mut self, node: NodeIx) {
        for storage in self.datanodes.node(node).storages.clone() {
            if !self.holdings.of(storage).is_empty() {
                self.replication.recheck_storage(storage);
            }
        }
    }

    fn wish_of(&self, node: NodeIx) -> AdminWish {
        let descriptor = &self.datanodes.node(node).descriptor;
        let told = self.state.nodes.get(&descriptor.uuid).map(|told| told.wish);
        match told {
            Some(AdminWish::Maintenance { expires_unix_ms })
                if expires_unix_ms != 0 && expires_unix_ms <= self.now.unix_ms =>
            {
                AdminWish::InService
            }
            None | Some(AdminWish::InService) if self.hosts.excludes(descriptor) => AdminWish::Decommission,
            told => told.unwrap_or_default(),
        }
    }

    /// Brings a node's state in line with what is wished.
    pub(crate) fn apply_wishes(&mut self, node: NodeIx) {
        use AdminState as State;
        let state = self.datanodes.node(node).admin;
        let next = match (self.wish_of(node), state) {
            (AdminWish::InService, _) => State::Normal,
            (AdminWish::Decommission, State::DecommissionInProgress | State::Decommissioned)
            | (AdminWish::Maintenance { .. }, State::EnteringMaintenance | State::InMaintenance) => return,
            (AdminWish::Decommission, _) => State::DecommissionInProgress,
            (AdminWish::Maintenance { .. }, _) => State::EnteringMaintenance,
        };
        if next == state {
            return;
        }
        self.datanodes.set_admin(node, next);
        self.leaving.sweeps.remove(&node);
        if next != State::Normal {
            let started_tick_ms = self.now.tick_ms;
            self.leaving.sweeps.insert(
                node,
                Sweep {
                    started_tick_ms,
                    ..Sweep::default()
                },
            );
        } else if self.datanodes.node(node).liveness == Liveness::Dead {
            // While in maintenance its replicas counted although it was gone.
            self.lose_node(node);
        }
        self.recheck_node(node);
        self.replication.retry_soon();
    }

    /// Looks after the nodes that leave.
    pub(crate) fn check_leaving(&mut self) {
        self.end_maintenance();
        if self.safe_mode.is_on() || self.holdings.is_losing() {
            return;
        }
        let nodes: Vec<NodeIx> = self.leaving.sweeps.keys().copied().collect();
        let budget = SLICE / nodes.len().max(1);
        for node in nodes {
            self.sweep(node, budget);
        }
    }

    fn end_maintenance(&mut self) {
        let away = self
            .datanodes
            .iter()
            .filter(|(_, node)| matches!(node.admin, AdminState::EnteringMaintenance | AdminState::InMaintenance));
        let over: Vec<NodeIx> = away
            .map(|(ix, _)| ix)
            .filter(|ix| self.wish_of(*ix) == AdminWish::InService)
            .collect();
        for node in over {
            self.record_wish(node, AdminWish::InService);
            self.apply_wishes(node);
        }
    }

    /// Looks at the next blocks of a leaving node; at the end of a pass that found nothing the node has left.
    fn sweep(&mut self, node: NodeIx, budget: usize) {
        let storages = self.datanodes.node(node).storages.clone();
        let Some(mut sweep) = self.leaving.sweeps.remove(&node) else {
            return;
        };
        let mut left = budget.max(1);
        while left > 0 && sweep.at.0 < storages.len() {
            let (ids, next) = self.holdings.of(storages[sweep.at.0]).slice(BlockId(sweep.at.1), left);
            left -= ids.len();
            for id in ids {
                self.look_at_leaving(node, id, &mut sweep.counted);
            }
            sweep.at = next.map_or((sweep.at.0 + 1, 0), |next| (sweep.at.0, next.0));
        }
        if sweep.at.0 >= storages.len() {
            sweep.counted.open = self.open_blocks_on(node, &storages, sweep.started_tick_ms);
            let done = sweep.counted == Remaining::default() && self.may_leave(node);
            sweep.last = Some(std::mem::take(&mut sweep.counted));
            sweep.at = (0, 0);
            if done {
                return self.has_left(node);
            }
        }
        self.leaving.sweeps.insert(node, sweep);
    }

    fn look_at_leaving(&mut self, node: NodeIx, id: BlockId, counted: &mut Remaining) {
        let Some(block) = self.state.blocks.find(id) else {
            return;
        };
        let census = self.census(block);
        let expected = match self.datanodes.node(node).admin {
            AdminState::EnteringMaintenance => self.wanted(block).min(self.settings.maintenance_min_replication),
            _ => self.enough(self.expected_live(block, &census)),
        };
        if census.live >= expected {
            return;
        }
        counted.under_replicated += 1;
        counted.out_of_service_only += u64::from(census.live == 0);
        if self.replication.urgency(id).is_none() {
            self.queue_block(id);
        }
    }

    /// Blocks that are being written on a node.
    fn open_blocks_on(&self, node: NodeIx, storages: &[StorageIx], since_tick_ms: u64) -> u64 {
        let patient = self.now.tick_ms < since_tick_ms + OPEN_BLOCK_WAIT_MS;
        let keeps = |holders: &[StorageIx]| {
            let others = holders.iter().filter(|ix| {
                self.datanodes.storage(**ix).node != node && self.counts(**ix) && self.datanodes.is_storage_live(**ix)
            });
            holders.iter().any(|ix| storages.contains(ix))
                && (patient || others.count() < self.settings.min_replication)
        };
        let holders = self
            .construction
            .values()
            .map(super::construction::Construction::holders);
        holders.filter(|holders| keeps(holders)).count() as u64
    }

    /// Whether it is known what the node holds. Of a dead one nothing is known but that its blocks are being copied.
    fn may_leave(&self, node: NodeIx) -> bool {
        let known = self.datanodes.node(node);
        match known.liveness {
            Liveness::Live(_) => known.unreported.is_empty(),
            Liveness::Lost { .. } => false,
            Liveness::Dead => known.admin == AdminState::EnteringMaintenance || self.replication.is_settled(),
        }
    }

    fn has_left(&mut self, node: NodeIx) {
        let state = match self.datanodes.node(node).admin {
            AdminState::DecommissionInProgress => AdminState::Decommissioned,
            AdminState::EnteringMaintenance => AdminState::InMaintenance,
            other => other,
        };
        self.datanodes.set_admin(node, state);
        self.recheck_node(node);
    }
}
