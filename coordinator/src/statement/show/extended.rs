//! `DESCRIBE EXTENDED t`: columns, then everything else that is known about a table or view.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::formats::TableDefinition;

use super::{Row, object, stats};
use crate::catalog::{CATALOG, CatalogObject};
use crate::error::Result;
use crate::statement::names::FullName;
use crate::statement::scope::Scope;

pub(super) async fn rows(scope: &Scope, table: &ObjectName) -> Result<Vec<Row>> {
    let name = scope.names.table(table)?;
    let object = object(scope, &name).await?;
    let schema = scope.open(&name).await?.schema();
    match object.as_ref() {
        CatalogObject::Table { table: definition } => {
            let mut rows = columns(&schema, &definition.partition_columns);
            rows.extend(heading(&name, "TABLE"));
            rows.extend(of_table(definition));
            rows.extend(statistics(scope, table).await?);
            Ok(rows)
        }
        CatalogObject::View(view) => {
            let mut rows = columns(&schema, &[]);
            rows.extend(heading(&name, "VIEW"));
            rows.push(fact("definition", &view.sql));
            rows.push(fact("names without a schema are in", &view.default_schema));
            Ok(rows)
        }
        CatalogObject::Schema => Ok(Vec::new()),
    }
}

fn fact(name: &str, value: impl ToString) -> Row {
    vec![Some(format!("# {name}")), Some(value.to_string()), None]
}

fn columns(schema: &Schema, partitions: &[String]) -> Vec<Row> {
    let row = |field: &Arc<Field>| {
        let mut remarks = Vec::new();
        if !field.is_nullable() {
            remarks.push("not null");
        }
        if partitions.contains(field.name()) {
            remarks.push("partition column");
        }
        vec![
            Some(field.name().clone()),
            Some(field.data_type().to_string()),
            (!remarks.is_empty()).then(|| remarks.join(", ")),
        ]
    };
    schema.fields().iter().map(row).collect()
}

fn heading(name: &FullName, kind: &str) -> Vec<Row> {
    vec![
        fact("catalog", CATALOG),
        fact("schema", &name.schema),
        fact("name", &name.object),
        fact("type", kind),
    ]
}

fn of_table(definition: &TableDefinition) -> Vec<Row> {
    let mut rows = vec![
        fact("location", &definition.location),
        fact("format", definition.format.name()),
    ];
    if !definition.partition_columns.is_empty() {
        rows.push(fact("partitioned by", definition.partition_columns.join(", ")));
    }
    let options = definition.options.iter();
    rows.extend(options.map(|(key, value)| fact(&format!("option {key}"), value)));
    let properties = definition.properties.iter();
    rows.extend(properties.map(|(key, value)| fact(&format!("property {key}"), value)));
    rows
}

/// What `SHOW TABLE STATS` says, as far as it is known.
async fn statistics(scope: &Scope, table: &ObjectName) -> Result<Vec<Row>> {
    let values = stats::of_table(scope, table).await?;
    let named = stats::TABLE_COLUMNS.iter().zip(values).skip(2);
    Ok(named
        .filter_map(|(name, value)| Some(fact(name.trim_end_matches('#'), value?)))
        .collect())
}
