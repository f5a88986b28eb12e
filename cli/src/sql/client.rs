//! A connection to a coordinator over Arrow Flight SQL: one session, statements one after the other.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightEndpoint, FlightInfo, Ticket};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

/// Environment variable with the password for servers that have a list of users.
const PASSWORD: &str = "QUARRY_PASSWORD";
/// Connecting gives up after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is probed this often, so that a vanished coordinator ends a waiting query.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Largest message taken from the coordinator, in bytes: it aims at 2 MiB, but one wide row may be larger.
const MAX_MESSAGE: usize = 256 << 20;

/// What went wrong, by what the user can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or the coordinator did not accept the user.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// The address tried.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The coordinator refused or broke off a statement.
    #[error("{message}")]
    Statement {
        /// What the coordinator said.
        message: String,
        /// Its gRPC code.
        code: Code,
    },
    /// The answer could not be understood.
    #[error("the coordinator's answer cannot be read: {0}")]
    Protocol(String),
}

impl From<FlightError> for Error {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::Statement {
                message: status.message().to_owned(),
                code: status.code(),
            },
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// A session with a coordinator.
#[derive(Debug)]
pub struct SqlClient {
    flight: FlightSqlServiceClient<Channel>,
    url: String,
}

/// The answer to a statement: its columns, then its rows as they come. Dropping it cancels the query on the server.
pub struct Answer {
    /// The columns; none for a statement without a result.
    pub schema: SchemaRef,
    /// Rows that the statement changed, where it says so.
    pub affected: Option<i64>,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// Reads the answer to its end.
    ///
    /// # Errors
    /// The query failed on its way.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, Error> {
        self.batches.try_collect().await
    }
}

impl SqlClient {
    /// Connects to `url` (`http://host:port`) and opens a session as `user`, with the password of the environment if there is one.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect(url: &str, user: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Connect {
            url: url.to_owned(),
            reason,
        };
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| refused(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(|error| refused(with_cause(&error)))?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut flight = FlightSqlServiceClient::new_from_inner(inner);
        // The server's answer carries the session's token, which the client then sends with every call.
        flight
            .handshake(user, &std::env::var(PASSWORD).unwrap_or_default())
            .await
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            flight,
            url: url.to_owned(),
        })
    }

    /// The coordinator's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs one statement. A query's rows come with [`Answer::batches`]; any other statement has run on return.
    ///
    /// # Errors
    /// The statement is wrong or failed.
    pub async fn execute(&mut self, statement: &str) -> Result<Answer, Error> {
        let info = self
            .flight
            .execute(statement.to_owned(), None)
            .await
            .map_err(Error::from)?;
        self.fetch(info).await
    }

    /// Runs one statement and reads its answer to the end.
    ///
    /// # Errors
    /// The statement is wrong or failed.
    pub async fn query(&mut self, statement: &str) -> Result<Vec<RecordBatch>, Error> {
        self.execute(statement).await?.collect().await
    }

    /// Makes `schema` the one that names without a schema belong to.
    ///
    /// # Errors
    /// There is no such schema.
    pub async fn use_schema(&mut self, schema: &str) -> Result<(), Error> {
        self.query(&format!("USE {schema}")).await.map(|_| ())
    }

    /// The tables that the session may see, filtered by `request`.
    ///
    /// # Errors
    /// The coordinator refused.
    pub async fn tables(&mut self, request: CommandGetTables) -> Result<Vec<RecordBatch>, Error> {
        let info = self.flight.get_tables(request).await.map_err(Error::from)?;
        self.fetch(info).await?.collect().await
    }

    async fn fetch(&mut self, info: FlightInfo) -> Result<Answer, Error> {
        let affected = (info.total_records >= 0).then_some(info.total_records);
        let tickets: Vec<_> = info.endpoint.iter().filter_map(ticket_of).collect();
        let schema = info
            .try_decode_schema()
            .map_err(|error| Error::Protocol(error.to_string()))?;
        let mut streams = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            streams.push(self.open(ticket).await?);
        }
        // One after the other: the order of the endpoints is the order of the result.
        let batches = futures::stream::iter(streams).flatten().map_err(Error::from).boxed();
        Ok(Answer {
            schema: schema.into(),
            affected,
            batches,
        })
    }

    async fn open(&mut self, ticket: Ticket) -> Result<FlightRecordBatchStream, Error> {
        self.flight.do_get(ticket).await.map_err(Error::from)
    }
}

fn ticket_of(endpoint: &FlightEndpoint) -> Option<Ticket> {
    endpoint.ticket.clone()
}

/// The innermost cause: tonic's own text is only "transport error".
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
