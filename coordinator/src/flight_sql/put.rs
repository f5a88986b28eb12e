//! `DoPut`: statements that change something, and values for parameters.

use std::sync::Arc;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use tonic::{Status, Streaming};

use super::prepared::Prepared;
use super::{Inner, MAX_REQUEST_BYTES, info, status};
use crate::error::{Error, Result};
use crate::session::Session;

impl Inner {
    /// Answers `DoPut` with its one result.
    pub(super) async fn put(
        &self,
        session: &Arc<Session>,
        mut messages: Streaming<FlightData>,
    ) -> Result<PutResult, Status> {
        let first = messages
            .message()
            .await?
            .ok_or_else(|| status::bad_request("DoPut without a message"))?;
        let descriptor = first.flight_descriptor.clone();
        let descriptor = descriptor.ok_or_else(|| status::bad_request("DoPut without a descriptor"))?;
        let rest = futures::stream::once(async { Ok(first) }).chain(messages);
        let app_metadata = match info::decode(&descriptor.cmd)? {
            Command::CommandStatementUpdate(command) => {
                info::no_transaction(command.transaction_id.as_ref())?;
                self.update(session, &command.query, None).await?.encode_to_vec()
            }
            Command::CommandPreparedStatementUpdate(command) => {
                let prepared = self.prepared(&command.prepared_statement_handle)?;
                let values = read_values(rest).await?.or(prepared.values);
                self.update(session, &prepared.sql, values).await?.encode_to_vec()
            }
            Command::CommandPreparedStatementQuery(command) => {
                let prepared = self.prepared(&command.prepared_statement_handle)?;
                let values = read_values(rest).await?;
                self.bind(prepared, values)?.encode_to_vec()
            }
            Command::CommandStatementIngest(command) => self.ingest(session, command, rest).await?.encode_to_vec(),
            command => return Err(info::unsupported(&command)),
        };
        Ok(PutResult {
            app_metadata: app_metadata.into(),
        })
    }

    fn prepared(&self, handle: &[u8]) -> Result<Prepared, Status> {
        self.prepared.get(handle).map_err(|error| status::of(&error))
    }

    /// Executes a statement that returns no rows.
    async fn update(
        &self,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
    ) -> Result<DoPutUpdateResult, Status> {
        let values = values.filter(|values| values.num_columns() > 0);
        let submitted = self.dispatcher.submit(session, sql, values).await;
        let (pending, is_command) = submitted.map_err(|failed| status::of_query(&failed.error, failed.query))?;
        if !is_command {
            let error = Error::invalid("the statement returns rows; execute it as a query");
            pending.query.fail(&error);
            return Err(status::of_query(&error, pending.query.id));
        }
        let affected = pending.query.progress().rows;
        Ok(DoPutUpdateResult {
            record_count: i64::try_from(affected).unwrap_or(i64::MAX),
        })
    }

    /// A new handle: the old one stays as it was, also for others who use it now.
    fn bind(&self, prepared: Prepared, values: Option<RecordBatch>) -> Result<DoPutPreparedStatementResult, Status> {
        let handle = self
            .prepared
            .put(Prepared { values, ..prepared })
            .map_err(|error| status::of(&error))?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(handle.into()),
        })
    }
}

/// Reads rows of parameters; `None` if there is none.
async fn read_values(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Option<RecordBatch>, Status> {
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    // A client without values sends its descriptor alone, which is no IPC message.
    let messages = messages.try_filter(|data| futures::future::ready(!data.data_header.is_empty()));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut read = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| status::bad_request(format!("parameters: {error}")))?;
        bytes += batch.get_array_memory_size();
        if bytes > MAX_REQUEST_BYTES {
            let limit = MAX_REQUEST_BYTES >> 20;
            return Err(status::of(&Error::Exhausted(format!(
                "parameters take more than {limit} MiB"
            ))));
        }
        read.push(batch);
    }
    let Some(first) = read.first() else { return Ok(None) };
    concat_batches(&first.schema(), &read)
        .map(Some)
        .map_err(status::bad_request)
}
