//! `ALTER TABLE`, `ALTER VIEW`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Fields, Schema};
use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::formats::{TableDefinition, TableFormat};

use super::kind::{Alteration, OptionKind};
use super::names::FullName;
use super::scope::Scope;
use super::table;
use crate::catalog::{CatalogObject, ObjectKind};
use crate::error::{Error, Result};
use crate::session::Session;

/// Does what `ALTER` says.
///
/// # Errors
/// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::Invalid`] if the result could not be read, errors of the catalog.
pub(super) async fn execute(
    kind: ObjectKind,
    name: &ObjectName,
    alteration: &Alteration,
    scope: &Scope,
    session: &Session,
) -> Result<()> {
    let name = scope.names.table(name)?;
    match alteration {
        Alteration::Rename(to) => rename(kind, &name, to, scope).await,
        Alteration::AddColumns { columns, if_not_exists } => {
            let columns = table::columns(columns, scope).await?;
            change(&name, scope, session, |table| {
                add_columns(table, &columns, *if_not_exists)
            })
            .await
        }
        Alteration::Set { kind, pairs } => {
            change(&name, scope, session, |table| {
                let pairs = pairs.iter().cloned();
                list(table, *kind).extend(pairs);
                Ok(())
            })
            .await
        }
        Alteration::Unset { kind, keys, if_exists } => {
            change(&name, scope, session, |table| {
                unset(list(table, *kind), keys, *if_exists)
            })
            .await
        }
    }
}

/// A new name without a schema is one in the object's schema.
async fn rename(kind: ObjectKind, from: &FullName, to: &ObjectName, scope: &Scope) -> Result<()> {
    let mut names = scope.names.clone();
    names.default_schema.clone_from(&from.schema);
    let to = names.table(to)?;
    let catalog = &scope.view.catalog;
    catalog
        .rename_object((&from.schema, &from.object), (&to.schema, &to.object), kind)
        .await
}

/// Changes a table's definition, if it can be opened afterwards.
async fn change(
    name: &FullName,
    scope: &Scope,
    session: &Session,
    change: impl FnOnce(&mut TableDefinition) -> Result<()>,
) -> Result<()> {
    let change = |object| match object {
        CatalogObject::Table { mut table } => {
            change(&mut table)?;
            table::check(&table, scope)?;
            Ok(CatalogObject::Table { table })
        }
        other => Ok(other),
    };
    let catalog = &scope.view.catalog;
    catalog
        .alter_object(&name.schema, &name.object, ObjectKind::Table, &session.user, change)
        .await
}

fn list(table: &mut TableDefinition, kind: OptionKind) -> &mut BTreeMap<String, String> {
    match kind {
        OptionKind::Options => &mut table.options,
        OptionKind::Properties => &mut table.properties,
    }
}

fn unset(list: &mut BTreeMap<String, String>, keys: &[String], if_exists: bool) -> Result<()> {
    for key in keys {
        if list.remove(key).is_none() && !if_exists {
            return Err(Error::invalid(format!(
                "{key:?} is not set; UNSET ... IF EXISTS takes that"
            )));
        }
    }
    Ok(())
}

/// The files that are there do not have the new columns: their rows have NULL.
fn add_columns(table: &mut TableDefinition, columns: &[Arc<Field>], if_not_exists: bool) -> Result<()> {
    let is_header =
        |(key, value): (&String, &String)| key.to_ascii_lowercase().ends_with("has_header") && value == "false";
    if table.format == TableFormat::Csv && table.options.iter().any(is_header) {
        return Err(Error::invalid(
            "columns of CSV files without a header are found by their place: files that lack the new column could not be read",
        ));
    }
    let (mut of_files, partitions): (Vec<Arc<Field>>, Vec<Arc<Field>>) = table
        .schema
        .fields()
        .iter()
        .cloned()
        .partition(|field| !table.partition_columns.contains(field.name()));
    for column in columns {
        let name = column.name();
        if of_files.iter().chain(&partitions).any(|field| field.name() == name) {
            if if_not_exists {
                continue;
            }
            return Err(Error::already_exists("column", name));
        }
        if !column.is_nullable() {
            return Err(Error::invalid(format!(
                "column {name} cannot be NOT NULL: rows that are there have no value for it"
            )));
        }
        of_files.push(Arc::clone(column));
    }
    of_files.extend(partitions);
    table.schema = Arc::new(Schema::new(Fields::from(of_files)));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::DataType;

    use super::*;

    fn field(name: &str) -> Arc<Field> {
        Arc::new(Field::new(name, DataType::Int64, true))
    }

    fn table() -> TableDefinition {
        TableDefinition {
            partition_columns: vec!["p".to_owned()],
            ..TableDefinition::new(
                TableFormat::Parquet,
                "hdfs:///t",
                Arc::new(Schema::new(vec![field("a"), field("p")])),
            )
        }
    }

    #[test]
    fn new_columns_come_before_those_of_partitions() {
        let mut table = table();
        add_columns(&mut table, &[field("b"), field("c")], false).unwrap();
        let names: Vec<&String> = table.schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["a", "b", "c", "p"]);
    }

    #[test]
    fn columns_that_are_there_are_not_added() {
        let mut table = table();
        assert!(add_columns(&mut table, &[field("p")], false).is_err());
        add_columns(&mut table, &[field("p")], true).unwrap();
        assert_eq!(table, self::table());
        let required = Arc::new(field("n").as_ref().clone().with_nullable(false));
        assert!(add_columns(&mut table, &[required], false).is_err());
    }

    #[test]
    fn what_is_not_set_cannot_be_unset() {
        let mut list = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert!(unset(&mut list, &["b".to_owned()], false).is_err());
        unset(&mut list, &["a".to_owned(), "b".to_owned()], true).unwrap();
        assert!(list.is_empty());
    }
}
