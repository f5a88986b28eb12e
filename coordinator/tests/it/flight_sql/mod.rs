//! A coordinator without workers, spoken to by arrow-flight's own client over a real socket.

mod catalog;
mod hostile;
mod metadata;
mod prepared;
mod queries;
mod sessions;
mod writes;

use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use quarry_coordinator::catalog::memory::MemoryStore;
use quarry_coordinator::catalog::store::CatalogStore;
use quarry_coordinator::{Coordinator, CoordinatorConfig, CoordinatorHandle};
use quarry_engine::files::{FileSystem, FileSystems};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::data;
use crate::memory_files::MemoryFiles;

type Client = FlightSqlServiceClient<Channel>;

/// A coordinator with its storage.
struct Server {
    handle: CoordinatorHandle,
    files: MemoryFiles,
    store: Arc<MemoryStore>,
    _spill: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut CoordinatorConfig)) -> Self {
        Self::over(MemoryFiles::new(64 << 10, 1, 1), Arc::default(), change).await
    }

    async fn over(files: MemoryFiles, store: Arc<MemoryStore>, change: impl FnOnce(&mut CoordinatorConfig)) -> Self {
        let spill = tempfile::tempdir().unwrap();
        let mut config = CoordinatorConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            spill_dir: spill.path().to_owned(),
            ..CoordinatorConfig::default()
        };
        change(&mut config);
        let own: Arc<dyn FileSystem> = Arc::new(files.clone());
        let same = Arc::clone(&own);
        let systems = FileSystems::new(own, "127.0.0.1:8020", move |_| Arc::clone(&same));
        let catalog: Arc<dyn CatalogStore> = Arc::clone(&store) as _;
        let handle = Coordinator::start_with(config, systems, catalog).await.unwrap();
        Self {
            handle,
            files,
            store,
            _spill: spill,
        }
    }

    /// A client on a connection of its own.
    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.handle.addr())).unwrap();
        FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// Puts the small TPC-H-like tables into files and declares them.
    async fn load_tables(&self) {
        let mut client = self.client().await;
        for table in data::tables() {
            for (part, bytes) in data::parquet_files(&table.batch, 2, 1_000).into_iter().enumerate() {
                self.files
                    .put(&format!("/data/{}/part-{part}.parquet", table.name), bytes)
                    .await;
            }
            let name = table.name;
            let sql = format!("create external table {name} stored as parquet location 'hdfs:///data/{name}'");
            update(&mut client, &sql).await.unwrap();
        }
    }
}

/// The rows behind an info, with their schema. Checks what clients check: one endpoint, advertised and streamed schema equal.
async fn fetch(client: &mut Client, info: FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), FlightError> {
    assert_eq!(info.endpoint.len(), 1, "exactly one endpoint");
    let advertised = info.clone().try_decode_schema().unwrap();
    let mut stream = client.do_get(ticket(&info)).await?;
    let batches: Vec<RecordBatch> = (&mut stream).try_collect().await?;
    let schema = stream.schema().cloned().expect("the stream begins with its schema");
    assert_eq!(*schema, advertised, "streamed schema as advertised");
    Ok((schema, batches))
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// Runs a query by the plain statement command.
async fn query(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_owned(), None).await?;
    Ok(fetch(client, info).await?.1)
}

/// The same, as rows of text.
async fn rows(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let batches = query(client, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    text_rows(&batches)
}

fn text_rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()),
        );
    }
    rows
}

async fn update(client: &mut Client, sql: &str) -> Result<i64, FlightError> {
    client.execute_update(sql.to_owned(), None).await
}

/// The gRPC status inside the client's error.
fn status(error: &FlightError) -> tonic::Status {
    match error {
        FlightError::Tonic(status) => status.as_ref().clone(),
        other => panic!("no status in {other:?}"),
    }
}

/// The code and text of a failing statement.
async fn failure(client: &mut Client, sql: &str) -> (Code, String) {
    let error = query(client, sql).await.expect_err(sql);
    let status = status(&error);
    (status.code(), status.message().to_owned())
}
