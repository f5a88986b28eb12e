//! A scan of Parquet files that gives views.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use quarry_engine::formats::reading::file_scan;

use super::super::plain_columns::plain_columns;
use super::columns::{as_views, pinned};
use super::{Positions, Viewed};

/// The scan with its strings as views, apart from the `plain` columns and those that its own filter needs as they are.
pub(super) fn viewed(plan: &Arc<dyn ExecutionPlan>, plain: &Positions) -> Result<Option<Viewed>> {
    let Some(scan) = file_scan(plan) else {
        return Ok(None);
    };
    let Some(source) = scan.file_source().downcast_ref::<ParquetSource>() else {
        return Ok(None);
    };
    // An order of columns that get another type would have to be said anew.
    if !scan.output_ordering.is_empty() || scan.output_partitioning.is_some() {
        return Ok(None);
    }
    let Some(outputs) = source.projection().and_then(plain_columns) else {
        return Ok(None);
    };
    let schema = scan.file_source().table_schema();
    let mut kept: Positions = plain.iter().map(|&output| outputs[output]).collect();
    if let Some(predicate) = source.filter() {
        pinned(&predicate, &mut kept);
    }
    // Columns that are not read change, too: they may be in the filter.
    let file_schema = schema.file_schema();
    let views: Positions = (0..file_schema.fields().len())
        .filter(|column| *file_schema.field(*column).data_type() == DataType::Utf8 && !kept.contains(column))
        .collect();
    if !outputs.iter().any(|column| views.contains(column)) {
        return Ok(None);
    }
    let source = with_views(source, schema, &views)?;
    let Some(source) = source else { return Ok(None) };
    let scan = FileScanConfigBuilder::from(scan.clone())
        .with_source(source)
        .with_statistics(without_ranges(scan, &views))
        .build();
    let positions = outputs.iter().enumerate();
    let views = positions
        .filter(|(_, column)| views.contains(column))
        .map(|(output, _)| output)
        .collect();
    Ok(Some(Viewed {
        plan: DataSourceExec::from_data_source(scan),
        views,
    }))
}

fn with_views(source: &ParquetSource, schema: &TableSchema, views: &Positions) -> Result<Option<Arc<dyn FileSource>>> {
    if !schema.virtual_columns().is_empty() {
        return Ok(None);
    }
    let fields = schema
        .file_schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| match views.contains(&index) {
            true => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            false => Arc::clone(field),
        });
    let metadata = schema.file_schema().metadata().clone();
    let file_schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata));
    let table_schema = TableSchema::builder(file_schema)
        .with_table_partition_cols(schema.table_partition_cols().iter().cloned().collect::<Vec<_>>())
        .build();
    let options = source.table_parquet_options().clone();
    let hint = options.global.metadata_size_hint;
    let mut new = ParquetSource::new(table_schema.clone()).with_table_parquet_options(options);
    if let Some(hint) = hint {
        new = new.with_metadata_size_hint(hint);
    }
    if let Some(readers) = source.parquet_file_reader_factory() {
        new = new.with_parquet_file_reader_factory(Arc::clone(readers));
    }
    if let Some(predicate) = source.filter() {
        new = new.with_predicate(as_views(&predicate, views, table_schema.table_schema())?);
    }
    match source.projection() {
        Some(projection) => new.try_pushdown_projection(projection),
        None => Ok(Some(Arc::new(new))),
    }
}

/// What is known of a scan, without the smallest and largest of columns that have another type now.
fn without_ranges(scan: &FileScanConfig, views: &Positions) -> Statistics {
    let mut statistics = scan.statistics();
    for &column in views {
        if let Some(of_column) = statistics.column_statistics.get_mut(column) {
            of_column.min_value = Precision::Absent;
            of_column.max_value = Precision::Absent;
        }
    }
    statistics
}
