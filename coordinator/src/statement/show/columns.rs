//! `SHOW COLUMNS`, `DESCRIBE`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::{Row, matcher, row};
use crate::catalog::CATALOG;
use crate::error::Result;
use crate::statement::kind::Pattern;
use crate::statement::names::FullName;
use crate::statement::scope::Scope;

async fn open(scope: &Scope, table: &ObjectName) -> Result<(FullName, Arc<dyn TableProvider>)> {
    let name = scope.names.table(table)?;
    let provider = scope.open(&name).await?;
    Ok((name, provider))
}

pub(super) async fn of_table(scope: &Scope, table: &ObjectName, pattern: Option<&Pattern>) -> Result<Vec<Row>> {
    let keep = matcher(pattern);
    let (name, provider) = open(scope, table).await?;
    let schema = provider.schema();
    let fields = schema.fields().iter().filter(|field| keep.matches(field.name()));
    let prefix = row([CATALOG.to_owned(), name.schema, name.object]);
    Ok(fields
        .map(|field| [prefix.clone(), field_row(field)].concat())
        .collect())
}

pub(super) async fn describe(scope: &Scope, table: &ObjectName) -> Result<Vec<Row>> {
    Ok(described(open(scope, table).await?.1.schema().as_ref()))
}

pub(super) fn described(schema: &Schema) -> Vec<Row> {
    schema.fields().iter().map(|field| field_row(field)).collect()
}

fn field_row(field: &Field) -> Row {
    let nullable = if field.is_nullable() { "YES" } else { "NO" };
    row([field.name().clone(), field.data_type().to_string(), nullable.to_owned()])
}
