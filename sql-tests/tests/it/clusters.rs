//! The engines, and the clusters behind them: started when first needed, shared by all files, ended at the end.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use futures::FutureExt;
use object_store::ObjectStore;
use quarry::local::{LocalCluster, LocalOptions};
use quarry::sql::SqlClient;
use quarry_dfs_client::DfsObjectStore;
use quarry_sql_tests::engine::{Database, Failure, Plain, Session};
use quarry_sql_tests::fixtures;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use url::Url;

use crate::files::{self, SltFile};

/// What a file runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// DataFusion in this process, over the files of the larger cluster.
    Plain,
    /// A cluster of one worker.
    OneWorker,
    /// A cluster of three workers.
    ThreeWorkers,
}

pub(crate) const ENGINES: [Engine; 3] = [Engine::Plain, Engine::OneWorker, Engine::ThreeWorkers];

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::OneWorker => "one_worker",
            Self::ThreeWorkers => "three_workers",
        }
    }
}

/// The clusters, by number of workers.
pub(crate) struct Clusters {
    runtime: Runtime,
    one: OnceCell<Site>,
    three: OnceCell<Site>,
}

/// A cluster with the fixtures in its file system and in its catalog.
struct Site {
    cluster: LocalCluster,
    store: Arc<dyn ObjectStore>,
    _dir: TempDir,
}

impl Clusters {
    pub(crate) fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            one: OnceCell::new(),
            three: OnceCell::new(),
        })
    }

    /// Runs `file` on `engine`.
    pub(crate) fn run(&self, engine: Engine, file: &SltFile) -> Result<()> {
        self.runtime.block_on(async {
            let site = self.site(engine).await?;
            let base = site.base();
            let connect = || async move { site.connect(engine).await }.boxed();
            files::runner(file, &base, connect)
                .run_file_async(&file.path)
                .await
                .map_err(|error| {
                    let error = error.display(false).to_string();
                    anyhow::anyhow!("on {}: {error}", engine.name())
                })
        })
    }

    /// Whether scans are cut into tasks for every worker: else these tests would prove little.
    pub(crate) fn every_worker_takes_part(&self) -> Result<()> {
        self.runtime.block_on(async {
            let site = self.site(Engine::ThreeWorkers).await?;
            let mut session = Flight(site.cluster.sql().await?);
            for (table, column) in [("items", "name"), ("sales", "pad"), ("nums", "pad")] {
                let (_, batches) = session
                    .run(&format!("EXPLAIN ANALYZE SELECT count(DISTINCT {column}) FROM {table}"))
                    .await?;
                let text = pretty_format_batches(&batches)?.to_string();
                for worker in site.cluster.endpoints().workers {
                    ensure!(
                        text.contains(&worker.addr.to_string()),
                        "{table}: nothing ran on {}:\n{text}",
                        worker.addr
                    );
                }
            }
            Ok(())
        })
    }

    async fn site(&self, engine: Engine) -> Result<&Site> {
        match engine {
            Engine::OneWorker => self.one.get_or_try_init(|| Site::start(1, &[])).await,
            // Without these the coordinator would answer most queries over such small tables alone.
            Engine::Plain | Engine::ThreeWorkers => {
                let cut_everything = &["coordinator.local_below", "coordinator.task_bytes"];
                self.three.get_or_try_init(|| Site::start(3, cut_everything)).await
            }
        }
    }

    /// Ends the clusters that were started. No file runs any more.
    pub(crate) fn shutdown(self: Arc<Self>) -> Result<()> {
        let Self { runtime, one, three } = Arc::into_inner(self).context("a trial is still running")?;
        for site in [one.into_inner(), three.into_inner()].into_iter().flatten() {
            runtime.block_on(site.cluster.shutdown());
        }
        Ok(())
    }
}

impl Site {
    /// `limits` are configuration keys that are set to no bytes.
    async fn start(nodes: u16, limits: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let options = LocalOptions::new(dir.path())
            .nodes(nodes)
            .set("namenode.min_block_size", fixtures::BLOCK)
            .set("namenode.default_block_size", fixtures::BLOCK);
        let options = limits.iter().fold(options, |options, limit| options.set(limit, 0));
        let cluster = Box::pin(LocalCluster::start(options))
            .await
            .context("starting the cluster")?;
        let store: Arc<dyn ObjectStore> = Arc::new(DfsObjectStore::new(cluster.dfs(), "/")?);
        fixtures::write(&store).await.context("writing the fixtures")?;
        let site = Self {
            cluster,
            store,
            _dir: dir,
        };
        site.check_blocks().await?;
        let mut session = site.cluster.sql().await?;
        for statement in fixtures::statements(&site.base()) {
            session.query(&statement).await.with_context(|| statement)?;
        }
        Ok(site)
    }

    /// The file system as it stands in a LOCATION.
    fn base(&self) -> String {
        format!("hdfs://{}", self.cluster.namenode_addr())
    }

    /// Every file with rows must consist of several blocks.
    async fn check_blocks(&self) -> Result<()> {
        let files = self.cluster.dfs().list_located("/fixtures", true).await?;
        ensure!(files.len() > 20, "only {} fixture files", files.len());
        for file in files.iter().filter(|file| !file.status.path.contains("/nothing/")) {
            let blocks = file.blocks.blocks.len();
            ensure!(blocks >= 2, "{} has {blocks} block(s)", file.status.path);
        }
        Ok(())
    }

    async fn connect(&self, engine: Engine) -> Result<Database, Failure> {
        let session: Box<dyn Session> = match engine {
            Engine::Plain => {
                let base = Url::parse(&self.base()).map_err(anyhow::Error::from)?;
                Box::new(Plain::with_fixtures(&base, Arc::clone(&self.store)).await?)
            }
            Engine::OneWorker | Engine::ThreeWorkers => Box::new(Flight(self.cluster.sql().await?)),
        };
        Ok(Database {
            session,
            name: if engine == Engine::Plain { "plain" } else { "cluster" },
        })
    }
}

/// A session over Flight SQL.
struct Flight(SqlClient);

#[async_trait]
impl Session for Flight {
    async fn run(&mut self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let answer = self.0.execute(sql).await?;
        Ok((Arc::clone(&answer.schema), answer.collect().await?))
    }
}
