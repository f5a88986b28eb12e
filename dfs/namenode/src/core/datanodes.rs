//! The DataNodes: who they are, whether they are alive, how full and busy. Knows nothing of blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Location, SessionId, StorageReport};
use super::replicas::StorageIx;

/// Rack of a DataNode that named none. HDFS's value.
pub const DEFAULT_RACK: &str = "/default-rack";

/// Who a DataNode is and where it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataNodeDescriptor {
    /// Its identity, kept on its disks.
    pub uuid: String,
    /// Address that clients connect to.
    pub ip: String,
    /// Its name.
    pub hostname: String,
    /// Port of the data transfer protocol.
    pub xfer_port: u16,
    /// Port of its RPC service.
    pub ipc_port: u16,
    /// Its place in the topology, `/rack`.
    pub rack: String,
}

/// Position of a DataNode in the table. Never reused while the NameNode runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(pub u16);

/// Whether a DataNode can be counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Connected.
    Live(SessionId),
    /// Its connection broke at this tick; it may come right back.
    Lost {
        /// Tick at which the connection broke.
        since_tick_ms: u64,
    },
    /// Given up: its replicas do not count.
    Dead,
}

/// Whether a DataNode is in service. Names are HDFS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdminState {
    /// In service.
    #[default]
    Normal,
    /// Gets no new replicas; those that it has are copied elsewhere.
    DecommissionInProgress,
    /// Nothing on it is needed any more.
    Decommissioned,
    /// Gets no new replicas; of each that it has one must be elsewhere.
    EnteringMaintenance,
    /// May be away: its replicas count although nobody reads them.
    InMaintenance,
}

/// What a DataNode says of its health, beyond its volumes' figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// Open data transfer connections.
    pub xceivers: u32,
    /// Volumes that failed since it started.
    pub failed_volumes: u32,
    /// Their directories.
    pub failed_locations: Vec<String>,
    /// When the last one failed, milliseconds since the epoch; 0 for never.
    pub last_failure_unix_ms: u64,
    /// Bytes of capacity lost with them.
    pub capacity_lost: u64,
    /// Corrupt replicas that its scanner found since it started.
    pub corrupt_found: u64,
    /// End of its last whole block scan, milliseconds since the epoch; 0 for none yet.
    pub last_scan_unix_ms: u64,
}

/// One DataNode.
#[derive(Debug, Clone)]
pub struct DataNode {
    /// Who it is.
    pub descriptor: Arc<DataNodeDescriptor>,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Tick of its last sign of life.
    pub last_seen_tick_ms: u64,
    /// Its volumes.
    pub storages: Vec<StorageIx>,
    /// Volumes whose full report this session still owes: until then nobody knows what the node lacks.
    pub unreported: BTreeSet<StorageIx>,
    /// Transfers at its last heartbeat plus those handed out since.
    pub load: u32,
    /// Copies that it was told to make and that are not confirmed.
    pub copies_out: u32,
    /// Whether it is in service.
    pub admin: AdminState,
    /// Silent for a while: read from last and not written to.
    pub stale: bool,
    /// The rack that it named itself.
    pub own_rack: String,
    /// Version of its program.
    pub software_version: String,
    /// Its health at the last heartbeat.
    pub health: NodeHealth,
    /// End of its last full report, milliseconds since the epoch; 0 for none yet.
    pub last_report_unix_ms: u64,
}

/// One volume of a DataNode.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Whose it is.
    pub node: NodeIx,
    /// Its id, shared with every location handed out.
    pub id: Arc<str>,
    /// Its figures at the last heartbeat.
    pub report: StorageReport,
    /// Bytes promised to blocks handed out since the last heartbeat.
    pub scheduled: u64,
}

/// All DataNodes seen since the start.
#[derive(Debug, Clone, Default)]
pub struct DataNodes {
    nodes: Vec<DataNode>,
    storages: Vec<Storage>,
    by_uuid: BTreeMap<String, NodeIx>,
    by_session: BTreeMap<SessionId, NodeIx>,
    in_service: usize,
    live_racks: usize,
}

impl DataNodes {
    /// The DataNode at a position.
    pub fn node(&self, ix: NodeIx) -> &DataNode {
        &self.nodes[ix.0 as usize]
    }

    /// The DataNode at a position, for change.
    pub fn node_mut(&mut self, ix: NodeIx) -> &mut DataNode {
        &mut self.nodes[ix.0 as usize]
    }

    /// The volume at a position.
    pub fn storage(&self, ix: StorageIx) -> &Storage {
        &self.storages[ix.0 as usize]
    }

    /// The volume at a position, for change.
    pub fn storage_mut(&mut self, ix: StorageIx) -> &mut Storage {
        &mut self.storages[ix.0 as usize]
    }

    /// The DataNode with this uuid.
    pub fn by_uuid(&self, uuid: &str) -> Option<NodeIx> {
        self.by_uuid.get(uuid).copied()
    }

    /// The DataNode whose current session this is.
    pub fn by_session(&self, session: SessionId) -> Option<NodeIx> {
        self.by_session.get(&session).copied()
    }

