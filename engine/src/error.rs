//! What kind of failure a query's error is, so that every layer reacts in the same way.
//!
//! An error that crossed the network has lost its sources: `External` errors arrive as text, and so do causes inside storage
//! and Parquet errors. Contexts keep their text. So the side that knows the cause says it in words that [`classify`]
//! knows again: [`lost_worker`] for a transport failure, [`STORAGE_FAILED`] for a read that no replica could serve,
//! [`PANICKED`] for a caught panic, [`CANCELLED`] for a query that was stopped.

use std::error::Error as StdError;

use datafusion::error::DataFusionError;

/// Begins the text of a lost worker's error; its address follows.
const LOST_WORKER: &str = "lost worker ";
/// Part of the execution crate's text when a consumer waited in vain for its producer's plan: that one's worker was lost before
/// the plan reached it. Which one it was is not said.
const NO_PLAN_CAME: &str = "timed-out while waiting for the plan to be set";
/// Begins the text of a failed read of table data.
pub const STORAGE_FAILED: &str = "storage read failed";
/// Begins the text of a failed write of table data.
pub const STORAGE_WRITE_FAILED: &str = "storage write failed";
/// Begins the text of a caught panic.
pub const PANICKED: &str = "operator panicked";
/// Part of the text that remains of a panic in a task which an operator had spawned and joined.
const TASK_PANICKED: &str = "panicked with message";
/// Part of the text with which DataFusion says that its quota of spilled data is used up, an I/O error of no kind of its own.
pub const SPILL_QUOTA: &str = "during the spilling process";
/// Begins the text of a stopped query.
pub const CANCELLED: &str = "query cancelled";

/// Kinds of failure, named for what the coordinator does about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The statement is wrong or meets data it cannot handle: fail at once.
    User,
    /// A memory or spill limit: fail with the limit and the knob that moves it.
    Memory,
    /// A worker was lost: plan again without it, if no row has left.
    Node,
    /// No replica of some data could be read: look up locations again, one retry, then fail.
    Storage,
    /// A broken invariant or a panic: fail and log.
    Bug,
    /// Somebody wanted it to stop: stop quietly.
    Cancelled,
}

/// An error's class and, for [`ErrorClass::Node`], the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// The kind.
    pub class: ErrorClass,
    /// `host:port` of the worker that was lost.
    pub node: Option<String>,
}

impl Classified {
    fn of(class: ErrorClass) -> Self {
        Self { class, node: None }
    }
}

/// Wraps a transport failure so that it names the worker, however many hops it travels.
#[must_use]
pub fn lost_worker(address: &str, cause: DataFusionError) -> DataFusionError {
    DataFusionError::Context(format!("{LOST_WORKER}{address}"), Box::new(cause))
}

/// Says what kind of failure `error` is.
#[must_use]
pub fn classify(error: &DataFusionError) -> Classified {
    let text = error.to_string();
    if let Some(node) = lost_node(&text) {
        return Classified {
            class: ErrorClass::Node,
            node: Some(node),
        };
    }
    if text.contains(NO_PLAN_CAME) {
        return Classified::of(ErrorClass::Node);
    }
    let marked = [
        (PANICKED, ErrorClass::Bug),
        (TASK_PANICKED, ErrorClass::Bug),
        (CANCELLED, ErrorClass::Cancelled),
        (SPILL_QUOTA, ErrorClass::Memory),
        (STORAGE_FAILED, ErrorClass::Storage),
        (STORAGE_WRITE_FAILED, ErrorClass::Storage),
    ];
    if let Some((_, class)) = marked.iter().find(|(marker, _)| text.contains(marker)) {
        return Classified::of(*class);
    }
    Classified::of(class_of_chain(error))
}

/// Finds the worker in a text that [`lost_worker`] made. The address must look like one: a user's string could hold the words.
fn lost_node(text: &str) -> Option<String> {
    text.match_indices(LOST_WORKER).find_map(|(at, _)| {
        let address = text[at + LOST_WORKER.len()..].split_whitespace().next()?;
        let (host, port) = address.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| address.to_owned())
    })
}

fn class_of_chain(error: &DataFusionError) -> ErrorClass {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => class_of_chain(inner),
        DataFusionError::Shared(inner) => class_of_chain(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(ErrorClass::Bug, class_of_chain),
        DataFusionError::ResourcesExhausted(_) => ErrorClass::Memory,
        DataFusionError::IoError(source) => class_of_io(source),
        DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) => ErrorClass::Storage,
        DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) | DataFusionError::Ffi(_) => ErrorClass::Bug,
        DataFusionError::External(source) => class_of_source(source.as_ref()),
        DataFusionError::ArrowError(source, _) => class_of_source(source.as_ref()),
        _ => ErrorClass::User,
    }
}

