//! Partition values as names of directories, as Hive writes them: `column=value`.
//!
//! Characters that mean something in paths become `%XX`; NULL is `__HIVE_DEFAULT_PARTITION__`.

use std::fmt::Write;

/// Stands for NULL.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Characters that Hive escapes, besides control characters.
const ESCAPED: &str = "\"#%'*/:=?\\{}[]^";

/// Name of the directory of the rows whose `column` is `value`.
#[must_use]
pub fn encode(column: &str, value: Option<&str>) -> String {
    match value {
        None => format!("{}={NULL_PARTITION}", escape(column)),
        Some(value) => format!("{}={}", escape(column), escape(value)),
    }
}

/// Column and value that a directory's name stands for; `None` if it is not of the form `column=value`.
#[must_use]
pub fn decode(directory: &str) -> Option<(String, Option<String>)> {
    let (column, value) = directory.split_once('=')?;
    let value = (value != NULL_PARTITION).then(|| unescape(value));
    (!column.is_empty()).then(|| (unescape(column), value))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || ESCAPED.contains(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// What is not a valid escape stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for value in ["2026-11-29", "a/b", "50%", "x=y", "ü ☃", "12:30:00", "'\"", ""] {
            let directory = encode("day", Some(value));
            assert!(!directory.contains('/'), "{directory}");
            assert_eq!(decode(&directory), Some(("day".to_owned(), Some(value.to_owned()))));
        }
        assert_eq!(encode("day", None), "day=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(decode("day=__HIVE_DEFAULT_PARTITION__"), Some(("day".to_owned(), None)));
    }

    #[test]
    fn foreign_names_are_read_as_far_as_they_go() {
        assert_eq!(decode("plain"), None);
        assert_eq!(decode("=x"), None);
        assert_eq!(decode("k=1%zz%4"), Some(("k".to_owned(), Some("1%zz%4".to_owned()))));
    }

    proptest::proptest! {
        #[test]
        fn any_value_survives(column in "[a-z]{1,8}", value in "\\PC{0,20}") {
            let directory = encode(&column, Some(&value));
            proptest::prop_assert!(!directory.contains('/'));
            proptest::prop_assert_eq!(decode(&directory), Some((column, Some(value))));
        }

        #[test]
        fn any_name_is_taken_apart_without_a_panic(name in "\\PC{0,30}") {
            let _ = decode(&name);
        }
    }
}
