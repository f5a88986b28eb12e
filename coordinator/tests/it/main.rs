//! The coordinator with workers in one process, over real sockets.

#![allow(clippy::unwrap_used, missing_docs)]

mod cluster;
mod data;
mod faults;
mod flight_sql;
mod memory_files;
mod partitions;
mod plans;
mod rows;
