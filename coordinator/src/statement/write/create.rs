//! `CREATE TABLE` and `CREATE TABLE ... AS`: managed tables.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::parser::CreateExternalTable;
use quarry_engine::files::Location;
use quarry_engine::formats::{TableDefinition, TableFormat};
use quarry_engine::id::QueryId;
use quarry_engine::write::WriteFormat;

use super::super::command::{has, if_exists};
use super::super::create::CreateTable;
use super::super::names::FullName;
use super::super::scope::Scope;
use super::super::table::{plan as plan_head, refuse_clauses, stored_schema};
use super::Planned;
use super::arrange;
use super::job::{Job, NewTable, Target};
use crate::catalog::{IfExists, encode_name};
use crate::error::{Error, Result};
use crate::session::Session;

/// Plans `CREATE TABLE ... AS`; `None` if the table is there and may be.
///
/// # Errors
/// What is wrong with the clauses, the columns or the query.
pub(super) async fn plan(statement: CreateTable, scope: &Scope, user: &str) -> Result<Option<Planned>> {
    let CreateTable { head, query } = statement;
    let query = query.ok_or_else(|| Error::Internal("CREATE TABLE without a query".to_owned()))?;
    let Some(new) = new_table(&head, scope, user)? else {
        return Ok(None);
    };
    let rows = scope.plan(query).await?;
    let found = arrange::columns_of(&rows)?;
    let declared = declared(&head, scope).await?;
    let columns = match &declared {
        Some(declared) if declared.fields().len() != found.fields().len() => {
            return Err(Error::invalid(format!(
                "{} columns are declared and the query has {}",
                declared.fields().len(),
                found.fields().len()
            )));
        }
        Some(declared) => Arc::clone(declared),
        None => Arc::clone(&found),
    };
    let partition_columns = scope.names.columns(&head.table_partition_cols);
    let schema = arrange::partition_last(&columns, &partition_columns)?;
    let all: Vec<usize> = (0..columns.fields().len()).collect();
    let named = arrange::by_position(rows, &columns, &all)?;
    let input = arrange::by_name(named, &schema)?;
    let (target, table) = target(&head, new, schema, partition_columns, scope).await?;
    let spec = target.spec(&table, scope).await?;
    Ok(Some(Planned { input, spec, target }))
}

/// Creates a table without rows.
///
/// # Errors
/// As [`plan`], and those of the catalog and the file system.
pub(crate) async fn create_empty(head: &CreateExternalTable, scope: &Scope, session: &Session) -> Result<()> {
    let Some(new) = new_table(head, scope, &session.user)? else {
        return Ok(());
    };
    let columns = declared(head, scope).await?.ok_or_else(|| {
        Error::invalid(
            "CREATE TABLE needs columns, or AS and a query; for files that are there, use CREATE EXTERNAL TABLE",
        )
    })?;
    let partition_columns = scope.names.columns(&head.table_partition_cols);
    let schema = arrange::partition_last(&columns, &partition_columns)?;
    let (target, _) = target(head, new, schema, partition_columns, scope).await?;
    Job::without_rows(target, QueryId::draw(), scope)
        .perform()
        .await
        .map(drop)
}

/// Name and manners of the table to be; `None` if one is there and that is fine.
fn new_table(head: &CreateExternalTable, scope: &Scope, user: &str) -> Result<Option<NewTable>> {
    refuse_clauses(head)?;
    let name = scope.names.table(&head.name)?;
    let exists = if_exists(head.if_not_exists, head.or_replace)?;
    if has(scope, &name.schema, &name.object) {
        match exists {
            IfExists::Keep => return Ok(None),
            IfExists::Fail => {
                let full = format!("{}.{}", name.schema, name.object);
                return Err(Error::already_exists("table or view", full));
            }
            IfExists::Replace => {}
        }
    }
    Ok(Some(NewTable {
        name,
        exists,
        user: user.to_owned(),
    }))
}

/// Columns that the statement declares, those of `PARTITIONED BY (k type)` among them; none is `None`.
async fn declared(head: &CreateExternalTable, scope: &Scope) -> Result<Option<SchemaRef>> {
    if head.columns.is_empty() {
        return Ok(None);
    }
    let plain = CreateExternalTable {
        table_partition_cols: Vec::new(),
        locations: vec!["hdfs:///".to_owned()],
        ..head.clone()
    };
    let plan = plan_head(&plain, &scope.view.base).await?;
    if let Some(column) = plan.column_defaults.keys().next() {
        return Err(Error::Unsupported(format!("DEFAULT of column {column}")));
    }
    Ok(Some(stored_schema(plan.schema.as_arrow())))
}

/// Where the table goes and what it is.
async fn target(
    head: &CreateExternalTable,
    new: NewTable,
    schema: SchemaRef,
    partition_columns: Vec<String>,
    scope: &Scope,
) -> Result<(Target, TableDefinition)> {
    let format = TableFormat::parse(&head.file_type);
    let writable = WriteFormat::parse(&head.file_type);
    let (Some(format), Some(writable)) = (format, writable) else {
        let problem = format!(
            "a table that is written STORED AS {} (PARQUET and CSV are)",
            head.file_type
        );
        return Err(Error::Unsupported(problem));
    };
    arrange::check_types(&schema, writable)?;
    let location = match head.locations.as_slice() {
        [given] if given.is_empty() => default_location(&new.name, scope)?,
        [given] => scope.writable_location(given)?,
        _ => return Err(Error::Unsupported("a table with several locations".to_owned())),
    };
    let plain = CreateExternalTable {
        columns: Vec::new(),
        table_partition_cols: Vec::new(),
        locations: vec!["hdfs:///".to_owned()],
        ..head.clone()
    };
    let options = plan_head(&plain, &scope.view.base).await?.options.into_iter().collect();
    let table = TableDefinition {
        options,
        partition_columns,
        managed: true,
        ..TableDefinition::new(format, location.to_string(), schema)
    };
    // Opening it reads the options: a table that cannot be opened is not created.
    scope.view.tables.open(&table)?;
    Ok((Target::create(table.clone(), new, scope)?, table))
}

/// A directory of its own for each table that ever has the name: a new one never meets files of an old one.
pub(super) fn default_location(name: &FullName, scope: &Scope) -> Result<Location> {
    let (schema, object) = (encode_name(&name.schema)?, encode_name(&name.object)?);
    let id = &uuid::Uuid::new_v4().simple().to_string()[..12];
    let warehouse = &scope.writes.warehouse;
    Ok(Location::parse(&format!("hdfs://{warehouse}/{schema}/{object}-{id}"))?)
}

/// Columns for rows that come without a query.
pub(super) fn nullable(schema: &Schema) -> Schema {
    let fields = schema.fields().iter();
    Schema::new(
        fields
            .map(|field| Field::new(field.name(), field.data_type().clone(), true))
            .collect::<Vec<_>>(),
    )
}
