//! The messages as generated from `proto/`. They carry no checks: [`crate::convert`] turns them into checked types.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::use_self,
    clippy::clone_on_ref_ptr,
    clippy::large_futures,
    rustdoc::all,
    reason = "generated code"
)]

/// Hadoop's messages.
pub mod hadoop {
    /// Around every call: RPC headers, connection context, SASL, tokens.
    pub mod common {
        tonic::include_proto!("hadoop.common");
    }
    /// HDFS: client protocol, types, data transfer.
    pub mod hdfs {
        tonic::include_proto!("hadoop.hdfs");
    }
}

/// The link between DataNode and NameNode, and the administrator's service, with their gRPC clients and servers.
pub mod dfs_v1 {
    tonic::include_proto!("quarry.dfs.v1");
}
