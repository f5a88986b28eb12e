//! What each role of a local cluster is told: directories under the cluster's own, ports of the last run where they are
//! still free, the machine's threads and memory shared out. What the user configured is left as it is.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Layers, Loaded, Origin, Setting};

use super::Endpoints;
use crate::locate;

/// Replicas of a block unless the cluster is smaller, as with HDFS.
const REPLICATION: u16 = 3;
/// How often DataNodes compare their directories with what they know. Seldom by default, as disks are large; here they are small, and
/// somebody may try what happens when files are changed under the cluster.
const DIRECTORY_SCAN: &str = "1m";
/// Bytes that a Unix socket's address has for its path, the end mark included. `_PORT` is as long as the longest port.
const LONGEST_SOCKET: usize = 108;
/// Fewest threads of a worker: with one, plans cannot be cut at exchanges.
const LEAST_THREADS: usize = 2;
/// Share of the machine's memory for the operators of all workers and the coordinator: the rest is for the page cache,
/// batches in flight and other programs.
const MEMORY_SHARE: u64 = 2;

/// The layout of one cluster on this machine.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) nodes: u16,
    /// Racks that the nodes are spread over; absent: all are on the default rack.
    racks: Option<u16>,
    /// Volumes of each DataNode, unless its directory has more.
    volumes: u16,
    pub(super) layers: Layers,
    loaded: Loaded,
    last: Option<Endpoints>,
}

impl Plan {
    pub(super) fn new(dir: &Path, nodes: u16, layers: Layers, last: Option<Endpoints>) -> Result<Self, ConfigError> {
        Ok(Self {
            dir: dir.to_owned(),
            nodes,
            racks: None,
            volumes: 1,
            loaded: layers.load()?,
            layers,
            last,
        })
    }

    /// The same plan with the nodes on so many racks and with so many volumes each.
    pub(super) fn with_shape(self, racks: Option<u16>, volumes: Option<u16>) -> Self {
        Self {
            racks,
            volumes: volumes.unwrap_or(1),
            ..self
        }
    }

    /// The same plan with other ports to return to.
    pub(super) fn with_last(&self, last: Endpoints) -> Self {
        Self {
            last: Some(last),
            ..self.clone()
        }
    }

    /// The user's configuration without what this plan adds.
    pub(super) fn user_config(&self) -> &Config {
        &self.loaded.config
    }

    /// Who starts the cluster: it is theirs.
    pub(super) fn user(&self) -> String {
        locate::user(&self.loaded.config.client)
    }

    pub(super) fn namenode(&self) -> Vec<Setting> {
        let last = self.last.as_ref().map(|last| &last.namenode);
        let mut settings = Settings::new(&self.loaded);
        settings.force("namenode.dir", path(&self.dir.join("namenode")));
        settings.offer("namenode.rpc_address", address(last.map(|last| last.rpc)));
        settings.offer("namenode.link_address", address(last.map(|last| last.link)));
        settings.offer("namenode.http_address", address(last.map(|last| last.http)));
        settings.offer("namenode.superuser", self.user());
        settings.offer("namenode.default_replication", REPLICATION.min(self.nodes));
        settings.list
    }

    pub(super) fn datanode(&self, node: usize, link: SocketAddr) -> Vec<Setting> {
        let last = self.last.as_ref().and_then(|last| last.datanodes.get(node));
        let mut settings = Settings::new(&self.loaded);
        let dirs = self.volume_dirs(node).into_iter().map(|dir| path(&dir).into());
        settings.force("datanode.dirs", toml::Value::Array(dirs.collect()));
        if let Some(racks) = self.racks {
            let rack = node % usize::from(racks) + 1;
            settings.offer("datanode.network_location", format!("/rack{rack}"));
        }
        settings.force("datanode.namenode", link);
        settings.force("datanode.xfer_address", address(last.map(|last| last.xfer)));
        settings.force("datanode.ipc_address", address(last.map(|last| last.ipc)));
        settings.offer("datanode.directory_scan_interval", DIRECTORY_SCAN);
        settings.offer_path("datanode.domain_socket", self.domain_socket());
        settings.list
    }

