//! Values that are not numbers, kept from being pruned.
//!
//! The statistics of Parquet files leave NaN out, and NaN is larger than every number here: where the largest value is said to be 5, rows may lie
//! above 5. DataFusion prunes files, row groups and pages by such statistics. [`KeepNans`] takes those conditions from a scan that a NaN could
//! satisfy; the filter above the scan, or the join whose runtime filter it was, decides as ever.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use quarry_engine::formats::reading::file_scan;

/// Takes conditions from scans that would prune rows with NaN. Works on what the rules before it pushed into scans.
#[derive(Debug, Clone, Copy)]
pub struct KeepNans;

impl PhysicalOptimizerRule for KeepNans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match without_risk(&node) {
            Some(scan) => Ok(Transformed::yes(scan)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "quarry_keep_nans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The scan without the conditions that lose rows; `None` if it has none.
fn without_risk(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let scan = file_scan(node)?;
    let source = scan.file_source().downcast_ref::<ParquetSource>()?;
    // Then the scan itself decides about rows, and nothing above it does.
    if source.table_parquet_options().global.pushdown_filters {
        return None;
    }
    let filter = scan.file_source().filter()?;
    let schema = scan.file_source().table_schema().table_schema();
    let conditions = split_conjunction(&filter);
    let safe = conditions.iter().filter(|condition| is_safe(condition, schema));
    let safe: Vec<_> = safe.map(|condition| Arc::clone(condition)).collect();
    if safe.len() == conditions.len() {
        return None;
    }
    let left = if safe.is_empty() { lit(true) } else { conjunction(safe) };
    let scan = FileScanConfigBuilder::from(scan.clone())
        .with_source(Arc::new(source.with_predicate(left)))
        .build();
    Some(DataSourceExec::from_data_source(scan))
}

/// Whether no row with NaN satisfies a condition, so that statistics without NaN decide rightly.
fn is_safe(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let is_float = |column: &Column| {
        let field = schema.fields().get(column.index());
        field.is_none_or(|field| field.data_type().is_floating())
    };
    if !collect_columns(condition).iter().any(is_float) {
        return true;
    }
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else {
        return false;
    };
    let (left, right) = (binary.left(), binary.right());
    match binary.op() {
        Operator::And | Operator::Or => is_safe(left, schema) && is_safe(right, schema),
        Operator::Eq => (left.is::<Column>() && is_number(right)) || (right.is::<Column>() && is_number(left)),
        Operator::Lt | Operator::LtEq => left.is::<Column>() && is_number(right),
        Operator::Gt | Operator::GtEq => right.is::<Column>() && is_number(left),
        _ => false,
    }
}

fn is_number(expression: &Arc<dyn PhysicalExpr>) -> bool {
    match expression.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float16(Some(value))) => !value.is_nan(),
        Some(ScalarValue::Float32(Some(value))) => !value.is_nan(),
        Some(ScalarValue::Float64(Some(value))) => !value.is_nan(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{ParquetReadOptions, SessionContext};
    use tempfile::TempDir;

    use super::*;

    /// A session over a file with the numbers 1 to 5, NaN and a NULL.
    async fn context(rule: bool) -> (SessionContext, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet").display().to_string();
        let copy = format!(
            "copy (select column1 as id, column2 as w from (values (1, 1.0), (2, 2.0), (3, 5.0), (4, arrow_cast('NaN', 'Float64')), (5, null))) \
             to '{path}' stored as parquet"
        );
        SessionContext::new().sql(&copy).await.unwrap().collect().await.unwrap();
        let mut state = SessionStateBuilder::new().with_default_features();
        if rule {
            state = state.with_physical_optimizer_rule(Arc::new(KeepNans));
        }
        let context = SessionContext::new_with_state(state.build());
        context
            .register_parquet("t", path, ParquetReadOptions::default())
            .await
            .unwrap();
        (context, dir)
    }

    async fn count(context: &SessionContext, condition: &str) -> String {
        let rows = context
            .sql(&format!("select count(*) as n from t where {condition}"))
            .await
            .unwrap();
        let text = pretty_format_batches(&rows.collect().await.unwrap())
            .unwrap()
            .to_string();
        text.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
    }

    #[tokio::test]
    async fn statistics_do_not_hide_nan() {
        let (context, _dir) = context(true).await;
        for (condition, expected) in [
            ("w > 5", "1"),
            ("w >= 6", "1"),
            ("6 <= w", "1"),
            ("w <> 7 and w > 4", "2"),
            ("w = arrow_cast('NaN', 'Float64')", "1"),
            ("w > 5 or id = 1", "2"),
            ("w < 1", "0"),
            ("w <= 5 and id > 1", "2"),
            ("not (w <= 5)", "1"),
        ] {
            assert_eq!(count(&context, condition).await, expected, "{condition}");
        }
    }

    /// Else the rule is not needed any more.
    #[tokio::test]
    async fn datafusion_by_itself_hides_it() {
        let (context, _dir) = context(false).await;
        assert_eq!(count(&context, "w > 5").await, "0");
    }

    #[tokio::test]
    async fn what_no_nan_satisfies_still_prunes() {
        let (context, _dir) = context(true).await;
        let explained = |sql: &'static str| {
            let context = context.clone();
            async move {
                let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
                pretty_format_batches(&rows).unwrap().to_string()
            }
        };
        let kept = explained("explain select id from t where w < 3 and id > 1").await;
        assert!(kept.contains("predicate=w@1 < 3 AND id@0 > 1"), "{kept}");
        let left = explained("explain select id from t where w > 3 and id > 1").await;
        assert!(left.contains("predicate=id@0 > 1,"), "{left}");
    }
}
