//! Commands that begin with a backslash: what there is, and how it is shown.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::CommandGetTables;
use clap::ValueEnum;

use super::client::SqlClient;
use super::render::Format;

/// What `\?` shows.
pub(super) const HELP: &str = "\
Statements end with `;` and may span lines. Ctrl-C cancels, Ctrl-D leaves.
  \\dt             tables and views
  \\d NAME         columns of a table; NAME or SCHEMA.NAME
  \\format FORMAT  table, csv or json
  \\maxrows N      rows that a table shows, 0 for all
  \\timing         show each statement's time, or stop
  \\q              leave";

/// A meta-command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meta {
    /// Leave.
    Quit,
    /// Show what there is.
    Help,
    /// Turn the display of times on or off.
    Timing,
    /// Rows shown at most.
    MaxRows(usize),
    /// Form of results.
    Format(Format),
    /// List tables.
    Tables,
    /// Columns of a table.
    Describe(String),
    /// Not a command, and why.
    Unknown(String),
}

/// Reads a command, given without its backslash.
pub(super) fn parse(command: &str) -> Meta {
    let words: Vec<_> = command.trim().trim_end_matches(';').split_whitespace().collect();
    match words.as_slice() {
        ["q" | "quit"] => Meta::Quit,
        ["?" | "h" | "help"] => Meta::Help,
        ["timing"] => Meta::Timing,
        ["maxrows", rows] => rows
            .parse()
            .map_or_else(|_| unknown("\\maxrows takes a number"), Meta::MaxRows),
        ["format", name] => {
            Format::from_str(name, true).map_or_else(|_| unknown("\\format takes table, csv or json"), Meta::Format)
        }
        ["d" | "dt"] => Meta::Tables,
        ["d", name] => Meta::Describe((*name).to_owned()),
        _ => unknown(&format!(
            "`\\{}` is not a command; \\? shows what there is",
            command.trim()
        )),
    }
}

fn unknown(problem: &str) -> Meta {
    Meta::Unknown(problem.to_owned())
}

/// The user's tables and views: schema, name, type.
pub(super) async fn tables(client: &mut SqlClient) -> Result<Vec<RecordBatch>, String> {
    let batches = client
        .tables(CommandGetTables::default())
        .await
        .map_err(|error| error.to_string())?;
    batches
        .iter()
        .map(|batch| pick(batch, &["db_schema_name", "table_name", "table_type"]))
        .collect()
}

fn pick(batch: &RecordBatch, names: &[&str]) -> Result<RecordBatch, String> {
    let indices: Result<Vec<_>, _> = names.iter().map(|name| batch.schema().index_of(name)).collect();
    indices
        .and_then(|indices| batch.project(&indices))
        .map_err(|error| error.to_string())
}

/// The columns of a table: name, type, whether it may be NULL.
pub(super) async fn describe(client: &mut SqlClient, name: &str) -> Result<Vec<RecordBatch>, String> {
    let (schema, table) = match name.rsplit_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name),
    };
    let request = CommandGetTables {
        db_schema_filter_pattern: schema.map(literal_pattern),
        table_name_filter_pattern: Some(literal_pattern(table)),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let batches = client.tables(request).await.map_err(|error| error.to_string())?;
    let encoded = batches
        .iter()
        .find_map(first_schema)
        .ok_or_else(|| format!("there is no table `{name}`"))?;
    columns(&Schema::try_from(IpcMessage(encoded.into())).map_err(|error| error.to_string())?).map(|batch| vec![batch])
}

/// Names may hold the wildcards of a pattern.
fn literal_pattern(name: &str) -> String {
    let plain = name.trim_matches('"');
    plain.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn first_schema(batch: &RecordBatch) -> Option<Vec<u8>> {
    let column: &BinaryArray = batch.column_by_name("table_schema")?.as_binary_opt::<i32>()?;
    (!column.is_empty()).then(|| column.value(0).to_vec())
}

fn columns(schema: &Schema) -> Result<RecordBatch, String> {
    let fields = schema.fields();
    let text = |values: Vec<String>| Arc::new(StringArray::from(values)) as Arc<dyn Array>;
    let columns = vec![
        text(fields.iter().map(|field| field.name().clone()).collect()),
        text(fields.iter().map(|field| field.data_type().to_string()).collect()),
        text(
            fields
                .iter()
                .map(|field| if field.is_nullable() { "yes" } else { "no" }.to_owned())
                .collect(),
        ),
    ];
    let names = ["column", "type", "nullable"].map(|name| Field::new(name, DataType::Utf8, false));
    RecordBatch::try_new(Arc::new(Schema::new(names.to_vec())), columns).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_and_without_semicolon() {
        assert_eq!(parse("q"), Meta::Quit);
        assert_eq!(parse("dt;"), Meta::Tables);
        assert_eq!(parse("d tpch1.lineitem"), Meta::Describe("tpch1.lineitem".into()));
        assert_eq!(parse("format json"), Meta::Format(Format::Json));
        assert!(matches!(parse("wat"), Meta::Unknown(problem) if problem.contains("\\wat")));
        assert!(matches!(parse("maxrows many"), Meta::Unknown(_)));
    }

    #[test]
    fn names_are_matched_literally() {
        assert_eq!(literal_pattern("a_b%"), "a\\_b\\%");
    }
}
