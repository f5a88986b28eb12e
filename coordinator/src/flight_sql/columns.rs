//! Columns of tables as `GetTables` describes them: type and metadata under the keys of the Arrow format, for JDBC's `getColumns`.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema};

use crate::catalog::CATALOG;
use crate::statement::Listed;
use crate::wire_types::result_schema;

/// What all keys begin with.
const PREFIX: &str = "ARROW:FLIGHT:SQL:";

/// A table's columns with their metadata; none if the table was listed without them.
pub(super) fn described(table: &Listed, is_system: bool) -> Schema {
    let Some(columns) = &table.columns else {
        return Schema::empty();
    };
    let fields = result_schema(columns);
    let fields = fields.fields().iter().map(|field| describe(field, table, is_system));
    Schema::new(fields.collect::<Vec<_>>())
}

fn describe(field: &Field, table: &Listed, is_system: bool) -> Field {
    let flag = |value: bool| if value { "1" } else { "0" }.to_owned();
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8);
    let entries = [
        ("CATALOG_NAME", CATALOG.to_owned()),
        // The format's text has the one, its libraries read the other.
        ("DB_SCHEMA_NAME", table.schema.clone()),
        ("SCHEMA_NAME", table.schema.clone()),
        ("TABLE_NAME", table.name.clone()),
        ("TYPE_NAME", type_name(field.data_type())),
        ("IS_AUTO_INCREMENT", flag(false)),
        ("IS_CASE_SENSITIVE", flag(is_text)),
        ("IS_READ_ONLY", flag(is_system)),
        ("IS_SEARCHABLE", flag(true)),
    ];
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.extend(entries.map(|(key, value)| (format!("{PREFIX}{key}"), value)));
    field.clone().with_metadata(metadata)
}

/// The name of a type as SQL tools expect it, without lengths.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal128(..) | DataType::Decimal256(..) => "DECIMAL",
        DataType::Utf8 | DataType::LargeUtf8 => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => "VARBINARY",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Interval(_) => "INTERVAL",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_column_tells_its_table_and_type() {
        let columns = Schema::new(vec![
            Field::new("price", DataType::Decimal128(15, 2), false),
            Field::new("comment", DataType::Utf8View, true),
        ]);
        let table = Listed {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            is_view: false,
            columns: Some(Arc::new(columns)),
        };
        let described = described(&table, false);
        let of = |column: usize, key: &str| described.field(column).metadata()[&format!("{PREFIX}{key}")].clone();
        assert_eq!(
            [
                "TYPE_NAME",
                "PRECISION",
                "SCALE",
                "SCHEMA_NAME",
                "DB_SCHEMA_NAME",
                "TABLE_NAME"
            ]
            .map(|key| of(0, key)),
            ["DECIMAL", "15", "2", "s", "s", "t"]
        );
        assert_eq!(
            ["TYPE_NAME", "IS_CASE_SENSITIVE"].map(|key| of(1, key)),
            ["VARCHAR", "1"]
        );
        assert_eq!(described.field(1).data_type(), &DataType::Utf8);
        assert!(!described.field(0).is_nullable());
    }
}
