//! What a command's result will look like, and where to get it.

use std::sync::Arc;

use arrow_flight::sql::{Any, Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket};
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use prost::Message;
use tonic::Status;

use super::{Inner, metadata, status};
use crate::error::{Error, Result};
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
        let info = match decode(&descriptor.cmd)? {
            Command::CommandStatementQuery(command) => {
                no_transaction(command.transaction_id.as_ref())?;
                self.submit(session, &command.query, None).await
            }
            Command::CommandPreparedStatementQuery(command) => {
                match self.prepared.get(&command.prepared_statement_handle) {
                    Ok(prepared) => self.submit(session, &prepared.sql, prepared.values).await,
                    Err(error) => Err(status::of(&error)),
                }
            }
            command => self.metadata_info(&command, descriptor.cmd.clone()),
        };
        Ok(info?.with_descriptor(descriptor))
    }

    async fn submit(
        &self,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
    ) -> Result<FlightInfo, Status> {
        let submitted = self.dispatcher.submit(session, sql, values).await;
        let (pending, is_command) = submitted.map_err(|failed| status::of_query(&failed.error, failed.query))?;
        let query = pending.query.id;
        let affected = i64::try_from(pending.query.progress().rows).unwrap_or(i64::MAX);
        let schema = SchemaRef::clone(&pending.schema);
        let handle = self
            .results
            .put(pending)
            .map_err(|error| status::of_query(&error, query))?;
        let ticket = TicketStatementQuery {
            statement_handle: handle.into(),
        };
        let info = info(&schema, ticket.as_any().encode_to_vec().into())?;
        let records = if is_command { affected } else { -1 };
        Ok(info.with_total_records(records).with_app_metadata(query.to_string()))
    }

    /// Metadata is asked for again with the same command: it needs no state here.
    fn metadata_info(&self, command: &Command, ticket: Bytes) -> Result<FlightInfo, Status> {
        let schema = metadata::schema_of(command, &self.constants).ok_or_else(|| unsupported(command))?;
        info(&schema, ticket)
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

/// One endpoint, always, and without location: the result comes from here.
fn info(schema: &Schema, ticket: Bytes) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let info = FlightInfo::new().try_with_schema(schema).map_err(broken)?;
    Ok(info.with_endpoint(endpoint).with_total_records(-1).with_total_bytes(-1))
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
