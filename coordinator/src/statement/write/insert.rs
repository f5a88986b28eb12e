//! `INSERT INTO` and `INSERT OVERWRITE`.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{
    DmlStatement, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union, WriteOp, lit,
};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, Ident, Insert, ObjectName, Statement, TableObject, UnaryOperator, Value,
};
use quarry_engine::formats::TableDefinition;

use super::super::names::FullName;
use super::super::same_names::{is_about_names, tell_apart};
use super::super::scope::Scope;
use super::Planned;
use super::job::Target;
use crate::catalog::{CatalogObject, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::{Error, Result};
use crate::guard;
use crate::writes::commit::Mode;

/// Values that `PARTITION (k = 'v', j)` names, by column; `None` for a column that the rows decide about.
type PartitionClause = HashMap<String, Option<ScalarValue>>;

/// Plans an `INSERT`.
///
/// # Errors
/// [`Error::NotFound`] for the table, [`Error::Invalid`] for one that cannot be written and for columns that do not fit.
pub(super) async fn plan(mut insert: Insert, scope: &Scope) -> Result<Planned> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(Error::Unsupported("INSERT into anything but a table".to_owned()));
    };
    let name = scope.names.table(name)?;
    let table = writable(scope, &name).await?;
    let clause = take_clause(&mut insert, &table, scope)?;
    name_columns(&mut insert, &table, &clause);
    let input = plan_rows(insert, scope, &name).await?;
    let (input, overwrite) = input;
    let input = with_values(input, &table, &clause)?;
    let mode = mode(overwrite, &table, &clause)?;
    let target = Target::table(&table, mode, scope)?;
    let spec = target.spec(&table, scope).await?;
    Ok(Planned { input, spec, target })
}

/// The definition of a table that rows can be put into.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`] for what is no table.
pub(crate) async fn writable(scope: &Scope, name: &FullName) -> Result<TableDefinition> {
    let full = format!("{}.{}", name.schema, name.object);
    if name.schema == SYSTEM_SCHEMA || name.schema == INFORMATION_SCHEMA {
        let problem = format!("{full} is a table of the server itself: nothing can be written to it");
        return Err(Error::invalid(problem));
    }
    let view = &scope.view;
    match view
        .catalog
        .object(&view.snapshot, &name.schema, &name.object)
        .await?
        .as_deref()
    {
        Some(CatalogObject::Table { table }) => Ok(table.clone()),
        Some(CatalogObject::View(_)) => Err(Error::invalid(format!(
            "{full} is a view: write to the tables that it reads"
        ))),
        _ => Err(Error::not_found("table", full)),
    }
}

/// Reads the `PARTITION` clause and takes it out: DataFusion's planner has none.
fn take_clause(insert: &mut Insert, table: &TableDefinition, scope: &Scope) -> Result<PartitionClause> {
    let mut clause = PartitionClause::new();
    for part in insert.partitioned.take().unwrap_or_default() {
        let (column, value) = match &part {
            SqlExpr::Identifier(column) => (column, None),
            SqlExpr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            } => match left.as_ref() {
                SqlExpr::Identifier(column) => (column, Some(right.as_ref())),
                _ => return Err(wrong_clause(&part)),
            },
            _ => return Err(wrong_clause(&part)),
        };
        let column = scope.names.ident(column);
        if !table.partition_columns.contains(&column) {
            let known = table.partition_columns.join(", ");
            let problem = format!("PARTITION: {column} is not a partition column; the table has: [{known}]");
            return Err(Error::invalid(problem));
        }
        let data_type = table
            .schema
            .field_with_name(&column)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let value = value.map(|value| literal(value, &part)).transpose()?;
        let value = value.map(|value| value.cast_to(data_type.data_type())).transpose()?;
        if clause.insert(column.clone(), value).is_some() {
            return Err(Error::invalid(format!("PARTITION: {column} stands twice")));
        }
    }
    Ok(clause)
}

fn wrong_clause(part: &SqlExpr) -> Error {
    Error::invalid(format!(
        "PARTITION ({part}): expected column = value, or the column alone"
    ))
}

fn literal(value: &SqlExpr, part: &SqlExpr) -> Result<ScalarValue> {
    let value = match value {
        SqlExpr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => return Ok(ScalarValue::Utf8(Some(format!("-{expr}")))),
        // DATE '2026-11-29'
        SqlExpr::TypedString(typed) => &typed.value.value,
        SqlExpr::Value(value) => &value.value,
        _ => return Err(wrong_clause(part)),
    };
    match value {
        Value::Null => Ok(ScalarValue::Utf8(None)),
        Value::Boolean(value) => Ok(ScalarValue::Utf8(Some(value.to_string()))),
        Value::Number(digits, _) => Ok(ScalarValue::Utf8(Some(digits.clone()))),
        Value::SingleQuotedString(text) => Ok(ScalarValue::Utf8(Some(text.clone()))),
        _ => Err(wrong_clause(part)),
    }
}

