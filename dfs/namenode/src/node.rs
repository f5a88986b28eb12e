//! Start and shutdown of a NameNode.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quarry_dfs_wire::rpc::{RpcServer, RpcServerOptions};
use tokio::task;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::admin::Administration;
use crate::audit::AuditLog;
use crate::config::NameNodeConfig;
use crate::core::Core;
use crate::core::state::State;
use crate::datanode_stream::LinkServer;
use crate::driver::{CoreHandle, Driver, Input, now_at};
use crate::error::{Error, Result, io_at};
use crate::free_space::{FreeSpace, Reading};
use crate::groups::OsGroups;
use crate::hosts;
use crate::http::HttpServer;
use crate::log::checkpoint::{self, Checkpointer};
use crate::log::directory::{Directory, Identity};
use crate::log::writer::LogWriter;
use crate::log::{recovery, segment};
use crate::rpc::ClientService;

/// How often the core is told that time passes.
const TICK: Duration = Duration::from_millis(100);

/// Starts NameNodes.
#[derive(Debug)]
pub struct NameNode;

/// A running NameNode. Dropping it stops the servers at once and leaves the log as a crash would: whole up to the last answer.
#[derive(Debug)]
pub struct NameNodeHandle {
    identity: Identity,
    rpc: RpcServer,
    link: LinkServer,
    http: HttpServer,
    pub(crate) core: CoreHandle,
    tasks: TaskTracker,
    stop: DropGuard,
    owner: JoinHandle<()>,
}

impl NameNode {
    /// Starts a NameNode on its directory, which is formatted if it is empty. On return its ports are open; until enough blocks are
    /// reported it is in safe mode.
    ///
    /// # Errors
    /// See [`Error`]. Nothing is left running.
    pub async fn start(config: NameNodeConfig) -> Result<NameNodeHandle> {
        Self::start_on(config, Reading::system()).await
    }

    /// The same with another way to learn how much room the disk has.
    pub(crate) async fn start_on(config: NameNodeConfig, reading: Reading) -> Result<NameNodeHandle> {
        config.validate()?;
        allow_connections();
        let config = Arc::new(config);
        let loading = Arc::clone(&config);
        let loaded = task::spawn_blocking(move || load(&loading))
            .await
            .expect("loading does not panic")?;
        let Loaded {
            directory,
            core,
            log,
            checkpointer,
            started,
        } = loaded;
        let (identity, path) = (directory.identity.clone(), directory.path().to_owned());
        let (driver, handle) = Driver::new(core, log, checkpointer, directory, started);
        let owner = std::thread::Builder::new()
            .name("namenode-core".to_owned())
            .spawn(move || driver.run());
        let owner = owner.map_err(io_at("start a thread for", &path))?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut space = FreeSpace::new(&path, config.reserved, reading);
        // Nobody can ask for a change before the disk was looked at once.
        space.look(&handle).await;
        tasks.spawn(tick(handle.clone(), stop.clone()));
        tasks.spawn(space.watch(handle.clone(), config.space_check_interval, stop.clone()));
        // Dropped with the handle or by a failure from here on: the ticks end, and the owner thread with the last handle to it.
        let stop = stop.drop_guard();
        let admin = Arc::new(Administration {
            core: handle.clone(),
            config: Arc::clone(&config),
            identity: identity.clone(),
            superuser: config.superuser_name(),
            groups: OsGroups::default(),
            http: OnceLock::new(),
        });
        let audit = config.audit_log.as_deref().map(|file| {
            AuditLog::start(file, config.audit_log_limit.as_u64()).map_err(io_at("open the audit log", file))
        });
        let http = HttpServer::start(Arc::clone(&admin)).await?;
        // Set once, here.
        let _ = admin.http.set(http.local_addr());
        let link = LinkServer::start(Arc::clone(&admin)).await?;
        let service = ClientService::new(Arc::clone(&admin), audit.transpose()?);
        let address = config.rpc_address;
        let rpc = RpcServer::bind(address, Arc::new(service), RpcServerOptions::default()).await;
        let rpc = rpc.map_err(|problem| Error::Bind {
            address,
            problem: problem.to_string(),
        })?;
        tracing::info!(rpc = %rpc.local_addr(), link = %link.local_addr(), http = %http.local_addr(), pool = identity.block_pool_id, "NameNode started");
        Ok(NameNodeHandle {
            identity,
            rpc,
            link,
            http,
            core: handle,
            tasks,
            stop,
            owner,
        })
    }
}

