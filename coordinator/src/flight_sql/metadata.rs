//! Metadata commands: catalogs, schemas, tables, keys, types. Schemas are exactly the format's: clients compare them strictly.

use std::sync::Arc;

use arrow_flight::IpcMessage;
use arrow_flight::SchemaAsIpc;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTables};
use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::writer::IpcWriteOptions;

use super::columns::described;
use crate::catalog::{CATALOG, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::{Error, Result};
use crate::pattern::Like;
use crate::session::Session;
use crate::statement::{Dispatcher, Listed};
use crate::wire_types::plain_schema;

/// Answers that never change.
pub(super) struct Constants {
    /// For `GetSqlInfo`.
    pub(super) sql_info: SqlInfoData,
    /// For `GetXdbcTypeInfo`.
    pub(super) xdbc_types: XdbcTypeInfoData,
}

/// Kinds of table, as `GetTables` names and filters them.
const TABLE_TYPES: [&str; 3] = ["SYSTEM TABLE", "TABLE", "VIEW"];

/// Columns of a metadata command's answer; `None` if the command is no metadata command.
pub(super) fn schema_of(command: &Command, constants: &Constants) -> Option<SchemaRef> {
    let schema = match command {
        Command::CommandGetCatalogs(_) => columns(&[text("catalog_name", false)]),
        Command::CommandGetDbSchemas(_) => columns(&[text("catalog_name", true), text("db_schema_name", false)]),
        Command::CommandGetTables(request) => tables_schema(request.include_schema),
        Command::CommandGetTableTypes(_) => columns(&[text("table_type", false)]),
        Command::CommandGetSqlInfo(_) => constants.sql_info.schema(),
        Command::CommandGetXdbcTypeInfo(_) => constants.xdbc_types.schema(),
        Command::CommandGetPrimaryKeys(_) => columns(&[
            text("catalog_name", true),
            text("db_schema_name", true),
            text("table_name", false),
            text("column_name", false),
            Field::new("key_sequence", DataType::Int32, false),
            text("key_name", true),
        ]),
        Command::CommandGetImportedKeys(_)
        | Command::CommandGetExportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_keys_schema(),
        _ => return None,
    };
    Some(schema)
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn columns(fields: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(fields.to_vec()))
}

fn tables_schema(include_schema: bool) -> SchemaRef {
    let mut fields = vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("table_type", false),
    ];
    if include_schema {
        fields.push(Field::new("table_schema", DataType::Binary, false));
    }
    Arc::new(Schema::new(fields))
}

fn foreign_keys_schema() -> SchemaRef {
    columns(&[
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ])
}

/// Rows of a metadata command.
///
/// # Errors
/// Errors of the catalog; [`Error::Internal`] if it is no metadata command.
pub(super) async fn rows(
    command: Command,
    constants: &Constants,
    dispatcher: &Dispatcher,
    session: &Arc<Session>,
) -> Result<RecordBatch> {
    let schema = schema_of(&command, constants).ok_or_else(|| Error::Internal("no metadata command".to_owned()))?;
    match command {
        Command::CommandGetCatalogs(_) => batch(schema, vec![strings([CATALOG.to_owned()])]),
        Command::CommandGetDbSchemas(request) => db_schemas(schema, &request, dispatcher).await,
        Command::CommandGetTables(request) => tables(schema, &request, dispatcher, session).await,
        Command::CommandGetTableTypes(_) => batch(schema, vec![strings(TABLE_TYPES.map(str::to_owned))]),
        Command::CommandGetSqlInfo(request) => constants.sql_info.record_batch(request.info).map_err(unexpected),
        Command::CommandGetXdbcTypeInfo(request) => {
            constants.xdbc_types.record_batch(request.data_type).map_err(unexpected)
        }
        _ => Ok(RecordBatch::new_empty(schema)),
    }
}

fn unexpected(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("metadata: {error}"))
}

