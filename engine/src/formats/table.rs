//! The table provider over files in a distributed file system.
//!
//! A scan asks the NameNode once for files and block locations, so it sees the files of that moment. What it learned from
//! footers is kept as long as a file's length and time of change stay the same.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use parking_lot::Mutex;

use super::definition::{TableDefinition, TableFormat};
use super::footers::{FileFacts, Footers};
use super::format::{ReadFormat, read_format};
use super::infer::object_meta;
use super::manifest::Versions;
use crate::files::{DataFile, FileSystem, FileSystems, Location};
use crate::split::{Split, SplitPlacement, cut_at_row_groups, cut_evenly, pack, uncut};

/// Splits smaller than this (in bytes to be read) are merged with their neighbours in the same block.
const MIN_SPLIT_BYTES: u64 = 2 * 1024 * 1024;
/// A scan is cut into about this many splits at most; larger tables get larger splits.
const MAX_SPLITS: u64 = 8192;

/// A table over files.
pub struct DfsTable {
    definition: TableDefinition,
    location: Location,
    files: Arc<dyn FileSystem>,
    /// Of a managed table.
    versions: Option<Versions>,
    footers: Footers,
    merged: Mutex<Option<Merged>>,
}

/// Statistics of the whole table and the facts they were merged from.
struct Merged {
    facts: Vec<Arc<FileFacts>>,
    statistics: Statistics,
}

impl DfsTable {
    /// A provider for `definition`.
    ///
    /// # Errors
    /// If the location cannot be read.
    pub fn new(definition: TableDefinition, files: &FileSystems) -> Result<Self> {
        let location = Location::parse(&definition.location)?;
        let files = files.get(&location);
        let versions = definition
            .managed
            .then(|| Versions::new(Arc::clone(&files), &location.path));
        Ok(Self {
            definition,
            location,
            files,
            versions,
            footers: Footers::default(),
            merged: Mutex::new(None),
        })
    }

    /// What the table is.
    #[must_use]
    pub fn definition(&self) -> &TableDefinition {
        &self.definition
    }

