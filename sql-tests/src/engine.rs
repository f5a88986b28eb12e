//! What a file runs on: an engine that takes SQL and gives batches, behind the test runner's interface.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;
use sqllogictest::DBOutput;
use url::Url;

use crate::cells::{self, Type};
use crate::compare::Answer;
use crate::fixtures;

/// A session with some engine.
#[async_trait]
pub trait Session: Send {
    /// Runs one statement to its end; a statement without a result has no columns.
    async fn run(&mut self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)>;
}

/// Runs a query to its end, for comparison with another's answer.
///
/// # Errors
/// The engine's.
pub async fn answer(session: &mut dyn Session, sql: &str) -> Result<Answer> {
    let (schema, batches) = session.run(sql).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch)?);
    }
    Ok(Answer {
        types: cells::types(&schema),
        rows,
    })
}

/// Whether a cluster's error says that a query wanted more memory than it may have, and which setting moves the limit.
#[must_use]
pub fn is_out_of_memory(error: &str) -> bool {
    error.contains("needs more memory than it may have") && error.contains("`memory_limit` and `query_memory_limit`")
}

/// A statement's failure, with all its causes in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Adapts a [`Session`] to the runner. `name` is what `onlyif` and `skipif` match.
pub struct Database {
    /// The session.
    pub session: Box<dyn Session>,
    /// `plain` or `cluster`.
    pub name: &'static str,
}

#[async_trait]
impl sqllogictest::AsyncDB for Database {
    type Error = Failure;
    type ColumnType = Type;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Type>, Failure> {
        let (schema, batches) = self.session.run(sql).await?;
        if schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(cells::rows(batch)?);
        }
        Ok(DBOutput::Rows {
            types: cells::types(&schema),
            rows,
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.name
    }
}

/// Plain DataFusion in this process: the oracle.
pub struct Plain(SessionContext);

impl Plain {
    /// A session over `context`.
    #[must_use]
    pub fn over(context: SessionContext) -> Self {
        Self(context)
    }

    /// A session with all fixtures as tables, whose files `store` serves under `base`.
    ///
    /// # Errors
    /// A fixture cannot be read.
    pub async fn with_fixtures(base: &Url, store: Arc<dyn ObjectStore>) -> Result<Self> {
        // More partitions than cores, so that merging and repartitioning take place here, too.
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(4);
        // As on a cluster, so that types can be compared.
        let config = config.set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        let mut plain = Self(SessionContext::new_with_config(config));
        plain.0.register_object_store(base, store);
        for statement in fixtures::statements(base.as_str().trim_end_matches('/')) {
            plain.run(&statement).await?;
        }
        Ok(plain)
    }
}

#[async_trait]
impl Session for Plain {
    async fn run(&mut self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let (context, sql) = (self.0.clone(), sql.to_owned());
        // On a task of its own: a panic of DataFusion is its failure, not ours.
        let run = tokio::spawn(async move {
            let stream = context.sql(&sql).await?.execute_stream().await?;
            let schema = stream.schema();
            Ok((schema, datafusion::physical_plan::common::collect(stream).await?))
        });
        run.await?
    }
}
