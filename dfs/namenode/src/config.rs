//! A NameNode's configuration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::core::settings::CoreSettings;
use crate::core::topology::is_rack;
use crate::error::{Error, Result};

/// A NameNode's configuration. Every key has a default; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NameNodeConfig {
    /// Where log and images are. An empty or missing directory is formatted as a new cluster.
    pub dir: PathBuf,
    /// Where clients connect (Hadoop RPC). Port 0 lets the system choose.
    pub rpc_address: SocketAddr,
    /// Where DataNodes connect (gRPC). Port 0 lets the system choose.
    pub link_address: SocketAddr,
    /// Replicas per block when the client does not say.
    pub default_replication: u16,
    /// Replicas that a block must reach before its file can be closed.
    pub min_replication: u16,
    /// Most replicas that a client may ask for.
    pub max_replication: u16,
    /// Block size when the client does not say.
    pub default_block_size: ByteSize,
    /// Smallest block size that a client may ask for.
    pub min_block_size: ByteSize,
    /// Size of a write packet that clients are advised to use.
    pub write_packet_size: ByteSize,
    /// A read changes a file's access time if that is older than this. Zero: reads never change it.
    #[serde(with = "humantime_serde")]
    pub access_time_precision: Duration,
    /// How long files that a shell deletes stay in the trash of their user, in whole minutes; clients are told. Zero: there is no trash.
    #[serde(with = "humantime_serde")]
    pub trash_interval: Duration,
    /// Time between two checkpoints of the trash. Zero: as `trash_interval`.
    #[serde(with = "humantime_serde")]
    pub trash_checkpoint_interval: Duration,
    /// Most blocks in one file.
    pub max_blocks_per_file: usize,
    /// Most entries in one directory.
    pub max_directory_items: usize,
    /// For whom no permission is checked and who owns the root directory. Empty: the user that the process runs as.
    pub superuser: String,
    /// Members of this group are superusers too.
    pub supergroup: String,
    /// Whether permissions are checked. Without authentication they guard against mistakes, not against malice.
    pub permissions: bool,
    /// Groups by user. A user that is listed is in no others.
    pub user_groups: BTreeMap<String, Vec<String>>,
    /// Whether users that are not listed are in the groups that the operating system of this machine says.
    pub os_groups: bool,
    /// Where a line per call is written, in Apache HDFS's audit format. Absent: nowhere.
    pub audit_log: Option<PathBuf>,
    /// Size at which the audit log becomes `<name>.1` and a new one begins.
    pub audit_log_limit: ByteSize,
    /// How often DataNodes report that they are alive.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// A DataNode whose connection broke is given up after this: time for it to restart.
    #[serde(with = "humantime_serde")]
    pub lost_grace: Duration,
    /// A DataNode that is silent for this long is read from last and not written to.
    #[serde(with = "humantime_serde")]
    pub stale_interval: Duration,
    /// A DataNode that is connected but silent is given up after this.
    #[serde(with = "humantime_serde")]
    pub dead_interval: Duration,
    /// Share of blocks that must be reported after a start before changes are accepted.
    pub safe_mode_threshold: f64,
    /// How long safe mode goes on when the threshold is reached but not every block is reported.
    #[serde(with = "humantime_serde")]
    pub safe_mode_extension: Duration,
    /// Room on the disk of `dir` that is to stay free: with less the NameNode goes into safe mode by itself, and leaves it when there is room
    /// again. Zero: never. HDFS's `dfs.namenode.resource.du.reserved`.
    pub reserved: ByteSize,
    /// Time between two looks at that room. HDFS's `dfs.namenode.resource.check.interval`.
    #[serde(with = "humantime_serde")]
    pub space_check_interval: Duration,
    /// After this silence of a writer another client may take its file.
    #[serde(with = "humantime_serde")]
    pub lease_soft_limit: Duration,
    /// After this silence of a writer the NameNode closes its files.
    #[serde(with = "humantime_serde")]
    pub lease_hard_limit: Duration,
    /// How long `complete` and `addBlock` are held for a replica's report before HDFS's "not yet" is answered.
    #[serde(with = "humantime_serde")]
    pub report_wait: Duration,
    /// Time between two looks at blocks that lack replicas.
    #[serde(with = "humantime_serde")]
    pub replication_interval: Duration,
    /// Copies that one DataNode is told to make at a time.
    pub max_copies_per_datanode: u32,
    /// Copies of the most urgent blocks that one DataNode is told to make at a time.
    pub max_urgent_copies_per_datanode: u32,
    /// A copy that is not reported by then is ordered anew.
    #[serde(with = "humantime_serde")]
    pub copy_timeout: Duration,
    /// No surplus replica is deleted for this long after a start, so that deletions ordered before are carried out and reported.
    #[serde(with = "humantime_serde")]
    pub surplus_delay: Duration,
    /// Racks by host: `"10.0.0.1" = "/rack1"`. Hosts are named by ip, host name, either with the transfer port, or uuid. A node that is in no
    /// table is where it says itself, else on /default-rack.
    pub topology: BTreeMap<String, String>,
    /// A file of lines `host /rack`, read at the start and by refreshNodes; it comes before `topology`.
    pub topology_file: Option<PathBuf>,
    /// A file with the hosts that may serve, one per line, read at the start and by refreshNodes. Absent or empty: all may.
    pub include_file: Option<PathBuf>,
    /// A file with the hosts that are to be decommissioned, one per line, read at the start and by refreshNodes.
    pub exclude_file: Option<PathBuf>,
    /// Where `/fsck`, `/jmx`, `/metrics`, `/healthz` and `/readyz` are served over HTTP. Port 0 lets the system choose.
    pub http_address: SocketAddr,
    /// What each DataNode spends on verifying its replicas before an fsck of a superuser, so that damage which nobody has read is named. What
    /// was changed from outside is verified first and in any case. Zero: fsck says only what is known.
    #[serde(with = "humantime_serde")]
    pub fsck_verify_time: Duration,
    /// Transactions after which the log is folded into a new image.
    pub checkpoint_transactions: u64,
    /// Start of the random sequence for placement. Absent: another one at each start.
    pub seed: Option<u64>,
}

