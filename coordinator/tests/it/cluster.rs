//! A coordinator's execution half with workers, each on a runtime of its own so that it can be killed.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use quarry_coordinator::execution::{Attempt, Execution, ExecutionConfig};
use quarry_coordinator::members::WorkerInfo;
use quarry_engine::files::{FileSystem, FileSystems};
use quarry_engine::formats::{TableDefinition, TableFormat};
use quarry_engine::id::QueryId;
use quarry_worker::{Worker, WorkerConfig, WorkerHandle};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::data::{csv_file, parquet_files, tables};
use crate::memory_files::{MemoryFiles, node_uuid};

/// Everything here takes milliseconds; a machine that is this slow is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) replication: usize,
    pub(crate) partitions: usize,
    pub(crate) worker_memory: ByteSize,
    pub(crate) coordinator_memory: ByteSize,
    pub(crate) batch_size: Option<usize>,
    /// Bytes that wait on each connection between stages.
    pub(crate) exchange_buffer: ByteSize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 3,
            replication: 1,
            partitions: 2,
            worker_memory: ByteSize::mib(256),
            coordinator_memory: ByteSize::mib(256),
            batch_size: None,
            exchange_buffer: ExecutionConfig::default().exchange_buffer,
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) execution: Execution,
    pub(crate) files: MemoryFiles,
    pub(crate) state: SessionState,
    workers: Vec<Option<(WorkerHandle, Runtime)>>,
    _server: AbortOnDropHandle<()>,
    _scratch: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start(options: Options) -> Self {
        let files = MemoryFiles::new(64 * 1024, options.workers.max(1), options.replication);
        let scratch = tempfile::tempdir().unwrap();
        let config = ExecutionConfig {
            partitions: Some(options.partitions),
            threads: Some(2),
            memory_limit: options.coordinator_memory,
            spill_dir: scratch.path().join("coordinator"),
            local_below: ByteSize(0),
            task_bytes: ByteSize(0),
            exchange_buffer: options.exchange_buffer,
            ..ExecutionConfig::default()
        };
        let execution = Execution::start(config, systems(files.clone())).unwrap();
        let (address, server) = serve(&execution).await;
        let mut workers = Vec::new();
        for node in 0..options.workers {
            let config = WorkerConfig {
                coordinator: address.clone(),
                memory_limit: options.worker_memory,
                spill_dir: scratch.path().join(format!("worker{node}")),
                threads: Some(2),
                ..WorkerConfig::default()
            };
            workers.push(Some(start_worker(config, files.seen_by(node), node)));
        }
        assert!(
            execution.membership().wait_for(options.workers, PATIENCE).await,
            "workers register"
        );
        let state = session(&execution, &files, options.batch_size).await;
        Self {
            execution,
            files,
            state,
            workers,
            _server: server,
            _scratch: scratch,
        }
    }

    pub(crate) async fn plan(&self, sql: &str) -> Box<dyn Attempt> {
        let logical = self.logical(sql).await;
        self.plan_logical(logical).await.unwrap()
    }

    pub(crate) async fn logical(&self, sql: &str) -> LogicalPlan {
        self.state.create_logical_plan(sql).await.unwrap()
    }

    pub(crate) async fn plan_logical(&self, plan: LogicalPlan) -> Result<Box<dyn Attempt>> {
        self.execution.engine().plan(&self.state, QueryId::draw(), plan).await
    }

    /// Runs a query; fails the test if it takes longer than [`PATIENCE`].
    pub(crate) async fn run(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let attempt = self.plan(sql).await;
        finish(attempt.as_ref()).await
    }

    pub(crate) fn worker(&self, index: usize) -> &WorkerHandle {
        &self.workers[index].as_ref().unwrap().0
    }

    pub(crate) fn worker_count(&self) -> usize {
        self.workers.iter().flatten().count()
    }

    pub(crate) fn live(&self) -> Vec<WorkerInfo> {
        self.execution.membership().live()
    }

    /// Ends a worker like `kill -9`: its threads, sockets and tasks are gone. Returns its address.
    pub(crate) fn kill(&mut self, index: usize) -> String {
        let (handle, runtime) = self.workers[index].take().unwrap();
        let address = handle.addr().to_string();
        runtime.shutdown_background();
        drop(handle);
        address
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (handle, runtime) in self.workers.drain(..).flatten() {
            drop(handle);
            runtime.shutdown_background();
        }
    }
}

