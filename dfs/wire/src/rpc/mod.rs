//! Hadoop RPC version 9.

pub mod exception;
pub mod service;

pub use exception::{RpcErrorCode, RpcException};
pub use service::{CallContext, RpcService};
