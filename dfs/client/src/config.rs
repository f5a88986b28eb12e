//! What a client is told about its cluster, and the limits it keeps. Defaults suit one machine and a real cluster alike.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use quarry_dfs_wire::checksum::{ChecksumType, DataChecksum};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::write::ReplaceDataNode;

/// Settings of a [`DfsClient`](crate::DfsClient).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DfsClientConfig {
    /// The NameNode's RPC address, `host:port`. Several, separated by commas, serve the same files: one of them at a time, and
    /// the client finds out which.
    pub namenode: String,
    /// The user that files are created as and permissions are checked for. The NameNode trusts it (HDFS's simple authentication).
    pub user: String,
    /// Replicas per new file; absent: the NameNode's default.
    pub replication: Option<u16>,
    /// Block size of new files; absent: the NameNode's default.
    pub block_size: Option<ByteSize>,
    /// Connecting to a NameNode or DataNode gives up after this.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// One NameNode call, with all its repetitions, gives up after this.
    #[serde(with = "humantime_serde")]
    pub namenode_timeout: Duration,
    /// The same for the calls of a file that is open for writing: it survives a NameNode that is away, or in safe mode after
    /// a start, for this long.
    #[serde(with = "humantime_serde")]
    pub writer_timeout: Duration,
    /// A NameNode that accepts no connection is given up after this, unless there are several, or a file is open for
    /// writing.
    #[serde(with = "humantime_serde")]
    pub namenode_down_timeout: Duration,
    /// A DataNode that sends nothing for this long while it owes something is given up.
    #[serde(with = "humantime_serde")]
    pub datanode_timeout: Duration,
    /// A write pipeline that acknowledges nothing for this long is given up; 5 s more for each of its DataNodes, so that a
    /// DataNode notices the next one's silence first and the right one is blamed.
    #[serde(with = "humantime_serde")]
    pub pipeline_timeout: Duration,
    /// Whether a write pipeline that has lost a DataNode gets another: `DEFAULT`, `ALWAYS` or `NEVER`, as HDFS's
    /// `dfs.client.block.write.replace-datanode-on-failure.policy`.
    pub replace_datanode: ReplaceDataNode,
    /// Whether a write goes on with fewer DataNodes when no other can be had. HDFS's default is to fail then.
    pub replace_best_effort: bool,
    /// How new files are checksummed: `CRC32C` or `CRC32`.
    #[serde(with = "checksum_type")]
    pub checksum_type: ChecksumType,
    /// Bytes of a new file per checksum.
    pub bytes_per_checksum: u32,
    /// Data bytes in one write packet; rounded down to whole 512-byte chunks.
    pub write_packet_size: ByteSize,
    /// Bytes of one file that may wait for their acknowledgement: the memory that a writer can hold.
    pub write_window: ByteSize,
    /// Blocks of one read that are fetched at the same time.
    pub read_parallelism: usize,
    /// A DataNode that does not begin to answer a read for this long is left for another that has the block; the last one is
    /// waited for as long as `datanode_timeout`.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// A read that takes longer than this is given to a second DataNode, too, and the first answer counts. HDFS's
    /// `dfs.client.hedged.read.threshold.millis`.
    #[serde(with = "humantime_serde")]
    pub hedged_read_threshold: Duration,
    /// Reads at a time that are given to a second DataNode; 0: none. HDFS's `dfs.client.hedged.read.threadpool.size`.
    pub hedged_read_pool: usize,
    /// Unix socket of DataNodes on this machine, which hand out the open files of their replicas; `_PORT` stands for the DataNode's
    /// transfer port. Absent: their replicas are read over TCP. HDFS's `dfs.domain.socket.path`.
    pub domain_socket: Option<PathBuf>,
    /// Whether what is read from files on this machine is compared with its checksums, once per chunk. If not, a disk's damage is returned as it is. HDFS's
    /// `dfs.client.read.shortcircuit.skip.checksum`, turned around.
    pub verify_local_reads: bool,
    /// How long the object store trusts the block locations of a path it has read before. Own changes are seen at once.
    #[serde(with = "humantime_serde")]
    pub location_ttl: Duration,
}

impl Default for DfsClientConfig {
    fn default() -> Self {
        Self {
            namenode: "127.0.0.1:8020".to_owned(),
            user: default_user(),
            replication: None,
            block_size: None,
            connect_timeout: Duration::from_secs(5),
            namenode_timeout: Duration::from_secs(60),
            writer_timeout: Duration::from_secs(180),
            namenode_down_timeout: Duration::from_secs(10),
            datanode_timeout: Duration::from_secs(30),
            pipeline_timeout: Duration::from_secs(60),
            replace_datanode: ReplaceDataNode::Default,
            replace_best_effort: true,
            checksum_type: ChecksumType::Crc32c,
            bytes_per_checksum: 512,
            write_packet_size: ByteSize::mib(1),
            write_window: ByteSize::mib(16),
            read_parallelism: 4,
            first_byte_timeout: Duration::from_secs(2),
            hedged_read_threshold: Duration::from_millis(500),
            hedged_read_pool: 0,
            domain_socket: None,
            verify_local_reads: true,
            location_ttl: Duration::from_secs(2),
        }
    }
}

