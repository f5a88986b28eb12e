//! Everything that crosses a socket of the file system, and its vocabulary.
//!
//! - [`proto`]: messages as generated; [`convert`]: their one check
//! - [`block`], [`path`], [`checksum`]: what the messages talk about
//! - [`rpc`]: Hadoop RPC, server and client
//! - [`transfer`]: operations, packets and acks on a DataNode's transfer port
//!
//! This crate knows no role and no policy: it decides nothing about files, blocks or nodes.

pub mod block;
pub mod checksum;
pub mod convert;
mod crc32c_lanes;
pub mod path;
pub mod proto;
pub mod rpc;
pub mod transfer;
