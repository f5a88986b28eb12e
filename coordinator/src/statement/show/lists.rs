//! `SHOW CATALOGS`, `SHOW SCHEMAS`, `SHOW TABLES`, `SHOW VIEWS`.

use datafusion::sql::sqlparser::ast::ObjectName;

use super::{Row, matcher, row};
use crate::catalog::{CATALOG, CatalogObject, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::{Error, Result};
use crate::statement::kind::Pattern;
use crate::statement::scope::Scope;

pub(super) fn catalogs() -> Vec<Row> {
    vec![row([CATALOG.to_owned()])]
}

pub(super) fn schemas(scope: &Scope, pattern: Option<&Pattern>) -> Vec<Row> {
    let keep = matcher(pattern);
    all_schemas(scope)
        .filter(|schema| keep.matches(schema))
        .map(|schema| row([CATALOG.to_owned(), schema]))
        .collect()
}

fn all_schemas(scope: &Scope) -> impl Iterator<Item = String> {
    let stored = scope.view.snapshot.schemas().map(str::to_owned);
    stored.chain([INFORMATION_SCHEMA.to_owned(), SYSTEM_SCHEMA.to_owned()])
}

pub(super) async fn tables(
    scope: &Scope,
    schema: Option<&ObjectName>,
    pattern: Option<&Pattern>,
    only_views: bool,
) -> Result<Vec<Row>> {
    let keep = matcher(pattern);
    let schemas = match schema {
        Some(name) => vec![known_schema(scope, &scope.names.schema(name)?)?],
        None => scope.view.snapshot.schemas().map(str::to_owned).collect(),
    };
    let mut rows = Vec::new();
    for schema in schemas {
        if schema == SYSTEM_SCHEMA && !only_views {
            let names = scope.view.system.names();
            rows.extend(names.map(|table| (schema.clone(), table.to_owned(), "SYSTEM TABLE")));
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
        .map(|(schema, name, kind)| row([CATALOG.to_owned(), schema, name, kind.to_owned()]))
        .collect())
}

fn known_schema(scope: &Scope, schema: &str) -> Result<String> {
    if all_schemas(scope).any(|known| known == schema) {
        return Ok(schema.to_owned());
    }
    Err(Error::not_found("schema", schema))
}
