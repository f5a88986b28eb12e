//! What all parts of a running DataNode share: who it is, what it stores, what it has to report.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::convert;
use quarry_dfs_wire::proto::dfs_v1::{ReplicaChange, Storage};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::DataNodeConfig;
use crate::error::{Error, Result};
use crate::jobs::Jobs;
use crate::jobs::block_scan::VolumeScan;
use crate::jobs::check::Checks;
use crate::jobs::deletion::Deletions;
use crate::jobs::suspects::Suspects;
use crate::jobs::throttle::Throttle;
use crate::replica::ReplicaState;
use crate::reports::{Reports, Ticket};
use crate::scan_counts::ScanCounts;
use crate::storage::scan;
use crate::storage::version_file::VolumeVersion;
use crate::storage::volume::Volume;
use crate::storage::{Dataset, FinalizedReplica};

/// The cluster that this DataNode belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) cluster_id: String,
    pub(crate) pool: Arc<str>,
}

/// A running DataNode, as its parts see it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: DataNodeConfig,
    pub(crate) uuid: String,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) reports: Reports,
    /// Ports that were bound; 0 before.
    pub(crate) xfer_port: AtomicU16,
    pub(crate) ipc_port: AtomicU16,
    /// Reads and writes under way.
    pub(crate) active_transfers: AtomicU32,
    /// True from the first registration with the NameNode on.
    pub(crate) registered: watch::Sender<bool>,
    pub(crate) shutdown: CancellationToken,
    /// Every task of this DataNode.
    pub(crate) tasks: TaskTracker,
    /// Replicas to verify at once, and to delete.
    pub(crate) suspects: Suspects,
    pub(crate) deletions: Deletions,
    /// The block scan of each volume.
    pub(crate) scans: Vec<Mutex<VolumeScan>>,
    pub(crate) scanned: ScanCounts,
    pub(crate) jobs: Jobs,
    pub(crate) checking: Checks,
    /// What copies for balance between DataNodes may use.
    pub(crate) balancing: Arc<Throttle>,
    membership: RwLock<Option<Membership>>,
}

impl Node {
    /// Locks and reads the data directories. Blocks on the disk.
    pub(crate) fn open(config: DataNodeConfig) -> Result<Arc<Self>> {
        let mut volumes = Vec::new();
        let mut versions = Vec::new();
        for dir in &config.dirs {
            let (volume, version) = Volume::open(dir, config.reserved.as_u64())?;
            volumes.push(Arc::new(volume));
            versions.push(version);
        }
        let known = common_version(&config, &versions)?;
        let uuid = known.map_or_else(|| Uuid::new_v4().to_string(), |version| version.datanode_uuid.clone());
        let cluster_id = known.map(|version| version.cluster_id.clone());
        let scans = (0..volumes.len())
            .map(|index| Mutex::new(VolumeScan::new(index)))
            .collect();
        let node = Arc::new(Self {
            uuid,
            dataset: Dataset::new(volumes),
            reports: Reports::new(),
            xfer_port: AtomicU16::new(0),
            ipc_port: AtomicU16::new(0),
            active_transfers: AtomicU32::new(0),
            registered: watch::channel(false).0,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            membership: RwLock::new(None),
            suspects: Suspects::default(),
            deletions: Deletions::default(),
            scans,
            scanned: ScanCounts::default(),
            jobs: Jobs::default(),
            checking: Checks::default(),
            balancing: Arc::new(Throttle::new(config.balance_bandwidth.as_u64())),
            config,
        });
        if let (Some(cluster_id), Some(pool)) = (cluster_id, node.stored_pool()?) {
            node.adopt(Membership {
                cluster_id,
                pool: pool.into(),
            })?;
        }
        Ok(node)
    }

