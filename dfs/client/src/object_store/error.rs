//! From the client's errors to the trait's; the client's stays inside as the source.

use object_store::Error as StoreError;

use crate::error::Error;

pub(super) fn to_object_store(error: Error) -> StoreError {
    match &error {
        Error::NotFound { path, .. } | Error::ParentNotDirectory { path, .. } => StoreError::NotFound {
            path: path.clone(),
            source: error.into(),
        },
        Error::AlreadyExists { path, .. } => StoreError::AlreadyExists {
            path: path.clone(),
            source: error.into(),
        },
        Error::PermissionDenied { path, .. } => StoreError::PermissionDenied {
            path: path.clone(),
            source: error.into(),
        },
        Error::Unsupported { .. } => StoreError::NotSupported { source: error.into() },
        _ => StoreError::Generic {
            store: "DFS",
            source: error.into(),
        },
    }
}

pub(super) fn not_implemented(operation: &str) -> StoreError {
    StoreError::NotImplemented {
        operation: operation.to_owned(),
        implementer: "DfsObjectStore".to_owned(),
    }
}
