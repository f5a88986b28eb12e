//! Configuration of a DataNode.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Volumes are numbered in 16 bits; no machine has as many disks.
const MAX_VOLUMES: usize = 1024;

/// Everything a DataNode can be told. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataNodeConfig {
    /// Data directories, one per disk. New replicas go to each in turn, as far as it has room.
    pub dirs: Vec<PathBuf>,
    /// `host:port` of the NameNode's DataNode link.
    pub namenode: String,
    /// The IP address that clients and other DataNodes reach this DataNode by.
    pub host: IpAddr,
    /// The name shown to people; the IP address if empty.
    pub hostname: String,
    /// Where to listen for reads and writes of blocks. Port 0: the system chooses.
    pub xfer_address: SocketAddr,
    /// Where to listen for `ClientDatanodeProtocol` calls. Port 0: the system chooses.
    pub ipc_address: SocketAddr,
    /// Place in the network, such as `/rack1`; empty for the default rack.
    pub network_location: String,
    /// Room on each volume that replicas leave free.
    pub reserved: ByteSize,
    /// Volumes that may fail before the DataNode stops. Their replicas are made anew elsewhere. When all have failed it stops in any
    /// case.
    pub failed_volumes_tolerated: usize,
    /// Connections to the transfer port at a time; more are closed at once.
    pub max_connections: usize,
    /// Operations on the transfer port at a time; more are refused with an error.
    pub max_transfers: usize,
    /// How long a connection may wait for its next operation. HDFS clients keep connections for 3 s.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long one message, once begun, may take to arrive.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// How long a reader, a writer or another DataNode may be silent in the midst of a transfer. HDFS clients send a sign of
    /// life every 30 s.
    #[serde(with = "humantime_serde")]
    pub transfer_timeout: Duration,
    /// How long connecting to another DataNode may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long the last packet of a block waits for the NameNode to know the block. Longer than a NameNode restart,
    /// shorter than the 60 s after which clients give up a pipeline.
    #[serde(with = "humantime_serde")]
    pub report_timeout: Duration,
    /// Longest time between two reports of everything that is stored here.
    #[serde(with = "humantime_serde")]
    pub full_report_interval: Duration,
    /// How long a recovery waits for the previous writer to stop.
    #[serde(with = "humantime_serde")]
    pub stop_writer_timeout: Duration,
    /// Copies to other DataNodes at a time that the NameNode orders.
    pub max_replication_streams: usize,
    /// Data bytes per packet sent to readers.
    pub read_packet_size: ByteSize,
    /// Every replica is read and compared with its checksums once in this time; 0 s: never.
    #[serde(with = "humantime_serde")]
    pub block_scan_period: Duration,
    /// Bytes per second that this reads on each volume; 0: as fast as the disk.
    pub block_scan_bytes_per_second: ByteSize,
    /// Between two comparisons of what the disks hold with what is known of them; files that something has written to are
    /// verified at once. 0 s: never.
    #[serde(with = "humantime_serde")]
    pub directory_scan_interval: Duration,
    /// Replicas move between the volumes of this DataNode while their use differs by more than this many percent; 0: never.
    pub volume_balance_threshold_percent: u8,
    /// Bytes per second of such moves.
    pub volume_balance_bytes_per_second: ByteSize,
    /// Bytes per second of all copies together that the NameNode orders to even out the DataNodes, until an administrator sets
    /// another figure.
    pub balance_bandwidth: ByteSize,
    /// Such copies at a time.
    pub max_balancing_streams: usize,
    /// Unix socket at which readers on this machine get replicas' open files; `_PORT` stands for the transfer port. Everybody who can
    /// reach the file may read every block: its directory decides who that is. Absent: readers on this machine use TCP, too.
    /// HDFS's `dfs.domain.socket.path`.
    pub domain_socket: Option<PathBuf>,
}

impl Default for DataNodeConfig {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            dirs: Vec::new(),
            namenode: String::new(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hostname: String::new(),
            xfer_address: any_port,
            ipc_address: any_port,
            network_location: String::new(),
            reserved: ByteSize::mib(64),
            failed_volumes_tolerated: 0,
            max_connections: 16_384,
            max_transfers: 4096,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            transfer_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            report_timeout: Duration::from_secs(20),
            full_report_interval: Duration::from_secs(6 * 3600),
            stop_writer_timeout: Duration::from_secs(15),
            max_replication_streams: 4,
            read_packet_size: ByteSize::mib(1),
            block_scan_period: Duration::from_secs(504 * 3600),
            block_scan_bytes_per_second: ByteSize::mib(1),
            directory_scan_interval: Duration::from_secs(6 * 3600),
            volume_balance_threshold_percent: 10,
            volume_balance_bytes_per_second: ByteSize::mib(10),
            balance_bandwidth: ByteSize::mib(100),
            max_balancing_streams: 8,
            domain_socket: None,
        }
    }
}

/// More patience per node of a pipeline that is waited for: the node nearest to a silent one gives up first, so that the
/// silent one is named and not its neighbour. HDFS's clients and DataNodes add as much.
const PATIENCE_PER_NODE: Duration = Duration::from_secs(5);

impl DataNodeConfig {
    /// How long to wait for the rest of a pipeline, which has `nodes` nodes.
    #[must_use]
    pub fn pipeline_timeout(&self, nodes: usize) -> Duration {
        self.transfer_timeout + PATIENCE_PER_NODE * u32::try_from(nodes.saturating_sub(1)).unwrap_or(u32::MAX).min(1000)
    }

    /// Checks what no type can.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        require(
            !self.dirs.is_empty(),
            "`dirs` is empty; name at least one data directory",
        );
        require(
            self.dirs.len() <= MAX_VOLUMES,
            "`dirs` names more than 1024 directories",
        );
        require(
            self.namenode.contains(':'),
            "`namenode` must be the host:port of the NameNode's link",
        );
        require(
            !self.host.is_unspecified(),
            "`host` must be an address that others can connect to",
        );
        require(
            !self.full_report_interval.is_zero(),
            "`full_report_interval` must be more than 0 s",
        );
        require(
            self.network_location.is_empty() || self.network_location.starts_with('/'),
            "`network_location` must begin with `/`",
        );
        require(
            self.dirs.is_empty() || self.failed_volumes_tolerated < self.dirs.len(),
            "`failed_volumes_tolerated` must be less than the number of `dirs`",
        );
        require(self.max_connections > 0, "`max_connections` must be at least 1");
        require(self.max_transfers > 0, "`max_transfers` must be at least 1");
        require(
            self.max_replication_streams > 0,
            "`max_replication_streams` must be at least 1",
        );
        require(
            self.max_balancing_streams > 0,
            "`max_balancing_streams` must be at least 1",
        );
        require(
            self.volume_balance_threshold_percent < 100,
            "`volume_balance_threshold_percent` must be below 100",
        );
        let packet = self.read_packet_size.as_u64();
        require(
            (4096..=8 << 20).contains(&packet),
            "`read_packet_size` must be 4 KiB to 8 MiB",
        );
        require(
            self.domain_socket.as_ref().is_none_or(|path| path.is_absolute()),
            "`domain_socket` must be an absolute path",
        );
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Config { problems })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_lack_only_directory_and_namenode() {
        let Err(Error::Config { problems }) = DataNodeConfig::default().validate() else {
            panic!("must not validate")
        };
        assert_eq!(problems.len(), 2, "{problems:?}");
        let config = DataNodeConfig {
            dirs: vec!["/data/1".into()],
            namenode: "127.0.0.1:9001".into(),
            ..DataNodeConfig::default()
        };
        config.validate().unwrap();
    }
}
