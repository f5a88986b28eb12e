//! Parameters of prepared statements: their types, and values bound by position.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::parameter_types;
use crate::error::{Error, Result};

/// Rows of parameters that one statement takes at a time.
pub(crate) const MAX_ROWS: usize = 10_000;

/// Parameters of a plan in order. All are nullable: a client may bind NULL to any. What the planner cannot tell is text.
///
/// # Errors
/// [`Error::Invalid`] if parameters are not numbered `$1`, `$2`, ... without gap, or one has two types.
pub(crate) fn schema_of(plan: &LogicalPlan) -> Result<SchemaRef> {
    let fields = types_of(plan)?.into_iter().enumerate().map(|(index, data_type)| {
        let data_type = data_type.unwrap_or(DataType::Utf8);
        Field::new(format!("${}", index + 1), data_type, true)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Fields>())))
}

/// The columns of a query's result if each of its parameters has the type that is shown to clients.
///
/// # Errors
/// As [`schema_of`].
pub(crate) fn result_schema_of(plan: LogicalPlan) -> Result<SchemaRef> {
    let parameters = schema_of(&plan)?;
    if parameters.fields().is_empty() {
        return Ok(Arc::clone(plan.schema().inner()));
    }
    let nulls = parameters
        .fields()
        .iter()
        .map(|field| Ok(ScalarAndMetadata::from(ScalarValue::try_from(field.data_type())?)));
    let nulls = nulls.collect::<Result<Vec<_>>>()?;
    let bound = plan.with_param_values(ParamValues::List(nulls))?;
    Ok(Arc::clone(bound.schema().inner()))
}

/// Types of a plan's parameters in order; `None` where the planner cannot tell.
fn types_of(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    let found = parameter_types::infer(plan)?;
    let mut types = vec![None; found.len()];
    for (name, data_type) in found {
        let position = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let slot = position.and_then(|position| types.get_mut(position.checked_sub(1)?));
        let Some(slot) = slot else {
            return Err(Error::invalid(format!(
                "parameter {name}: parameters are `?`, or `$1`, `$2`, ... without a gap"
            )));
        };
        *slot = data_type;
    }
    Ok(types)
}

/// The plans of a statement with each row of values put in. Without parameters and values that is the plan itself.
///
/// # Errors
/// [`Error::Invalid`] if the numbers differ or a value does not fit its parameter's type.
pub(crate) fn bind(plan: LogicalPlan, values: Option<&RecordBatch>) -> Result<Vec<LogicalPlan>> {
    let types = types_of(&plan)?;
    let Some(values) = values.filter(|values| values.num_columns() > 0 || !types.is_empty()) else {
        return if types.is_empty() {
            Ok(vec![plan])
        } else {
            Err(wrong_number(types.len(), 0))
        };
    };
    if values.num_columns() != types.len() {
        return Err(wrong_number(types.len(), values.num_columns()));
    }
    if values.num_rows() > MAX_ROWS {
        return Err(Error::invalid(format!(
            "{} rows of parameters; a statement takes up to {MAX_ROWS}",
            values.num_rows()
        )));
    }
    let columns = types
        .iter()
        .zip(values.columns())
        .enumerate()
        .map(|(index, (wanted, column))| match wanted {
            Some(wanted) if wanted != column.data_type() => cast_with_options(
                column,
                wanted,
                &CastOptions {
                    safe: false,
                    ..CastOptions::default()
                },
            )
            .map_err(|error| {
                Error::invalid(format!(
                    "parameter ${}: cannot use {} as {wanted}: {error}",
                    index + 1,
                    column.data_type()
                ))
            }),
            _ => Ok(Arc::clone(column)),
        });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = (0..values.num_rows()).map(|row| {
        let scalars = columns
            .iter()
            .map(|column| Ok(ScalarAndMetadata::from(ScalarValue::try_from_array(column, row)?)));
        let scalars = scalars.collect::<Result<Vec<_>>>()?;
        Ok(plan.clone().with_param_values(ParamValues::List(scalars))?)
    });
    rows.collect()
}

