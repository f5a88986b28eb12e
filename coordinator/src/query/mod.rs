//! Queries: their records, their runs, their results.
//!
//! A statement that returns rows is planned when it comes and runs when its client fetches. [`record`] and [`registry`] know what is under way,
//! [`admission`] decides who runs now and who waits, [`run`] runs attempts, [`results`] keeps what waits.

pub mod admission;
pub mod record;
pub mod registry;
pub mod results;
pub mod run;
pub(crate) mod trace;

pub use admission::{Admission, AdmissionLimits};
pub use record::{Query, QueryState};
pub use registry::QueryRegistry;
pub use results::{PendingResult, ResultStore, Source};
pub use run::{Purpose, Run};