fn strings(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, columns).map_err(unexpected)
}

/// No filter means every catalog, an empty one "without catalog", of which we have none.
fn selects_catalog(filter: Option<&str>) -> bool {
    filter.is_none_or(|catalog| catalog == CATALOG)
}

async fn db_schemas(schema: SchemaRef, request: &CommandGetDbSchemas, dispatcher: &Dispatcher) -> Result<RecordBatch> {
    let keep = Like::filter(request.db_schema_filter_pattern.as_deref());
    let mut names: Vec<String> = Vec::new();
    if selects_catalog(request.catalog.as_deref()) {
        let snapshot = dispatcher.catalog.snapshot().await?;
        names.extend(snapshot.schemas().map(str::to_owned));
        names.extend([INFORMATION_SCHEMA.to_owned(), SYSTEM_SCHEMA.to_owned()]);
        // In any case only if there is none in this one, as with tables.
        let exact = names.iter().any(|name| keep.matches(name));
        let keep = if exact { keep } else { keep.in_any_case() };
        names.retain(|name| keep.matches(name));
        names.sort();
    }
    let catalogs = strings(names.iter().map(|_| CATALOG.to_owned()));
    batch(schema, vec![catalogs, strings(names)])
}

async fn tables(
    schema: SchemaRef,
    request: &CommandGetTables,
    dispatcher: &Dispatcher,
    session: &Arc<Session>,
) -> Result<RecordBatch> {
    let mut listed = Vec::new();
    if selects_catalog(request.catalog.as_deref()) {
        let schemas = Like::filter(request.db_schema_filter_pattern.as_deref());
        let names = Like::filter(request.table_name_filter_pattern.as_deref());
        listed = dispatcher
            .list_tables(session, schemas, names, request.include_schema)
            .await?;
        let types = &request.table_types;
        listed.retain(|table| types.is_empty() || types.iter().any(|wanted| wanted == table_type(table)));
        sort(&mut listed, request, &session.schema());
    }
    let column = |value: fn(&Listed) -> String| strings(listed.iter().map(value));
    let mut columns = vec![
        column(|_| CATALOG.to_owned()),
        column(|table| table.schema.clone()),
        column(|table| table.name.clone()),
        column(|table| table_type(table).to_owned()),
    ];
    if request.include_schema {
        let schemas = listed
            .iter()
            .map(|table| encode_schema(&described(table, is_system(table))));
        columns.push(Arc::new(BinaryArray::from_iter_values(
            schemas.collect::<Result<Vec<_>>>()?,
        )));
    }
    batch(schema, columns)
}

/// In the format's order; but of several tables of the one name that is asked for, the session's own comes first: ADBC takes the
/// first for the one that was meant.
fn sort(listed: &mut [Listed], request: &CommandGetTables, current_schema: &str) {
    let one_name = Like::filter(request.table_name_filter_pattern.as_deref())
        .literal()
        .is_some();
    listed.sort_by(|a, b| {
        let foreign = |table: &Listed| one_name && table.schema != current_schema;
        (foreign(a), &a.schema, &a.name).cmp(&(foreign(b), &b.schema, &b.name))
    });
}

fn is_system(table: &Listed) -> bool {
    table.schema == SYSTEM_SCHEMA || table.schema == INFORMATION_SCHEMA
}

fn table_type(table: &Listed) -> &'static str {
    if is_system(table) {
        TABLE_TYPES[0]
    } else if table.is_view {
        TABLE_TYPES[2]
    } else {
        TABLE_TYPES[1]
    }
}

/// A schema as an IPC message, with types as clients get them.
///
/// # Errors
/// None that is expected.
pub(super) fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let schema = plain_schema(schema);
    let options = IpcWriteOptions::default();
    let message: IpcMessage = SchemaAsIpc::new(&schema, &options).try_into().map_err(unexpected)?;
    Ok(message.0.to_vec())
}