/// Lets the process have as many connections as the system allows: the usual first limit of 1024 descriptors is few.
fn allow_connections() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused: then the limit that there is holds, and connections beyond it wait to be accepted.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, all);
}

struct Loaded {
    directory: Directory,
    core: Core,
    log: LogWriter,
    checkpointer: Checkpointer,
    started: Instant,
}

fn load(config: &NameNodeConfig) -> Result<Loaded> {
    let started = Instant::now();
    let random = Uuid::new_v4().as_u64_pair().1;
    let mut settings = config.core_settings(config.seed.unwrap_or(random));
    settings.hosts = hosts::read(config).map_err(|problem| Error::Config(vec![problem]))?;
    let now = now_at(started);
    let directory = Directory::open(&config.dir, config.rpc_address.ip(), now.unix_ms, random)?;
    let path = directory.path().to_owned();
    if recovery::is_empty(&path)? {
        checkpoint::write(&path, &State::new(&settings.superuser, &settings.supergroup))?;
    }
    let found = recovery::load(&path)?;
    let last_txid = found.state.last_txid;
    tracing::info!(
        last_txid,
        replayed = found.replayed,
        inodes = found.state.namespace.count(),
        blocks = found.state.blocks.count(),
        ms = started.elapsed().as_millis() as u64,
        "namespace loaded"
    );
    let (checkpointer, requests) = Checkpointer::start(path.clone()).map_err(io_at("start a thread for", &path))?;
    let log = open_log(config, &path, last_txid, requests.clone()).map_err(io_at("begin the edit log in", &path))?;
    if found.replayed >= config.checkpoint_transactions {
        // The queue is empty, so this cannot fail for lack of room.
        let _ = requests.try_send(last_txid + 1);
    }
    Ok(Loaded {
        directory,
        core: Core::new(settings, found.state, now),
        log,
        checkpointer,
        started,
    })
}

fn open_log(
    config: &NameNodeConfig,
    dir: &std::path::Path,
    last_txid: u64,
    requests: SyncSender<u64>,
) -> io::Result<LogWriter> {
    let dir = dir.to_owned();
    let open =
        move |first_txid| -> io::Result<Box<dyn segment::LogFile>> { Ok(Box::new(segment::create(&dir, first_txid)?)) };
    let on_roll = move |first_txid| {
        // One request waiting is enough: it is looked at when the checkpoint under way ends.
        let _ = requests.try_send(first_txid);
    };
    LogWriter::start(
        last_txid,
        config.checkpoint_transactions,
        Box::new(open),
        Box::new(on_roll),
    )
}

async fn tick(core: CoreHandle, stop: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => if core.send(Input::Tick).await.is_err() { return },
        }
    }
}

impl NameNodeHandle {
    /// Where clients connect.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// Where DataNodes connect.
    pub fn link_addr(&self) -> SocketAddr {
        self.link.local_addr()
    }

    /// Where `fsck`'s question, figures and health are served over HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// The cluster's name.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// The name of the pool that the cluster's blocks are in.
    pub fn block_pool_id(&self) -> &str {
        &self.identity.block_pool_id
    }

    /// Has the log folded into a new image in the background.
    pub async fn request_checkpoint(&self) {
        // A NameNode that has stopped needs none.
        let _ = self.core.send(Input::Checkpoint).await;
    }

    /// Stops: running calls are answered, the log is synced, the directory is free for another NameNode on return.
    pub async fn shutdown(self) {
        self.stop.disarm().cancel();
        self.rpc.shutdown().await;
        self.link.shutdown().await;
        self.http.shutdown().await;
        self.tasks.close();
        self.tasks.wait().await;
        drop(self.core);
        let owner = self.owner;
        let joined = task::spawn_blocking(move || {
            if owner.join().is_err() {
                tracing::error!("the NameNode's owner thread panicked");
            }
        });
        // Its only failure is a panic, which the runtime has reported.
        let _ = joined.await;
    }
}
