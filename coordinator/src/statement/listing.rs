//! Tables and views as metadata calls list them.

use datafusion::catalog::CatalogProviderList;

use super::Listed;
use super::names::FullName;
use super::scope::Scope;
use crate::catalog::providers::StatementCatalogs;
use crate::catalog::{CATALOG, CatalogObject, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::Result;
use crate::pattern::Like;

/// Lists what matches, in its own case if there is such a table, else in any; with columns, opens each.
pub(super) async fn tables(scope: &Scope, schemas: &Like, names: &Like, with_columns: bool) -> Result<Vec<Listed>> {
    let mut listed = matching(scope, schemas, names).await?;
    if listed.is_empty() {
        // JDBC's driver says of every server that it stores names in upper case, so tools ask for LINEITEM.
        listed = matching(scope, &schemas.in_any_case(), &names.in_any_case()).await?;
    }
    if !with_columns {
        return Ok(listed);
    }
    let mut opened = Vec::with_capacity(listed.len());
    for mut table in listed {
        let name = FullName {
            schema: table.schema.clone(),
            object: table.name.clone(),
        };
        match scope.open(&name).await {
            Ok(provider) => {
                table.columns = Some(provider.schema());
                opened.push(table);
            }
            Err(error) => tracing::warn!(schema = table.schema, table = table.name, %error, "left out of a listing"),
        }
    }
    Ok(opened)
}

async fn matching(scope: &Scope, schemas: &Like, names: &Like) -> Result<Vec<Listed>> {
    let mut listed = stored(scope, schemas, names).await?;
    listed.extend(built_in(scope, schemas, names));
    Ok(listed)
}

async fn stored(scope: &Scope, schemas: &Like, names: &Like) -> Result<Vec<Listed>> {
    let view = &scope.view;
    let mut listed = Vec::new();
    for schema in view.snapshot.schemas().filter(|schema| schemas.matches(schema)) {
        for (name, object) in view.catalog.objects(&view.snapshot, schema).await? {
            if names.matches(&name) {
                let is_view = matches!(*object, CatalogObject::View(_));
                listed.push(Listed {
                    schema: schema.to_owned(),
                    name,
                    is_view,
                    columns: None,
                });
            }
        }
    }
    Ok(listed)
}

fn built_in(scope: &Scope, schemas: &Like, names: &Like) -> Vec<Listed> {
    let catalogs = StatementCatalogs::new(scope.view.clone());
    let Some(catalog) = catalogs.catalog(CATALOG) else {
        return Vec::new();
    };
    let wanted = [INFORMATION_SCHEMA, SYSTEM_SCHEMA]
        .into_iter()
        .filter(|schema| schemas.matches(schema));
    let provided = wanted.filter_map(|schema| Some((schema, catalog.schema(schema)?)));
    let tables =
        provided.flat_map(|(schema, provider)| provider.table_names().into_iter().map(move |name| (schema, name)));
    let matching = tables.filter(|(_, name)| names.matches(name));
    matching
        .map(|(schema, name)| Listed {
            schema: schema.to_owned(),
            name,
            is_view: false,
            columns: None,
        })
        .collect()
}
