//! A query's columns as a table's: plain types, partition columns last, names that differ.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union};
use quarry_engine::write::WriteFormat;

use crate::error::{Error, Result};
use crate::wire_types::plain_type;

/// Columns of the table that a query's rows make: the query's names and types, all of them nullable.
///
/// # Errors
/// [`Error::Invalid`] if two columns have one name.
pub(super) fn columns_of(plan: &LogicalPlan) -> Result<SchemaRef> {
    let fields = plan.schema().fields().iter().map(|field| {
        let data_type = match plain_type(field.data_type()) {
            // A column of nothing but NULLs: text, as good as any.
            DataType::Null => DataType::Utf8,
            other => other,
        };
        Field::new(field.name(), data_type, true)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        None => Ok(Arc::new(schema)),
        Some(twice) => Err(Error::invalid(format!(
            "two columns are named {}: give one of them another name with AS",
            twice.name()
        ))),
    }
}

/// The columns with those of `partition_columns` at the end, in that order.
///
/// # Errors
/// [`Error::Invalid`] if one is missing, stands twice, cannot part rows, or no other column is left.
pub(crate) fn partition_last(schema: &Schema, partition_columns: &[String]) -> Result<SchemaRef> {
    let mut last = Vec::new();
    for column in partition_columns {
        let field = schema.fields().iter().find(|field| field.name() == column);
        let field =
            field.ok_or_else(|| Error::invalid(format!("partition column {column} is not among the columns")))?;
        if last.iter().any(|known: &Arc<Field>| known.name() == column) {
            return Err(Error::invalid(format!("partition column {column} stands twice")));
        }
        check_partition_type(field)?;
        last.push(Arc::clone(field));
    }
    let first = schema
        .fields()
        .iter()
        .filter(|field| !partition_columns.contains(field.name()));
    let mut fields: Vec<_> = first.cloned().collect();
    if fields.is_empty() {
        return Err(Error::invalid("a table needs a column that is not a partition column"));
    }
    fields.extend(last);
    Ok(Arc::new(Schema::new(fields)))
}

/// Values must come back from the names of directories.
fn check_partition_type(field: &Field) -> Result<()> {
    let data_type = field.data_type();
    let possible = data_type.is_integer()
        || matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Boolean | DataType::Date32 | DataType::Decimal128(..)
        );
    if possible {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "partition column {} has type {data_type}; whole numbers, decimals, text, dates and booleans can part rows",
        field.name()
    )))
}

/// Whether files of that format can hold these columns.
///
/// # Errors
/// [`Error::Unsupported`], naming the column.
pub(crate) fn check_types(schema: &Schema, format: WriteFormat) -> Result<()> {
    let refused = schema.fields().iter().find(|field| {
        let data_type = field.data_type();
        match format {
            WriteFormat::Parquet => matches!(data_type, DataType::Interval(_) | DataType::Union(..)),
            WriteFormat::Csv => data_type.is_nested() || matches!(data_type, DataType::Interval(_)),
            WriteFormat::Json => matches!(data_type, DataType::Union(..) | DataType::Interval(_)),
            WriteFormat::Arrow => false,
        }
    });
    match refused {
        None => Ok(()),
        Some(field) => Err(Error::Unsupported(format!(
            "column {} of type {} in a {} file",
            field.name(),
            field.data_type(),
            format.ending().to_ascii_uppercase()
        ))),
    }
}

/// The plan with its columns brought into the order and the types of `schema`, found by name.
///
/// # Errors
/// Errors of planning.
pub(super) fn by_name(plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
    let positions = schema.fields().iter().map(|field| {
        let position = plan.schema().fields().iter().position(|own| own.name() == field.name());
        position.ok_or_else(|| Error::Internal(format!("column {} was there a moment ago", field.name())))
    });
    let positions = positions.collect::<Result<Vec<_>>>()?;
    by_position(plan, schema, &positions)
}

/// The plan with its columns at `positions`, in the types and under the names of `schema`.
///
/// # Errors
/// If a type cannot be cast.
pub(super) fn by_position(plan: LogicalPlan, schema: &Schema, positions: &[usize]) -> Result<LogicalPlan> {
    let columns = schema.fields().iter().zip(positions).map(|(field, &position)| {
        let column = Expr::Column(Column::from(plan.schema().qualified_field(position)));
        Ok(column.cast_to(field.data_type(), plan.schema())?.alias(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// All rows of plans with the same columns.
///
/// # Errors
/// None that is expected.
pub(super) fn union(plans: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    let plans = plans.into_iter().map(Arc::new).collect();
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(plans)?))
}
