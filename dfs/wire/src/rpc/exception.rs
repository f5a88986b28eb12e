//! Failures of calls as Hadoop clients know them: a Java class name, a message, an error code. Clients choose between
//! giving up, retrying and failing over by the class name, and scripts match the text.

use std::borrow::Cow;
use std::fmt;

use crate::proto::hadoop::common::rpc_response_header_proto::RpcErrorCodeProto;

/// The error code of a failed call, for clients that do not know the class.
pub type RpcErrorCode = RpcErrorCodeProto;

/// Class names that clients act on.
#[rustfmt::skip]
#[allow(missing_docs, reason = "each constant is named for the class that it holds")]
pub mod class {
    // The Java runtime's.
    pub const FILE_NOT_FOUND: &str = "java.io.FileNotFoundException";
    pub const IO: &str = "java.io.IOException";
    pub const JAVA_ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
    pub const ASSERTION: &str = "java.lang.AssertionError";
    pub const UNSUPPORTED_OPERATION: &str = "java.lang.UnsupportedOperationException";
    // Files and directories.
    pub const FILE_ALREADY_EXISTS: &str = "org.apache.hadoop.fs.FileAlreadyExistsException";
    pub const PARENT_NOT_DIRECTORY: &str = "org.apache.hadoop.fs.ParentNotDirectoryException";
    pub const PATH_IS_NOT_DIRECTORY: &str = "org.apache.hadoop.fs.PathIsNotDirectoryException";
    pub const PATH_IS_NOT_EMPTY_DIRECTORY: &str = "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException";
    pub const INVALID_PATH: &str = "org.apache.hadoop.fs.InvalidPathException";
    pub const PATH_COMPONENT_TOO_LONG: &str = "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException";
    pub const MAX_DIRECTORY_ITEMS_EXCEEDED: &str = "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException";
    pub const NS_QUOTA_EXCEEDED: &str = "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException";
    pub const DS_QUOTA_EXCEEDED: &str = "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException";
    pub const QUOTA_BY_STORAGE_TYPE_EXCEEDED: &str = "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException";
    pub const XATTR_NOT_FOUND: &str = "org.apache.hadoop.hdfs.protocol.XAttrNotFoundException";
    pub const SNAPSHOT: &str = "org.apache.hadoop.hdfs.protocol.SnapshotException";
    pub const UNSUPPORTED_ACTION: &str = "org.apache.hadoop.hdfs.server.namenode.UnsupportedActionException";
    pub const SERVICE_FAILED: &str = "org.apache.hadoop.ha.ServiceFailedException";
    pub const ACL: &str = "org.apache.hadoop.hdfs.protocol.AclException";
    // Writing.
    pub const ALREADY_BEING_CREATED: &str = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException";
    pub const RECOVERY_IN_PROGRESS: &str = "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException";
    pub const LEASE_EXPIRED: &str = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException";
    pub const NOT_REPLICATED_YET: &str = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException";
    // Whether to try again, and where.
    pub const SAFE_MODE: &str = "org.apache.hadoop.hdfs.server.namenode.SafeModeException";
    pub const RETRIABLE: &str = "org.apache.hadoop.ipc.RetriableException";
    pub const STANDBY: &str = "org.apache.hadoop.ipc.StandbyException";
    pub const OBSERVER_RETRY_ON_ACTIVE: &str = "org.apache.hadoop.ipc.ObserverRetryOnActiveException";
    // Rights and arguments.
    pub const ACCESS_CONTROL: &str = "org.apache.hadoop.security.AccessControlException";
    pub const INVALID_TOKEN: &str = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
    pub const ILLEGAL_ARGUMENT: &str = "org.apache.hadoop.HadoopIllegalArgumentException";
    // The RPC layer's own.
    pub const NO_SUCH_METHOD: &str = "org.apache.hadoop.ipc.RpcNoSuchMethodException";
    pub const NO_SUCH_PROTOCOL: &str = "org.apache.hadoop.ipc.RpcNoSuchProtocolException";
    pub const RPC_SERVER: &str = "org.apache.hadoop.ipc.RpcServerException";
    pub const VERSION_MISMATCH: &str = "org.apache.hadoop.ipc.RPC$VersionMismatch";
}

/// A call's failure, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RpcException {
    /// A Java class name, see [`class`].
    pub class: Cow<'static, str>,
    /// For people; shells show its first line.
    pub message: String,
    /// The error code. A `Fatal..` one ends the connection after the reply.
    pub code: RpcErrorCode,
}

impl fmt::Display for RpcException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.simple_class(), self.message)
    }
}

