//! What can go wrong at the coordinator, named for what the client can do about it.
//!
//! How an error leaves over gRPC is decided in one place, `flight_sql::status`.

use std::net::SocketAddr;
use std::time::Duration;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use quarry_engine::error::{ErrorClass, classify};

/// Result of the coordinator's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the coordinator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statement is wrong: syntax, names within it, types, parameters. Change it.
    #[error("{0}")]
    Invalid(String),
    /// The statement is beyond a limit that protects the server. Make it smaller or move the limit.
    #[error(
        "statement refused: {what} is {found}, the limit is {limit}; `{knob}` in the coordinator's configuration moves it"
    )]
    TooComplex {
        /// What was measured.
        what: &'static str,
        /// What the statement has.
        found: usize,
        /// What is allowed.
        limit: usize,
        /// The configuration key.
        knob: &'static str,
    },
    /// A table, schema, column, handle or session that is named does not exist.
    #[error("{kind} {name} not found")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name as the client gave it.
        name: String,
    },
    /// Something with that name is already there.
    #[error("{kind} {name} already exists")]
    AlreadyExists {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Quarry does not have it (yet).
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// The credentials are missing, malformed or unknown.
    #[error("not authenticated: {0}")]
    Unauthenticated(String),
    /// The query was stopped: the client left, or asked for it.
    #[error("query was cancelled")]
    Cancelled,
    /// The statement took longer than allowed.
    #[error("{what} took longer than {limit:?}; `{knob}` moves that limit")]
    TimedOut {
        /// Which part of the work.
        what: &'static str,
        /// How long it was allowed to take.
        limit: Duration,
        /// The setting or configuration key.
        knob: &'static str,
    },
    /// Memory, spill space or a queue is used up. Try again later, with less, or with a higher limit.
    #[error("{0}")]
    Exhausted(String),
    /// A part of the cluster is missing; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// A file of the catalog cannot be understood. Everything else in the catalog still works.
    #[error("catalog file {path}: {problem}")]
    CatalogFile {
        /// Path in the distributed file system.
        path: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// The distributed file system failed.
    #[error("distributed file system: {0}")]
    Storage(#[from] quarry_dfs_client::Error),
    /// Planning or running a query failed; [`kind`](Self::kind) looks inside.
    #[error("{}", with_position(.0))]
    Query(#[source] DataFusionError),
    /// Broken invariant of ours.
    #[error("internal error: {0}")]
    Internal(String),
    /// The configuration cannot be used; every problem is listed.
    #[error("coordinator configuration: {}", .0.join("; "))]
    Configuration(Vec<String>),
    /// The address to serve on cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Kinds of error as a client tells them apart; each has one gRPC code and one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wrong statement or parameter.
    Invalid,
    /// Unknown table, schema, column or handle.
    NotFound,
    /// Name taken.
    AlreadyExists,
    /// Not there yet.
    Unsupported,
    /// No or bad credentials.
    Unauthenticated,
    /// Stopped.
    Cancelled,
    /// Too slow.
    TimedOut,
    /// Memory, spill or queue.
    Exhausted,
    /// Lost node, storage out of reach.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Error {
    /// A statement's error with a message of ours.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// Something is not there.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound {
            kind,
            name: name.into(),
        }
    }

    /// A name is taken.
    pub fn already_exists(kind: &'static str, name: impl Into<String>) -> Self {
        Self::AlreadyExists {
            kind,
            name: name.into(),
        }
    }

    /// The kind a client sees.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::TooComplex { .. } => ErrorKind::Invalid,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Unauthenticated(_) => ErrorKind::Unauthenticated,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Exhausted(_) => ErrorKind::Exhausted,
            Self::Unavailable(_) | Self::Bind { .. } => ErrorKind::Unavailable,
            Self::Storage(error) => kind_of_storage(error),
            Self::Query(error) => kind_of_query(error),
            Self::CatalogFile { .. } | Self::Internal(_) | Self::Configuration(_) => ErrorKind::Internal,
        }
    }
}

impl From<DataFusionError> for Error {
    /// Unpacks an error of ours that travelled through DataFusion (a catalog lookup's, for instance).
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(source) => Self::Query(DataFusionError::External(source)),
            },
            other => Self::Query(other),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(inner) => inner,
            other => Self::External(Box::new(other)),
        }
    }
}

