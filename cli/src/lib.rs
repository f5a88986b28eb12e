//! The one place that sees every room of the house: it turns a command line and a configuration into running roles,
//! and offers the same as a library to tests and benchmarks.
//!
//! What it does *not* do: it decides nothing about blocks, plans or sessions. A rule of the file system lives in
//! `dfs/*`, a rule of SQL in `coordinator` or `engine`; here they are started, joined and shown.
//!
//! | module | duty |
//! |---|---|
//! | [`args`] | the command line |
//! | [`config`] | defaults < file < environment < flags, with the origin of every key |
//! | [`roles`] | one role in this process, from its configuration to its shutdown |
//! | [`local`] | a whole cluster on this machine, in one process or in several |
//! | [`locate`] | which cluster a client command means |
//! | [`fs`], [`admin`], [`sql`] | the file system commands, those of administrators, and the SQL shell |
//! | [`tpch`], [`demo`] | the benchmark's data and queries; the demonstration that runs them all |

pub mod admin;
pub mod args;
pub mod config;
pub mod demo;
pub mod fs;
pub mod local;
pub mod locate;
pub mod roles;
pub mod shutdown;
pub mod sql;
pub mod telemetry;
pub mod tpch;
