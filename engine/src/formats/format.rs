//! DataFusion's file format for a definition's format and options.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::config::{ConfigField, CsvOptions, TableParquetOptions};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::error::{DataFusionError, Result};

use super::definition::TableFormat;

/// A format ready to read.
pub(super) struct ReadFormat {
    /// DataFusion's part.
    pub(super) file_format: Arc<dyn FileFormat>,
    /// Whether text files may be read from the middle.
    pub(super) divisible: bool,
}

/// Options that DataFusion knows under another name, or that users write as one character.
const ONE_CHARACTER: [&str; 5] = ["delimiter", "quote", "escape", "comment", "terminator"];

/// Builds the format.
///
/// # Errors
/// If an option is unknown or its value cannot be used; the message names both.
pub(super) fn read_format(
    format: TableFormat,
    options: &BTreeMap<String, String>,
    state: &dyn Session,
) -> Result<ReadFormat> {
    match format {
        TableFormat::Parquet => parquet(options, state),
        TableFormat::Csv => csv(options, state),
    }
}

fn parquet(options: &BTreeMap<String, String>, state: &dyn Session) -> Result<ReadFormat> {
    let mut parquet = TableParquetOptions {
        global: state.config_options().execution.parquet.clone(),
        ..TableParquetOptions::default()
    };
    for (key, value) in options {
        let key = plain_key(key);
        parquet
            .set(&key, value)
            .map_err(|error| refused("PARQUET", &key, value, &error))?;
    }
    // What the workers compare and exchange is plain strings, whatever the session says.
    parquet.global.schema_force_view_types = false;
    let file_format = Arc::new(ParquetFormat::new().with_options(parquet));
    Ok(ReadFormat {
        file_format,
        divisible: true,
    })
}

fn csv(options: &BTreeMap<String, String>, state: &dyn Session) -> Result<ReadFormat> {
    let defaults = &state.config_options().catalog;
    let mut csv = CsvOptions {
        has_header: Some(defaults.has_header),
        newlines_in_values: Some(defaults.newlines_in_values),
        ..CsvOptions::default()
    };
    for (key, value) in options {
        let key = plain_key(key);
        let value = one_character(&key, value)?;
        csv.set(&key, &value)
            .map_err(|error| refused("CSV", &key, &value, &error))?;
    }
    let compressed = csv.compression.is_compressed();
    let divisible = !compressed && csv.newlines_in_values != Some(true) && csv.terminator.is_none();
    Ok(ReadFormat {
        file_format: Arc::new(CsvFormat::default().with_options(csv)),
        divisible,
    })
}

/// `OPTIONS ('format.delimiter' '|')` and `OPTIONS (delimiter '|')` mean the same.
pub(crate) fn plain_key(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    key.strip_prefix("format.").map_or_else(|| key.clone(), str::to_owned)
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
    use datafusion::prelude::SessionContext;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn csv_options_are_read_in_both_spellings() {
        let state = SessionContext::new().state();
        let given = options(&[("format.delimiter", "|"), ("HAS_HEADER", "false")]);
        assert!(read_format(TableFormat::Csv, &given, &state).unwrap().divisible);
    }

    #[test]
    fn text_that_cannot_be_cut_is_not_cut() {
        let state = SessionContext::new().state();
        for given in [("newlines_in_values", "true"), ("compression", "gzip")] {
            assert!(
                !read_format(TableFormat::Csv, &options(&[given]), &state)
                    .unwrap()
                    .divisible
            );
        }
    }

    #[test]
    fn a_wrong_option_is_named() {
        let state = SessionContext::new().state();
        for (format, given) in [
            (TableFormat::Csv, ("delimiter", "||")),
            (TableFormat::Csv, ("colour", "red")),
            (TableFormat::Parquet, ("colour", "red")),
        ] {
            let Err(error) = read_format(format, &options(&[given]), &state) else {
                panic!("{given:?} is wrong")
            };
            assert!(error.to_string().contains(given.0), "{error}");
        }
    }
}
