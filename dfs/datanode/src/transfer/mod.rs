//! The data transfer port: blocks in and out.
//!
//! [`server`] accepts connections; each runs [`connection`], which reads one operation after the other and hands it to
//! [`read`], [`write`], [`copy`], [`replace`], [`copy_block`] or [`checksum`]. A write is set up in [`write`], linked to the next DataNode by
//! [`mirror`], and streamed by [`pipeline`]; so is a replica that is taken over from another DataNode.
//!
//! Bytes that make no sense end at most the connection that they came on.

pub(crate) mod checksum;
pub(crate) mod connection;
pub(crate) mod copy;
pub(crate) mod copy_block;
pub(crate) mod error;
pub(crate) mod mirror;
pub(crate) mod pipeline;
pub(crate) mod read;
pub(crate) mod replace;
pub(crate) mod server;
pub(crate) mod write;
mod zero_copy;
