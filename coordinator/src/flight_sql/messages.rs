//! Flight messages that `arrow-flight` does not generate, as the Arrow format defines them (`Flight.proto`, `FlightSql.proto`).

use std::collections::HashMap;

use arrow_flight::sql::{Any, ProstMessageExt};
use bytes::Bytes;

/// `SessionOptionValue`; no value means "unset".
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<OptionValue>,
}

/// The alternatives of `SessionOptionValue`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Strings(StringList),
}

/// `SessionOptionValue.StringListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StringList {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// Body of the action `SetSessionOptions`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, SessionOptionValue>,
}

/// Its result: the options that could not be set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, SetSessionOptionError>,
}

/// Why an option could not be set: 1 unknown name, 2 unusable value, 3 anything else.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionError {
    #[prost(int32, tag = "1")]
    pub(super) value: i32,
}

/// Result of the action `GetSessionOptions`; its request is empty.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, SessionOptionValue>,
}

/// Result of the action `CloseSession`; its request is empty. 1: closed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// `ActionCreatePreparedStatementResult` with the field that says whether the statement returns rows.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PreparedStatementResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) prepared_statement_handle: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) dataset_schema: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) parameter_schema: Bytes,
    #[prost(bool, optional, tag = "4")]
    pub(super) is_update: Option<bool>,
}

impl ProstMessageExt for PreparedStatementResult {
    fn type_url() -> &'static str {
        "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult"
    }

    fn as_any(&self) -> Any {
        Any {
            type_url: Self::type_url().to_owned(),
            value: prost::Message::encode_to_vec(self).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_flight::sql::ActionCreatePreparedStatementResult;
    use prost::Message;

    use super::*;

    #[test]
    fn options_have_the_formats_field_numbers() {
        let value = |value| SessionOptionValue { value: Some(value) }.encode_to_vec();
        assert_eq!(value(OptionValue::String("a".into())), [0x0a, 1, b'a']);
        assert_eq!(value(OptionValue::Bool(true)), [0x10, 1]);
        assert_eq!(value(OptionValue::Int(-1))[0], 0x19);
        assert_eq!(value(OptionValue::Double(1.0))[0], 0x21);
        assert_eq!(
            value(OptionValue::Strings(StringList {
                values: vec!["a".into()]
            })),
            [0x2a, 3, 0x0a, 1, b'a']
        );
    }

    #[test]
    fn older_clients_read_the_fields_they_know() {
        let result = PreparedStatementResult {
            prepared_statement_handle: Bytes::from_static(b"h"),
            dataset_schema: Bytes::from_static(b"d"),
            parameter_schema: Bytes::from_static(b"p"),
            is_update: Some(true),
        };
        let known: ActionCreatePreparedStatementResult = result.as_any().unpack().unwrap().unwrap();
        assert_eq!(known.prepared_statement_handle, result.prepared_statement_handle);
        assert_eq!(known.parameter_schema, result.parameter_schema);
    }
}
