//! Settings of the coordinator.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use quarry_engine::session::{DEFAULT_SERIES_ROWS, DEFAULT_VALUE_BYTES};
use serde::{Deserialize, Serialize};

use crate::execution::{Compression, ExecutionConfig};
use crate::query::admission::AdmissionLimits;

/// Settings of the coordinator, the `[coordinator]` table of the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinatorConfig {
    /// Where Flight SQL and the workers' registration are served. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Serve on an address that other machines reach although clients are not authenticated.
    pub insecure: bool,
    /// File of the users who may log in, each with a password, a token, or both: `[users.ada]`, `password = ".."`, `token = ".."`; readable by its
    /// owner alone. Absent: clients are who they say they are, or anonymous.
    pub users_file: Option<PathBuf>,
    /// RPC address of the NameNode, `host:port`.
    pub namenode: String,
    /// User in whose name catalog files are kept in the distributed file system.
    pub user: String,
    /// The socket at which a DataNode on this machine passes its replicas' open files (`datanode.domain_socket`), so that what the coordinator
    /// reads itself need not cross TCP. Absent: it does.
    pub domain_socket: Option<PathBuf>,
    /// Directory of the distributed file system that holds the catalog.
    pub catalog: String,
    /// Directory of the distributed file system for tables that Quarry manages.
    pub warehouse: String,
    /// Memory that the operators on the coordinator may reserve together.
    pub memory_limit: ByteSize,
    /// Memory that the operators of one query may reserve on the coordinator. Absent: four fifths of `memory_limit`.
    pub query_memory_limit: Option<ByteSize>,
    /// Local directory for what does not fit in that memory.
    pub spill_dir: PathBuf,
    /// Most that may lie there at a time.
    pub spill_limit: ByteSize,
    /// Threads that run the coordinator's part of queries; all cores if absent.
    pub threads: Option<usize>,
    /// Partitions of one task, at least 2: the cores of one worker; those of this machine if absent.
    pub partitions: Option<usize>,
    /// A query that reads less than this runs on the coordinator alone.
    pub local_below: ByteSize,
    /// A scan is one task for each of this many bytes, times the number of scans in its query, that it reads; at most one on each worker.
    pub task_bytes: ByteSize,
    /// Compression of batches between workers: `auto` (`none` if all are on one machine, else `lz4`), `none`, `lz4`, `zstd`.
    pub compression: Compression,
    /// Batches that may wait in memory per connection between workers.
    pub exchange_buffer: ByteSize,
    /// How long the coordinator keeps trying to reach the NameNode when it starts.
    #[serde(with = "humantime_serde")]
    pub start_timeout: Duration,
    /// How old the known list of tables may be before it is looked up again.
    #[serde(with = "humantime_serde")]
    pub catalog_refresh: Duration,
    /// Sessions that were not used for this long are forgotten.
    #[serde(with = "humantime_serde")]
    pub session_idle: Duration,
    /// Most sessions at a time; the one unused for longest makes room.
    pub max_sessions: usize,
    /// Results that nobody fetched for this long are dropped.
    #[serde(with = "humantime_serde")]
    pub result_expiry: Duration,
    /// Longest run of one statement, from planning to its last row. `SET quarry.statement_timeout` lowers it for a session.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// Queries at a time.
    pub admission: AdmissionLimits,
    /// Limits on statements, checked before they are planned.
    pub limits: StatementLimits,
}

/// Limits that keep one statement from taking the server down, checked before it is planned or while it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatementLimits {
    /// Length of the SQL text.
    pub sql_bytes: ByteSize,
    /// Tokens of the SQL text.
    pub tokens: usize,
    /// Statements in one text.
    pub statements: usize,
    /// Depth of parentheses, brackets and `CASE`.
    pub nesting: usize,
    /// Operators in a row without parentheses or comma, such as `a + b + c` or `x OR y OR z`. Planner and evaluation recurse over them.
    pub operator_chain: usize,
    /// Relations and set operations: each is a node of the plan.
    pub relations: usize,
    /// Nodes of the logical plan after `WITH` and views are put in.
    pub plan_nodes: usize,
    /// Grouping sets of one `GROUP BY`: a `CUBE` of n columns has 2^n. DataFusion's own limit on those written out is 4,096.
    pub grouping_sets: usize,
    /// States of a regular expression, about: `(a{1,100}){1,100}` has 10,000. It is compiled anew for each batch of rows.
    pub pattern_states: usize,
    /// What one call of a function such as `repeat`, `lpad`, `range` or `array_repeat` may make.
    pub value_bytes: ByteSize,
    /// Rows of `generate_series` and `range` in FROM.
    pub series_rows: u64,
    /// Longest planning of one statement.
    #[serde(with = "humantime_serde")]
    pub planning_time: Duration,
    /// Statements that are planned at the same time.
    pub planning_threads: usize,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        let execution = ExecutionConfig::default();
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8040),
            insecure: false,
            users_file: None,
            namenode: "127.0.0.1:8020".to_owned(),
            user: "quarry".to_owned(),
            domain_socket: None,
            catalog: "/quarry/catalog".to_owned(),
            warehouse: "/quarry/warehouse".to_owned(),
            memory_limit: execution.memory_limit,
            query_memory_limit: execution.query_memory_limit,
            spill_dir: execution.spill_dir,
            spill_limit: execution.spill_limit,
            threads: execution.threads,
            partitions: execution.partitions,
            local_below: execution.local_below,
            task_bytes: execution.task_bytes,
            compression: execution.compression,
            exchange_buffer: execution.exchange_buffer,
            start_timeout: Duration::from_secs(60),
            catalog_refresh: Duration::from_millis(500),
            session_idle: Duration::from_secs(30 * 60),
            max_sessions: 10_000,
            result_expiry: Duration::from_secs(5 * 60),
            statement_timeout: Duration::from_secs(60 * 60),
            admission: AdmissionLimits::default(),
            limits: StatementLimits::default(),
        }
    }
}

