//! Aggregates without groups that are answered from statistics.
//!
//! DataFusion answers such an aggregate from what is known of the rows below its first stage. While it looks for that stage it goes past one with a
//! `FILTER`, down to an aggregate below, and puts that one's values in the place of the upper one's: a query fails for columns that are not there.
//! [`AnswerFromStatistics`] shows it only aggregates whose own first stage it takes.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};

use super::rules::{Rule, replaced};

/// DataFusion's rule, kept from taking one aggregate for another.
#[derive(Debug)]
pub struct AnswerFromStatistics {
    own: Rule,
}

impl AnswerFromStatistics {
    /// Puts itself in the place of DataFusion's rule among `rules`.
    #[must_use]
    pub fn instead_of_own(rules: Vec<Rule>) -> Vec<Rule> {
        replaced(
            rules,
            |name| name == "aggregate_statistics",
            |own| Arc::new(Self { own }),
        )
    }
}

impl PhysicalOptimizerRule for AnswerFromStatistics {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // From below: the rule goes down by itself, and meets nothing there that it could still answer.
        plan.transform_up(|node| match is_answered_by_itself(&node) {
            true => self.own.optimize(node, options).map(Transformed::yes),
            false => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        self.own.name()
    }

    fn schema_check(&self) -> bool {
        self.own.schema_check()
    }
}

/// Whether `node` is an aggregate whose first stage keeps all rows.
fn is_answered_by_itself(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<AggregateExec>() && first_stage(node).is_some_and(|stage| keeps_all_rows(&stage))
}

/// The stage of an aggregate that reads rows and not another stage's states: the first at `node` or below that does. None beyond a node of several inputs.
fn first_stage(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let mut node = Arc::clone(node);
    while !reads_rows(&node) {
        let [child] = node.children()[..] else { return None };
        node = Arc::clone(child);
    }
    Some(node)
}

fn reads_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| aggregate.mode().input_mode() == AggregateInputMode::Raw)
}

fn keeps_all_rows(stage: &Arc<dyn ExecutionPlan>) -> bool {
    stage
        .downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| aggregate.filter_expr().iter().all(Option::is_none))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn context(rules: Vec<Rule>) -> SessionContext {
        let config = quarry_engine::session::session_config(2).with_create_default_catalog_and_schema(true);
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_physical_optimizer_rules(rules)
            .build();
        let context = SessionContext::new_with_state(state);
        let made = context
            .sql("create table t as select value as id from generate_series(1, 200)")
            .await
            .unwrap();
        made.collect().await.unwrap();
        context
    }

    async fn text(context: &SessionContext, sql: &str) -> Result<String> {
        let batches = context.sql(sql).await?.collect().await?;
        Ok(pretty_format_batches(&batches)?.to_string())
    }

    async fn answered(sql: &str) -> String {
        let rules = AnswerFromStatistics::instead_of_own(PhysicalOptimizer::new().rules);
        text(&context(rules).await, sql).await.unwrap()
    }

    #[tokio::test]
    async fn a_filter_does_not_give_an_aggregate_the_values_of_another_below() {
        let sql = "select count(n) filter (where n < 0) as none, max(n) filter (where n > 0) as all from (select count(*) as n from t)";
        let found = answered(sql).await;
        assert!(found.contains("| 0    | 200 |"), "{found}");
        // Once DataFusion answers this by itself, the rule may go.
        assert!(text(&context(PhysicalOptimizer::new().rules).await, sql).await.is_err());
    }

    #[tokio::test]
    async fn aggregates_over_all_rows_are_answered_without_reading_them() {
        let plan = answered("explain select count(*) from t").await;
        assert!(plan.contains("PlaceholderRowExec"), "{plan}");
        let nested = answered("select count(n) as ones, max(n) as most from (select count(*) as n from t)").await;
        assert!(nested.contains("| 1    | 200  |"), "{nested}");
        let of_null =
            answered("select count(n) as none, max(n) as most from (select max(id) as n from t where id < 0)").await;
        assert!(of_null.contains("| 0    |      |"), "{of_null}");
    }
}
