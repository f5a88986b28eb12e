//! The engines, and the clusters behind them: started when first needed, shared by all files, ended at the end.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::util::pretty::pretty_format_batches;
use futures::FutureExt;
use quarry_sql_tests::engine::{Database, Failure, Plain, Session};
use quarry_sql_tests::fixtures;
use quarry_sql_tests::generated::{self, Range};
use quarry_sql_tests::site::{CUT_EVERYTHING, Site, TINY_MEMORY};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use url::Url;

use crate::files::{self, SltFile};
use crate::spilling;
use crate::tiny_memory::Tally;

/// What a file runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// DataFusion in this process, over the files of the larger cluster.
    Plain,
    /// A cluster of one worker.
    OneWorker,
    /// A cluster of three workers, every scan cut.
    ThreeWorkers,
    /// The same with tiny memory: each record has its answer or is refused for want of memory.
    TinyMemory,
}

/// Failures of generated queries that are known and not mended: errors, never a wrong row. It is a panic of plain DataFusion in debug builds
/// (`last_value` over an empty batch).
const KNOWN: [&str; 1] = ["panicked with message \"attempt to subtract with overflow\""];

/// Engines that every file runs on. On tiny memory, those of [`tiny_memory::TOPICS`](crate::tiny_memory) do.
pub(crate) const ENGINES: [Engine; 3] = [Engine::Plain, Engine::OneWorker, Engine::ThreeWorkers];

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::OneWorker => "one_worker",
            Self::ThreeWorkers => "three_workers",
            Self::TinyMemory => "tiny_memory",
        }
    }
}

/// The clusters, by number of workers.
pub(crate) struct Clusters {
    runtime: Runtime,
    one: OnceCell<Site>,
    three: OnceCell<Site>,
    tiny: OnceCell<Site>,
    generated: OnceCell<Site>,
    tiny_generated: OnceCell<Site>,
    /// What became of the records on tiny memory.
    pub(crate) tally: Tally,
}

