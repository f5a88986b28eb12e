//! The columns of a table that was declared without them, read from its files and the names of its directories.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};

use super::definition::TableFormat;
use super::format::ReadFormat;
use super::listing::visible_files;
use super::options::Options;
use super::{merge, partitions};
use crate::files::{DataFile, FileSystems, Location};

/// Files looked at; their columns are merged. Beyond that the rest is taken to fit.
const MAX_FILES: usize = 1000;
/// Files looked at at the same time.
const CONCURRENCY: usize = 32;

/// Columns as they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Columns kept in files.
    pub file_schema: SchemaRef,
    /// Columns kept in the names of directories.
    pub partitions: Vec<FieldRef>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Inference<'a> {
    /// How the files are read.
    pub format: TableFormat,
    /// Where they are.
    pub location: &'a str,
    /// Format options.
    pub options: &'a Options,
}

impl Inference<'_> {
    /// Reads the columns of the files: from footers and headers where a format has them, else from the first rows. Columns of several
    /// files are merged by name.
    ///
    /// # Errors
    /// If there is no file to read, a file is broken, or the files' columns contradict each other.
    pub async fn columns(&self, files: &FileSystems, state: &dyn Session) -> Result<Inferred> {
        let location = Location::parse(self.location)?;
        let listed = self.list(files, &location).await?;
        if listed.is_empty() {
            return Err(DataFusionError::Plan(format!(
                "{location} holds no file to read the columns from; name them, or put a {} file there first",
                self.format.name()
            )));
        }
        let format = ReadFormat::new(self.format, self.options, state)?;
        let store = files.get(&location).store();
        // Boxed: the compiler cannot name the lifetimes of these futures otherwise.
        let reads = listed
            .iter()
            .take(MAX_FILES)
            .map(|file| columns_of(file, &format, &store, state).boxed());
        let schemas: Vec<(String, SchemaRef)> = stream::iter(reads.collect::<Vec<_>>())
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let partitions = infer_partitions(&listed, &location);
        Ok(Inferred {
            file_schema: without(merge::merge(&schemas)?.as_ref(), &partitions),
            partitions,
        })
    }

    /// Only the partition columns, from the names of directories.
    ///
    /// # Errors
    /// If the files cannot be listed.
    pub async fn partitions(&self, files: &FileSystems) -> Result<Vec<FieldRef>> {
        let location = Location::parse(self.location)?;
        let listed = self.list(files, &location).await?;
        Ok(infer_partitions(&listed, &location))
    }

    async fn list(&self, files: &FileSystems, location: &Location) -> Result<Vec<DataFile>> {
        let listed = files.get(location).list_located(&location.path).await?;
        Ok(visible_files(listed, &location.path))
    }
}

fn infer_partitions(files: &[DataFile], location: &Location) -> Vec<FieldRef> {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    partitions::infer(&paths, &location.path)
}

/// Some writers keep partition columns in the files, too: the directory's name counts.
fn without(schema: &Schema, partitions: &[FieldRef]) -> SchemaRef {
    let is_partition = |name: &str| partitions.iter().any(|column| column.name() == name);
    let fields = schema.fields().iter().filter(|field| !is_partition(field.name()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

async fn columns_of(
    file: &DataFile,
    format: &ReadFormat,
    store: &Arc<dyn ObjectStore>,
    state: &dyn Session,
) -> Result<(String, SchemaRef)> {
    let meta = object_meta(file)?;
    let schema = format.columns_of(&file.path, &meta, store, state).await;
    let schema = schema.map_err(|error| error.context(format!("reading the columns of {}", file.path)))?;
    Ok((file.path.clone(), schema))
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
