//! Replicas on disk: volumes in HDFS's layout, the block files in them, and who may write which.
//!
//! Everything here blocks on the disk and is called from blocking threads only; nothing here knows sockets or the NameNode.
//! A replica's way: [`Dataset::create`] hands out a [`ReplicaWriter`], the only right to change its files;
//! [`Dataset::finalize`] takes the writer back and makes the replica durable and visible.

pub(crate) mod block_file;
pub(crate) mod choose;
pub(crate) mod chunks;
pub(crate) mod dataset;
mod dir_sync;
pub(crate) mod disk;
pub(crate) mod fingerprint;
pub(crate) mod layout;
pub(crate) mod moving;
pub(crate) mod open_replica;
pub(crate) mod reader;
pub(crate) mod reconcile;
pub(crate) mod scan;
pub(crate) mod under_recovery;
pub(crate) mod version_file;
pub(crate) mod volume;

pub(crate) use dataset::{Dataset, FinalizedReplica, Reopen};
pub(crate) use open_replica::ReplicaWriter;
pub(crate) use reader::ReadableReplica;
