//! A schema as text for JSON: Arrow's own IPC schema (the flatbuffer itself, without a message around it) in hexadecimal, so that every type, field flag and metadata
//! entry survives.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use datafusion::arrow::ipc::root_as_schema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the schema.
pub(crate) fn serialize<S: Serializer>(schema: &SchemaRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(schema))
}

/// Reads the schema.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SchemaRef, D::Error> {
    let text = String::deserialize(deserializer)?;
    decode(&text).map(Arc::new).map_err(D::Error::custom)
}

fn encode(schema: &Schema) -> String {
    let message = IpcSchemaEncoder::new().schema_to_fb(schema);
    message.finished_data().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decode(text: &str) -> Result<Schema, String> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err("schema: expected an even number of hexadecimal digits".to_owned());
    }
    let bytes = digits.chunks(2).map(byte_of).collect::<Option<Vec<u8>>>();
    let bytes = bytes.ok_or("schema: expected hexadecimal digits only")?;
    let schema = root_as_schema(&bytes).map_err(|err| format!("schema: not an Arrow schema: {err}"))?;
    // Arrow takes the required parts of a schema for granted and panics without them; a broken file must not.
    std::panic::catch_unwind(|| fb_to_schema(schema)).map_err(|_| "schema: parts of it are missing".to_owned())
}

fn byte_of(pair: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(pair).ok()?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

    use super::*;

    #[test]
    fn every_part_of_a_schema_survives() {
        let schema = Schema::new(vec![
            Field::new("key", DataType::Int64, false),
            Field::new("price", DataType::Decimal128(15, 2), true),
            Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            Field::new_list("tags", Field::new("item", DataType::Utf8View, true), true)
                .with_metadata([("unit".to_owned(), "none".to_owned())].into()),
        ]);
        assert_eq!(decode(&encode(&schema)).unwrap(), schema);
    }

    #[test]
    fn broken_text_is_an_error() {
        for text in ["abc", "zz", "00", "ffffffffffffffff", &"00".repeat(64)] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
