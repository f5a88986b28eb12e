//! Options of a table's format, from `OPTIONS (...)`: their meaning, and what is wrong with them.

use std::collections::BTreeMap;
use std::str::FromStr;

use datafusion::common::config::{ConfigField, CsvOptions, JsonOptions};
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::config::ConfigOptions;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::{DataFusionError, Result};

/// Options as the catalog stores them.
pub(super) type Options = BTreeMap<String, String>;

/// Options that users write as one character.
const ONE_CHARACTER: [&str; 5] = ["delimiter", "quote", "escape", "comment", "terminator"];
/// Option of text formats; without it, the ending of a file's name decides.
const COMPRESSION: &str = "compression";

/// Endings of compressed files.
const ENDINGS: [(&str, CompressionTypeVariant); 5] = [
    (".gz", CompressionTypeVariant::GZIP),
    (".gzip", CompressionTypeVariant::GZIP),
    (".bz2", CompressionTypeVariant::BZIP2),
    (".xz", CompressionTypeVariant::XZ),
    (".zst", CompressionTypeVariant::ZSTD),
];

/// `OPTIONS ('format.delimiter' '|')` and `OPTIONS (delimiter '|')` mean the same.
pub(crate) fn plain_key(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    key.strip_prefix("format.").map_or_else(|| key.clone(), str::to_owned)
}

/// Options with what the session's defaults add to them: where they are read next, the session is not known.
pub(super) fn csv_resolved(options: &Options, session: &ConfigOptions) -> Options {
    let mut resolved: Options = options
        .iter()
        .map(|(key, value)| (plain_key(key), value.clone()))
        .collect();
    let defaults = &session.catalog;
    for (key, value) in [
        ("has_header", defaults.has_header),
        ("newlines_in_values", defaults.newlines_in_values),
    ] {
        resolved.entry(key.to_owned()).or_insert_with(|| value.to_string());
    }
    resolved
}

/// # Errors
/// If an option is unknown or its value cannot be used; the message names both.
pub(super) fn csv(options: &Options) -> Result<CsvOptions> {
    let mut csv = CsvOptions::default();
    for (key, value) in options {
        let key = plain_key(key);
        let value = one_character(&key, value)?;
        csv.set(&key, &value)
            .map_err(|error| refused("CSV", &key, &value, &error))?;
    }
    Ok(csv)
}

/// # Errors
/// If an option is unknown or its value cannot be used; the message names both.
pub(super) fn json(options: &Options) -> Result<JsonOptions> {
    let mut json = JsonOptions::default();
    for (key, value) in options {
        let key = plain_key(key);
        json.set(&key, value)
            .map_err(|error| refused("JSON", &key, value, &error))?;
    }
    Ok(json)
}

/// For formats without options.
///
/// # Errors
/// If there is one.
pub(super) fn none(format: &str, options: &Options) -> Result<()> {
    match options.first_key_value() {
        None => Ok(()),
        Some((key, value)) => Err(DataFusionError::Plan(format!(
            "{format} option {key} = {value:?}: {format} files are read without options; leave it out"
        ))),
    }
}

/// How a text file is compressed: as the option says, else as the ending of its name says.
///
/// # Errors
/// If the option names no compression.
pub(super) fn compression(options: &Options, path: &str) -> Result<FileCompressionType> {
    let given = options.iter().find(|(key, _)| plain_key(key) == COMPRESSION);
    if let Some((_, value)) = given {
        return FileCompressionType::from_str(value);
    }
    let path = path.to_ascii_lowercase();
    let by_name = ENDINGS.iter().find(|(ending, _)| path.ends_with(ending));
    Ok(by_name.map_or(FileCompressionType::UNCOMPRESSED, |(_, variant)| (*variant).into()))
}

pub(crate) fn one_character(key: &str, value: &str) -> Result<String> {
    if !ONE_CHARACTER.contains(&key) {
        return Ok(value.to_owned());
    }
    match value {
        "\\t" => Ok("\t".to_owned()),
        value if value.len() == 1 => Ok(value.to_owned()),
        _ => {
            let problem =
                format!("CSV option {key}: {value:?} is not one character; expected for example '|' or '\\t'");
            Err(DataFusionError::Plan(problem))
        }
    }
}

pub(crate) fn refused(format: &str, key: &str, value: &str, error: &DataFusionError) -> DataFusionError {
    DataFusionError::Plan(format!(
        "{format} option {key} = {value:?}: {}",
        error.strip_backtrace()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_option_goes_before_the_ending() {
        let by_name = |path: &str| compression(&Options::new(), path).unwrap();
        assert_eq!(by_name("/t/a.csv"), FileCompressionType::UNCOMPRESSED);
        assert_eq!(by_name("/t/a.csv.GZ"), FileCompressionType::GZIP);
        assert_eq!(by_name("/t/a.json.zst"), FileCompressionType::ZSTD);
        let given = Options::from([("format.compression".to_owned(), "xz".to_owned())]);
        assert_eq!(compression(&given, "/t/a.gz").unwrap(), FileCompressionType::XZ);
        let wrong = Options::from([("compression".to_owned(), "rar".to_owned())]);
        assert!(compression(&wrong, "/t/a").is_err());
    }

    #[test]
    fn a_session_s_defaults_are_written_down() {
        let mut session = ConfigOptions::new();
        session.set("datafusion.catalog.has_header", "false").unwrap();
        let given = Options::from([("FORMAT.Delimiter".to_owned(), "|".to_owned())]);
        let resolved = csv_resolved(&given, &session);
        assert_eq!(resolved["has_header"], "false");
        assert_eq!(csv(&resolved).unwrap().delimiter, b'|');
    }

    #[test]
    fn formats_without_options_say_so() {
        let given = Options::from([("colour".to_owned(), "red".to_owned())]);
        assert!(none("ORC", &given).unwrap_err().to_string().contains("colour"));
        assert!(none("ORC", &Options::new()).is_ok());
    }
}
