//! The test bed: TPC-H's data in a cluster and as the same files beside it, made once for all benchmarks that need it.
//!
//! Each benchmark starts the cluster anew, so that nothing a former one left in its caches makes it look fast.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use quarry::local::{LocalCluster, LocalOptions};
use quarry::sql::SqlClient;
use quarry::tpch::Table;
use quarry_benches::home::{Data, Home};
use quarry_benches::peer::Peer;
use quarry_benches::tpch_data::{self, SCHEMA};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::args::CommonArgs;

/// Where the beds are.
pub(crate) struct Beds<'a> {
    args: &'a CommonArgs,
    dir: PathBuf,
    /// Deletes them in the end, if nobody asked to keep them.
    _temporary: Option<TempDir>,
}

impl<'a> Beds<'a> {
    /// In the directory that was asked for, or in a temporary one.
    ///
    /// # Errors
    /// There can be no temporary directory.
    pub(crate) fn new(args: &'a CommonArgs) -> anyhow::Result<Self> {
        if let Some(dir) = args.cluster.data.clone() {
            return Ok(Self {
                args,
                dir,
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new().prefix("quarry-bench-").tempdir();
        let temporary = temporary.context("a temporary directory")?;
        Ok(Self {
            args,
            dir: temporary.path().to_owned(),
            _temporary: Some(temporary),
        })
    }

    /// Data with as many replicas as a cluster has by default.
    ///
    /// # Errors
    /// The load failed.
    pub(crate) async fn replicated(&self) -> anyhow::Result<Bed> {
        Box::pin(Bed::make(self.args, &self.dir.join("replicated"), None)).await
    }

    /// Data, and what is written beside it, with one replica.
    ///
    /// # Errors
    /// The load failed.
    pub(crate) async fn unreplicated(&self) -> anyhow::Result<Bed> {
        Box::pin(Bed::make(self.args, &self.dir.join("unreplicated"), Some(1))).await
    }
}

/// A cluster that is not running, with its data.
pub(crate) struct Bed {
    home: Home,
    options: LocalOptions,
    processes: bool,
    memory: ByteSize,
    /// What was loaded.
    pub(crate) data: Data,
}

impl Bed {
    /// Loads the data unless an earlier run left it in `dir`.
    async fn make(args: &CommonArgs, dir: &Path, replication: Option<u16>) -> anyhow::Result<Self> {
        let home = Home::new(Some(dir))?;
        let mut options = args.options(home.cluster())?;
        if let Some(replication) = replication {
            options = options.set("namenode.default_replication", replication);
        }
        let data = match home.found(args.scale, args.cluster.nodes)? {
            Some(data) => data,
            None => Box::pin(load(&home, &options, args)).await?,
        };
        Ok(Self {
            home,
            options,
            processes: args.cluster.processes,
            memory: args.memory,
            data,
        })
    }

    /// Starts the cluster: whoever does also shuts it down.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn start(&self) -> anyhow::Result<LocalCluster> {
        Box::pin(LocalCluster::start(self.options.clone())).await
    }

    /// A new session in the schema of the data.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub(crate) async fn session(&self, cluster: &LocalCluster) -> anyhow::Result<SqlClient> {
        let mut session = cluster.sql().await?;
        session.use_schema(SCHEMA).await?;
        Ok(session)
    }

    /// Plain DataFusion over the local files.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) async fn peer(&self, partitions: usize, runtime: &Handle) -> anyhow::Result<Peer> {
        let tables = Table::ALL.map(Table::name);
        Peer::open(&self.home.files(), tables, partitions, runtime.clone()).await
    }

    /// The directory of the local files, in which there may be others.
    pub(crate) fn files(&self) -> PathBuf {
        self.home.files()
    }

    /// The cluster and its data in a sentence.
    pub(crate) fn describe(&self, cluster: &LocalCluster) -> String {
        let place = if self.processes {
            "a process for each role"
        } else {
            "all roles and the load in one process"
        };
        let Data {
            scale,
            nodes,
            rows,
            bytes,
            ..
        } = &self.data;
        format!(
            "The cluster: {nodes} nodes, {} threads each, {place}, {} for the operators of each worker and of the coordinator. The data: TPC-H at \
             scale {scale}, {rows} rows, {:.1} MB of Parquet, in the page cache.",
            cluster.worker_threads(),
            self.memory,
            *bytes as f64 / 1e6,
        )
    }
}

async fn load(home: &Home, options: &LocalOptions, args: &CommonArgs) -> anyhow::Result<Data> {
    let cluster = Box::pin(LocalCluster::start(options.clone())).await?;
    let data = Box::pin(tpch_data::load(home, &cluster, args.scale, args.cluster.nodes)).await;
    cluster.shutdown().await;
    data
}
