//! Real DataNodes on real sockets and disks; the NameNode and the clients are played by the tests.
#![allow(clippy::unwrap_used)]

mod block_recovery;
mod client;
mod copies;
mod fake_namenode;
mod hostile;
mod link;
mod moves;
mod nodes;
mod reads;
mod recovery_stages;
mod restart;
mod scanners;
mod short_circuit;
mod volumes;
mod writes;