pub(crate) async fn finish(attempt: &dyn Attempt) -> Result<Vec<RecordBatch>> {
    let rows = attempt.execute()?.try_collect();
    tokio::time::timeout(PATIENCE, rows).await.expect("a query hangs")
}

fn systems(files: MemoryFiles) -> Arc<FileSystems> {
    let own: Arc<dyn FileSystem> = Arc::new(files);
    let other = Arc::clone(&own);
    FileSystems::new(own, "memory:1", move |_| Arc::clone(&other))
}

async fn serve(execution: &Execution) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = execution.membership().service();
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let server = tokio::spawn(async move { server.await.unwrap() });
    (address, AbortOnDropHandle::new(server))
}

fn start_worker(config: WorkerConfig, files: MemoryFiles, node: usize) -> (WorkerHandle, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let start = Worker::start_on(config, systems(files), Some(node_uuid(node)));
    let (started, handle) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let _ = started.send(start.await);
    });
    (handle.recv().unwrap().unwrap(), runtime)
}

/// The three tables as Parquet, and `lines_csv`.
async fn session(execution: &Execution, files: &MemoryFiles, batch_size: Option<usize>) -> SessionState {
    let schema = Arc::new(MemorySchemaProvider::new());
    for table in tables() {
        for (index, bytes) in parquet_files(&table.batch, 4, 1000).into_iter().enumerate() {
            files
                .put(&format!("w/{}/part-{index}.parquet", table.name), bytes)
                .await;
        }
        let location = format!("hdfs:///w/{}", table.name);
        let definition = TableDefinition::new(TableFormat::Parquet, location, table.schema());
        schema
            .register_table(table.name.to_owned(), execution.tables().open(&definition).unwrap())
            .unwrap();
        if table.name == "lines" {
            files.put("w/lines_csv/lines.csv", csv_file(&table.batch)).await;
            let csv = TableDefinition {
                format: TableFormat::Csv,
                location: "hdfs:///w/lines_csv".to_owned(),
                options: [("has_header".to_owned(), "true".to_owned())].into(),
                ..definition
            };
            schema
                .register_table("lines_csv".to_owned(), execution.tables().open(&csv).unwrap())
                .unwrap();
        }
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", schema).unwrap();
    let catalogs = Arc::new(MemoryCatalogProviderList::new());
    datafusion::catalog::CatalogProviderList::register_catalog(
        catalogs.as_ref(),
        "datafusion".to_owned(),
        Arc::new(catalog),
    );
    let mut state = execution.session_state(catalogs);
    if let Some(size) = batch_size {
        state
            .config_mut()
            .options_mut()
            .set("datafusion.execution.batch_size", &size.to_string())
            .unwrap();
    }
    state
}

/// The same tables on plain DataFusion.
pub(crate) fn oracle() -> SessionContext {
    let context = SessionContext::new();
    for table in tables() {
        if table.name == "lines" {
            context.register_batch("lines_csv", table.batch.clone()).unwrap();
        }
        context.register_batch(table.name, table.batch).unwrap();
    }
    context
}

/// Rows as sorted text.
pub(crate) fn text(batches: &[RecordBatch]) -> Vec<String> {
    let formatted = datafusion::arrow::util::pretty::pretty_format_batches(batches)
        .unwrap()
        .to_string();
    let mut lines: Vec<String> = formatted
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    // The width of columns depends on nothing but their contents; the header stays with the rows.
    lines.sort();
    lines
}
