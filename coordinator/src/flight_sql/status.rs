//! Errors as gRPC statuses: the one place where a code is chosen.
//!
//! Codes are those that ADBC and JDBC turn into the right class of exception. The SQLSTATE and the query's id go along as
//! trailers, and the id in the text, too, for clients that show only that.

use quarry_engine::id::QueryId;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::error::{Error, ErrorKind};

/// Header and trailer that names the query.
pub(super) const QUERY_ID: &str = "x-quarry-query-id";
/// Trailer with the SQLSTATE.
pub(super) const SQLSTATE: &str = "x-quarry-sqlstate";
/// Longest message: headers are limited to 8 KiB by many peers, and text is percent-encoded there.
const MAX_MESSAGE: usize = 2_000;

/// The status for an error outside of any query.
pub(super) fn of(error: &Error) -> Status {
    build(error, None)
}

/// The status for a query's error.
pub(super) fn of_query(error: &Error, query: QueryId) -> Status {
    build(error, Some(query))
}

fn build(error: &Error, query: Option<QueryId>) -> Status {
    let kind = error.kind();
    if kind == ErrorKind::Internal {
        tracing::error!(query = query.map(tracing::field::display), %error, "internal error");
    }
    let mut message = error.to_string();
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push_str(" ...");
    }
    let mut metadata = MetadataMap::new();
    metadata.insert(SQLSTATE, MetadataValue::from_static(sqlstate(kind)));
    if let Some(query) = query {
        message = format!("{message} (query {query})");
        if let Ok(value) = query.to_string().parse() {
            metadata.insert(QUERY_ID, value);
        }
    }
    Status::with_metadata(code(kind), message, metadata)
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::TimedOut => Code::DeadlineExceeded,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

/// PostgreSQL's codes, which most tools know.
fn sqlstate(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "42000",
        ErrorKind::NotFound => "42P01",
        ErrorKind::AlreadyExists => "42P07",
        ErrorKind::Unsupported => "0A000",
        ErrorKind::Unauthenticated => "28000",
        ErrorKind::Cancelled | ErrorKind::TimedOut => "57014",
        ErrorKind::Exhausted => "53200",
        ErrorKind::Unavailable => "57P03",
        ErrorKind::Internal => "XX000",
    }
}

/// A request that is no valid Flight SQL.
pub(super) fn bad_request(problem: impl std::fmt::Display) -> Status {
    of(&Error::invalid(format!("bad Flight SQL request: {problem}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_status_names_query_and_state() {
        let query = QueryId::draw();
        let status = of_query(&Error::not_found("table", "t"), query);
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(&query.to_string()));
        assert_eq!(status.metadata().get(SQLSTATE).unwrap(), "42P01");
        assert_eq!(
            status.metadata().get(QUERY_ID).unwrap().to_str().unwrap(),
            query.to_string()
        );
    }

    #[test]
    fn long_messages_are_cut() {
        let status = of(&Error::invalid("ü".repeat(100_000)));
        assert!(status.message().len() < 2 * MAX_MESSAGE);
    }
}
