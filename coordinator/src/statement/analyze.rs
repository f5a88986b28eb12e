//! `ANALYZE TABLE`: one query over the table, run like any other, whose one row becomes the table's statistics.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::Utc;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::sql::parser::Statement as DfStatement;
use quarry_engine::files::DataFile;
use quarry_engine::formats::{ColumnFigures, DfsTable, FilesState, TableStatistics};

use super::kind::Analyze;
use super::names::{FullName, NameRules};
use super::parse::{Parsed, parse};
use super::scope::Scope;
use super::{show, table};
use crate::catalog::{CATALOG, Catalog};
use crate::config::StatementLimits;
use crate::error::{Error, Result};

/// Longest smallest or largest value that is kept, in bytes.
const MAX_VALUE: usize = 1024;
/// Figures asked for each column.
const FIGURES: usize = 4;

/// A table that is being analyzed.
#[derive(Debug)]
pub(super) struct Analysis {
    name: FullName,
    columns: Vec<FieldRef>,
    files: FilesState,
}

impl Analysis {
    /// Looks at the table's files: the figures are those of files that were there before the query.
    ///
    /// # Errors
    /// [`Error::NotFound`] for table or column, [`Error::Invalid`] for a view, errors met while listing files.
    pub(super) async fn begin(analyze: &Analyze, scope: &Scope) -> Result<Self> {
        let (name, _, table) = show::table(scope, &analyze.table).await?;
        let files: Vec<DataFile> = table.files().await?.into_iter().map(|found| found.file).collect();
        Ok(Self {
            columns: wanted(&table, analyze, &scope.names)?,
            files: FilesState::of(&files),
            name,
        })
    }

    /// The query that finds out the figures.
    ///
    /// # Errors
    /// [`Error::TooComplex`] for a table with very many columns.
    pub(super) fn query(&self) -> Result<DfStatement> {
        let mut sql = "SELECT count(*)".to_owned();
        // By names of their own: several may be NULL.
        for (number, figure) in self.columns.iter().flat_map(figures).enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(sql, ", {figure} AS figure_{number}");
        }
        let quoted = |name: &str| table::quoted(name, '"');
        let (catalog, schema, object) = (quoted(CATALOG), quoted(&self.name.schema), quoted(&self.name.object));
        let _ = write!(sql, " FROM {catalog}.{schema}.{object}");
        match parse(&sql, &StatementLimits::default())?.pop_front() {
            Some(Parsed::Sql(query)) => Ok(query),
            _ => Err(Error::Internal("ANALYZE made no query".to_owned())),
        }
    }

    /// Stores the query's row. Figures of other columns stay if the files are the same.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub(super) async fn finish(&self, rows: &[RecordBatch], catalog: &Catalog) -> Result<()> {
        let values = Values::of(rows)?;
        let mut columns = self.kept(catalog).await?;
        for (index, column) in self.columns.iter().enumerate() {
            columns.insert(column.name().clone(), values.figures(1 + index * FIGURES)?);
        }
        let statistics = TableStatistics {
            files: self.files.clone(),
            rows: values.count(0)?,
            analyzed_ms: Utc::now().timestamp_millis(),
            columns,
        };
        catalog
            .store_statistics(&self.name.schema, &self.name.object, &statistics)
            .await
    }

    async fn kept(&self, catalog: &Catalog) -> Result<BTreeMap<String, ColumnFigures>> {
        let snapshot = catalog.snapshot().await?;
        let before = catalog
            .statistics(&snapshot, &self.name.schema, &self.name.object)
            .await?;
        Ok(match before {
            Some(before) if before.files == self.files => before.columns.clone(),
            _ => BTreeMap::new(),
        })
    }
}

fn wanted(table: &DfsTable, analyze: &Analyze, names: &NameRules) -> Result<Vec<FieldRef>> {
    let schema = table.definition().table_schema();
    let all = schema.table_schema();
    let Some(columns) = &analyze.columns else {
        return Ok(all.fields().iter().cloned().collect());
    };
    let field = |column| {
        let name = names.ident(column);
        let found = all.fields().iter().find(|field| *field.name() == name);
        found.cloned().ok_or_else(|| Error::not_found("column", name))
    };
    columns.iter().map(field).collect()
}

/// Values that are there, different values, smallest, largest; NULL for what the type does not have.
fn figures(column: &FieldRef) -> [String; FIGURES] {
    let name = table::quoted(column.name(), '"');
    let count = format!("count({name})");
    let none = || "NULL".to_owned();
    let [distinct, ordered] = match column.data_type() {
        data_type if data_type.is_nested() => [None, None],
        DataType::Null => [None, None],
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            [Some(name.clone()), None]
        }
        DataType::Utf8 | DataType::Date32 => [Some(name.clone()), Some(name.clone())],
        data_type if data_type.is_integer() => [Some(name.clone()), Some(name.clone())],
        // Not every type has a sketch of its own; the text of a value is as different as the value.
        _ => [Some(format!("CAST({name} AS VARCHAR)")), Some(name.clone())],
    };
    let extreme = |function: &str| {
        ordered
            .as_ref()
            .map_or_else(none, |name| format!("CAST({function}({name}) AS VARCHAR)"))
    };
    [
        count,
        distinct.map_or_else(none, |value| format!("approx_distinct({value})")),
        extreme("min"),
        extreme("max"),
    ]
}

/// The one row of the query, as text.
struct Values(Vec<StringArray>);

impl Values {
    fn of(rows: &[RecordBatch]) -> Result<Self> {
        let row = rows.iter().find(|batch| batch.num_rows() > 0);
        let row = row.ok_or_else(|| Error::Internal("ANALYZE found no row".to_owned()))?;
        let text = |column: &ArrayRef| {
            let text = cast(column, &DataType::Utf8).map_err(|error| Error::Internal(format!("ANALYZE: {error}")))?;
            let text = text.as_any().downcast_ref::<StringArray>().cloned();
            text.ok_or_else(|| Error::Internal("a cast to text gave something else".to_owned()))
        };
        row.columns().iter().map(text).collect::<Result<_>>().map(Self)
    }

    fn text(&self, column: usize) -> Option<&str> {
        let column = self.0.get(column)?;
        (!column.is_null(0)).then(|| column.value(0))
    }

    fn count(&self, column: usize) -> Result<u64> {
        let text = self.text(column).unwrap_or_default();
        text.parse()
            .map_err(|_| Error::Internal(format!("ANALYZE counted {text:?}")))
    }

    fn figures(&self, first: usize) -> Result<ColumnFigures> {
        let value = |column| {
            let text = self.text(column).filter(|text| text.len() <= MAX_VALUE);
            text.map(str::to_owned)
        };
        Ok(ColumnFigures {
            nulls: self.count(0)?.saturating_sub(self.count(first)?),
            distinct: self.text(first + 1).and_then(|text| text.parse().ok()),
            min: value(first + 2),
            max: value(first + 3),
        })
    }
}
