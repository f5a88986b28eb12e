//! The whole distributed file system in one process: NameNode, DataNodes and client over real sockets and real disks.

#![allow(clippy::unwrap_used, missing_docs)]

mod apache;
mod appending;
mod byte_oracle;
mod cluster;
mod conformance;
mod crash;
mod crashes;
mod faults;
mod files;
mod ha;
mod local_reads;
mod model;
mod moves;
mod namespace;
mod operations;
mod restart;
mod toxic;