/// The login name, as HDFS's own clients choose it: `HADOOP_USER_NAME` wins over the operating system's.
fn default_user() -> String {
    ["HADOOP_USER_NAME", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "quarry".to_owned())
}

impl DfsClientConfig {
    /// A client of the NameNode at `host:port`, everything else default.
    pub fn new(namenode: impl Into<String>) -> Self {
        Self {
            namenode: namenode.into(),
            ..Self::default()
        }
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
        let is_address = |address: &str| {
            let parts = address.rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        require(
            self.namenodes().all(is_address),
            "`namenode` must be host:port, or several with commas between them",
        );
        require(!self.user.is_empty(), "`user` must not be empty");
        require(self.replication != Some(0), "`replication` must be at least 1");
        let chunk = u64::from(self.bytes_per_checksum).max(1);
        let block_size = self.block_size.map_or(chunk, |size| size.as_u64());
        require(
            block_size > 0 && block_size.is_multiple_of(chunk),
            "`block_size` must be a positive multiple of `bytes_per_checksum` (512 bytes unless set)",
        );
        let packet = self.write_packet_size.as_u64();
        require(
            (512..=MAX_WRITE_PACKET).contains(&packet),
            "`write_packet_size` must be 512 B to 8 MiB",
        );
        require(
            self.write_window >= self.write_packet_size,
            "`write_window` must hold at least one packet",
        );
        require(
            (1..=MAX_WRITE_PACKET).contains(&self.bytes_per_checksum.into()),
            "`bytes_per_checksum` must be 1 B to 8 MiB",
        );
        require(self.read_parallelism > 0, "`read_parallelism` must be at least 1");
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Config { problems })
        }
    }

    /// Data bytes per packet in whole chunks.
    pub(crate) fn packet_bytes(&self) -> usize {
        let chunks = self.write_packet_size.as_u64().clamp(512, MAX_WRITE_PACKET) / 512;
        chunks as usize * 512
    }
}

impl DfsClientConfig {
    /// The RPC addresses of the NameNodes.
    pub(crate) fn namenodes(&self) -> impl Iterator<Item = &str> {
        self.namenode.split(',').map(str::trim)
    }

    /// How new blocks are checksummed.
    pub(crate) fn checksum(&self) -> DataChecksum {
        DataChecksum::new(self.checksum_type, self.bytes_per_checksum).unwrap_or_default()
    }

    /// For how long a pipeline of so many DataNodes may be silent.
    pub(crate) fn pipeline_silence(&self, nodes: usize) -> Duration {
        self.pipeline_timeout + SILENCE_PER_NODE * u32::try_from(nodes).unwrap_or(u32::MAX).min(MAX_NODES)
    }

    /// How long one DataNode may take to copy so many bytes to another.
    pub(crate) fn transfer_patience(&self, bytes: u64) -> Duration {
        self.pipeline_timeout + Duration::from_secs(bytes / SLOWEST_TRANSFER)
    }
}

/// HDFS's `READ_TIMEOUT_EXTENSION`.
const SILENCE_PER_NODE: Duration = Duration::from_secs(5);

/// Nobody has longer pipelines: HDFS's largest replication.
const MAX_NODES: u32 = 512;

/// Bytes per second of a copy between DataNodes that is still waited for.
const SLOWEST_TRANSFER: u64 = 4 << 20;

/// A checksum type in configuration: HDFS's name of it.
mod checksum_type {
    use quarry_dfs_wire::checksum::ChecksumType;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(kind: &ChecksumType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match kind {
            ChecksumType::Null => "NULL",
            ChecksumType::Crc32 => "CRC32",
            ChecksumType::Crc32c => "CRC32C",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChecksumType, D::Error> {
        let name = String::deserialize(deserializer)?;
        super::checksum_named(&name).ok_or_else(|| de::Error::custom(format!("`{name}`, expected CRC32C or CRC32")))
    }
}

/// The checksum type of that name.
pub(crate) fn checksum_named(name: &str) -> Option<ChecksumType> {
    match name {
        "NULL" => Some(ChecksumType::Null),
        "CRC32" => Some(ChecksumType::Crc32),
        "CRC32C" => Some(ChecksumType::Crc32c),
        _ => None,
    }
}

/// DataNodes refuse packets beyond 16 MiB; checksums and header need room too.
const MAX_WRITE_PACKET: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_usable() {
        DfsClientConfig::default().validate().unwrap();
    }

    #[test]
    fn every_problem_is_named() {
        let config = DfsClientConfig {
            namenode: "nowhere".into(),
            user: String::new(),
            replication: Some(0),
            block_size: Some(ByteSize::b(1000)),
            write_packet_size: ByteSize::b(1),
            write_window: ByteSize::b(0),
            read_parallelism: 0,
            ..DfsClientConfig::default()
        };
        let Err(Error::Config { problems }) = config.validate() else {
            panic!("must not validate")
        };
        assert_eq!(problems.len(), 7, "{problems:?}");
    }

    #[test]
    fn packets_hold_whole_chunks() {
        let config = DfsClientConfig {
            write_packet_size: ByteSize::b(1500),
            ..DfsClientConfig::default()
        };
        assert_eq!(config.packet_bytes(), 1024);
    }
}
