//! The table provider over files in a distributed file system.
//!
//! A scan asks the NameNode once for files and block locations, so it sees the files of that moment. What it learned from
//! footers is kept as long as a file's length and time of change stay the same.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Fields, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use parking_lot::Mutex;

use super::definition::{TableDefinition, TableFormat};
use super::footers::{FileFacts, Footers};
use super::format::ReadFormat;
use super::listing::{Found, Listing};
use super::manifest::Versions;
use super::prune::{Pruning, is_decided_elsewhere, is_partition_filter};
use super::statistics::TableStatistics;
use crate::files::{DataFile, FileSystem, FileSystems, Location};
use crate::split::{Split, SplitPlacement, cut_at_row_groups, cut_evenly, pack, uncut};

/// Splits smaller than this (in bytes to be read) are merged with their neighbours in the same block.
const MIN_SPLIT_BYTES: u64 = 2 * 1024 * 1024;
/// A scan is cut into about this many splits at most; larger tables get larger splits.
const MAX_SPLITS: u64 = 8192;

/// A table over files.
pub struct DfsTable {
    definition: TableDefinition,
    schema: TableSchema,
    location: Location,
    files: Arc<dyn FileSystem>,
    /// Of a managed table.
    versions: Option<Versions>,
    footers: Footers,
    merged: Mutex<Option<Merged>>,
}

/// A file of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionFile {
    /// The file.
    pub file: DataFile,
    /// Values of the partition columns.
    pub partition: Vec<ScalarValue>,
}

/// What a scan is asked for.
pub(super) struct Scan<'a> {
    pub(super) projection: Option<&'a Vec<usize>>,
    pub(super) filters: &'a [Expr],
    pub(super) limit: Option<usize>,
    pub(super) analyzed: Option<&'a TableStatistics>,
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
            schema: definition.table_schema(),
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

    pub(super) async fn plan_scan(&self, state: &dyn Session, scan: Scan<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = scan.projection;
        let format = ReadFormat::new(self.definition.format, &self.definition.options, state)?;
        let found = self.listing().find(state, scan.filters).await?;
        let facts = self.facts(&found.files, state).await?;
        let splits = self.cut(&found.files, facts.as_deref(), &format, projection.map(Vec::as_slice))?;
        if splits.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(
                self.schema.table_schema(),
                projection,
            )?)));
        }
        let mut statistics = self.statistics_of(facts, &found)?;
        if let Some(analyzed) = scan.analyzed {
            let pruned = found.pruning.is_some_and(|pruning| pruning.pruned > 0);
            analyzed.complete(&mut statistics, self.schema.table_schema(), &found.files, pruned);
        }
        let mut groups = pack(splits, state.config().target_partitions(), |(_, split)| split.bytes)
            .into_iter()
            .map(|group| found.file_group(group))
            .collect::<Vec<_>>();
        if let Some(pruning) = found.pruning {
            note_pruning(&mut groups, pruning);
        }
        let source = format.source(self.schema.clone());
        let config = FileScanConfigBuilder::new(self.location.store_url()?, source)
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(scan.limit)
            .build();
        format.plan(state, config).await
    }

    /// The files of the table now.
    ///
    /// # Errors
    /// If they cannot be listed, or the name of a directory is not a value of its column.
    pub async fn files(&self) -> Result<Vec<PartitionFile>> {
        let found = self.listing().all().await?;
        let of_table = found.files.into_iter().zip(found.values);
        let of_table = of_table.map(|(file, partition)| PartitionFile { file, partition });
        Ok(of_table.collect())
    }

    /// The partition columns.
    #[must_use]
    pub fn partition_columns(&self) -> &Fields {
        self.schema.table_partition_cols()
    }

    /// The versions of a managed table.
    #[must_use]
    pub fn versions(&self) -> Option<&Versions> {
        self.versions.as_ref()
    }

    fn listing(&self) -> Listing<'_> {
        Listing {
            files: self.files.as_ref(),
            location: &self.location,
            versions: self.versions.as_ref(),
            columns: self.schema.table_partition_cols(),
        }
    }

    /// Facts of Parquet files, `None` for other formats.
    async fn facts(&self, files: &[DataFile], state: &dyn Session) -> Result<Option<Vec<Arc<FileFacts>>>> {
        if self.definition.format != TableFormat::Parquet {
            return Ok(None);
        }
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let store = self.files.store();
        self.footers
            .facts(files, self.schema.file_schema(), &store, &cache)
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
    ) -> Result<Vec<(usize, Split)>> {
        let total: u64 = files.iter().map(|file| file.size).sum();
        let target = MIN_SPLIT_BYTES.max(total / MAX_SPLITS);
        let mut splits = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let of_file = match facts.and_then(|facts| facts.get(index)) {
                Some(facts) => cut_at_row_groups(file.size, &file.blocks, &facts.row_groups(projection), target),
                None if format.is_divisible(&file.path)? => cut_evenly(file.size, &file.blocks, target),
                None => uncut(file.size, &file.blocks),
            };
            splits.extend(of_file.into_iter().map(|split| (index, split)));
        }
        Ok(splits)
    }

    /// Statistics over all files and their partitions' values.
    fn statistics_of(&self, facts: Option<Vec<Arc<FileFacts>>>, found: &Found) -> Result<Statistics> {
        let Some(facts) = facts else {
            return Ok(found.unread_statistics(&self.schema));
        };
        let rows: Vec<Precision<usize>> = facts.iter().map(|facts| facts.statistics.num_rows).collect();
        let mut statistics = self.merged_statistics(facts)?;
        let partitions = self.schema.table_partition_cols().len();
        let of_partitions = (0..partitions).map(|column| partition_statistics(column, &found.values, &rows));
        statistics.column_statistics.extend(of_partitions);
        Ok(statistics)
    }

    /// Those of the columns in files; merged once per set of file versions.
    fn merged_statistics(&self, facts: Vec<Arc<FileFacts>>) -> Result<Statistics> {
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
        let statistics = Statistics::try_merge_iter(each, self.schema.file_schema())?;
        *merged = Some(Merged {
            facts,
            statistics: statistics.clone(),
        });
        Ok(statistics)
    }
}