/// The planner's text with the place in the statement that it means, in the parser's words for a place.
fn with_position(error: &DataFusionError) -> String {
    let place = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| span.start);
    match place {
        Some(place) if place.line > 0 => format!("{error} at Line: {}, Column: {}", place.line, place.column),
        _ => error.to_string(),
    }
}

fn kind_of_storage(error: &quarry_dfs_client::Error) -> ErrorKind {
    use quarry_dfs_client::Error as Dfs;
    match error {
        Dfs::NotFound { .. } => ErrorKind::NotFound,
        Dfs::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        Dfs::Invalid { .. } | Dfs::ParentNotDirectory { .. } | Dfs::DirectoryNotEmpty { .. } => ErrorKind::Invalid,
        Dfs::QuotaExceeded { .. } => ErrorKind::Exhausted,
        Dfs::Unsupported { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Unavailable,
    }
}

fn kind_of_query(error: &DataFusionError) -> ErrorKind {
    // A spill file's writer passes this on as an I/O error, as if the disk were to blame.
    if error.to_string().contains(SPILL_LIMIT) {
        return ErrorKind::Exhausted;
    }
    match classify(error).class {
        ErrorClass::User => kind_of_user_error(error),
        ErrorClass::Memory => ErrorKind::Exhausted,
        ErrorClass::Node | ErrorClass::Storage => ErrorKind::Unavailable,
        ErrorClass::Bug => ErrorKind::Internal,
        ErrorClass::Cancelled => ErrorKind::Cancelled,
    }
}

fn kind_of_user_error(error: &DataFusionError) -> ErrorKind {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => kind_of_user_error(inner),
        DataFusionError::Shared(inner) => kind_of_user_error(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(ErrorKind::Internal, kind_of_user_error),
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::SchemaError(source, _) if matches!(**source, SchemaError::FieldNotFound { .. }) => {
            ErrorKind::NotFound
        }
        DataFusionError::Plan(message) if names_missing_relation(message) => ErrorKind::NotFound,
        DataFusionError::External(source) => source.downcast_ref::<Error>().map_or(ErrorKind::Invalid, Error::kind),
        _ => ErrorKind::Invalid,
    }
}

/// Part of DataFusion's text for a query that spills more than it may.
const SPILL_LIMIT: &str = "used disk space during the spilling process has exceeded";

/// DataFusion reports a missing table as a planning error without a type of its own.
fn names_missing_relation(message: &str) -> bool {
    let missing_table = message.starts_with("table '") && message.contains("' not found");
    missing_table || message.starts_with("failed to resolve schema") || message.starts_with("failed to resolve catalog")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn kind(sql: &str) -> ErrorKind {
        let error = SessionContext::new().sql(sql).await.unwrap_err();
        Error::from(error).kind()
    }

    #[tokio::test]
    async fn datafusions_errors_get_the_kind_a_client_expects() {
        assert_eq!(kind("select 1 from nowhere").await, ErrorKind::NotFound);
        assert_eq!(kind("select nothing from (values (1)) t(a)").await, ErrorKind::NotFound);
        assert_eq!(kind("selec 1").await, ErrorKind::Invalid);
        assert_eq!(kind("select sum(1, 2, 3)").await, ErrorKind::Invalid);
    }

    #[tokio::test]
    async fn planning_errors_say_where() {
        let mut state = SessionContext::new().state();
        state.config_mut().options_mut().sql_parser.collect_spans = true;
        let sql = "select a,\n  nothing from (values (1)) t(a)";
        let error = SessionContext::new_with_state(state).sql(sql).await.unwrap_err();
        let text = Error::from(error).to_string();
        assert!(text.ends_with("at Line: 2, Column: 3"), "{text}");
    }

    #[test]
    fn our_errors_survive_a_trip_through_datafusion() {
        let error: DataFusionError = Error::not_found("table", "t").into();
        assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);
    }

    #[test]
    fn memory_is_not_the_users_mistake() {
        let error = DataFusionError::ResourcesExhausted("pool".into());
        assert_eq!(Error::from(error.context("sort")).kind(), ErrorKind::Exhausted);
    }
}
