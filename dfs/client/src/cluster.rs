//! The cluster as its NameNode describes it.

use std::sync::Arc;

use crate::location::DataNodeInfo;

/// Which DataNodes a report is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataNodeState {
    /// All that the NameNode knows.
    #[default]
    All,
    /// Those that it hears of.
    Live,
    /// Those that it has not heard of for too long.
    Dead,
    /// Those being emptied.
    Decommissioning,
    /// Those about to be left alone.
    EnteringMaintenance,
    /// Those left alone.
    InMaintenance,
}

/// What the administrator wants of a DataNode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// To serve.
    Normal,
    /// To be emptied; not done yet.
    Decommissioning,
    /// To stay empty.
    Decommissioned,
    /// To be left alone soon.
    EnteringMaintenance,
    /// To be left alone.
    InMaintenance,
}

/// One DataNode's figures. Sizes in bytes, times in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataNodeReport {
    /// Who.
    pub node: Arc<DataNodeInfo>,
    /// All its volumes together.
    pub capacity: u64,
    /// Used by the file system.
    pub dfs_used: u64,
    /// Used by others.
    pub non_dfs_used: u64,
    /// Still free for the file system.
    pub remaining: u64,
    /// Used by the block pool.
    pub block_pool_used: u64,
    /// Memory for cached blocks.
    pub cache_capacity: u64,
    /// Memory that cached blocks use.
    pub cache_used: u64,
    /// Transfers under way.
    pub transfers: u32,
    /// Replicas that it holds.
    pub blocks: u32,
    /// When the NameNode last heard of it.
    pub last_contact_ms: u64,
    /// When it last reported all its replicas.
    pub last_block_report_ms: u64,
    /// What is wanted of it.
    pub state: AdminState,
}

/// What to do about safe mode, in which the NameNode accepts no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeModeAction {
    /// Only asks.
    Get,
    /// Enters it.
    Enter,
    /// Leaves it.
    Leave,
    /// Leaves it even though blocks are unaccounted for.
    ForceExit,
}
