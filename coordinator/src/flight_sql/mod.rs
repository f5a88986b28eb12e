//! The Flight SQL service.
//!
//! `arrow-flight`'s own `FlightSqlService` leaves `GetSchema`, `PollFlightInfo`, session options and a field of prepared statements
//! unanswered, and dispatches each command in three places. So this implements Flight itself, on the crate's messages: each
//! method decodes a command, and every command is answered in one place.
//!
//! - [`service`]: Flight's methods
//! - [`info`]: what a command's result will look like; commands that change something happen here, once
//! - [`poll`]: the same for clients that wait in short calls
//! - [`put`]: updates, and values for parameters; [`actions`]: prepared statements, sessions, cancellation
//! - [`metadata`], [`columns`], [`sql_info`], [`xdbc`]: answers about the server and its tables
//! - [`auth`]: who calls; [`defaults`]: how the caller's session begins; [`status`]: errors; [`stream`]: rows on their way

mod actions;
pub(crate) mod auth;
mod columns;
mod defaults;
mod info;
mod ingest;
mod messages;
mod metadata;
mod poll;
mod prepared;
mod put;
mod service;
mod sql_info;
mod status;
mod stream;
mod xdbc;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use crate::error::Result;
use crate::query::ResultStore;
use crate::session::Sessions;
use crate::statement::Dispatcher;
use crate::users::Users;
use metadata::Constants;
use prepared::PreparedStatements;

/// Largest message that is taken: rows of parameters.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 << 20;

/// How long things are kept that nobody asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    /// Prepared statements.
    pub(crate) idle: Duration,
    /// Results that wait to be fetched.
    pub(crate) result: Duration,
}

impl Lifetimes {
    /// When a result that is touched now expires: seconds since 1970 and nanoseconds.
    fn result_expires(&self) -> (i64, i32) {
        let since = (SystemTime::now() + self.result).duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        (seconds, i32::try_from(since.subsec_nanos()).unwrap_or_default())
    }
}

/// The service; clones share everything.
#[derive(Clone)]
pub(crate) struct FlightSql {
    inner: Arc<Inner>,
}

struct Inner {
    dispatcher: Arc<Dispatcher>,
    sessions: Arc<Sessions>,
    users: Users,
    results: ResultStore,
    prepared: PreparedStatements,
    constants: Constants,
    lifetimes: Lifetimes,
    /// Where queries run: not where connections are served.
    runtime: Handle,
}

impl FlightSql {
    /// A service that runs queries on `runtime`.
    ///
    /// # Errors
    /// None that is expected.
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        sessions: Arc<Sessions>,
        users: Users,
        runtime: Handle,
        lifetimes: Lifetimes,
    ) -> Result<Self> {
        let functions = (dispatcher.base_state)().scalar_functions().clone();
        let constants = Constants {
            sql_info: sql_info::build(&functions)?,
            xdbc_types: xdbc::build()?,
        };
        let prepared = PreparedStatements::new(lifetimes.idle);
        let inner = Inner {
            dispatcher,
            sessions,
            users,
            results: ResultStore::default(),
            prepared,
            constants,
            lifetimes,
            runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Forgets results that nobody fetched, and prepared statements that nobody used.
    pub(crate) fn expire(&self) {
        self.inner.results.expire(self.inner.lifetimes.result);
        self.inner.prepared.expire();
    }
}