    pub(super) fn worker(&self, node: usize, rpc: SocketAddr, coordinator: SocketAddr) -> Vec<Setting> {
        let last = self.last.as_ref().and_then(|last| last.workers.get(node));
        let mut settings = Settings::new(&self.loaded);
        settings.force("worker.address", address(last.map(|last| last.addr)));
        settings.force("worker.namenode", rpc);
        settings.force("worker.coordinator", coordinator);
        settings.force("worker.spill_dir", path(&self.node_dir(node).join("spill")));
        settings.offer("worker.user", self.user());
        settings.offer("worker.threads", self.worker_threads());
        settings.offer("worker.memory_limit", self.memory_each());
        settings.list
    }

    pub(super) fn coordinator(&self, rpc: SocketAddr) -> Vec<Setting> {
        let last = self.last.as_ref().map(|last| last.coordinator.flight_sql);
        let mut settings = Settings::new(&self.loaded);
        settings.force("coordinator.namenode", rpc);
        settings.offer("coordinator.address", address(last));
        settings.offer("coordinator.user", self.user());
        settings.offer_path("coordinator.domain_socket", self.domain_socket());
        settings.offer("coordinator.spill_dir", path(&self.dir.join("coordinator/spill")));
        settings.offer("coordinator.memory_limit", self.memory_each());
        settings.list
    }

    /// Where DataNodes pass open replicas, `_PORT` standing for their transfer port; none if the directory's name is too long for a socket.
    fn domain_socket(&self) -> Option<PathBuf> {
        let socket = std::path::absolute(&self.dir).ok()?.join("dn._PORT.sock");
        (socket.as_os_str().len() < LONGEST_SOCKET).then_some(socket)
    }

    /// Directory of the logs of child processes.
    pub(super) fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{}", node + 1))
    }

    /// The directories of a DataNode's volumes: as many as wanted, and those that are there from an earlier start, which hold blocks.
    fn volume_dirs(&self, node: usize) -> Vec<PathBuf> {
        let dir = self.node_dir(node);
        let volume = |number: u16| match number {
            1 => dir.join("blocks"),
            number => dir.join(format!("blocks-{number}")),
        };
        let numbers = 1..=u16::MAX;
        let needed = |number: &u16| *number <= self.volumes || volume(*number).is_dir();
        numbers.take_while(needed).map(volume).collect()
    }

    /// Query threads of each worker.
    pub(super) fn worker_threads(&self) -> usize {
        let share = (threads() / usize::from(self.nodes)).max(LEAST_THREADS);
        self.loaded.config.worker.threads.unwrap_or(share)
    }

    /// Bytes for each worker and the coordinator.
    fn memory_each(&self) -> u64 {
        machine_memory() / MEMORY_SHARE / (u64::from(self.nodes) + 1)
    }
}

/// How many nodes the cluster in `dir` has had so far.
pub(super) fn nodes_in(dir: &Path) -> u16 {
    (1..=u16::MAX)
        .take_while(|node| dir.join(format!("node-{node}")).is_dir())
        .last()
        .unwrap_or(0)
}

/// Threads of this machine.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(LEAST_THREADS, usize::from)
}

fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// The address of the last run if it is free now, else one that the system chooses.
pub(super) fn address(last: Option<SocketAddr>) -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    last.filter(|last| TcpListener::bind(last).is_ok()).unwrap_or(any)
}

/// Collects settings that go over the user's (`force`) or give way to them (`offer`).
struct Settings<'a> {
    user: &'a Loaded,
    list: Vec<Setting>,
}

impl<'a> Settings<'a> {
    fn new(user: &'a Loaded) -> Self {
        Self { user, list: Vec::new() }
    }