/// Without a list of columns, rows have all but those whose value the clause names.
fn name_columns(insert: &mut Insert, table: &TableDefinition, clause: &PartitionClause) {
    let named = |column: &str| clause.get(column).is_some_and(Option::is_some);
    if !insert.columns.is_empty() || !clause.values().any(Option::is_some) {
        return;
    }
    let columns = table.schema.fields().iter().filter(|field| !named(field.name()));
    insert.columns = columns
        .map(|field| ObjectName::from(vec![Ident::with_quote('"', field.name())]))
        .collect();
}

/// The rows in the table's columns, and whether they replace what is there.
async fn plan_rows(insert: Insert, scope: &Scope, name: &FullName) -> Result<(LogicalPlan, bool)> {
    let plan = Box::pin(plan_whatever_names(insert, scope)).await?;
    let LogicalPlan::Dml(DmlStatement { op, input, .. }) = plan else {
        return Err(Error::Internal("INSERT was planned as something else".to_owned()));
    };
    scope.check_read_only(&input)?;
    let input = nullable_values(Arc::unwrap_or_clone(input))?.data;
    match op {
        WriteOp::Insert(InsertOp::Append) => Ok((input, false)),
        WriteOp::Insert(InsertOp::Overwrite) => Ok((input, true)),
        _ => Err(Error::Unsupported(format!("REPLACE INTO {}", name.object))),
    }
}

/// Columns go to those of the table by their places: what they are called in the query is nothing to it.
async fn plan_whatever_names(insert: Insert, scope: &Scope) -> Result<LogicalPlan> {
    match plan_statement(insert.clone(), scope).await {
        Err(error) if is_about_names(&error) => {
            let apart = with_own_names(insert, error, scope).await?;
            plan_statement(apart, scope).await
        }
        planned => planned,
    }
}

async fn plan_statement(insert: Insert, scope: &Scope) -> Result<LogicalPlan> {
    let statement = DfStatement::Statement(Box::new(Statement::Insert(insert)));
    let plan = scope.state().statement_to_plan(statement).await?;
    guard::check_plan(&plan, &scope.limits)?;
    Ok(plan)
}

/// The statement with a name of its own for each column of the query; the error if that is not what is wrong.
async fn with_own_names(mut insert: Insert, error: Error, scope: &Scope) -> Result<Insert> {
    let Some(source) = &mut insert.source else {
        return Err(error);
    };
    match tell_apart(source, scope).await? {
        Some(_) => Ok(insert),
        None => Err(error),
    }
}

/// Lets `VALUES` be NULL. The planner gives them the columns of the table, with NOT NULL, under names of their own; a NULL among them would be
/// refused as one in `column1`. Where the rows are written it is refused by the name of the table's column.
fn nullable_values(plan: LogicalPlan) -> datafusion::error::Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Values(mut values) = plan {
        let Some(schema) = nullable(&values.schema)? else {
            return Ok(Transformed::no(LogicalPlan::Values(values)));
        };
        values.schema = schema;
        return Ok(Transformed::yes(LogicalPlan::Values(values)));
    }
    let mapped = plan.map_children(nullable_values)?;
    if !mapped.transformed {
        return Ok(mapped);
    }
    Ok(Transformed::yes(match mapped.data {
        // It would keep its own.
        LogicalPlan::Union(union) => LogicalPlan::Union(Union::try_new_with_loose_types(union.inputs)?),
        other => other.recompute_schema()?,
    }))
}

/// The same columns, all of them nullable; `None` if they are.
fn nullable(schema: &DFSchema) -> datafusion::error::Result<Option<DFSchemaRef>> {
    if schema.fields().iter().all(|field| field.is_nullable()) {
        return Ok(None);
    }
    let fields = schema.iter().map(|(table, field)| {
        let field = field.as_ref().clone().with_nullable(true);
        (table.cloned(), Arc::new(field))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    Ok(Some(Arc::new(schema)))
}

/// Puts the values that the clause names into each row.
fn with_values(input: LogicalPlan, table: &TableDefinition, clause: &PartitionClause) -> Result<LogicalPlan> {
    if !clause.values().any(Option::is_some) {
        return Ok(input);
    }
    let columns = table.schema.fields().iter().enumerate().map(|(position, field)| {
        let column = match clause.get(field.name()) {
            Some(Some(value)) => lit(value.clone()),
            _ => Expr::Column(Column::from(input.schema().qualified_field(position))),
        };
        Ok(column.cast_to(field.data_type(), input.schema())?.alias(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(input).project(columns)?.build()?)
}

fn mode(overwrite: bool, table: &TableDefinition, clause: &PartitionClause) -> Result<Mode> {
    match (overwrite, clause.is_empty()) {
        (false, _) => Ok(Mode::Append),
        (true, true) => Ok(Mode::Overwrite),
        (true, false) => {
            let named = table.partition_columns.iter().map(|column| match clause.get(column) {
                Some(Some(value)) => Ok(Some(as_text(value)?)),
                _ => Ok(None),
            });
            let named = named.collect::<Result<Vec<_>>>()?;
            Ok(Mode::OverwritePartitions { named })
        }
    }
}

/// A value as the files' partition values have it.
fn as_text(value: &ScalarValue) -> Result<Option<String>> {
    match value.cast_to(&datafusion::arrow::datatypes::DataType::Utf8)? {
        ScalarValue::Utf8(text) => Ok(text),
        other => Err(Error::Internal(format!("{other} is not text"))),
    }
}
