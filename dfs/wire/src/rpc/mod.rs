//! Hadoop RPC version 9: calls by name with protobuf messages, many at once on one connection.
//!
//! - [`RpcServer`] serves an [`RpcService`]; [`RpcClient`] calls one, ours or Apache's
//! - [`RpcException`] is a failure as clients know it
//! - [`frame`] is how both sides cut the byte stream

mod client;
mod connection;
pub mod exception;
pub mod frame;
mod link;
mod outbox;
mod reply;
mod server;
mod service;
mod session;

pub use client::{CallOptions, RpcClient, RpcClientError, RpcClientOptions};
pub use exception::{RpcErrorCode, RpcException};
pub use server::{RpcServer, RpcServerOptions};
pub use service::{
    CLIENT_DATANODE_PROTOCOL, CLIENT_PROTOCOL, CallContext, INTER_DATANODE_PROTOCOL, NAMENODE_PROTOCOL, RpcService,
    decode,
};