    /// The ports that were bound: data transfer, RPC.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (
            self.xfer_port.load(Ordering::Relaxed),
            self.ipc_port.load(Ordering::Relaxed),
        )
    }

    /// `ip:port` by which writers know this DataNode.
    pub(crate) fn transfer_address(&self) -> String {
        format!("{}:{}", self.config.host, self.ports().0)
    }

    /// The name shown to people.
    pub(crate) fn hostname(&self) -> String {
        match self.config.hostname.as_str() {
            "" => self.config.host.to_string(),
            name => name.to_owned(),
        }
    }

    /// The cluster, once known.
    pub(crate) fn membership(&self) -> Option<Membership> {
        self.membership.read().clone()
    }

    /// Becomes part of the NameNode's cluster, or checks that it is. Blocks on the disk.
    pub(crate) fn join(&self, cluster_id: &str, pool: &str) -> Result<()> {
        if let Err(error) = convert::check_pool_id(pool) {
            return Err(Error::Corrupt {
                what: "registration".to_owned(),
                detail: error.to_string(),
            });
        }
        let offered = Membership {
            cluster_id: cluster_id.to_owned(),
            pool: pool.into(),
        };
        match self.membership() {
            Some(own) if own == offered => Ok(()),
            Some(own) => Err(Error::ForeignDirectory {
                dir: self.config.dirs[0].clone(),
                reason: format!(
                    "its replicas are of cluster {} pool {}, the NameNode's are {cluster_id} pool {pool}",
                    own.cluster_id, own.pool
                ),
            }),
            None => self.adopt(offered),
        }
    }

    /// Checks that a request is about this DataNode's pool.
    pub(crate) fn check_pool(&self, pool: &str) -> Result<()> {
        let own = self.membership().ok_or(Error::NotRegistered)?;
        if *own.pool == *pool {
            return Ok(());
        }
        Err(Error::WrongPool {
            asked: pool.to_owned(),
            served: own.pool.to_string(),
        })
    }

    /// The block as it travels between processes.
    pub(crate) fn extended(&self, block: Block) -> Result<ExtendedBlock> {
        let own = self.membership().ok_or(Error::NotRegistered)?;
        Ok(ExtendedBlock::new(own.pool, block))
    }

    /// State of every volume. Blocks on the disk.
    pub(crate) fn storages(&self) -> Vec<Storage> {
        let storage = |volume: &Arc<Volume>| {
            let room = volume.room();
            Storage {
                storage_id: volume.storage_id().to_owned(),
                capacity: room.capacity,
                dfs_used: room.used,
                remaining: room.remaining,
                failed: volume.is_failed(),
                ..Storage::default()
            }
        };
        self.dataset.volumes().iter().map(storage).collect()
    }

    /// Tells the NameNode that a replica is durable.
    pub(crate) fn report_finalized(&self, replica: &FinalizedReplica) -> Ticket {
        self.reports.push(
            &replica.storage_id,
            ReplicaChange::Received,
            ReplicaState::Finalized,
            replica.block,
        )
    }

    /// Tells the NameNode that a replica is durable and waits until it knows.
    ///
    /// # Errors
    /// `Deadline` when the NameNode does not confirm in time, because it is down or cut off. The replica stays, durable,
    /// and the next full report names it; but the writer must not be told that the block is safe, since nobody who asks
    /// the NameNode would find it.
    pub(crate) async fn report_finalized_and_wait(&self, replica: &FinalizedReplica) -> Result<()> {
        let ticket = self.report_finalized(replica);
        let timeout = self.config.report_timeout;
        if self.reports.confirmed(ticket, timeout).await {
            return Ok(());
        }
        let what = format!("the NameNode's receipt for the report of {}", replica.block);
        Err(Error::Deadline {
            what,
            seconds: timeout.as_secs_f64(),
        })
    }

    /// Tells the NameNode that a replica is being written.
    pub(crate) fn report_receiving(&self, id: BlockId) {
        let Ok(replica) = self.dataset.replica(id) else { return };
        let Some(storage_id) = self.dataset.storage_id(id) else {
            return;
        };
        let block = replica.block();
        self.reports
            .push(&storage_id, ReplicaChange::Receiving, replica.state, block);
    }

    /// Has a replica verified that somebody found damaged; the NameNode is told if it is.
    pub(crate) fn check_suspect(&self, id: BlockId, stamp: GenerationStamp) {
        self.suspects.push(id, stamp);
    }

    /// Tells the NameNode that a replica is damaged. Its files stay until the NameNode, which knows whether there is a better one,
    /// has them deleted.
    pub(crate) fn report_corrupt(&self, id: BlockId, problem: &str) {
        let Ok(replica) = self.dataset.replica(id) else { return };
        let Some(storage_id) = self.dataset.storage_id(id) else {
            return;
        };
        tracing::warn!(block = %id, problem, "replica is corrupt");
        self.scanned.corrupt();
        let block = replica.block();
        self.reports
            .push(&storage_id, ReplicaChange::Corrupt, replica.state, block);
    }

    /// Runs blocking disk work off the reactor.
    pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => std::future::pending().await, // the runtime is shutting down and will drop this task too
        }
    }

    /// Attaches the pool to every volume and takes their replicas over.
    fn adopt(&self, membership: Membership) -> Result<()> {
        for (index, volume) in self.dataset.volumes().iter().enumerate() {
            volume.format(&membership.pool, &membership.cluster_id, &self.uuid)?;
            self.dataset.add_scanned(index, scan::scan(volume)?);
        }
        tracing::info!(pool = %membership.pool, replicas = self.dataset.len(), "data directories opened");
        *self.membership.write() = Some(membership);
        Ok(())
    }

    fn stored_pool(&self) -> Result<Option<String>> {
        let mut found: Option<String> = None;
        for volume in self.dataset.volumes() {
            for pool in volume.pools()? {
                match &found {
                    Some(other) if *other != pool => {
                        let reason = format!("it holds block pools {other} and {pool}; one is supported");
                        return Err(Error::ForeignDirectory {
                            dir: volume.dir().to_owned(),
                            reason,
                        });
                    }
                    _ => found = Some(pool),
                }
            }
        }
        Ok(found)
    }
}

/// The identity that all formatted directories agree on.
fn common_version<'a>(
    config: &DataNodeConfig,
    versions: &'a [Option<VolumeVersion>],
) -> Result<Option<&'a VolumeVersion>> {
    let mut common: Option<(&Path, &VolumeVersion)> = None;
    for (dir, version) in config.dirs.iter().zip(versions) {
        let Some(version) = version else { continue };
        match common {
            Some((other_dir, other))
                if other.datanode_uuid != version.datanode_uuid || other.cluster_id != version.cluster_id =>
            {
                let reason = format!("it belongs to another DataNode or cluster than {}", other_dir.display());
                return Err(Error::ForeignDirectory {
                    dir: dir.clone(),
                    reason,
                });
            }
            _ => common = Some((dir, version)),
        }
    }
    Ok(common.map(|(_, version)| version))
}

/// Counts a transfer for as long as it lives.
#[derive(Debug)]
pub(crate) struct ActiveTransfer(Arc<Node>);

impl ActiveTransfer {
    /// Counts one more, unless there are too many.
    pub(crate) fn begin(node: &Arc<Node>) -> Option<Self> {
        let before = node.active_transfers.fetch_add(1, Ordering::Relaxed);
        let guard = Self(Arc::clone(node));
        ((before as usize) < node.config.max_transfers).then_some(guard)
    }
}

impl Drop for ActiveTransfer {
    fn drop(&mut self) {
        self.0.active_transfers.fetch_sub(1, Ordering::Relaxed);
    }
}
