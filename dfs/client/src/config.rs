//! What a client is told about its cluster, and the limits it keeps. Defaults suit one machine and a real cluster alike.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Settings of a [`DfsClient`](crate::DfsClient).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DfsClientConfig {
    /// The NameNode's RPC address, `host:port`.
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
    /// A DataNode that sends nothing for this long while it owes something is given up.
    #[serde(with = "humantime_serde")]
    pub datanode_timeout: Duration,
    /// Data bytes in one write packet; rounded down to whole 512-byte chunks.
    pub write_packet_size: ByteSize,
    /// Bytes of one file that may wait for their acknowledgement: the memory that a writer can hold.
    pub write_window: ByteSize,
    /// Blocks of one read that are fetched at the same time.
    pub read_parallelism: usize,
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
            datanode_timeout: Duration::from_secs(30),
            write_packet_size: ByteSize::kib(256),
            write_window: ByteSize::mib(8),
            read_parallelism: 4,
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
        let address = self.namenode.rsplit_once(':');
        let is_address = address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        require(is_address, "`namenode` must be host:port");
        require(!self.user.is_empty(), "`user` must not be empty");
        require(self.replication != Some(0), "`replication` must be at least 1");
        let block_size = self.block_size.map_or(512, |size| size.as_u64());
        require(
            block_size > 0 && block_size.is_multiple_of(512),
            "`block_size` must be a positive multiple of 512 bytes",
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
