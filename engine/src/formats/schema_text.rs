//! A schema as text for JSON: Arrow's own IPC schema message in hexadecimal, so that every type, field flag and metadata
//! entry survives.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::convert::{IpcSchemaEncoder, try_schema_from_flatbuffer_bytes};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the schema.
pub(super) fn serialize<S: Serializer>(schema: &SchemaRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(schema))
}

/// Reads the schema.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SchemaRef, D::Error> {
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
    try_schema_from_flatbuffer_bytes(&bytes).map_err(|err| format!("schema: not an Arrow schema: {err}"))
}

fn byte_of(pair: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(pair).ok()?;
    u8::from_str_radix(text, 16).ok()
}
