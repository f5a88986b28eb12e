//! Statements that write the rows of a query: planned like queries, then run to their end at once, then committed.
//!
//! - [`job`]: a write ready to run, and how it runs: intent, staging, commit, clean-up
//! - [`arrange`]: a query's columns as a table's
//! - [`insert`], [`create`], [`copy`]: from the statement to the job
//! - [`ingest`]: rows that come from a client rather than from a query

mod arrange;
mod copy;
mod create;
mod ingest;
mod insert;
mod job;

pub(crate) use create::create_empty;
pub(crate) use ingest::plan as plan_ingest;
pub use ingest::{Ingest, IngestMode};
pub(crate) use insert::writable;
pub(crate) use job::{Dropping, Job, managed_root, truncate};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use quarry_engine::id::QueryId;
use quarry_engine::write::{WriteFiles, WriteSpec};

use super::kind::Write;
use super::parameters;
use super::scope::Scope;
use crate::error::Result;
use crate::writes::statement_name;
use job::Target;

/// A statement that writes, planned as far as it can be without its parameters' values.
pub(crate) struct Planned {
    /// Rows to write, in the table's columns and types.
    input: LogicalPlan,
    /// How, but for the staging directory.
    spec: WriteSpec,
    target: Target,
}

impl Planned {
    /// Parameters of the statement.
    ///
    /// # Errors
    /// As [`parameters::schema_of`].
    pub(crate) fn parameters(&self) -> Result<SchemaRef> {
        parameters::schema_of(&self.input)
    }

    /// The plan that writes, with the values of the parameters put in: of several rows of values the rows are written together.
    ///
    /// # Errors
    /// Those of binding.
    pub(crate) fn bind(self, values: Option<&RecordBatch>, query: QueryId) -> Result<(LogicalPlan, Target)> {
        let mut inputs = parameters::bind(self.input, values)?;
        let mut spec = self.spec;
        let input = match (inputs.pop(), inputs.is_empty()) {
            (Some(only), true) => only,
            (Some(last), false) => {
                inputs.push(last);
                // One file for all: each came with few rows.
                spec.single = true;
                arrange::union(inputs)?
            }
            (None, _) => return Err(crate::error::Error::invalid("no row of parameters was bound")),
        };
        spec.staging = self.target.staging(&statement_name(query));
        Ok((WriteFiles::plan(input, spec)?, self.target))
    }
}

/// Plans a write. Nothing is done yet. `None` if there is nothing to do: `IF NOT EXISTS`, and it exists.
///
/// # Errors
/// What is wrong with the statement, its query or its target.
pub(crate) async fn plan(write: Write, scope: &Scope, user: &str) -> Result<Option<Planned>> {
    match write {
        Write::Insert(insert) => insert::plan(*insert, scope).await.map(Some),
        Write::Create(statement) => create::plan(*statement, scope, user).await,
        Write::Copy(copy) => copy::plan(*copy, scope).await.map(Some),
    }
}