/// One constructor per class that a service throws.
macro_rules! constructors {
    ($($(#[doc = $doc:literal])+ $name:ident => $class:ident;)+) => {
        $($(#[doc = $doc])+
        pub fn $name(message: impl Into<String>) -> Self {
            Self::application(class::$class, message)
        })+
    };
}

impl RpcException {
    /// A failure that the service itself reports.
    pub fn application(class: &'static str, message: impl Into<String>) -> Self {
        Self {
            class: Cow::Borrowed(class),
            message: message.into(),
            code: RpcErrorCode::ErrorApplication,
        }
    }

    constructors! {
        /// The path does not exist where it must.
        file_not_found => FILE_NOT_FOUND;
        /// The path exists where it must not.
        file_already_exists => FILE_ALREADY_EXISTS;
        /// An ancestor of the path is a file.
        parent_not_directory => PARENT_NOT_DIRECTORY;
        /// A non-recursive delete met a directory with entries.
        path_is_not_empty_directory => PATH_IS_NOT_EMPTY_DIRECTORY;
        /// The path breaks a rule of form.
        invalid_path => INVALID_PATH;
        /// The directory is full.
        max_directory_items_exceeded => MAX_DIRECTORY_ITEMS_EXCEEDED;
        /// The quota of names is used up.
        ns_quota_exceeded => NS_QUOTA_EXCEEDED;
        /// The quota of bytes is used up.
        ds_quota_exceeded => DS_QUOTA_EXCEEDED;
        /// An access control list that makes no sense.
        acl => ACL;
        /// Another writer holds the file's lease.
        already_being_created => ALREADY_BEING_CREATED;
        /// The file's last writer is gone and its lease is being recovered; the client tries again.
        recovery_in_progress => RECOVERY_IN_PROGRESS;
        /// The caller does not hold the file's lease any more.
        lease_expired => LEASE_EXPIRED;
        /// An earlier block of the file has too few replicas yet; the client tries again.
        not_replicated_yet => NOT_REPLICATED_YET;
        /// The NameNode is in safe mode and accepts no change.
        safe_mode => SAFE_MODE;
        /// The server cannot serve this now; the client tries again.
        retriable => RETRIABLE;
        /// This server is not the leader; the client fails over.
        standby => STANDBY;
        /// This follower cannot answer; the client asks the leader.
        observer_retry_on_active => OBSERVER_RETRY_ON_ACTIVE;
        /// The caller lacks a right.
        access_control => ACCESS_CONTROL;
        /// The caller's token does not hold.
        invalid_token => INVALID_TOKEN;
        /// An argument makes no sense.
        illegal_argument => ILLEGAL_ARGUMENT;
        /// The feature does not exist or is off.
        unsupported => UNSUPPORTED_OPERATION;
        /// Any other failure.
        io => IO;
    }

    /// The service knows the protocol but not this method: older and newer clients fall back on it.
    pub fn no_such_method(method: &str, protocol: &str) -> Self {
        let message = format!("Unknown method {method} called on {protocol} protocol.");
        Self::rpc(class::NO_SUCH_METHOD, message, RpcErrorCode::ErrorNoSuchMethod)
    }

    /// The service does not know the protocol.
    pub fn no_such_protocol(protocol: &str) -> Self {
        let message = format!("Unknown protocol: {protocol}");
        Self::rpc(class::NO_SUCH_PROTOCOL, message, RpcErrorCode::ErrorNoSuchProtocol)
    }

    /// The request's own message does not decode. The connection ends after it, as nothing that follows can be trusted.
    pub fn cannot_decode(method: &str, problem: impl fmt::Display) -> Self {
        let message = format!("request of method {method} does not decode: {problem}");
        Self::rpc(class::RPC_SERVER, message, RpcErrorCode::FatalDeserializingRequest)
    }

    /// A failure of the RPC layer itself.
    pub fn rpc(class: &'static str, message: impl Into<String>, code: RpcErrorCode) -> Self {
        Self {
            class: Cow::Borrowed(class),
            message: message.into(),
            code,
        }
    }

    /// Whether the connection ends with this failure.
    pub fn is_fatal(&self) -> bool {
        // Hadoop numbers its fatal codes from 10.
        self.code as i32 >= RpcErrorCode::FatalUnknown as i32
    }

    /// Whether this is an exception of the class, one of [`class`].
    pub fn is(&self, class: &str) -> bool {
        self.class == class
    }

    /// The class name without its package.
    pub fn simple_class(&self) -> &str {
        self.class.rsplit(['.', '$']).next().unwrap_or(&self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fatal_codes_end_the_connection() {
        assert!(!RpcException::safe_mode("x").is_fatal());
        assert!(!RpcException::no_such_method("m", "p").is_fatal());
        assert!(!RpcException::no_such_protocol("p").is_fatal());
        assert!(RpcException::cannot_decode("m", "x").is_fatal());
    }

    #[test]
    fn shown_without_packages() {
        assert_eq!(
            RpcException::file_not_found("File does not exist: /a").to_string(),
            "FileNotFoundException: File does not exist: /a"
        );
        let limit = RpcException::application(class::PATH_COMPONENT_TOO_LONG, "m");
        assert_eq!(limit.simple_class(), "PathComponentTooLongException");
        assert!(limit.is(class::PATH_COMPONENT_TOO_LONG));
    }
}
