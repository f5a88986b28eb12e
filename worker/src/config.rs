//! What an operator sets for a worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Settings of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Where it listens for tasks; port 0 takes a free one.
    pub address: SocketAddr,
    /// IP address under which others reach it. Absent: that of `address`. It is also matched against the addresses of DataNodes
    /// when the worker stands beside none.
    pub host: Option<IpAddr>,
    /// Network location, matched against that of DataNodes.
    pub rack: String,
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// `host:port` of the NameNode's RPC server.
    pub namenode: String,
    /// User under which files are read.
    pub user: String,
    /// UUID of the DataNode on the same machine, if it is another process. A DataNode in the same process says it itself.
    pub datanode_uuid: Option<String>,
    /// The socket at which that DataNode passes its replicas' open files (its `datanode.domain_socket`). Absent: they are read over TCP.
    /// Without meaning for a DataNode in the same process.
    pub domain_socket: Option<PathBuf>,
    /// Memory that the operators of all queries may reserve together.
    pub memory_limit: ByteSize,
    /// Memory that the operators of one query may reserve. Absent: four fifths of `memory_limit`.
    pub query_memory_limit: Option<ByteSize>,
    /// Directory for what operators spill.
    pub spill_dir: PathBuf,
    /// Most that may be spilled at a time.
    pub spill_limit: ByteSize,
    /// Threads for operators. Absent: the cores of this machine.
    pub threads: Option<usize>,
    /// Largest plan that is accepted.
    pub max_plan_size: ByteSize,
    /// Time that tasks have to end when the worker is shut down.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            host: None,
            rack: "/default-rack".to_owned(),
            coordinator: "127.0.0.1:8040".to_owned(),
            namenode: "127.0.0.1:8020".to_owned(),
            user: "quarry".to_owned(),
            datanode_uuid: None,
            domain_socket: None,
            memory_limit: ByteSize::gib(2),
            query_memory_limit: None,
            spill_dir: std::env::temp_dir().join("quarry-worker-spill"),
            spill_limit: ByteSize::gib(50),
            threads: None,
            max_plan_size: ByteSize::mib(64),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl WorkerConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// All problems, each naming its key, what it is and what is expected.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for (key, address) in [("coordinator", &self.coordinator), ("namenode", &self.namenode)] {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                problems.push(format!("{key} is {address:?}; expected host:port"));
            }
        }
        if self.address.ip().is_unspecified() && self.host.is_none() {
            problems.push(format!(
                "address is {}: others cannot reach that; set host too",
                self.address
            ));
        }
        if !self.rack.starts_with('/') {
            problems.push(format!(
                "rack is {:?}; expected a path such as /default-rack",
                self.rack
            ));
        }
        for (key, size) in [
            ("memory_limit", self.memory_limit),
            ("max_plan_size", self.max_plan_size),
        ] {
            if size.as_u64() == 0 {
                problems.push(format!("{key} is 0; expected a size such as 2GiB"));
            }
        }
        if self.query_memory_limit == Some(ByteSize(0)) {
            problems.push("query_memory_limit is 0; expected a size such as 1GiB".to_owned());
        }
        if self.threads == Some(0) {
            problems.push("threads is 0; expected at least 1".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_usable() {
        WorkerConfig::default().validate().unwrap();
    }

    #[test]
    fn every_problem_is_named() {
        let config = WorkerConfig {
            coordinator: "here".into(),
            namenode: "there:x".into(),
            address: "0.0.0.0:0".parse().unwrap(),
            rack: "r".into(),
            memory_limit: ByteSize(0),
            threads: Some(0),
            ..WorkerConfig::default()
        };
        let problems = config.validate().unwrap_err();
        for key in ["coordinator", "namenode", "host", "rack", "memory_limit", "threads"] {
            assert!(
                problems.iter().any(|problem| problem.contains(key)),
                "{key}: {problems:?}"
            );
        }
    }
}
