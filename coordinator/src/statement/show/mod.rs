//! Rows of `SHOW` and `DESCRIBE`, read from the catalog, the session and the file system.
//!
//! - `lists`: catalogs, schemas, tables, views; `columns`: columns of tables and queries; `create`: the statement that makes an object
//! - `extended`: all about a table; `partitions`, `stats`, `blocks`: what its files are like
//! - `settings`: what `SET` changes

mod blocks;
mod columns;
mod create;
mod extended;
mod lists;
mod partitions;
mod settings;
mod stats;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::formats::{DfsTable, TableDefinition};

use super::kind::{Pattern, Show};
use super::names::FullName;
use super::same_names::{self, NamedPlan, renamed};
use super::scope::Scope;
use crate::catalog::CatalogObject;
use crate::error::{Error, Result};
use crate::pattern::Like;

/// A row as text; numbers, too. None is NULL.
type Row = Vec<Option<String>>;

/// Columns of a `SHOW` statement: their names, numbers with a `#` at the end.
fn columns_of(show: &Show) -> &'static [&'static str] {
    match show {
        Show::Catalogs => &["catalog_name"],
        Show::Schemas(_) => &["catalog_name", "schema_name"],
        Show::Tables { .. } => &["table_catalog", "table_schema", "table_name", "table_type"],
        Show::Columns { .. } => &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "data_type",
            "is_nullable",
        ],
        Show::Describe(_) | Show::DescribeQuery(_) => &["column_name", "data_type", "is_nullable"],
        Show::DescribeExtended(_) => &["name", "value", "comment"],
        Show::Create(_) => &["table_catalog", "table_schema", "table_name", "definition"],
        Show::Partitions(_) => partitions::COLUMNS,
        Show::TableStats(_) => stats::TABLE_COLUMNS,
        Show::ColumnStats(_) => stats::COLUMN_COLUMNS,
        Show::Blocks(_) => blocks::COLUMNS,
        Show::Settings | Show::Setting(_) => &["name", "value"],
    }
}

/// Columns of a `SHOW` statement.
pub(crate) fn schema_of(show: &Show) -> SchemaRef {
    let field = |name: &&str| match name.strip_suffix('#') {
        Some(name) => Field::new(name, DataType::Int64, true),
        None => Field::new(*name, DataType::Utf8, true),
    };
    Arc::new(Schema::new(columns_of(show).iter().map(field).collect::<Vec<_>>()))
}

/// The rows of a `SHOW` statement as they are now.
///
/// # Errors
/// [`Error::NotFound`] for a table or schema that is not there, errors of the catalog, errors met while listing files.
pub(crate) async fn rows(show: &Show, scope: &Scope) -> Result<RecordBatch> {
    let rows: Vec<Row> = match show {
        Show::Catalogs => lists::catalogs(),
        Show::Schemas(pattern) => lists::schemas(scope, pattern.as_ref()),
        Show::Tables {
            schema,
            pattern,
            only_views,
        } => lists::tables(scope, schema.as_ref(), pattern.as_ref(), *only_views).await?,
        Show::Columns { table, pattern } => columns::of_table(scope, table, pattern.as_ref()).await?,
        Show::Describe(table) => columns::describe(scope, table).await?,
        Show::DescribeQuery(query) => {
            let NamedPlan { plan, names } = same_names::plan(query.as_ref().clone(), scope).await?;
            columns::described(&renamed(Arc::clone(plan.schema().inner()), names.as_ref()))
        }
        Show::DescribeExtended(table) => extended::rows(scope, table).await?,
        Show::Create(table) => vec![create::row_of(scope, table).await?],
        Show::Partitions(table) => partitions::rows(scope, table).await?,
        Show::TableStats(table) => vec![stats::of_table(scope, table).await?],
        Show::ColumnStats(table) => stats::of_columns(scope, table).await?,
        Show::Blocks(of) => blocks::rows(scope, of).await?,
        Show::Settings => settings::all(scope),
        Show::Setting(name) => vec![settings::one(scope, name)?],
    };
    batch(&schema_of(show), &rows)
}

fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch> {
    let wrong = |error| Error::Internal(format!("rows of SHOW: {error}"));
    let columns = schema.fields().iter().enumerate().map(|(column, field)| {
        let values = rows.iter().map(|row| row.get(column).and_then(Option::as_deref));
        let text: ArrayRef = Arc::new(StringArray::from_iter(values));
        cast(&text, field.data_type()).map_err(wrong)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(wrong)
}

/// A row without NULL.
fn row<const N: usize>(values: [String; N]) -> Row {
    values.into_iter().map(Some).collect()
}

fn matcher(pattern: Option<&Pattern>) -> Like {
    pattern.map_or_else(Like::everything, |pattern| {
        Like::new(&pattern.text, pattern.ignore_case)
    })
}

/// What a name of the catalog stands for.
///
/// # Errors
/// [`Error::NotFound`], errors of the catalog.
pub(super) async fn object(scope: &Scope, name: &FullName) -> Result<Arc<CatalogObject>> {
    let view = &scope.view;
    let object = view.catalog.object(&view.snapshot, &name.schema, &name.object).await?;
    object.ok_or_else(|| Error::not_found("table", format!("{}.{}", name.schema, name.object)))
}

/// A table over files, which a view is not.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`] for a view, errors of the catalog.
pub(super) async fn table(scope: &Scope, name: &ObjectName) -> Result<(FullName, TableDefinition, Arc<DfsTable>)> {
    let name = scope.names.table(name)?;
    match object(scope, &name).await?.as_ref() {
        CatalogObject::Table { table } => {
            let opened = scope.view.tables.open(table)?;
            Ok((name, table.clone(), opened))
        }
        _ => Err(Error::invalid(format!(
            "{}.{} is a view: it has no files",
            name.schema, name.object
        ))),
    }
}
