//! The numbers that decisions depend on.

use std::collections::BTreeMap;

use super::topology::HostTables;

/// Settings of the core. All times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct CoreSettings {
    /// The user for whom no permission is checked; owns the root directory.
    pub superuser: String,
    /// Members of this group are superusers too.
    pub supergroup: String,
    /// Whether permissions are checked at all.
    pub permissions: bool,
    /// Groups by user.
    pub user_groups: BTreeMap<String, Vec<String>>,
    /// Replicas that a block must reach before its file can be closed.
    pub min_replication: usize,
    /// Largest replication that a client may ask for.
    pub max_replication: u16,
    /// Smallest block size that a client may ask for, bytes.
    pub min_block_size: u64,
    /// A read is noted in a file's access time if the time is older than this; 0: never.
    pub access_time_precision_ms: u64,
    /// How long deleted files stay in the trash; 0: there is none.
    pub trash_interval_ms: u64,
    /// Time between two checkpoints of the trash; 0: as long as files stay there.
    pub trash_checkpoint_ms: u64,
    /// Most blocks in one file.
    pub max_blocks_per_file: usize,
    /// Most entries in one directory.
    pub max_directory_items: usize,
    /// Longest path component, bytes.
    pub max_component_length: usize,
    /// Entries in one page of a listing.
    pub list_limit: usize,
    /// After this another client may take a silent writer's file.
    pub lease_soft_ms: u64,
    /// After this the NameNode closes a silent writer's files.
    pub lease_hard_ms: u64,
    /// A DataNode whose connection broke is given up after this.
    pub lost_grace_ms: u64,
    /// A DataNode that is connected but silent is given up after this.
    pub silent_dead_ms: u64,
    /// Share of blocks that must be reported before safe mode ends.
    pub safe_mode_threshold: f64,
    /// How long safe mode goes on when the threshold is met but not every block is reported.
    pub safe_mode_extension_ms: u64,
    /// How long a caller is held for a replica's report.
    pub park_ms: u64,
    /// Time between two looks at blocks that lack replicas.
    pub replication_interval_ms: u64,
    /// Copies that one DataNode makes at a time.
    pub max_copies_per_node: u32,
    /// A copy that is not reported by then is ordered anew.
    pub copy_timeout_ms: u64,
    /// A block recovery that has not ended by then is ordered anew.
    pub recovery_timeout_ms: u64,
    /// No surplus replica is deleted before this, so that deletions ordered before a restart are done and reported.
    pub excess_delay_ms: u64,
    /// A DataNode that is silent for this long is read from last and not written to.
    pub stale_ms: u64,
    /// Copies of the most urgent blocks that one DataNode makes at a time.
    pub max_copies_per_node_hard: u32,
    /// Replicas that a block keeps on nodes in service while others are in maintenance.
    pub maintenance_min_replication: usize,
    /// The operator's tables at the start.
    pub hosts: HostTables,
    /// Start of the random sequence.
    pub seed: u64,
}

impl Default for CoreSettings {
    fn default() -> Self {
        Self {
            superuser: "root".to_owned(),
            supergroup: "supergroup".to_owned(),
            permissions: true,
            user_groups: BTreeMap::new(),
            min_replication: 1,
            max_replication: 512,
            min_block_size: 1 << 20,
            access_time_precision_ms: 60 * 60_000,
            trash_interval_ms: 0,
            trash_checkpoint_ms: 0,
            max_blocks_per_file: 10_000,
            max_directory_items: 1_048_576,
            max_component_length: 255,
            list_limit: 1000,
            lease_soft_ms: 60_000,
            lease_hard_ms: 20 * 60_000,
            lost_grace_ms: 10_000,
            silent_dead_ms: 630_000,
            safe_mode_threshold: 0.999,
            safe_mode_extension_ms: 3_000,
            park_ms: 5_000,
            replication_interval_ms: 1_000,
            max_copies_per_node: 2,
            copy_timeout_ms: 5 * 60_000,
            recovery_timeout_ms: 10_000,
            excess_delay_ms: 30_000,
            stale_ms: 30_000,
            max_copies_per_node_hard: 4,
            maintenance_min_replication: 1,
            hosts: HostTables::default(),
            seed: 0,
        }
    }
}
