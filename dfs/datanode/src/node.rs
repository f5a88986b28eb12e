//! What all parts of a running DataNode share: who it is, what it stores, what it has to report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::convert;
use quarry_dfs_wire::proto::dfs_v1::{ReplicaChange, Storage, StorageType};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
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
use crate::storage::disk::Disk;
use crate::storage::scan;
use crate::storage::version_file::VolumeVersion;
use crate::storage::volume::Volume;
use crate::storage::{Dataset, FinalizedReplica};
use crate::volume_failures::VolumeFailures;

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
    pub(crate) started: Instant,
    /// Somebody asked for a full report.
    pub(crate) full_report_wanted: Notify,
    /// Connections to the transfer port, idle ones too.
    pub(crate) connections: AtomicU32,
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
    pub(crate) volume_failures: VolumeFailures,
    /// What copies for balance between DataNodes may use.
    pub(crate) balancing: Arc<Throttle>,
    /// How many such copies there may be at a time, by order of the NameNode and of clients together.
    pub(crate) balancing_streams: Arc<Semaphore>,
    membership: RwLock<Option<Membership>>,
}

impl Node {
    /// Locks and reads the data directories. Blocks on the disk.
    pub(crate) fn open(config: DataNodeConfig, disk: impl Fn(&Path) -> Arc<dyn Disk>) -> Result<Arc<Self>> {
        let failures = VolumeFailures::default();
        let mut volumes = Vec::new();
        let mut versions = Vec::new();
        for dir in &config.dirs {
            match Volume::open(dir, config.reserved.as_u64(), disk(dir)) {
                Ok((volume, version)) => {
                    volumes.push(Arc::new(volume));
                    versions.push((dir.clone(), version));
                }
                Err(error @ Error::Disk { .. }) => failures.add(dir, error.to_string(), 0),
                Err(error) => return Err(error),
            }
        }
        failures.check(config.dirs.len(), config.failed_volumes_tolerated)?;
        let known = common_version(&versions)?;
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
            started: Instant::now(),
            full_report_wanted: Notify::new(),
            connections: AtomicU32::new(0),
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
            volume_failures: failures,
            balancing: Arc::new(Throttle::new(config.balance_bandwidth.as_u64())),
            balancing_streams: Arc::new(Semaphore::new(config.max_balancing_streams)),
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
                storage_type: StorageType::Disk.into(),
                location: volume.dir().display().to_string(),
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

    /// A stream for a move that a client orders; `None` when all are taken. Nobody is kept waiting: the client has other moves to make.
    pub(crate) fn begin_move(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.balancing_streams).try_acquire_owned().ok()
    }

    /// Tells the NameNode that a replica is durable and waits until it knows.
    ///
    /// # Errors
    /// `Deadline` when the NameNode does not confirm in time, because it is down or cut off. The replica stays, durable,
    /// and the next full report names it; but the writer must not be told that the block is safe, since nobody who asks
    /// the NameNode would find it.
    pub(crate) async fn report_finalized_and_wait(&self, replica: &FinalizedReplica) -> Result<()> {
        self.await_receipt(self.report_finalized(replica), replica).await
    }

    /// The same of a replica that takes the place of the one on another DataNode.
    ///
    /// # Errors
    /// As above: whoever ordered the move must not think that the other replica is as good as gone.
    pub(crate) async fn report_replacement_and_wait(&self, replica: &FinalizedReplica, replaces: &str) -> Result<()> {
        let ticket = self
            .reports
            .push_replacement(&replica.storage_id, replica.block, replaces);
        self.await_receipt(ticket, replica).await
    }

    async fn await_receipt(&self, ticket: Ticket, replica: &FinalizedReplica) -> Result<()> {
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
        let volumes = self.dataset.volumes();
        let read = |volume: &Arc<Volume>| {
            volume.format(&membership.pool, &membership.cluster_id, &self.uuid)?;
            scan::scan(volume)
        };
        // A disk each: they do not wait for one another.
        let found: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = volumes.iter().map(|volume| scope.spawn(|| read(volume))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Ok(found) => self.dataset.add_scanned(index, found),
                Err(error @ Error::Disk { .. }) => self.fail_volume(index, &error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let (dirs, tolerated) = (self.config.dirs.len(), self.config.failed_volumes_tolerated);
        self.volume_failures.check(dirs, tolerated)?;
        tracing::info!(pool = %membership.pool, replicas = self.dataset.len(), "data directories opened");
        *self.membership.write() = Some(membership);
        Ok(())
    }

    fn stored_pool(&self) -> Result<Option<String>> {
        let mut found: Option<String> = None;
        for (index, volume) in self.dataset.volumes().iter().enumerate() {
            let pools = match volume.pools() {
                Err(error @ Error::Disk { .. }) => {
                    self.fail_volume(index, &error.to_string());
                    continue;
                }
                other => other?,
            };
            for pool in pools {
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
fn common_version(versions: &[(PathBuf, Option<VolumeVersion>)]) -> Result<Option<&VolumeVersion>> {
    let mut common: Option<(&Path, &VolumeVersion)> = None;
    for (dir, version) in versions {
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
