//! Rows of `SHOW` and `DESCRIBE`, read from the catalog and the session.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::kind::{Pattern, Show};
use super::names::FullName;
use super::scope::Scope;
use crate::catalog::{CATALOG, CatalogObject, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::{Error, Result};
use crate::pattern::Like;
use crate::settings::{STATEMENT_TIMEOUT, keys};

/// Columns of a `SHOW` statement.
pub(crate) fn schema_of(show: &Show) -> SchemaRef {
    let names: &[&str] = match show {
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
        Show::Create(_) => &["table_catalog", "table_schema", "table_name", "definition"],
        Show::Settings | Show::Setting(_) => &["name", "value"],
    };
    Arc::new(Schema::new(
        names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true))
            .collect::<Vec<_>>(),
    ))
}

/// The rows of a `SHOW` statement as they are now.
///
/// # Errors
/// [`Error::NotFound`] for a table or schema that is not there, errors of the catalog.
pub(crate) async fn rows(show: &Show, scope: &Scope) -> Result<RecordBatch> {
    let rows: Vec<Vec<String>> = match show {
        Show::Catalogs => vec![vec![CATALOG.to_owned()]],
        Show::Schemas(pattern) => {
            let keep = matcher(pattern.as_ref());
            all_schemas(scope)
                .filter(|schema| keep.matches(schema))
                .map(|schema| vec![CATALOG.to_owned(), schema])
                .collect()
        }
        Show::Tables {
            schema,
            pattern,
            only_views,
        } => tables(scope, schema.as_ref(), pattern.as_ref(), *only_views).await?,
        Show::Columns { table, pattern } => columns(scope, table, pattern.as_ref()).await?,
        Show::Describe(table) => describe(open(scope, table).await?.1.schema().as_ref()),
        Show::DescribeQuery(query) => describe(scope.plan(query.as_ref().clone()).await?.schema().as_arrow()),
        Show::Create(table) => vec![create(scope, table).await?],
        Show::Settings => settings(scope),
        Show::Setting(name) => vec![setting(scope, name)?],
    };
    batch(schema_of(show), &rows)
}

fn batch(schema: SchemaRef, rows: &[Vec<String>]) -> Result<RecordBatch> {
    let columns = (0..schema.fields().len()).map(|column| {
        let values = rows.iter().map(|row| row.get(column));
        Arc::new(StringArray::from_iter(values)) as ArrayRef
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).map_err(|error| Error::Internal(format!("rows of SHOW: {error}")))
}

fn matcher(pattern: Option<&Pattern>) -> Like {
    pattern.map_or_else(Like::everything, |pattern| {
        Like::new(&pattern.text, pattern.ignore_case)
    })
}

fn all_schemas(scope: &Scope) -> impl Iterator<Item = String> {
    let stored = scope.view.snapshot.schemas().map(str::to_owned);
    stored.chain([INFORMATION_SCHEMA.to_owned(), SYSTEM_SCHEMA.to_owned()])
}

async fn tables(
    scope: &Scope,
    schema: Option<&ObjectName>,
    pattern: Option<&Pattern>,
    only_views: bool,
) -> Result<Vec<Vec<String>>> {
    let keep = matcher(pattern);
    let schemas = match schema {
        Some(name) => vec![known_schema(scope, &scope.names.schema(name)?)?],
        None => scope.view.snapshot.schemas().map(str::to_owned).collect(),
    };
    let mut rows = Vec::new();
    for schema in schemas {
        if schema == SYSTEM_SCHEMA && !only_views {
            rows.extend(
                scope
                    .view
                    .system
                    .names()
                    .map(|table| (schema.clone(), table.to_owned(), "SYSTEM TABLE")),
            );
        }
        for (name, object) in scope.view.catalog.objects(&scope.view.snapshot, &schema).await? {
            let is_view = matches!(*object, CatalogObject::View(_));
            if is_view || !only_views {
                rows.push((schema.clone(), name, if is_view { "VIEW" } else { "BASE TABLE" }));
            }
        }
    }
    rows.retain(|(_, name, _)| keep.matches(name));
    Ok(rows
        .into_iter()
        .map(|(schema, name, kind)| vec![CATALOG.to_owned(), schema, name, kind.to_owned()])
        .collect())
}

fn known_schema(scope: &Scope, schema: &str) -> Result<String> {
    if all_schemas(scope).any(|known| known == schema) {
        return Ok(schema.to_owned());
    }
    Err(Error::not_found("schema", schema))
}

async fn open(scope: &Scope, table: &ObjectName) -> Result<(FullName, Arc<dyn TableProvider>)> {
    let name = scope.names.table(table)?;
    let provider = scope.open(&name).await?;
    Ok((name, provider))
}

async fn columns(scope: &Scope, table: &ObjectName, pattern: Option<&Pattern>) -> Result<Vec<Vec<String>>> {
    let keep = matcher(pattern);
    let (name, provider) = open(scope, table).await?;
    let mut rows = describe(provider.schema().as_ref());
    rows.retain(|row| keep.matches(&row[0]));
    let prefix = [CATALOG.to_owned(), name.schema, name.object];
    Ok(rows
        .into_iter()
        .map(|row| prefix.iter().cloned().chain(row).collect())
        .collect())
}

fn describe(schema: &Schema) -> Vec<Vec<String>> {
    let row = |field: &Arc<Field>| {
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        vec![field.name().clone(), field.data_type().to_string(), nullable.to_owned()]
    };
    schema.fields().iter().map(row).collect()
}

async fn create(scope: &Scope, table: &ObjectName) -> Result<Vec<String>> {
    let name = scope.names.table(table)?;
    let view = &scope.view;
    let object = view.catalog.object(&view.snapshot, &name.schema, &name.object).await?;
    let definition = match object.as_deref() {
        Some(CatalogObject::View(stored)) => stored.sql.clone(),
        Some(CatalogObject::Table { table }) => super::table::create_text(&name, table),
        Some(CatalogObject::Schema) | None => {
            return Err(Error::not_found("table", format!("{}.{}", name.schema, name.object)));
        }
    };
    Ok(vec![CATALOG.to_owned(), name.schema, name.object, definition])
}

fn settings(scope: &Scope) -> Vec<Vec<String>> {
    keys().filter_map(|key| setting(scope, key).ok()).collect()
}

fn setting(scope: &Scope, name: &str) -> Result<Vec<String>> {
    if let Some(value) = scope.settings.get(name) {
        return Ok(vec![name.to_owned(), value.to_owned()]);
    }
    if name.eq_ignore_ascii_case(STATEMENT_TIMEOUT) {
        return Ok(vec![
            STATEMENT_TIMEOUT.to_owned(),
            format!("{}s", scope.statement_timeout.as_secs()),
        ]);
    }
    let wanted = if name.eq_ignore_ascii_case("timezone") {
        "datafusion.execution.time_zone"
    } else {
        name
    };
    let entries = scope.view.base.config_options().entries();
    let entry = entries.into_iter().find(|entry| entry.key.eq_ignore_ascii_case(wanted));
    let entry = entry.ok_or_else(|| Error::not_found("setting", name))?;
    Ok(vec![entry.key, entry.value.unwrap_or_default()])
}