    fn force(&mut self, key: &str, value: impl ToString) {
        self.list.push(Setting::flag("quarry local", key, value.to_string()));
    }

    fn offer_path(&mut self, key: &str, value: Option<PathBuf>) {
        if let Some(value) = value {
            self.offer(key, path(&value));
        }
    }

    fn offer(&mut self, key: &str, value: impl ToString) {
        if self.user.origin(key) == Origin::Default {
            self.force(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan(nodes: u16, settings: Vec<Setting>) -> Plan {
        let last = super::super::endpoints::tests::sample();
        Plan::new(Path::new("/d"), nodes, Layers { file: None, settings }, Some(last)).unwrap()
    }

    fn value(settings: &[Setting], key: &str) -> Option<String> {
        settings
            .iter()
            .find(|setting| setting.key == key)
            .map(|setting| setting.value.clone())
    }

    #[test]
    fn datanodes_pass_replicas_to_the_coordinator_unless_the_socket_has_no_room_for_its_name() {
        let short = plan(1, vec![]);
        let link = SocketAddr::from(([127, 0, 0, 1], 1));
        let socket = value(&short.datanode(0, link), "datanode.domain_socket");
        assert_eq!(socket.as_deref(), Some("/d/dn._PORT.sock"));
        assert_eq!(value(&short.coordinator(link), "coordinator.domain_socket"), socket);
        let long = Plan::new(Path::new(&format!("/{}", "d".repeat(100))), 1, Layers::default(), None);
        assert_eq!(value(&long.unwrap().datanode(0, link), "datanode.domain_socket"), None);
    }

    #[test]
    fn nodes_are_spread_over_racks_and_keep_the_volumes_that_they_had() {
        let dir = tempfile::tempdir().unwrap();
        let plan = |volumes| {
            Plan::new(dir.path(), 3, Layers::default(), None)
                .unwrap()
                .with_shape(Some(2), volumes)
        };
        let link = SocketAddr::from(([127, 0, 0, 1], 1));
        let rack = |node| value(&plan(None).datanode(node, link), "datanode.network_location").unwrap();
        assert_eq!([rack(0), rack(1), rack(2)], ["/rack1", "/rack2", "/rack1"]);
        let one = vec![dir.path().join("node-1/blocks")];
        assert_eq!(plan(None).volume_dirs(0), one);
        let two = [one[0].clone(), dir.path().join("node-1/blocks-2")];
        assert_eq!(plan(Some(2)).volume_dirs(0), two);
        std::fs::create_dir_all(&two[1]).unwrap();
        assert_eq!(plan(None).volume_dirs(0), two);
    }

    #[test]
    fn replication_follows_the_number_of_nodes_unless_it_is_configured() {
        assert_eq!(
            value(&plan(1, vec![]).namenode(), "namenode.default_replication").unwrap(),
            "1"
        );
        assert_eq!(
            value(&plan(5, vec![]).namenode(), "namenode.default_replication").unwrap(),
            "3"
        );
        let configured = Setting::flag("--set", "namenode.default_replication", "2");
        assert_eq!(
            value(&plan(5, vec![configured]).namenode(), "namenode.default_replication"),
            None
        );
    }

    #[test]
    fn every_setting_is_a_known_key() {
        let plan = plan(3, vec![]);
        let addr = SocketAddr::from(([127, 0, 0, 1], 9));
        let all = [
            plan.namenode(),
            plan.datanode(2, addr),
            plan.worker(2, addr, addr),
            plan.coordinator(addr),
        ];
        let config = plan.layers.with(all.concat()).load().unwrap().config;
        assert_eq!(config.datanode.dirs, [PathBuf::from("/d/node-3/blocks")]);
        assert_eq!(config.worker.coordinator, "127.0.0.1:9");
    }

    #[test]
    fn a_taken_port_is_not_reused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = taken.local_addr().unwrap();
        assert_eq!(address(Some(held)).port(), 0);
        drop(taken);
        assert_eq!(address(Some(held)), held);
    }
}
