//! `CREATE EXTERNAL TABLE`: from the statement to a definition and back to its text.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateExternalTable as Plan, DdlStatement, LogicalPlan};
use datafusion::sql::parser::{CreateExternalTable, Statement as DfStatement};
use quarry_engine::files::Location;
use quarry_engine::formats::{TableDefinition, TableFormat, infer_schema};

use super::names::FullName;
use super::scope::Scope;
use crate::error::{Error, Result};
use crate::wire_types::plain_schema;

/// Makes the definition of a table; reads its columns from its files if the statement names none.
///
/// # Errors
/// [`Error::Unsupported`] for clauses and formats that are not there yet, [`Error::Invalid`] for a location that is not
/// `hdfs://` or options that mean nothing, errors met while reading the files.
pub(crate) async fn define(create: &CreateExternalTable, scope: &Scope) -> Result<TableDefinition> {
    refuse_clauses(create)?;
    if !create.table_partition_cols.is_empty() {
        return Err(Error::Unsupported("PARTITIONED BY".to_owned()));
    }
    let format = TableFormat::parse(&create.file_type)
        .ok_or_else(|| Error::Unsupported(format!("STORED AS {} (PARQUET and CSV are)", create.file_type)))?;
    let [location] = create.locations.as_slice() else {
        return Err(Error::Unsupported("a table with several locations".to_owned()));
    };
    let location = Location::parse(location)?.to_string();
    let plan = plan(create, &scope.view.base).await?;
    let options = plan.options.into_iter().collect();
    let declared = plan.schema.as_arrow();
    let schema = if declared.fields().is_empty() {
        infer_schema(
            scope.view.tables.files(),
            format,
            &location,
            &options,
            scope.view.base.as_ref(),
        )
        .await?
    } else {
        Arc::new(declared.clone())
    };
    let definition = TableDefinition {
        options,
        ..TableDefinition::new(format, location, stored_schema(&schema))
    };
    // Opening it reads the options: a table that cannot be opened is not created.
    scope.view.tables.open(&definition)?;
    Ok(definition)
}

/// Columns as tables have them: plain types, no metadata of the files they were read from.
pub(crate) fn stored_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(plain_schema(schema).fields().clone()))
}

pub(crate) fn refuse_clauses(create: &CreateExternalTable) -> Result<()> {
    let clauses = [
        ("CREATE TEMPORARY TABLE", create.temporary),
        ("CREATE UNBOUNDED EXTERNAL TABLE", create.unbounded),
        ("WITH ORDER", !create.order_exprs.is_empty()),
        ("a table constraint", !create.constraints.is_empty()),
    ];
    match clauses.into_iter().find(|(_, present)| *present) {
        Some((clause, _)) => Err(Error::Unsupported(clause.to_owned())),
        None => Ok(()),
    }
}

/// Lets DataFusion read columns and options. The state sees no catalog: the name may be that of a broken table.
pub(crate) async fn plan(create: &CreateExternalTable, base: &SessionState) -> Result<Plan> {
    match base
        .statement_to_plan(DfStatement::CreateExternalTable(create.clone()))
        .await?
    {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(plan)) => Ok(*plan),
        _ => Err(Error::Internal(
            "CREATE EXTERNAL TABLE was planned as something else".to_owned(),
        )),
    }
}

/// The statement that would make the table again. Column types that SQL has no name for are left to inference.
pub(crate) fn create_text(name: &FullName, table: &TableDefinition) -> String {
    let (schema, object) = (quoted(&name.schema, '"'), quoted(&name.object, '"'));
    let mut text = format!("CREATE EXTERNAL TABLE {schema}.{object}");
    if let Some(columns) = columns_text(&table.schema) {
        let _ = write!(text, " ({columns})");
    }
    let _ = write!(
        text,
        " STORED AS {} LOCATION {}",
        table.format.name(),
        quoted(&table.location, '\'')
    );
    if !table.options.is_empty() {
        let options = table
            .options
            .iter()
            .map(|(key, value)| format!("{} {}", quoted(key, '\''), quoted(value, '\'')));
        let _ = write!(text, " OPTIONS ({})", options.collect::<Vec<_>>().join(", "));
    }
    text
}

fn columns_text(schema: &Schema) -> Option<String> {
    let columns = schema.fields().iter().map(|field| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        Some(format!(
            "{} {}{null}",
            quoted(field.name(), '"'),
            super::sql_type::name(field.data_type())?
        ))
    });
    Some(columns.collect::<Option<Vec<_>>>()?.join(", "))
}

fn quoted(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}