/// An error of another library: what it carries inside decides, else it is taken for the user's (casts, overflow, divisions).
fn class_of_source(source: &(dyn StdError + 'static)) -> ErrorClass {
    let mut next = Some(source);
    while let Some(current) = next {
        if let Some(inner) = current.downcast_ref::<DataFusionError>() {
            return class_of_chain(inner);
        }
        if let Some(inner) = current.downcast_ref::<std::io::Error>() {
            return class_of_io(inner);
        }
        if let Some(inner) = current.downcast_ref::<quarry_dfs_client::Error>() {
            return class_of_dfs(inner);
        }
        if current.is::<object_store::Error>() || current.is::<parquet::errors::ParquetError>() {
            return ErrorClass::Storage;
        }
        next = current.source();
    }
    ErrorClass::User
}

/// A path that is not there or not allowed is for the user to mend; everything else is the storage's trouble.
fn class_of_dfs(source: &quarry_dfs_client::Error) -> ErrorClass {
    use quarry_dfs_client::Error as Dfs;
    match source {
        Dfs::NotFound { .. } | Dfs::ParentNotDirectory { .. } | Dfs::Invalid { .. } | Dfs::PermissionDenied { .. } => {
            ErrorClass::User
        }
        _ => ErrorClass::Storage,
    }
}

/// Spill files are the one thing that operators write: a full disk is a memory limit by other means.
fn class_of_io(source: &std::io::Error) -> ErrorClass {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorClass::Memory,
        _ => ErrorClass::Storage,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::error::ArrowError;

    use super::*;

    fn external(text: &str) -> DataFusionError {
        DataFusionError::External(text.into())
    }

    #[test]
    fn a_lost_worker_is_named_at_any_depth() {
        let first = lost_worker("10.0.0.7:4711", external("connection reset"));
        let shared = DataFusionError::Shared(Arc::new(first));
        let hop = DataFusionError::Context("stage 2".into(), Box::new(shared));
        let expected = Classified {
            class: ErrorClass::Node,
            node: Some("10.0.0.7:4711".into()),
        };
        assert_eq!(classify(&hop), expected);
        // What is left of it when the chain became text.
        assert_eq!(classify(&external(&hop.to_string())), expected);
    }

    #[test]
    fn words_without_an_address_are_not_a_lost_worker() {
        let error = DataFusionError::Execution("cannot cast 'lost worker of the month' to Int32".into());
        assert_eq!(classify(&error).class, ErrorClass::User);
    }

    #[test]
    fn each_kind_is_told_apart() {
        let io = |kind| DataFusionError::IoError(std::io::Error::from(kind));
        let cases = [
            (DataFusionError::Plan("no such table".into()), ErrorClass::User),
            (
                DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None),
                ErrorClass::User,
            ),
            (DataFusionError::ResourcesExhausted("pool".into()), ErrorClass::Memory),
            (io(std::io::ErrorKind::StorageFull), ErrorClass::Memory),
            (io(std::io::ErrorKind::UnexpectedEof), ErrorClass::Storage),
            (DataFusionError::Internal("invariant".into()), ErrorClass::Bug),
            (
                DataFusionError::Execution(format!("{PANICKED}: index out of bounds")),
                ErrorClass::Bug,
            ),
            (DataFusionError::Execution(CANCELLED.into()), ErrorClass::Cancelled),
            (
                external(&format!("{STORAGE_FAILED}: all replicas")),
                ErrorClass::Storage,
            ),
        ];
        for (error, class) in cases {
            assert_eq!(classify(&error).class, class, "{error}");
        }
    }

    #[test]
    fn a_memory_error_inside_an_arrow_error_is_a_memory_error() {
        let inner = DataFusionError::ResourcesExhausted("pool".into());
        let error = DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(inner))), None);
        assert_eq!(classify(&error).class, ErrorClass::Memory);
    }

    #[test]
    fn a_used_up_spill_quota_is_a_memory_error_however_it_is_wrapped() {
        let quota = std::io::Error::other(
            "The used disk space during the spilling process has exceeded the allowable limit of 1 KB",
        );
        let text = ArrowError::IoError(quota.to_string(), quota);
        assert_eq!(
            classify(&DataFusionError::ArrowError(Box::new(text), None)).class,
            ErrorClass::Memory
        );
    }
}
