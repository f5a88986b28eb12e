//! Data transfer version 28: what travels on a DataNode's transfer port.
//!
//! A conversation begins with an operation ([`op`]) and its answer, both [`delimited`] messages. Reads and writes then
//! stream packets ([`packet`]); the receiver of a write answers each with an ack ([`ack`]).

pub mod ack;
pub mod delimited;
mod error;
pub mod op;
pub mod packet;

pub use error::TransferError;
