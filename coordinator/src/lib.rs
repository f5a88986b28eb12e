//! The coordinator: takes SQL over Arrow Flight SQL, plans it, places it beside the blocks, and hands back the rows.
//!
//! A statement's way through this crate:
//!
//! 1. `server` accepts connections; `flight_sql` decodes the call and finds its [`session`]
//! 2. [`statement`] parses it within the limits of `guard` on a `planning_thread`, and finds out what it is
//! 3. names come from the [`catalog`], whose files live in the distributed file system
//! 4. a command is done at once; a query becomes an attempt of the [`execution`] engine, placed by [`planning`] on the [`members`]
//! 5. its result waits in [`query`] until the client fetches; rows stream as they come, cast by `wire_types`
//!
//! What is *not* here: reading table data (that is the engine's, mostly on workers), and any state that a restart would miss.

pub mod catalog;
pub mod config;
pub mod error;
pub mod execution;
mod flight_sql;
mod guard;
pub mod members;
mod pattern;
pub mod planning;
mod planning_thread;
pub mod query;
pub mod registration;
mod server;
pub mod session;
pub mod settings;
pub mod statement;
pub mod system;
mod users;
mod wire_types;

pub use config::{CoordinatorConfig, StatementLimits};
pub use error::{Error, Result};
pub use server::{Coordinator, CoordinatorHandle};