impl Clusters {
    pub(crate) fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            one: OnceCell::new(),
            three: OnceCell::new(),
            tiny: OnceCell::new(),
            generated: OnceCell::new(),
            tiny_generated: OnceCell::new(),
            tally: Tally::default(),
        })
    }

    /// Runs `file` on `engine`.
    pub(crate) fn run(&self, engine: Engine, file: &SltFile) -> Result<()> {
        self.runtime.block_on(async {
            let site = self.site(engine).await?;
            let base = site.base();
            let connect = || async move { connect(site, engine).await }.boxed();
            let runner = files::runner(file, &base, connect);
            if engine == Engine::TinyMemory {
                return self.tally.run(runner, file).await;
            }
            let mut runner = runner;
            runner.run_file_async(&file.path).await.map_err(|error| {
                let error = error.display(false).to_string();
                anyhow::anyhow!("on {}: {error}", engine.name())
            })
        })
    }

    /// Whether scans are cut into tasks for every worker: else these tests would prove little.
    pub(crate) fn every_worker_takes_part(&self) -> Result<()> {
        self.runtime.block_on(async {
            let site = self.site(Engine::ThreeWorkers).await?;
            let mut session = site.session().await?;
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

    /// Runs generated queries.
    pub(crate) fn generated(&self, range: Range) -> Result<()> {
        self.runtime.block_on(async {
            let start = || Site::start(3, generated::BLOCK, &CUT_EVERYTHING);
            let site = self.generated.get_or_try_init(start).await?;
            let report = generated::run(site, range).await?;
            println!("{report}");
            let is_known = |difference: &&String| KNOWN.iter().any(|known| difference.contains(known));
            let known = report.differences.iter().filter(is_known).count();
            println!("{known} of the differences are known failures");
            ensure!(report.differences.len() == known && report.exhausted == 0, "{report}");
            // Else the generator makes little sense.
            ensure!(report.with_rows * 3 > report.queries, "too few have rows: {report}");
            ensure!(
                report.failed_alike * 10 < report.queries,
                "too many are refused: {report}"
            );
            Ok(())
        })
    }

    /// Whether joins that do not fit are sorted.
    pub(crate) fn joins_spill(&self) -> Result<()> {
        self.runtime.block_on(async {
            // Its own: others beside it would have their part of the memory.
            let limit = format!("{}MiB", spilling::LIMIT_MIB);
            let little = [
                ("worker.memory_limit", limit.as_str()),
                ("coordinator.partitions", "2"),
                ("coordinator.exchange_buffer", "64KiB"),
            ];
            let settings = [&CUT_EVERYTHING[..], &little].concat();
            let tiny = start(3, &settings).await?;
            let checked = spilling::check(&tiny, self.site(Engine::ThreeWorkers).await?).await;
            Box::pin(tiny.shutdown()).await;
            checked
        })
    }

    /// Runs generated queries on tiny memory.
    pub(crate) fn generated_on_tiny_memory(&self, range: Range) -> Result<()> {
        self.runtime.block_on(async {
            let settings = [&CUT_EVERYTHING[..], &TINY_MEMORY].concat();
            let start = || Site::start(3, generated::BLOCK, &settings);
            let site = self.tiny_generated.get_or_try_init(start).await?;
            let report = generated::run(site, range).await?;
            println!("on tiny memory: {report}");
            let is_known = |difference: &String| KNOWN.iter().any(|known| difference.contains(known));
            ensure!(report.differences.iter().all(is_known), "{report}");
            ensure!(report.exhausted * 20 < report.queries, "too many are refused: {report}");
            Ok(())
        })
    }

    async fn site(&self, engine: Engine) -> Result<&Site> {
        match engine {
            Engine::OneWorker => self.one.get_or_try_init(|| start(1, &[])).await,
            Engine::Plain | Engine::ThreeWorkers => self.three.get_or_try_init(|| start(3, &CUT_EVERYTHING)).await,
            Engine::TinyMemory => {
                let settings = [&CUT_EVERYTHING[..], &TINY_MEMORY].concat();
                self.tiny
                    .get_or_try_init(|| async move { start(3, &settings).await })
                    .await
            }
        }
    }

    /// Ends the clusters that were started. No file runs any more.
    pub(crate) fn shutdown(self: Arc<Self>) -> Result<()> {
        let Self {
            runtime,
            one,
            three,
            tiny,
            generated,
            tiny_generated,
            tally: _,
        } = Arc::into_inner(self).context("a trial is still running")?;
        for site in [one, three, tiny, generated, tiny_generated]
            .into_iter()
            .filter_map(OnceCell::into_inner)
        {
            runtime.block_on(site.shutdown());
        }
        Ok(())
    }
}

/// Starts a cluster with the fixtures in its file system and in its catalog.
async fn start(nodes: u16, settings: &[(&str, &str)]) -> Result<Site> {
    let site = Site::start(nodes, fixtures::BLOCK, settings).await?;
    fixtures::write(&site.store).await.context("writing the fixtures")?;
    check_blocks(&site).await?;
    let mut session = site.session().await?;
    for statement in fixtures::statements(&site.base()) {
        session.run(&statement).await.with_context(|| statement)?;
    }
    Ok(site)
}

/// Every file with rows must consist of several blocks.
async fn check_blocks(site: &Site) -> Result<()> {
    let files = site.cluster.dfs().list_located("/fixtures", true).await?;
    ensure!(files.len() > 20, "only {} fixture files", files.len());
    for file in files.iter().filter(|file| !file.status.path.contains("/nothing/")) {
        let blocks = file.blocks.blocks.len();
        ensure!(blocks >= 2, "{} has {blocks} block(s)", file.status.path);
    }
    Ok(())
}

async fn connect(site: &Site, engine: Engine) -> Result<Database, Failure> {
    let session: Box<dyn Session> = match engine {
        Engine::Plain => {
            let base = Url::parse(&site.base()).map_err(anyhow::Error::from)?;
            Box::new(Plain::with_fixtures(&base, Arc::clone(&site.store)).await?)
        }
        Engine::OneWorker | Engine::ThreeWorkers | Engine::TinyMemory => Box::new(site.session().await?),
    };
    Ok(Database {
        session,
        name: if engine == Engine::Plain { "plain" } else { "cluster" },
    })
}
