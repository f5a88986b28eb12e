//! The content of a catalog file.
//!
//! One JSON object of UTF-8 text, at most `MAX_BYTES` long:
//!
//! | field | meaning |
//! |---|---|
//! | `quarry_catalog_version` | 1; a file with a higher number was written by a newer Quarry and is refused |
//! | `created_ms` | when the object was created, milliseconds since 1970 |
//! | `created_by` | user of the session that created it |
//! | `kind` | `schema`, `table` or `view`; never renamed |
//! | `table` | for a table: its [`TableDefinition`] |
//! | `sql`, `default_schema` | for a view: its `CREATE VIEW` statement, and the schema that names without one meant there |

use bytes::Bytes;
use chrono::Utc;
use quarry_engine::formats::TableDefinition;
use serde::{Deserialize, Serialize};

/// Version that this Quarry writes, and the highest that it reads.
const VERSION: u32 = 1;
/// Longest catalog file.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// What the catalog knows about one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum CatalogObject {
    /// A schema; its tables are files beside it.
    Schema,
    /// A table over files.
    Table {
        /// Files, format and columns.
        table: TableDefinition,
    },
    /// A stored query.
    View(View),
}

/// A stored query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The whole `CREATE VIEW` statement, in normal form.
    pub sql: String,
    /// Schema in which names without one are looked up.
    pub default_schema: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    quarry_catalog_version: u32,
    created_ms: i64,
    created_by: String,
    #[serde(flatten)]
    object: CatalogObject,
}

#[derive(Deserialize)]
struct Header {
    quarry_catalog_version: Option<u32>,
}

/// The file content for an object created now.
pub(super) fn encode(object: &CatalogObject, user: &str) -> Result<Bytes, String> {
    let record = Record {
        quarry_catalog_version: VERSION,
        created_ms: Utc::now().timestamp_millis(),
        created_by: user.to_owned(),
        object: object.clone(),
    };
    let text = serde_json::to_vec_pretty(&record).map_err(|error| format!("cannot be written: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("would have {} bytes; {MAX_BYTES} are allowed", text.len()));
    }
    Ok(text.into())
}

/// The object in a file's content, or what is wrong with it.
pub(super) fn decode(content: &[u8]) -> Result<CatalogObject, String> {
    let header: Header =
        serde_json::from_slice(content).map_err(|error| format!("not JSON of a catalog file: {error}"))?;
    match header.quarry_catalog_version {
        None => return Err("not a Quarry catalog file: field quarry_catalog_version is missing".to_owned()),
        Some(version) if version > VERSION => {
            return Err(format!(
                "has version {version}; this Quarry reads up to version {VERSION}"
            ));
        }
        Some(_) => {}
    }
    let record: Record = serde_json::from_slice(content).map_err(|error| format!("broken content: {error}"))?;
    Ok(record.object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use quarry_engine::formats::TableFormat;

    use super::*;

    fn table() -> CatalogObject {
        let schema = Schema::new(vec![Field::new("d", DataType::Decimal128(15, 2), false)]);
        CatalogObject::Table {
            table: TableDefinition {
                partition_columns: vec!["d".to_owned()],
                managed: true,
                comment: Some("of people".to_owned()),
                properties: [("owner".to_owned(), "ada".to_owned())].into(),
                ..TableDefinition::new(TableFormat::Parquet, "hdfs:///t", Arc::new(schema))
            },
        }
    }

    #[test]
    fn objects_come_back() {
        let view = CatalogObject::View(View {
            sql: "CREATE VIEW v AS SELECT 1".into(),
            default_schema: "default".into(),
        });
        for object in [CatalogObject::Schema, table(), view] {
            assert_eq!(decode(&encode(&object, "me").unwrap()).unwrap(), object);
        }
    }

    #[test]
    fn the_written_form_is_kept() {
        let text = String::from_utf8(encode(&CatalogObject::Schema, "me").unwrap().to_vec()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["quarry_catalog_version"], 1);
        assert_eq!(value["kind"], "schema");
        assert_eq!(value["created_by"], "me");
    }

    #[test]
    fn foreign_and_newer_files_are_told_apart() {
        assert!(decode(b"\x00\x01").unwrap_err().contains("not JSON"));
        assert!(decode(b"{}").unwrap_err().contains("not a Quarry catalog file"));
        assert!(
            decode(br#"{"quarry_catalog_version": 9}"#)
                .unwrap_err()
                .contains("version 9")
        );
        assert!(
            decode(br#"{"quarry_catalog_version": 1, "kind": "table"}"#)
                .unwrap_err()
                .contains("broken")
        );
    }

    #[test]
    fn every_cut_of_a_file_is_an_error() {
        let whole = encode(&table(), "me").unwrap();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