impl Default for NameNodeConfig {
    fn default() -> Self {
        let core = CoreSettings::default();
        let millis = Duration::from_millis;
        Self {
            dir: PathBuf::from("namenode"),
            rpc_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8020)),
            link_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8021)),
            default_replication: 3,
            min_replication: 1,
            max_replication: core.max_replication,
            default_block_size: ByteSize::mib(128),
            min_block_size: ByteSize::b(core.min_block_size),
            write_packet_size: ByteSize::kib(64),
            access_time_precision: millis(core.access_time_precision_ms),
            trash_interval: millis(core.trash_interval_ms),
            trash_checkpoint_interval: millis(core.trash_checkpoint_ms),
            max_blocks_per_file: core.max_blocks_per_file,
            max_directory_items: core.max_directory_items,
            superuser: String::new(),
            supergroup: core.supergroup,
            permissions: core.permissions,
            user_groups: BTreeMap::new(),
            os_groups: true,
            audit_log: None,
            audit_log_limit: ByteSize::mib(256),
            heartbeat_interval: Duration::from_secs(3),
            lost_grace: millis(core.lost_grace_ms),
            stale_interval: millis(core.stale_ms),
            dead_interval: millis(core.silent_dead_ms),
            safe_mode_threshold: core.safe_mode_threshold,
            safe_mode_extension: millis(core.safe_mode_extension_ms),
            reserved: ByteSize::mib(100),
            space_check_interval: Duration::from_secs(5),
            lease_soft_limit: millis(core.lease_soft_ms),
            lease_hard_limit: millis(core.lease_hard_ms),
            report_wait: millis(core.park_ms),
            replication_interval: millis(core.replication_interval_ms),
            max_copies_per_datanode: core.max_copies_per_node,
            max_urgent_copies_per_datanode: core.max_copies_per_node_hard,
            copy_timeout: millis(core.copy_timeout_ms),
            surplus_delay: millis(core.excess_delay_ms),
            topology: BTreeMap::new(),
            topology_file: None,
            include_file: None,
            exclude_file: None,
            http_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9870)),
            fsck_verify_time: Duration::from_secs(5),
            checkpoint_transactions: 1_000_000,
            seed: None,
        }
    }
}

/// Longest time that a caller may be held: well below the RPC server's limit on a call.
const MAX_REPORT_WAIT: Duration = Duration::from_secs(60);

/// Longest time that an fsck may wait for its first line of findings.
const MAX_VERIFY_TIME: Duration = Duration::from_secs(600);

