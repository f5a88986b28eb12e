//! The columns of a table that was declared without them, read from its files.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use object_store::ObjectMeta;

use super::definition::TableFormat;
use super::format::read_format;
use super::table::visible_files;
use crate::files::{DataFile, FileSystems, Location};

/// Files looked at for Parquet; their schemas are merged. Beyond that the rest is taken to fit.
const MAX_FILES: usize = 1000;

/// Reads the columns of the files at `location`: from the footers for Parquet, from header and first lines for CSV.
///
/// # Errors
/// If there is no file to read, a file is broken, or the files' columns contradict each other.
pub async fn infer_schema(
    files: &FileSystems,
    format: TableFormat,
    location: &str,
    options: &BTreeMap<String, String>,
    state: &dyn Session,
) -> Result<SchemaRef> {
    let location = Location::parse(location)?;
    let file_system = files.get(&location);
    let listed = visible_files(file_system.list_located(&location.path).await?, &location.path);
    let metas = listed
        .iter()
        .filter(|file| file.size > 0)
        .take(MAX_FILES)
        .map(object_meta);
    let metas = metas.collect::<Result<Vec<_>>>()?;
    if metas.is_empty() {
        return Err(DataFusionError::Plan(format!(
            "{location} holds no file to read the columns from; name them, or put a {} file there first",
            format.name()
        )));
    }
    let format = read_format(format, options, state)?;
    let schema = format
        .file_format
        .infer_schema(state, &file_system.store(), &metas)
        .await;
    schema.map_err(|error| error.context(format!("reading the columns of {location}")))
}

/// A file as DataFusion names it.
pub(super) fn object_meta(file: &DataFile) -> Result<ObjectMeta> {
    let location = object_store::path::Path::parse(&file.path).map_err(|error| {
        DataFusionError::Plan(format!(
            "file {:?}: name cannot be read as part of a table: {error}",
            file.path
        ))
    })?;
    Ok(ObjectMeta {
        location,
        last_modified: file.modified,
        size: file.size,
        e_tag: None,
        version: None,
    })
}
