//! What all clones of a client share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{OnceCell, Semaphore};

use crate::config::DfsClientConfig;
use crate::connections::Connections;
use crate::dead_nodes::DeadNodes;
use crate::error::Result;
use crate::lease::Leases;
use crate::local_sources::DomainSockets;
use crate::location_cache::LocationCache;
use crate::namenode::NameNode;
use crate::status::ServerDefaults;
use crate::task::Background;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: DfsClientConfig,
    pub(crate) namenode: Arc<NameNode>,
    pub(crate) connections: Connections,
    pub(crate) locations: LocationCache,
    pub(crate) dead: DeadNodes,
    /// DataNodes on this machine that are read through their domain sockets.
    pub(crate) sockets: Option<DomainSockets>,
    pub(crate) leases: Leases,
    /// Write pipelines rebuilt.
    pub(crate) pipeline_recoveries: AtomicU64,
    /// Rivals that slow reads may have at the same time.
    pub(crate) hedges: Semaphore,
    /// Slow reads that got one.
    pub(crate) hedged_reads: AtomicU64,
    /// Reports of damaged replicas.
    pub(crate) background: Background,
    /// Asked for once: they change with the NameNode's configuration only.
    defaults: OnceCell<ServerDefaults>,
}

impl Shared {
    pub(crate) fn new(config: DfsClientConfig) -> Self {
        let namenode = Arc::new(NameNode::new(&config));
        Self {
            leases: Leases::new(Arc::clone(&namenode)),
            namenode,
            connections: Connections::default(),
            locations: LocationCache::new(config.location_ttl),
            dead: DeadNodes::default(),
            sockets: config
                .domain_socket
                .clone()
                .map(|pattern| DomainSockets::new(pattern, config.verify_local_reads)),
            pipeline_recoveries: AtomicU64::new(0),
            hedges: Semaphore::new(config.hedged_read_pool.min(Semaphore::MAX_PERMITS)),
            hedged_reads: AtomicU64::new(0),
            background: Background::default(),
            defaults: OnceCell::new(),
            config,
        }
    }

    pub(crate) async fn server_defaults(&self) -> Result<ServerDefaults> {
        self.defaults
            .get_or_try_init(|| self.namenode.server_defaults())
            .await
            .copied()
    }
}
