//! The core's refusals as the exceptions that HDFS's clients know.

use quarry_dfs_wire::rpc::RpcException;
use quarry_dfs_wire::rpc::exception::class;

use crate::core::error::FsError;

/// The exception for a refusal.
pub(super) fn of(error: FsError) -> RpcException {
    let (class, message) = match error {
        FsError::FileNotFound(text) => (class::FILE_NOT_FOUND, text),
        FsError::AlreadyExists(text) => (class::FILE_ALREADY_EXISTS, text),
        FsError::ParentNotDirectory(text) => (class::PARENT_NOT_DIRECTORY, text),
        FsError::NotDirectory(text) => (class::PATH_IS_NOT_DIRECTORY, text + "\n"),
        // HDFS's messages go on with a stack trace. Clients make their own exception of this class from the first line, if it ends.
        FsError::NotEmpty(text) => (class::PATH_IS_NOT_EMPTY_DIRECTORY, text + "\n"),
        FsError::AlreadyBeingCreated(text) => (class::ALREADY_BEING_CREATED, text),
        FsError::RecoveryInProgress(text) => (class::RECOVERY_IN_PROGRESS, text),
        FsError::LeaseExpired(text) => (class::LEASE_EXPIRED, text),
        FsError::NotReplicatedYet(text) => (class::NOT_REPLICATED_YET, text),
        FsError::SafeMode(text) => (class::SAFE_MODE, text),
        FsError::Retriable(text) => (class::RETRIABLE, text),
        FsError::AccessControl(text) => (class::ACCESS_CONTROL, text),
        FsError::NameTooLong(text) => (class::PATH_COMPONENT_TOO_LONG, text),
        FsError::TooManyEntries(text) => (class::MAX_DIRECTORY_ITEMS_EXCEEDED, text),
        FsError::InvalidPath(text) => (class::INVALID_PATH, text),
        FsError::IllegalArgument(text) => (class::ILLEGAL_ARGUMENT, text),
        FsError::JavaIllegalArgument(text) => (class::JAVA_ILLEGAL_ARGUMENT, text),
        FsError::Acl(text) => (class::ACL, text),
        FsError::XAttrNotFound(text) => (class::XATTR_NOT_FOUND, text),
        FsError::NamespaceQuota(text) => (class::NS_QUOTA_EXCEEDED, text),
        FsError::SpaceQuota(text) => (class::DS_QUOTA_EXCEEDED, text),
        FsError::TypeQuota(text) => (class::QUOTA_BY_STORAGE_TYPE_EXCEEDED, text),
        FsError::UnsupportedAction(text) => (class::UNSUPPORTED_ACTION, text),
        FsError::Snapshot(text) => (class::SNAPSHOT, text),
        FsError::Unsupported(text) => (class::UNSUPPORTED_OPERATION, text),
        FsError::Io(text) => (class::IO, text),
    };
    RpcException::application(class, message)
}
