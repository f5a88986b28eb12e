//! Rows that come from a client rather than from a query: bulk ingest.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;
use quarry_engine::files::Location;
use quarry_engine::formats::{TableDefinition, TableFormat};

use super::super::command::has;
use super::super::names::FullName;
use super::super::scope::Scope;
use super::Planned;
use super::arrange;
use super::create::{default_location, nullable};
use super::insert::writable;
use super::job::{NewTable, Target};
use crate::catalog::IfExists;
use crate::error::{Error, Result};
use crate::writes::commit::Mode;

/// Where a client's rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Schema of the table; absent: the session's.
    pub schema: Option<String>,
    /// Name of the table, as it is: not normalized.
    pub table: String,
    /// What is done with the table.
    pub mode: IngestMode,
}

/// What is done with the table that rows are ingested into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestMode {
    /// It must not be there.
    Create,
    /// It must be there.
    Append,
    /// It is created if need be.
    CreateAppend,
    /// It is replaced, if it is there.
    Replace,
}

/// Plans the writing of `rows`.
pub(crate) async fn plan(
    ingest: &Ingest,
    rows: SendableRecordBatchStream,
    scope: &Scope,
    user: &str,
) -> Result<Planned> {
    let name = FullName {
        schema: ingest
            .schema
            .clone()
            .unwrap_or_else(|| scope.names.default_schema.clone()),
        object: ingest.table.clone(),
    };
    let there = has(scope, &name.schema, &name.object);
    let append = match ingest.mode {
        IngestMode::Append => true,
        IngestMode::CreateAppend => there,
        IngestMode::Create if there => {
            return Err(Error::already_exists(
                "table or view",
                format!("{}.{}", name.schema, name.object),
            ));
        }
        IngestMode::Create | IngestMode::Replace => false,
    };
    let rows = stream_plan(rows)?;
    let (target, table) = if append {
        let table = writable(scope, &name).await?;
        (Target::table(&table, Mode::Append, scope)?, table)
    } else {
        create(name, ingest.mode, &rows, scope, user)?
    };
    let input = by_column_name(rows, &table)?;
    let spec = target.spec(&table, scope).await?;
    Ok(Planned { input, spec, target })
}

fn create(
    name: FullName,
    mode: IngestMode,
    rows: &LogicalPlan,
    scope: &Scope,
    user: &str,
) -> Result<(Target, TableDefinition)> {
    let schema: SchemaRef = Arc::new(nullable(&*arrange::columns_of(rows)?));
    arrange::check_types(&schema, quarry_engine::write::WriteFormat::Parquet)?;
    let location: Location = default_location(&name, scope)?;
    let table = TableDefinition {
        managed: true,
        ..TableDefinition::new(TableFormat::Parquet, location.to_string(), schema)
    };
    let new = NewTable {
        name,
        exists: if mode == IngestMode::Replace {
            IfExists::Replace
        } else {
            IfExists::Fail
        },
        user: user.to_owned(),
    };
    Ok((Target::create(table.clone(), new, scope)?, table))
}

/// The rows in the table's columns, found by name; columns that did not come are NULL.
fn by_column_name(rows: LogicalPlan, table: &TableDefinition) -> Result<LogicalPlan> {
    let own = Arc::clone(rows.schema());
    let known = |name: &String| table.schema.fields().iter().any(|field| field.name() == name);
    if let Some(unknown) = own.fields().iter().find(|field| !known(field.name())) {
        return Err(Error::not_found("column", unknown.name().clone()));
    }
    let columns = table.schema.fields().iter().map(|field| {
        let position = own.fields().iter().position(|column| column.name() == field.name());
        let column = match position {
            Some(position) => Expr::Column(Column::from(own.qualified_field(position))),
            None => lit(ScalarValue::Null),
        };
        Ok(column.cast_to(field.data_type(), &own)?.alias(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
}

/// A plan over rows that can be read once.
fn stream_plan(rows: SendableRecordBatchStream) -> Result<LogicalPlan> {
    let schema = rows.schema();
    let once = Once {
        schema: Arc::clone(&schema),
        rows: Mutex::new(Some(rows)),
    };
    let table = StreamingTable::try_new(schema, vec![Arc::new(once)])?;
    let source = provider_as_source(Arc::new(table));
    Ok(LogicalPlanBuilder::scan("rows", source, None)?.build()?)
}

struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.rows.lock().take().unwrap_or_else(|| {
            let gone = DataFusionError::Execution("the client's rows were read already; send them again".to_owned());
            let error = futures::stream::once(async { Err(gone) });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), error))
        })
    }
}
