//! `getfattr` and `setfattr`.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use quarry_dfs_client::XAttrMode;

use super::failure::FsError;
use super::format::{take_first_argument, take_flag, take_value};
use super::item::Item;
use super::session::{Session, Visitor};

/// How a value is written: `"text"`, `0x` and digits, `0s` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Text,
    Hex,
    Base64,
}

impl Encoding {
    fn named(name: &str) -> Result<Self, FsError> {
        match name.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "hex" => Ok(Self::Hex),
            "base64" => Ok(Self::Base64),
            _ => Err(FsError::Usage(format!(
                "Invalid/unsupported encoding option specified: {name}"
            ))),
        }
    }

    fn show(self, value: &[u8]) -> String {
        match self {
            Self::Text => format!("\"{}\"", String::from_utf8_lossy(value)),
            Self::Hex => value
                .iter()
                .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
            Self::Base64 => format!("0s{}", BASE64.encode(value)),
        }
    }
}

/// The bytes that a value on the command line means.
fn value_of(text: &str) -> Result<Vec<u8>, FsError> {
    let malformed = || FsError::Usage(format!("Invalid value: {text}"));
    let prefix = text.get(..2).unwrap_or_default().to_ascii_lowercase();
    match prefix.as_str() {
        "0x" => {
            let digits = &text[2..];
            let pair = |at: usize| {
                digits
                    .get(at..at + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            };
            let bytes = (0..digits.len()).step_by(2).map(pair);
            bytes.collect::<Option<_>>().ok_or_else(malformed)
        }
        "0s" => BASE64.decode(&text[2..]).map_err(|_| malformed()),
        _ => {
            let inner = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
            Ok(inner.unwrap_or(text).as_bytes().to_vec())
        }
    }
}

fn usage(text: &str) -> FsError {
    FsError::Usage(text.to_owned())
}

/// The only argument that is left.
fn only_path(mut words: Vec<String>) -> Result<String, FsError> {
    let path = take_first_argument(&mut words).ok_or_else(|| usage("<path> is missing."))?;
    match words.iter().any(|word| word != "--") {
        true => Err(usage("Too many arguments.")),
        false => Ok(path),
    }
}

/// Shows extended attributes.
pub(super) async fn getfattr(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let name = take_value(&mut words, "-n")?;
    let encoding = take_value(&mut words, "-e")?
        .as_deref()
        .map(Encoding::named)
        .transpose()?;
    let recursive = take_flag(&mut words, "-R");
    let all = take_flag(&mut words, "-d");
    if name.is_none() && !all {
        return Err(usage("Must specify '-n name' or '-d' option."));
    }
    let path = only_path(words)?;
    let mut get = GetFattr {
        name,
        encoding: encoding.unwrap_or(Encoding::Text),
    };
    session.visit(&[path], recursive, &mut get).await;
    Ok(())
}

struct GetFattr {
    name: Option<String>,
    encoding: Encoding,
}

#[async_trait]
impl Visitor for GetFattr {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        session.print(format_args!("# file: {}", item.shown))?;
        let names: Vec<&str> = self.name.iter().map(String::as_str).collect();
        for attribute in item.place.dfs()?.xattrs(&item.path, &names).await? {
            match attribute.value.is_empty() {
                true => session.print(&attribute.name)?,
                false => session.print(format_args!(
                    "{}={}",
                    attribute.name,
                    self.encoding.show(&attribute.value)
                ))?,
            }
        }
        Ok(())
    }
}

/// Sets or removes an extended attribute.
pub(super) async fn setfattr(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let name = take_value(&mut words, "-n")?;
    let value = take_value(&mut words, "-v")?;
    let removed = take_value(&mut words, "-x")?;
    let value = value.as_deref().map(value_of).transpose()?;
    let mut set = match (name, removed) {
        (Some(_), Some(_)) => return Err(usage("Can not specify both '-n name' and '-x name' option.")),
        (None, None) => return Err(usage("Must specify '-n name' or '-x name' option.")),
        (Some(name), None) => SetFattr {
            name,
            value: Some(value.unwrap_or_default()),
        },
        (None, Some(name)) => SetFattr { name, value: None },
    };
    let path = only_path(words)?;
    session.visit(&[path], false, &mut set).await;
    Ok(())
}

struct SetFattr {
    name: String,
    /// `None` removes it.
    value: Option<Vec<u8>>,
}

#[async_trait]
impl Visitor for SetFattr {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let dfs = item.place.dfs()?;
        match &self.value {
            Some(value) => {
                dfs.set_xattr(&item.path, &self.name, value, XAttrMode::CreateOrReplace)
                    .await?
            }
            None => dfs.remove_xattr(&item.path, &self.name).await?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;
    use super::*;

    #[test]
    fn values_are_read_as_they_are_shown() {
        let bytes = b"quarry \xff".to_vec();
        for encoding in [Encoding::Hex, Encoding::Base64] {
            assert_eq!(value_of(&encoding.show(&bytes)).unwrap(), bytes);
        }
        assert_eq!(value_of("\"text\"").unwrap(), b"text");
        assert_eq!(value_of("text").unwrap(), b"text");
        assert_eq!(Encoding::Text.show(b"text"), "\"text\"");
        assert_eq!(Encoding::Hex.show(b"A"), "0x41");
        assert!(value_of("0xzz").is_err() && value_of("0x123").is_err());
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        for (verb, words, message) in [
            ("getfattr", &["/x"][..], "Must specify '-n name' or '-d' option."),
            ("getfattr", &["-d"], "<path> is missing."),
            (
                "getfattr",
                &["-d", "-e", "rot13", "/x"],
                "Invalid/unsupported encoding option specified: rot13",
            ),
            ("setfattr", &["/x"], "Must specify '-n name' or '-x name' option."),
            (
                "setfattr",
                &["-n", "a", "-x", "b", "/x"],
                "Can not specify both '-n name' and '-x name' option.",
            ),
            ("setfattr", &["-n", "user.a", "/x", "/y"], "Too many arguments."),
        ] {
            let ran = testing::run(verb, words).await;
            assert_eq!(ran.err.lines().next(), Some(format!("{verb}: {message}").as_str()));
        }
    }
}
