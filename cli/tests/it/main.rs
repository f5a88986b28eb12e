//! The binary as a user starts it: real processes, real sockets, real signals.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod cluster;
mod config;
mod demo;
mod faults;
mod fs;
mod hostile;
mod local;
mod sql;
mod support;
mod tpch;
mod worker_memory;
