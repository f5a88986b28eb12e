//! Rows on their way into new files, in parallel, beside the nodes that make them.
//!
//! A statement that writes is planned as a query with a [`WriteFiles`] on top. Planned physically that is a [`WriteFilesExec`]: each of its
//! partitions writes files of its own, wherever it runs, and hands over one row per file instead of the rows it wrote. What comes out at
//! the top is the list of files; nothing is visible yet. Making it visible is the coordinator's business.
//!
//! - [`spec`]: what is to be written, and the rows that say what was
//! - [`logical`]: the node in a logical plan, and its planner
//! - [`exec`]: the operator
//! - `values`: rows parted by partition values; `encode`: batches as bytes of a format; `file`: one file under way
//!
//! Files go to `<staging>/<attempt>/`: the statement's directory is made before by the coordinator, the attempt's by whoever comes first.
//! A task that outlives its statement finds the directory gone and fails; it cannot bring it back.

mod encode;
pub mod exec;
mod file;
pub mod logical;
pub mod spec;
mod values;

pub use exec::WriteFilesExec;
pub use logical::{WriteFiles, WritePlanner};
pub use spec::{WriteFormat, WriteSpec, WrittenFile, written_files, written_schema};
