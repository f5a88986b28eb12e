//! Rows as a Flight stream.
//!
//! The schema leaves at once: JDBC waits for it. Batches follow as the client takes them, cast to the advertised types and cut to a size that
//! every client accepts. A failure ends the stream with a status, never quietly; dropping the stream stops the query.

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use quarry_engine::id::QueryId;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::status;
use crate::error::Result;
use crate::query::run::Rows;
use crate::wire_types::{split, to_wire};

/// The stream of a query that is running.
pub(super) fn of_rows(rows: Rows, schema: SchemaRef, query: QueryId) -> BoxStream<'static, Result<FlightData, Status>> {
    encode(ReceiverStream::new(rows), schema, Some(query))
}

/// The stream of rows that are there already.
pub(super) fn of_batches(
    batches: Vec<RecordBatch>,
    schema: SchemaRef,
    query: Option<QueryId>,
) -> BoxStream<'static, Result<FlightData, Status>> {
    encode(futures::stream::iter(batches.into_iter().map(Ok)), schema, query)
}

fn encode(
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    schema: SchemaRef,
    query: Option<QueryId>,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let wire = SchemaRef::clone(&schema);
    let pieces = rows
        .map(move |batch| to_wire(&batch?, &wire).map(split))
        .map_ok(|pieces| futures::stream::iter(pieces.into_iter().map(Ok)))
        .try_flatten()
        .map_err(move |error| {
            let status = query.map_or_else(|| status::of(&error), |query| status::of_query(&error, query));
            FlightError::Tonic(Box::new(status))
        });
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .build(pieces)
        .map_err(Status::from)
        .boxed()
}