fn wrong_number(wanted: usize, found: usize) -> Error {
    Error::invalid(format!("the statement has {wanted} parameters, {found} were bound"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
    use datafusion::prelude::SessionContext;

    use super::super::parse::{Parsed, parse};
    use super::*;
    use crate::config::StatementLimits;

    async fn plan(sql: &str) -> LogicalPlan {
        let context = SessionContext::new();
        let statement = parse(sql, &StatementLimits::default()).unwrap().pop_front();
        let Some(Parsed::Sql(statement)) = statement else {
            panic!("{sql}")
        };
        context.state().statement_to_plan(statement).await.unwrap()
    }

    fn values(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().enumerate().map(|(i, c)| (i.to_string(), c, true)))
            .unwrap()
    }

    #[tokio::test]
    async fn types_come_from_the_statement() {
        let plan = plan("select ? from (values (1, 'x')) t(a, b) where a = ? and b like ?").await;
        let schema = schema_of(&plan).unwrap();
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int64, DataType::Utf8]);
        assert!(schema.fields().iter().all(|field| field.is_nullable()));
    }

    #[tokio::test]
    async fn types_are_found_wherever_a_value_may_stand() {
        let int = DataType::Int64;
        let text = DataType::Utf8;
        for (sql, expected) in [
            ("select a from t limit ? offset ?", vec![int.clone(), int.clone()]),
            (
                "select cast(? as date), ?::int",
                vec![DataType::Date32, DataType::Int32],
            ),
            (
                "select a + ?, ? - a, -? from t",
                vec![int.clone(), int.clone(), text.clone()],
            ),
            ("select 1 from t where a = -?", vec![int.clone()]),
            ("select 1 from t where ? between a and 5", vec![int.clone()]),
            ("select 1 from t where ? in (a, 5)", vec![int.clone()]),
            (
                "select 1 from t where ? like b and b like ?",
                vec![text.clone(), text.clone()],
            ),
            ("select substr('abc', ?, ?)", vec![int.clone(), int.clone()]),
            (
                "select coalesce(a, ?), coalesce(b, ?) from t",
                vec![int.clone(), text.clone()],
            ),
            ("select round(?, 1)", vec![DataType::Float64]),
            (
                "select case when a > ? then ? else a end from t",
                vec![int.clone(), int.clone()],
            ),
            ("select case b when ? then 1 end from t", vec![text.clone()]),
            ("select 1 from t where ? or a = 1", vec![DataType::Boolean]),
            ("select 1 from t group by a having count(*) > ?", vec![int.clone()]),
            (
                "select 1 from t where a = (select max(a) from t where b = ?)",
                vec![text.clone()],
            ),
            ("select 1 from t where a in (select ? from t)", vec![text.clone()]),
            (
                "with c as (select * from t where a < ?) select * from c",
                vec![int.clone()],
            ),
            (
                "select $1 || b from t where a = $2 and b = $1",
                vec![text.clone(), int.clone()],
            ),
            ("select ?", vec![text.clone()]),
        ] {
            let from_t = sql.replace("from t", "from (values (1, 'x')) t(a, b)");
            let plan = plan(&from_t).await;
            let schema = schema_of(&plan).unwrap();
            let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
            assert_eq!(types, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_parameter_in_the_result_has_the_type_that_is_shown() {
        let schema = result_schema_of(plan("select ? as a, ? + 1 as b, 2 as c").await).unwrap();
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int64, DataType::Int64]);
        assert!(schema.field(0).is_nullable());
        assert_eq!(schema.field(0).name(), "a");
    }

    #[tokio::test]
    async fn values_are_cast_by_position_and_every_row_gives_a_plan() {
        let plan = plan("select a from (values (1), (2)) t(a) where a = ?").await;
        let bound = bind(
            plan,
            Some(&values(vec![Arc::new(StringArray::from(vec![Some("1"), None]))])),
        )
        .unwrap();
        assert_eq!(bound.len(), 2);
        assert!(bound[0].to_string().contains("Int64(1)"), "{}", bound[0]);
        assert!(bound[1].to_string().contains("Int64(NULL)"), "{}", bound[1]);
    }

    #[tokio::test]
    async fn numbers_must_agree() {
        let without = plan("select 1").await;
        assert_eq!(bind(without.clone(), None).unwrap().len(), 1);
        let one = values(vec![Arc::new(Int64Array::from(vec![1]))]);
        assert!(
            bind(without, Some(&one))
                .unwrap_err()
                .to_string()
                .contains("0 parameters, 1 were bound")
        );
        let with = plan("select $1").await;
        assert!(bind(with.clone(), None).is_err());
        assert_eq!(bind(with, Some(&one)).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn gaps_are_refused() {
        assert!(
            schema_of(&plan("select $2").await)
                .unwrap_err()
                .to_string()
                .contains("gap")
        );
    }
}
