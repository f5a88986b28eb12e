//! `SHOW CREATE TABLE`, `SHOW CREATE VIEW`.

use datafusion::sql::sqlparser::ast::ObjectName;

use super::{Row, object, row};
use crate::catalog::{CATALOG, CatalogObject};
use crate::error::{Error, Result};
use crate::statement::scope::Scope;
use crate::statement::table::create_text;

pub(super) async fn row_of(scope: &Scope, table: &ObjectName) -> Result<Row> {
    let name = scope.names.table(table)?;
    let definition = match object(scope, &name).await?.as_ref() {
        CatalogObject::View(stored) => stored.sql.clone(),
        CatalogObject::Table { table } => create_text(&name, table),
        CatalogObject::Schema => {
            return Err(Error::not_found("table", format!("{}.{}", name.schema, name.object)));
        }
    };
    Ok(row([CATALOG.to_owned(), name.schema, name.object, definition]))
}
