//! From which DataNodes this process can read without TCP: the one that it hosts, and those on this machine with a domain socket.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain_socket::DomainSocketReplicas;
use crate::local::LocalReads;
use crate::location::DataNodeInfo;

/// What stands for the transfer port in the configured path, as in HDFS.
const PORT: &str = "_PORT";
/// DataNodes remembered; one machine has a few.
const MAX_DATANODES: usize = 1024;

/// The DataNodes whose domain sockets match the configured path.
#[derive(Debug)]
pub(crate) struct DomainSockets {
    pattern: PathBuf,
    verify: bool,
    /// By uuid; `None` for DataNodes on other machines.
    known: Mutex<HashMap<String, Option<Arc<LocalReads>>>>,
}

impl DomainSockets {
    pub(crate) fn new(pattern: PathBuf, verify: bool) -> Self {
        Self {
            pattern,
            verify,
            known: Mutex::default(),
        }
    }

    /// The replicas of a DataNode, if it is on this machine. Whether it listens shows when one is opened.
    pub(crate) fn of(&self, node: &DataNodeInfo) -> Option<Arc<LocalReads>> {
        let mut known = self.known.lock();
        if let Some(reads) = known.get(&node.uuid) {
            return reads.clone();
        }
        if known.len() >= MAX_DATANODES {
            known.clear();
        }
        let reads = is_this_machine(&node.ip).then(|| {
            let path = socket_path(&self.pattern, node.xfer_port);
            let replicas = Arc::new(DomainSocketReplicas::connect(path, &node.uuid));
            Arc::new(LocalReads::new(replicas, self.verify))
        });
        known.insert(node.uuid.clone(), reads.clone());
        reads
    }
}

fn socket_path(pattern: &Path, xfer_port: u16) -> PathBuf {
    pattern.to_string_lossy().replace(PORT, &xfer_port.to_string()).into()
}

/// Only an address of this machine can be bound to.
fn is_this_machine(ip: &str) -> bool {
    ip.parse::<IpAddr>().is_ok_and(|ip| UdpSocket::bind((ip, 0)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_known_from_others() {
        assert!(is_this_machine("127.0.0.1"));
        // Of a block that is set aside for documents: no machine has it.
        assert!(!is_this_machine("192.0.2.1"));
        assert!(!is_this_machine("no address"));
    }
}
