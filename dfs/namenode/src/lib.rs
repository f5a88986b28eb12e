//! The NameNode: namespace, blocks, leases, placement, and the log that makes them durable.
//!
//! | module | duty |
//! |---|---|
//! | [`core`] | every decision, as a pure state machine |
//! | `log` | edit log and checkpoint image: what is decided stays decided |
//! | `driver` | the owner thread: steps the core, lets answers out once they are durable |
//! | `free_space` | looks at the room on the log's disk |
//! | `rpc` | HDFS's ClientProtocol over Hadoop RPC |
//! | `datanode_stream` | the link to the DataNodes |
//! | `http` | what HDFS's tools and operators ask by HTTP: fsck, figures, health |
//! | `audit` | one line per call, off the callers' way |
//! | [`node`] | start and shutdown |
//!
//! Invariants: nothing in `core` does I/O or reads a clock; a change is answered only after its edit is on disk; two NameNodes never use
//! one directory.

mod admin;
mod audit;
pub mod config;
pub mod core;
mod datanode_stream;
mod driver;
pub mod error;
mod free_space;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod hosts;
mod http;
mod log;
pub mod node;
pub mod offline;
mod rpc;

pub use config::NameNodeConfig;
pub use error::Error;
pub use node::{NameNode, NameNodeHandle};
