//! The whole distributed file system in one process: NameNode, DataNodes and client over real sockets and real disks.

#![allow(clippy::unwrap_used, missing_docs)]

mod appending;
mod cluster;
mod conformance;
mod faults;
mod files;
mod local_reads;
mod model;
mod namespace;
mod operations;
mod restart;