impl Default for StatementLimits {
    /// A chain of some 2,000 operators aborts a process with usual stacks; the parser itself refuses expressions nested beyond 50.
    fn default() -> Self {
        Self {
            sql_bytes: ByteSize::mib(16),
            tokens: 1_000_000,
            statements: 1_000,
            nesting: 100,
            operator_chain: 1_000,
            relations: 1_000,
            plan_nodes: 20_000,
            grouping_sets: 4_096,
            pattern_states: 100_000,
            value_bytes: ByteSize::b(DEFAULT_VALUE_BYTES),
            series_rows: DEFAULT_SERIES_ROWS,
            planning_time: Duration::from_secs(60),
            planning_threads: 16,
        }
    }
}

impl CoordinatorConfig {
    /// Checks that the settings can be used together.
    ///
    /// # Errors
    /// All problems at once, each naming its key.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if !self.address.ip().is_loopback() && !self.insecure {
            problems.push(format!(
                "address {} is reachable from other machines, and neither are clients authenticated by default nor connections encrypted; use 127.0.0.1, or set `insecure = true`",
                self.address
            ));
        }
        for (key, path) in [("catalog", &self.catalog), ("warehouse", &self.warehouse)] {
            if !path.starts_with('/') || path.len() < 2 || path.ends_with('/') {
                problems.push(format!(
                    "{key} is {path:?}; expected an absolute directory such as /quarry/{key}"
                ));
            }
        }
        if !self.namenode.contains(':') {
            problems.push(format!("namenode is {:?}; expected host:port", self.namenode));
        }
        if self.user.is_empty() {
            problems.push("user is empty; expected a user name".to_owned());
        }
        problems.extend(self.zero_limits());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The part of the settings that the engine reads.
    pub(crate) fn execution(&self) -> ExecutionConfig {
        ExecutionConfig {
            partitions: self.partitions,
            threads: self.threads,
            memory_limit: self.memory_limit,
            query_memory_limit: self.query_memory_limit,
            spill_dir: self.spill_dir.clone(),
            spill_limit: self.spill_limit,
            local_below: self.local_below,
            task_bytes: self.task_bytes,
            compression: self.compression,
            exchange_buffer: self.exchange_buffer,
        }
    }

    fn zero_limits(&self) -> impl Iterator<Item = String> {
        let limits = &self.limits;
        [
            ("memory_limit", self.memory_limit.as_u64() == 0),
            ("query_memory_limit", self.query_memory_limit == Some(ByteSize(0))),
            ("admission.running", self.admission.running == 0),
            ("admission.at_once", self.admission.at_once == Some(0)),
            ("threads", self.threads == Some(0)),
            ("max_sessions", self.max_sessions == 0),
            ("statement_timeout", self.statement_timeout.is_zero()),
            ("limits.planning_threads", limits.planning_threads == 0),
            ("limits.planning_time", limits.planning_time.is_zero()),
        ]
        .into_iter()
        .filter(|(_, zero)| *zero)
        .map(|(key, _)| format!("{key} is 0; expected more"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_usable() {
        CoordinatorConfig::default().validate().unwrap();
    }

    #[test]
    fn an_open_address_must_be_asked_for_aloud() {
        let mut config = CoordinatorConfig {
            address: "0.0.0.0:8040".parse().unwrap(),
            ..CoordinatorConfig::default()
        };
        assert!(config.validate().unwrap_err()[0].contains("insecure"));
        config.insecure = true;
        config.validate().unwrap();
    }

    #[test]
    fn every_problem_is_listed() {
        let config = CoordinatorConfig {
            catalog: "relative".into(),
            namenode: "nohost".into(),
            threads: Some(0),
            ..CoordinatorConfig::default()
        };
        assert_eq!(config.validate().unwrap_err().len(), 3);
    }
}