impl NameNodeConfig {
    /// Checks what types alone do not.
    ///
    /// # Errors
    /// `Config` with every problem found.
    pub fn validate(&self) -> Result<()> {
        let checks = [
            (self.dir.as_os_str().is_empty(), "dir: expected a directory"),
            (self.min_replication == 0, "min_replication: expected at least 1"),
            (
                self.max_replication < self.min_replication,
                "max_replication: expected at least min_replication",
            ),
            (
                !(self.min_replication..=self.max_replication).contains(&self.default_replication),
                "default_replication: expected a number from min_replication to max_replication",
            ),
            (
                self.default_block_size < self.min_block_size,
                "default_block_size: expected at least min_block_size",
            ),
            (
                !self.default_block_size.as_u64().is_multiple_of(512),
                "default_block_size: expected a multiple of 512 bytes",
            ),
            (
                !(1024..=16 << 20).contains(&self.write_packet_size.as_u64()),
                "write_packet_size: expected 1 KiB to 16 MiB",
            ),
            (
                !(0.0..=1.0).contains(&self.safe_mode_threshold),
                "safe_mode_threshold: expected a number from 0 to 1",
            ),
            (
                self.space_check_interval.is_zero(),
                "space_check_interval: expected more than 0",
            ),
            (
                self.heartbeat_interval.is_zero(),
                "heartbeat_interval: expected more than 0",
            ),
            (
                self.dead_interval < self.heartbeat_interval * 2,
                "dead_interval: expected at least two heartbeat intervals",
            ),
            (
                self.topology.values().any(|rack| !is_rack(rack)),
                "topology: expected racks such as \"/rack1\"",
            ),
            (
                self.lease_hard_limit < self.lease_soft_limit,
                "lease_hard_limit: expected at least lease_soft_limit",
            ),
            (
                !self.trash_interval.as_secs().is_multiple_of(60) || self.trash_interval.subsec_nanos() > 0,
                "trash_interval: expected whole minutes",
            ),
            (
                self.fsck_verify_time > MAX_VERIFY_TIME,
                "fsck_verify_time: expected at most 10m",
            ),
            (self.report_wait > MAX_REPORT_WAIT, "report_wait: expected at most 60s"),
            (
                self.max_copies_per_datanode == 0,
                "max_copies_per_datanode: expected at least 1",
            ),
            (
                self.checkpoint_transactions == 0,
                "checkpoint_transactions: expected at least 1",
            ),
        ];
        let problems: Vec<String> = checks
            .iter()
            .filter(|(bad, _)| *bad)
            .map(|(_, text)| (*text).to_owned())
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Config(problems))
        }
    }

    /// What the core is told.
    pub(crate) fn core_settings(&self, seed: u64) -> CoreSettings {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
        CoreSettings {
            superuser: self.superuser_name(),
            supergroup: self.supergroup.clone(),
            permissions: self.permissions,
            user_groups: self.user_groups.clone(),
            min_replication: usize::from(self.min_replication),
            max_replication: self.max_replication,
            min_block_size: self.min_block_size.as_u64(),
            access_time_precision_ms: millis(self.access_time_precision),
            trash_interval_ms: millis(self.trash_interval),
            trash_checkpoint_ms: millis(self.trash_checkpoint_interval),
            max_blocks_per_file: self.max_blocks_per_file,
            max_directory_items: self.max_directory_items,
            lease_soft_ms: millis(self.lease_soft_limit),
            lease_hard_ms: millis(self.lease_hard_limit),
            lost_grace_ms: millis(self.lost_grace),
            silent_dead_ms: millis(self.dead_interval),
            safe_mode_threshold: self.safe_mode_threshold,
            safe_mode_extension_ms: millis(self.safe_mode_extension),
            park_ms: millis(self.report_wait),
            replication_interval_ms: millis(self.replication_interval),
            max_copies_per_node: self.max_copies_per_datanode,
            max_copies_per_node_hard: self.max_urgent_copies_per_datanode.max(self.max_copies_per_datanode),
            stale_ms: millis(self.stale_interval),
            copy_timeout_ms: millis(self.copy_timeout),
            excess_delay_ms: millis(self.surplus_delay),
            seed,
            ..CoreSettings::default()
        }
    }

    pub(crate) fn superuser_name(&self) -> String {
        if self.superuser.is_empty() {
            process_user()
        } else {
            self.superuser.clone()
        }
    }
}

/// Name of the user that this process runs as; its number if the system has no name for it.
fn process_user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_valid() {
        NameNodeConfig::default().validate().unwrap();
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let bad = NameNodeConfig {
            min_replication: 0,
            checkpoint_transactions: 0,
            ..NameNodeConfig::default()
        };
        let text = bad.validate().unwrap_err().to_string();
        assert!(
            text.contains("min_replication") && text.contains("checkpoint_transactions"),
            "{text}"
        );
    }
}
