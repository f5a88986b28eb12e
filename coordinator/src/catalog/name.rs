//! Names of schemas and tables, and the file names that stand for them.
//!
//! Names compare as DataFusion compares them: unquoted ones were lower-cased by the parser, quoted ones are kept. File names
//! keep letters, digits, `_` and `-`; every other byte becomes `%XX`, so that any name is one path component and none begins with a dot.

use std::fmt::Write;

use crate::error::{Error, Result};

/// Longest encoded name: a path component of the file system holds 255 bytes, and an ending follows.
const MAX_ENCODED: usize = 240;

/// The file name, without ending, for a name.
///
/// # Errors
/// [`Error::Invalid`] if the name is empty or too long.
pub(crate) fn encode(name: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::invalid("the name of a schema or table is empty"));
    }
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    if encoded.len() > MAX_ENCODED {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::invalid(format!(
            "name {shown:?}... is too long: {MAX_ENCODED} plain characters are the limit"
        )));
    }
    Ok(encoded)
}

/// The name that a file name stands for; `None` if it is not one that [`encode`] makes.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    let name = String::from_utf8(bytes).ok()?;
    (encode(&name).ok()? == encoded).then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_is_one_component_and_comes_back(name in "\\PC{1,20}") {
            let encoded = encode(&name).unwrap();
            prop_assert!(!encoded.contains('/') && !encoded.starts_with('.'));
            prop_assert_eq!(decode(&encoded).unwrap(), name);
        }

        #[test]
        fn decoding_anything_does_not_fail_loudly(text in "\\PC{0,40}") {
            if let Some(name) = decode(&text) {
                prop_assert_eq!(encode(&name).unwrap(), text);
            }
        }
    }

    #[test]
    fn foreign_file_names_stand_for_nothing() {
        for foreign in ["", ".hidden", "a b", "%", "%4", "%zz", "%61", "%ff", "a/b"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn long_names_are_refused() {
        assert!(encode(&"ä".repeat(100)).is_err());
        assert!(encode("").is_err());
    }
}
