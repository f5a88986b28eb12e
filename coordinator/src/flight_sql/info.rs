//! What a command's result will look like, and where to get it.

use std::sync::Arc;

use arrow_flight::sql::{Any, Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket};
use bytes::Bytes;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use prost::Message;
use quarry_engine::id::QueryId;
use tonic::Status;

use super::{Inner, metadata, status};
use crate::error::{Error, Result};
use crate::query::PendingResult;
use crate::session::Session;

/// Decodes a Flight SQL command.
pub(super) fn decode(command: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(command).map_err(status::bad_request)?;
    Command::try_from(any).map_err(status::bad_request)
}

impl Inner {
    /// Answers `GetFlightInfo`. Queries are planned, not run; what changes something has happened when this returns.
    pub(super) async fn flight_info(
        &self,
        session: &Arc<Session>,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let command = decode(&descriptor.cmd)?;
        let info = match self.submit(session, &command).await? {
            Some(submitted) => {
                let outline = Outline::of(&submitted);
                let handle = self.keep(submitted.pending)?;
                outline.info(Some(ticket(handle)))?
            }
            None => self.metadata_info(&command, descriptor.cmd.clone())?,
        };
        Ok(info.with_descriptor(descriptor))
    }

    /// Plans a query or executes what changes something; `None` if the command asks for metadata.
    pub(super) async fn submit(&self, session: &Arc<Session>, command: &Command) -> Result<Option<Submitted>, Status> {
        let (sql, values) = match command {
            Command::CommandStatementQuery(command) => {
                no_transaction(command.transaction_id.as_ref())?;
                (Arc::from(command.query.as_str()), None)
            }
            Command::CommandPreparedStatementQuery(command) => {
                let prepared = self.prepared.get(&command.prepared_statement_handle);
                let prepared = prepared.map_err(|error| status::of(&error))?;
                (prepared.sql, prepared.values)
            }
            _ => return Ok(None),
        };
        let submitted = self.dispatcher.submit(session, &sql, values).await;
        let (pending, is_command) = submitted.map_err(|failed| status::of_query(&failed.error, failed.query))?;
        Ok(Some(Submitted { pending, is_command }))
    }

    /// Keeps a result until it is fetched.
    pub(super) fn keep(&self, pending: PendingResult) -> Result<String, Status> {
        let query = pending.query.id;
        self.results
            .put(pending)
            .map_err(|error| status::of_query(&error, query))
    }

    /// Metadata is asked for again with the same command: it needs no state here.
    pub(super) fn metadata_info(&self, command: &Command, ticket: Bytes) -> Result<FlightInfo, Status> {
        let schema = metadata::schema_of(command, &self.constants).ok_or_else(|| unsupported(command))?;
        info(&schema, Some(ticket))
    }

    /// Answers `GetSchema`. Nothing is executed.
    pub(super) async fn schema(
        &self,
        session: &Arc<Session>,
        descriptor: &FlightDescriptor,
    ) -> Result<SchemaResult, Status> {
        let schema = match decode(&descriptor.cmd)? {
            Command::CommandStatementQuery(command) => self.described_schema(session, &command.query).await?,
            Command::CommandPreparedStatementQuery(command) => {
                let prepared = self
                    .prepared
                    .get(&command.prepared_statement_handle)
                    .map_err(|error| status::of(&error))?;
                self.described_schema(session, &prepared.sql).await?
            }
            // What an update returns is its count, not rows; still, it must be one that can be planned.
            Command::CommandStatementUpdate(command) => self.described_schema(session, &command.query).await?,
            Command::CommandPreparedStatementUpdate(command) => {
                let prepared = self
                    .prepared
                    .get(&command.prepared_statement_handle)
                    .map_err(|error| status::of(&error))?;
                self.described_schema(session, &prepared.sql).await?
            }
            command => metadata::schema_of(&command, &self.constants).ok_or_else(|| unsupported(&command))?,
        };
        let options = IpcWriteOptions::default();
        let message: IpcMessage = SchemaAsIpc::new(&schema, &options).try_into().map_err(broken)?;
        Ok(SchemaResult { schema: message.0 })
    }

    async fn described_schema(&self, session: &Arc<Session>, sql: &str) -> Result<SchemaRef, Status> {
        let described = self.dispatcher.describe(session, sql).await;
        Ok(described.map_err(|error| status::of(&error))?.schema)
    }
}

/// A statement that was planned or executed.
pub(super) struct Submitted {
    /// Its result.
    pub(super) pending: PendingResult,
    /// Whether it changed something.
    pub(super) is_command: bool,
}

/// What an info says of a result besides where it is.
pub(super) struct Outline {
    schema: SchemaRef,
    query: QueryId,
    records: i64,
}

impl Outline {
    fn of(submitted: &Submitted) -> Self {
        // A command's count of rows is known; statements that change data would say here how many.
        let records = if submitted.is_command { 0 } else { -1 };
        Self {
            records,
            ..Self::of_query(submitted.pending.query.id, &submitted.pending.schema)
        }
    }

    /// That of a query, whose rows nobody has counted.
    pub(super) fn of_query(query: QueryId, schema: &SchemaRef) -> Self {
        Self {
            schema: Arc::clone(schema),
            query,
            records: -1,
        }
    }

    /// The info: with one endpoint, or none if the result cannot be fetched yet.
    pub(super) fn info(&self, ticket: Option<Bytes>) -> Result<FlightInfo, Status> {
        let info = info(&self.schema, ticket)?;
        Ok(info
            .with_total_records(self.records)
            .with_app_metadata(self.query.to_string()))
    }
}

/// The ticket of a result.
pub(super) fn ticket(handle: String) -> Bytes {
    let ticket = TicketStatementQuery {
        statement_handle: handle.into(),
    };
    ticket.as_any().encode_to_vec().into()
}

/// One endpoint if there is anything to fetch, and without location: the result comes from here.
fn info(schema: &Schema, ticket: Option<Bytes>) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new().try_with_schema(schema).map_err(broken)?;
    let info = info.with_total_records(-1).with_total_bytes(-1);
    Ok(match ticket {
        Some(ticket) => info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket { ticket })),
        None => info,
    })
}

fn broken(error: impl std::fmt::Display) -> Status {
    status::of(&Error::Internal(format!("schema: {error}")))
}

/// Commands that are known to the format and not to us, and unknown ones.
pub(super) fn unsupported(command: &Command) -> Status {
    let url = command.type_url();
    let name = url.rsplit(['.', '/']).next().unwrap_or(url);
    if matches!(command, Command::Unknown(_)) {
        return status::bad_request(format!("unknown command {name:?}"));
    }
    status::of(&Error::Unsupported(name.to_owned()))
}

/// There are no transactions: a client that names one believes otherwise.
pub(super) fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(status::of(&Error::Unsupported("a transaction".to_owned()))),
        _ => Ok(()),
    }
}
