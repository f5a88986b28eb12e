//! `CommandStatementIngest`: a client's rows become a table, or more rows of one, without SQL.
//!
//! Batches are written as they come, and are visible together when the last has come: a stream that breaks off leaves nothing.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    CommandStatementIngest, DoPutUpdateResult, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt, TryStreamExt};
use tonic::Status;

use super::{Inner, info, status};
use crate::catalog::CATALOG;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::statement::{Ingest, IngestMode};

impl Inner {
    /// Writes the rows that follow the command; their number.
    pub(super) async fn ingest(
        &self,
        session: &Arc<Session>,
        command: CommandStatementIngest,
        messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> Result<DoPutUpdateResult, Status> {
        info::no_transaction(command.transaction_id.as_ref())?;
        let ingest = target(command).map_err(|error| status::of(&error))?;
        let rows = rows(messages).await?;
        let written = self.dispatcher.write_batches(session, ingest, rows).await;
        let written = written.map_err(|failed| status::of_query(&failed.error, failed.query))?;
        Ok(DoPutUpdateResult {
            record_count: i64::try_from(written).unwrap_or(i64::MAX),
        })
    }
}

/// Which table is meant, and what is to be done with it.
fn target(command: CommandStatementIngest) -> Result<Ingest> {
    if command.temporary {
        return Err(Error::Unsupported("ingest into a temporary table".to_owned()));
    }
    if let Some(catalog) = command
        .catalog
        .filter(|catalog| !catalog.is_empty() && catalog != CATALOG)
    {
        return Err(Error::not_found("catalog", catalog));
    }
    if command.table.is_empty() {
        return Err(Error::invalid("ingest without the name of a table"));
    }
    if let Some(option) = command.options.keys().next() {
        return Err(Error::Unsupported(format!("ingest option {option:?}")));
    }
    Ok(Ingest {
        schema: command.schema.filter(|schema| !schema.is_empty()),
        table: command.table,
        mode: mode(command.table_definition_options.unwrap_or_default())?,
    })
}

fn mode(options: TableDefinitionOptions) -> Result<IngestMode> {
    use TableExistsOption as There;
    use TableNotExistOption as Missing;
    match (options.if_not_exist(), options.if_exists()) {
        (Missing::Create, There::Fail) => Ok(IngestMode::Create),
        (Missing::Create, There::Append) => Ok(IngestMode::CreateAppend),
        (Missing::Create, There::Replace) => Ok(IngestMode::Replace),
        (Missing::Fail, There::Append) => Ok(IngestMode::Append),
        (missing, there) => Err(Error::invalid(format!(
            "ingest: {} for a missing table and {} for one that is there; expected CREATE with FAIL, APPEND or REPLACE, or FAIL with APPEND",
            missing.as_str_name(),
            there.as_str_name()
        ))),
    }
}

/// The batches, read as they are wanted; the schema has come when this returns.
async fn rows(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<SendableRecordBatchStream, Status> {
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let first = batches.next().await.transpose().map_err(broken)?;
    let Some(schema) = batches.schema().cloned() else {
        return Err(status::bad_request("ingest without the schema of its rows"));
    };
    let first = first.map(Ok::<RecordBatch, FlightError>);
    let rows = futures::stream::iter(first).chain(batches).map_err(|error| {
        let error = match error {
            // The client went away, or said so.
            FlightError::Tonic(_) => Error::Cancelled,
            other => Error::invalid(format!("ingest: {other}")),
        };
        DataFusionError::from(error)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

fn broken(error: FlightError) -> Status {
    status::bad_request(format!("ingest: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn command(missing: TableNotExistOption, there: TableExistsOption) -> CommandStatementIngest {
        CommandStatementIngest {
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: missing.into(),
                if_exists: there.into(),
            }),
            table: "t".to_owned(),
            ..CommandStatementIngest::default()
        }
    }

    #[test]
    fn the_formats_options_are_four_modes() {
        use TableExistsOption as There;
        use TableNotExistOption as Missing;
        for (missing, there, mode) in [
            (Missing::Create, There::Fail, Some(IngestMode::Create)),
            (Missing::Create, There::Append, Some(IngestMode::CreateAppend)),
            (Missing::Create, There::Replace, Some(IngestMode::Replace)),
            (Missing::Fail, There::Append, Some(IngestMode::Append)),
            (Missing::Fail, There::Fail, None),
            (Missing::Unspecified, There::Append, None),
        ] {
            let found = target(command(missing, there)).map(|ingest| ingest.mode);
            assert_eq!(found.ok(), mode, "{missing:?} {there:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let good = || command(TableNotExistOption::Create, TableExistsOption::Fail);
        let of = |command| target(command).unwrap_err().to_string();
        assert!(
            of(CommandStatementIngest {
                temporary: true,
                ..good()
            })
            .contains("temporary")
        );
        assert!(
            of(CommandStatementIngest {
                catalog: Some("x".into()),
                ..good()
            })
            .contains("catalog x")
        );
        assert!(
            of(CommandStatementIngest {
                table: String::new(),
                ..good()
            })
            .contains("name")
        );
        assert_eq!(
            target(CommandStatementIngest {
                schema: Some(String::new()),
                ..good()
            })
            .unwrap()
            .schema,
            None
        );
    }
}