    /// All DataNodes in order of their first registration.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIx, &DataNode)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(ix, node)| (NodeIx(ix as u16), node))
    }

    /// Takes a registration in. Returns the DataNode and the session that it replaces, or `None` when the table is full.
    pub fn register(
        &mut self,
        descriptor: DataNodeDescriptor,
        session: SessionId,
        tick_ms: u64,
    ) -> Option<(NodeIx, Option<SessionId>)> {
        let ix = match self.by_uuid(&descriptor.uuid) {
            Some(ix) => ix,
            None => self.add_node(descriptor.clone())?,
        };
        let replaced = self.session_of(ix);
        if let Some(old) = replaced {
            self.by_session.remove(&old);
        }
        let node = self.node_mut(ix);
        node.own_rack.clone_from(&descriptor.rack);
        node.descriptor = Arc::new(descriptor);
        node.liveness = Liveness::Live(session);
        node.last_seen_tick_ms = tick_ms;
        (node.load, node.copies_out, node.stale) = (0, 0, false);
        self.by_session.insert(session, ix);
        self.recount();
        Some((ix, replaced))
    }

    fn add_node(&mut self, descriptor: DataNodeDescriptor) -> Option<NodeIx> {
        let ix = NodeIx(u16::try_from(self.nodes.len()).ok()?);
        self.by_uuid.insert(descriptor.uuid.clone(), ix);
        self.nodes.push(DataNode {
            descriptor: Arc::new(descriptor),
            liveness: Liveness::Dead,
            last_seen_tick_ms: 0,
            storages: Vec::new(),
            unreported: BTreeSet::new(),
            load: 0,
            copies_out: 0,
            admin: AdminState::Normal,
            stale: false,
            own_rack: String::new(),
            software_version: String::new(),
            health: NodeHealth::default(),
            last_report_unix_ms: 0,
        });
        Some(ix)
    }

    /// Counts what placement and replication ask for again and again.
    fn recount(&mut self) {
        let in_service = || self.nodes.iter().filter(|node| node.admin == AdminState::Normal);
        let alive = in_service().filter(|node| node.liveness != Liveness::Dead);
        let racks: BTreeSet<&str> = alive.map(|node| node.descriptor.rack.as_str()).collect();
        (self.in_service, self.live_racks) = (in_service().count(), racks.len());
    }

    /// Number of DataNodes in service, dead ones included.
    pub fn in_service_count(&self) -> usize {
        self.in_service
    }

    /// Number of racks with DataNodes in service that are not dead.
    pub fn live_racks(&self) -> usize {
        self.live_racks
    }

    /// Sets whether a DataNode is in service.
    pub fn set_admin(&mut self, ix: NodeIx, admin: AdminState) {
        self.node_mut(ix).admin = admin;
        self.recount();
    }

    /// Puts a DataNode on a rack.
    pub fn set_rack(&mut self, ix: NodeIx, rack: String) {
        let node = self.node_mut(ix);
        Arc::make_mut(&mut node.descriptor).rack = rack;
        self.recount();
    }

    /// Whether new replicas may go to a DataNode.
    pub fn is_in_service(&self, ix: NodeIx) -> bool {
        self.is_live(ix) && self.node(ix).admin == AdminState::Normal
    }

    /// The current session of a DataNode, if it is connected.
    pub fn session_of(&self, ix: NodeIx) -> Option<SessionId> {
        match self.node(ix).liveness {
            Liveness::Live(session) => Some(session),
            Liveness::Lost { .. } | Liveness::Dead => None,
        }
    }

    /// Whether a DataNode is connected.
    pub fn is_live(&self, ix: NodeIx) -> bool {
        self.session_of(ix).is_some()
    }

    /// Whether a volume's DataNode is connected.
    pub fn is_storage_live(&self, ix: StorageIx) -> bool {
        let storage = self.storage(ix);
        self.is_live(storage.node) && !storage.report.failed
    }

    /// Number of connected DataNodes.
    pub fn live_count(&self) -> usize {
        self.by_session.len()
    }

    /// Ends the current session of a DataNode.
    pub fn end_session(&mut self, ix: NodeIx, liveness: Liveness) {
        if let Some(session) = self.session_of(ix) {
            self.by_session.remove(&session);
        }
        self.node_mut(ix).liveness = liveness;
        self.recount();
    }

    /// Records a volume's figures, adding the volume if it is new. `None` when the table is full.
    pub fn report_storage(&mut self, node: NodeIx, report: StorageReport) -> Option<StorageIx> {
        let ix = match self.find_storage(node, &report.storage_id) {
            Some(ix) => ix,
            None => self.add_storage(node, &report)?,
        };
        let storage = self.storage_mut(ix);
        storage.report = report;
        storage.scheduled = 0;
        Some(ix)
    }

    fn add_storage(&mut self, node: NodeIx, report: &StorageReport) -> Option<StorageIx> {
        let ix = StorageIx(u16::try_from(self.storages.len()).ok()?);
        let id = Arc::from(report.storage_id.as_str());
        self.storages.push(Storage {
            node,
            id,
            report: report.clone(),
            scheduled: 0,
        });
        self.node_mut(node).storages.push(ix);
        Some(ix)
    }

    /// The volume of `node` with this id.
    pub fn find_storage(&self, node: NodeIx, storage_id: &str) -> Option<StorageIx> {
        self.node(node)
            .storages
            .iter()
            .copied()
            .find(|ix| &*self.storage(*ix).id == storage_id)
    }

    /// A replica's place as shown to clients and other DataNodes.
    pub fn location(&self, ix: StorageIx) -> Location {
        let storage = self.storage(ix);
        Location {
            node: Arc::clone(&self.node(storage.node).descriptor),
            storage_id: Arc::clone(&storage.id),
            live: self.is_live(storage.node),
        }
    }
}
