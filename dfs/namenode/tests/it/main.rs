//! The NameNode as its clients and DataNodes see it: over real sockets, with a DataNode that has no disks.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod attributes;
mod durability;
mod fake_datanode;
mod fsck;
mod http;
mod protocol;
mod replication;
mod support;
mod writing;