    async fn plan_scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let format = read_format(self.definition.format, &self.definition.options, state)?;
        let files = self.list().await?;
        let facts = self.facts(&files, state).await?;
        let splits = self.cut(&files, facts.as_deref(), &format, projection.map(Vec::as_slice));
        if splits.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(
                &self.definition.schema,
                projection,
            )?)));
        }
        let metas = files.iter().map(object_meta).collect::<Result<Vec<_>>>()?;
        let groups = pack(splits, state.config().target_partitions(), |(_, split)| split.bytes);
        let groups = groups.into_iter().map(|group| {
            let ranges = group
                .into_iter()
                .map(|(file, split)| file_range(metas[file].clone(), split));
            FileGroup::new(ranges.collect())
        });
        let source = format
            .file_format
            .file_source(TableSchema::from(Arc::clone(&self.definition.schema)));
        let config = FileScanConfigBuilder::new(self.location.store_url()?, source)
            .with_file_groups(groups.collect())
            .with_statistics(self.statistics_of(facts)?)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.file_format.create_physical_plan(state, config).await
    }

    /// The versions of a managed table.
    #[must_use]
    pub fn versions(&self) -> Option<&Versions> {
        self.versions.as_ref()
    }

    async fn list(&self) -> Result<Vec<DataFile>> {
        if let Some(versions) = &self.versions {
            return self.list_managed(versions).await;
        }
        let listed = self.files.list_located(&self.location.path).await;
        let listed = listed.map_err(|error| error.context(format!("listing {}", self.location)))?;
        let mut files = visible_files(listed, &self.location.path);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The files that the newest version names. All must be there: a missing one must not pass for missing rows.
    async fn list_managed(&self, versions: &Versions) -> Result<Vec<DataFile>> {
        let newest = versions.newest().await?;
        let (_, manifest) = newest.ok_or_else(|| {
            DataFusionError::Execution(format!(
                "managed table at {} has no version: its files are gone",
                self.location
            ))
        })?;
        let mut named = manifest.paths();
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let data = versions.data();
        let mut files = self.files.list_located(&data).await?;
        files.retain(|file| named.remove(file.path[data.len()..].trim_start_matches('/')));
        if let Some(missing) = named.into_iter().next() {
            return Err(DataFusionError::Execution(format!(
                "managed table at {}: file {missing} of its newest version is missing",
                self.location
            )));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Facts of Parquet files, `None` for other formats.
    async fn facts(&self, files: &[DataFile], state: &dyn Session) -> Result<Option<Vec<Arc<FileFacts>>>> {
        if self.definition.format != TableFormat::Parquet {
            return Ok(None);
        }
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let store = self.files.store();
        self.footers
            .facts(files, &self.definition.schema, &store, &cache)
            .await
            .map(Some)
    }

    /// Cuts the files; each split with the index of its file.
    fn cut(
        &self,
        files: &[DataFile],
        facts: Option<&[Arc<FileFacts>]>,
        format: &ReadFormat,
        projection: Option<&[usize]>,
    ) -> Vec<(usize, Split)> {
        let total: u64 = files.iter().map(|file| file.size).sum();
        let target = MIN_SPLIT_BYTES.max(total / MAX_SPLITS);
        let cut_file = |(index, file): (usize, &DataFile)| {
            let splits = match facts.and_then(|facts| facts.get(index)) {
                Some(facts) => cut_at_row_groups(file.size, &file.blocks, &facts.row_groups(projection), target),
                None if format.divisible => cut_evenly(file.size, &file.blocks, target),
                None => uncut(file.size, &file.blocks),
            };
            splits.into_iter().map(move |split| (index, split))
        };
        files.iter().enumerate().flat_map(cut_file).collect()
    }

    /// Statistics over all files; merged once per set of file versions.
    fn statistics_of(&self, facts: Option<Vec<Arc<FileFacts>>>) -> Result<Statistics> {
        let Some(facts) = facts else {
            return Ok(Statistics::new_unknown(&self.definition.schema));
        };
        let mut merged = self.merged.lock();
        if let Some(known) = merged.as_ref()
            && known.facts.len() == facts.len()
            && known
                .facts
                .iter()
                .zip(&facts)
                .all(|(known, now)| Arc::ptr_eq(known, now))
        {
            return Ok(known.statistics.clone());
        }
        let each = facts.iter().map(|facts| facts.statistics.as_ref());
        let statistics = Statistics::try_merge_iter(each, &self.definition.schema)?;
        *merged = Some(Merged {
            facts,
            statistics: statistics.clone(),
        });
        Ok(statistics)
    }
}

impl fmt::Debug for DfsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DfsTable")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for DfsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.definition.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan_scan(state, projection, limit).await
    }

    /// Filters are used to skip row groups, never to decide about a row: the filter stays in the plan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// What Hadoop's shell appends to the name of a file that it still writes.
const UNFINISHED: &str = "._COPYING_";

/// The files that belong to a table at `root`: not those that are empty, nor those below it with a name that begins with `.` or
/// `_` or ends with `._COPYING_`, by which writers mark what is unfinished or about the data.
pub fn visible_files(files: Vec<DataFile>, root: &str) -> Vec<DataFile> {
    let visible = |file: &DataFile| {
        let below = file.path.strip_prefix(root).unwrap_or(&file.path);
        let hidden = |part: &str| part.starts_with(['.', '_']) || part.ends_with(UNFINISHED);
        file.size > 0 && !below.split('/').any(hidden)
    };
    files.into_iter().filter(visible).collect()
}

fn file_range(meta: object_store::ObjectMeta, split: Split) -> PartitionedFile {
    let size = meta.size;
    let placement = SplitPlacement {
        bytes: split.bytes,
        hosts: split.hosts,
    };
    let file = PartitionedFile::new_from_meta(meta).with_extension(placement);
    if (split.start, split.end) == (0, size) {
        return file;
    }
    // Offsets within a file fit: HDFS's own lengths are signed.
    let signed = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    file.with_range(signed(split.start), signed(split.end))
}

/// Tables that are open, by definition: what was learned from footers outlives a session.
pub struct Tables {
    files: Arc<FileSystems>,
    open: Mutex<Vec<Arc<DfsTable>>>,
}

/// Tables kept open at a time; the one opened first is closed first.
const MAX_TABLES: usize = 1024;

impl Tables {
    /// No table is open yet.
    #[must_use]
    pub fn new(files: Arc<FileSystems>) -> Self {
        Self {
            files,
            open: Mutex::default(),
        }
    }

    /// Opens a table.
    ///
    /// # Errors
    /// If its location cannot be read.
    pub fn open(&self, definition: &TableDefinition) -> Result<Arc<DfsTable>> {
        let mut open = self.open.lock();
        if let Some(table) = open.iter().find(|table| table.definition == *definition) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(DfsTable::new(definition.clone(), &self.files)?);
        if open.len() >= MAX_TABLES {
            open.remove(0);
        }
        open.push(Arc::clone(&table));
        Ok(table)
    }

    /// The file systems that tables are read from.
    #[must_use]
    pub fn files(&self) -> &Arc<FileSystems> {
        &self.files
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("open", &self.open.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_empty_files_are_not_of_the_table() {
        let file = |path: &str, size| DataFile {
            path: path.to_owned(),
            size,
            modified: chrono::DateTime::default(),
            blocks: Vec::new(),
        };
        let listed = vec![
            file("/_root/t/a.parquet", 1),
            file("/_root/t/_SUCCESS", 1),
            file("/_root/t/.crc", 1),
            file("/_root/t/b.parquet._COPYING_", 1),
            file("/_root/t/_staging/x/b.parquet", 1),
            file("/_root/t/empty", 0),
            file("/_root/t/sub/c.parquet", 1),
        ];
        let paths: Vec<String> = visible_files(listed, "/_root/t")
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(paths, ["/_root/t/a.parquet", "/_root/t/sub/c.parquet"]);
    }
}
