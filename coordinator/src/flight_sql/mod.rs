//! The Flight SQL service.
//!
//! `arrow-flight`'s own `FlightSqlService` leaves `GetSchema`, `PollFlightInfo`, session options and a field of prepared statements
//! unanswered, and dispatches each command in three places. So this implements Flight itself, on the crate's messages: each
//! method decodes a command, and every command is answered in one place.
//!
//! - [`service`]: Flight's methods
//! - [`info`]: what a command's result will look like; commands that change something happen here, once
//! - [`put`]: updates, and values for parameters; [`actions`]: prepared statements, sessions, cancellation
//! - [`metadata`], [`sql_info`], [`xdbc`]: answers about the server and its tables
//! - [`auth`]: who calls; [`status`]: errors; [`stream`]: rows on their way

mod actions;
pub(crate) mod auth;
mod info;
mod messages;
mod metadata;
mod prepared;
mod put;
mod service;
mod sql_info;
mod status;
mod stream;
mod xdbc;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Result;
use crate::query::ResultStore;
use crate::session::Sessions;
use crate::statement::Dispatcher;
use metadata::Constants;
use prepared::PreparedStatements;

/// Largest message that is taken: rows of parameters.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The service; clones share everything.
#[derive(Clone)]
pub(crate) struct FlightSql {
    inner: Arc<Inner>,
}

struct Inner {
    dispatcher: Arc<Dispatcher>,
    sessions: Arc<Sessions>,
    results: ResultStore,
    prepared: PreparedStatements,
    constants: Constants,
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
        runtime: Handle,
        idle_limit: Duration,
    ) -> Result<Self> {
        let functions = (dispatcher.base_state)().scalar_functions().clone();
        let constants = Constants {
            sql_info: sql_info::build(&functions)?,
            xdbc_types: xdbc::build()?,
        };
        let prepared = PreparedStatements::new(idle_limit);
        let inner = Inner {
            dispatcher,
            sessions,
            results: ResultStore::default(),
            prepared,
            constants,
            runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Forgets results that nobody fetched for `result_expiry`, and prepared statements that nobody used.
    pub(crate) fn expire(&self, result_expiry: Duration) {
        self.inner.results.expire(result_expiry);
        self.inner.prepared.expire();
    }
}