impl Found {
    fn file_group(&self, splits: Vec<(usize, Split)>) -> Vec<PartitionedFile> {
        let ranges = splits.into_iter().map(|(file, split)| {
            file_range(self.metas[file].clone(), split).with_partition_values(self.values[file].clone())
        });
        ranges.collect()
    }

    /// Statistics without a look into the files.
    fn unread_statistics(&self, schema: &TableSchema) -> Statistics {
        let mut statistics = Statistics::new_unknown(schema.table_schema());
        let bytes: u64 = self.files.iter().map(|file| file.size).sum();
        statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
        let rows = vec![Precision::Absent; self.files.len()];
        let first = schema.file_schema().fields().len();
        for (column, known) in statistics.column_statistics.iter_mut().skip(first).enumerate() {
            *known = partition_statistics(column, &self.values, &rows);
        }
        statistics
    }
}

fn note_pruning(groups: &mut [Vec<PartitionedFile>], pruning: Pruning) {
    if let Some(first) = groups.iter_mut().flatten().next() {
        *first = first.clone().with_extension(pruning);
    }
}

/// Statistics of the partition column at `column`, from the values and rows of all files.
fn partition_statistics(column: usize, values: &[Vec<ScalarValue>], rows: &[Precision<usize>]) -> ColumnStatistics {
    let mut distinct: HashSet<&ScalarValue> = HashSet::new();
    let mut nulls = Precision::Exact(0);
    // A file without rows has no value.
    let with_rows = values
        .iter()
        .zip(rows)
        .filter(|(_, rows)| **rows != Precision::Exact(0));
    for (values, rows) in with_rows {
        let value = &values[column];
        if value.is_null() {
            nulls = nulls.add(rows);
        } else {
            distinct.insert(value);
        }
    }
    let certain = rows.iter().all(|rows| matches!(rows, Precision::Exact(_)));
    let extreme = |keep: fn(&ScalarValue, &ScalarValue) -> bool| {
        let found = distinct.iter().copied().reduce(|a, b| if keep(a, b) { a } else { b });
        match found {
            None => Precision::Absent,
            Some(value) if certain => Precision::Exact(value.clone()),
            Some(value) => Precision::Inexact(value.clone()),
        }
    };
    let count = distinct.len();
    ColumnStatistics {
        null_count: nulls,
        min_value: extreme(|a, b| a <= b),
        max_value: extreme(|a, b| a >= b),
        distinct_count: if certain {
            Precision::Exact(count)
        } else {
            Precision::Inexact(count)
        },
        ..ColumnStatistics::new_unknown()
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
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = Scan {
            projection,
            filters,
            limit,
            analyzed: None,
        };
        self.plan_scan(state, scan).await
    }

    /// Filters of partition columns are decided when the scan is planned. Others are used to skip row groups, never to decide about a
    /// row: they stay in the plan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let columns = self.schema.table_partition_cols();
        let answer = |filter: &&Expr| {
            if is_decided_elsewhere(filter) {
                TableProviderFilterPushDown::Unsupported
            } else if is_partition_filter(filter, columns) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(answer).collect())
    }
}

fn file_range(meta: ObjectMeta, split: Split) -> PartitionedFile {
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

    /// Forgets what is known about a table's files. Running scans are not touched.
    pub fn forget(&self, definition: &TableDefinition) {
        self.open.lock().retain(|table| table.definition != *definition);
    }

    /// The same for all tables.
    pub fn forget_all(&self) {
        self.open.lock().clear();
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
