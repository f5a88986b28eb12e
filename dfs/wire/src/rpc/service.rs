//! What a server offers, as seen from the wire: calls by name, each with its context.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;

use super::exception::RpcException;

/// Protocol name of the NameNode's calls to clients.
pub const CLIENT_PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
/// Protocol name of the DataNode's calls to clients.
pub const CLIENT_DATANODE_PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol";
/// Protocol name under which benchmark programs ask for the NameNode's version.
pub const NAMENODE_PROTOCOL: &str = "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol";
/// Protocol name of the calls between DataNodes. Not Apache's: the messages are our own.
pub const INTER_DATANODE_PROTOCOL: &str = "quarry.dfs.v1.InterDatanodeProtocol";

/// Who calls what, and which of the caller's tries this is.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Whose rights count. Nothing proves the name (SIMPLE authentication).
    pub user: String,
    /// Who logged in, when that is somebody else.
    pub real_user: Option<String>,
    /// Identifies the client across its connections; all zero when it did not say.
    pub client_id: [u8; 16],
    /// Together with `client_id` identifies the call across its tries.
    pub call_id: i32,
    /// How many tries came before this one; -1 when the client did not say.
    pub retry_count: i32,
    /// The client's end of the connection.
    pub peer: SocketAddr,
    /// The Java interface that declares the method, one of [`RpcService::protocols`].
    pub protocol: String,
    /// The method's name.
    pub method: String,
    /// What the application above the client calls itself, for audit logs.
    pub caller_context: Option<String>,
}

/// A set of methods behind a server.
#[async_trait]
pub trait RpcService: Send + Sync + 'static {
    /// The protocol names that clients may call. Calls to others never reach [`Self::call`].
    fn protocols(&self) -> &[&'static str];

    /// Executes a call: `request` is the method's request message, the result its response message, both encoded.
    ///
    /// Many calls run at once, those of one connection too, and replies may overtake each other. The future is dropped
    /// unfinished only when the connection is lost or the server shuts down, in both cases after a grace period.
    ///
    /// # Errors
    /// Anything for the caller; [`RpcException::no_such_method`] for unknown methods and [`decode`]'s error for
    /// requests that do not decode.
    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes, RpcException>;

    /// The newest state that answers reflect, for readers of followers; none on servers without followers.
    fn state_id(&self) -> Option<i64> {
        None
    }
}

/// Decodes the request of a method.
///
/// # Errors
/// [`RpcException::cannot_decode`].
pub fn decode<M: Message + Default>(context: &CallContext, request: Bytes) -> Result<M, RpcException> {
    M::decode(request).map_err(|problem| RpcException::cannot_decode(&context.method, problem))
}
