//! What is no longer true above an aggregate by several grouping sets.
//!
//! Where a key is the same in all rows, or two keys are equal in each, DataFusion believes so of the groups, too: it leaves out sorts and
//! takes groups for complete. But in the groups of a set without the key it is null. [`ForgetKeys`] puts an operator above such an
//! aggregate that says nothing of its rows; it comes before the rules that rely on what is said.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};

use crate::one_input::only_input;

/// Puts a [`ForgetKeysExec`] on top of each aggregate by several grouping sets.
#[derive(Debug, Default)]
pub struct ForgetKeys;

impl PhysicalOptimizerRule for ForgetKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let forgetting = plan.transform_up(|node| match has_several_sets(&node) {
            true => Ok(Transformed::yes(Arc::new(ForgetKeysExec::new(node)))),
            false => Ok(Transformed::no(node)),
        })?;
        Ok(forgetting.data)
    }

    fn name(&self) -> &str {
        "forget_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn has_several_sets(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| !aggregate.group_expr().is_single())
}

/// Passes batches through, and says nothing of how their rows are ordered, what is equal in them, what is constant.
#[derive(Debug)]
pub struct ForgetKeysExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ForgetKeysExec {
    /// Forgets what is said of the rows of `input`.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let mut properties = input.properties().as_ref().clone();
        properties.eq_properties = EquivalenceProperties::new(input.schema());
        // Rows of one key were together; those of the sets without it are anywhere.
        properties.partitioning = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        Self {
            input,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for ForgetKeysExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForgetKeysExec")
    }
}

impl ExecutionPlan for ForgetKeysExec {
    fn name(&self) -> &str {
        "ForgetKeysExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_input(self.name(), children)?;
        Ok(Arc::new(Self::new(input)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{AsArray, RecordBatch};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::physical_plan::collect;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use super::*;
    use crate::codec::EngineCodec;

    fn context() -> SessionContext {
        let mut rules = PhysicalOptimizer::new().rules;
        rules.insert(0, Arc::new(ForgetKeys));
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(SessionConfig::new().with_target_partitions(2))
            .with_physical_optimizer_rules(rules)
            .build();
        SessionContext::new_with_state(state)
    }

    /// In the groups of one set `c` is 5, in the 100 of the other it is null, and they come mixed by `n`.
    const MIXED: &str = "select c, n, row_number() over (partition by c order by n) as place from \
        (select coalesce(5, value) as c, value % 100 as v, sum(value % 100) + case when value % 100 is null then 5000 else 0 end as n \
         from generate_series(1, 10000) group by grouping sets ((coalesce(5, value)), (value % 100))) t";

    fn places(batches: &[RecordBatch]) -> Vec<(Option<i64>, u64)> {
        let mut places = Vec::new();
        for batch in batches {
            let keys = batch.column(0).as_primitive::<Int64Type>().iter();
            let numbers = batch
                .column(2)
                .as_primitive::<datafusion::arrow::datatypes::UInt64Type>();
            places.extend(keys.zip(numbers.values().iter().copied()));
        }
        places.sort_unstable();
        places
    }

    #[tokio::test]
    async fn a_key_is_not_the_same_in_the_groups_of_all_sets() {
        let context = context();
        let plan = context.sql(MIXED).await.unwrap().create_physical_plan().await.unwrap();
        let rows = collect(plan, context.task_ctx()).await.unwrap();
        let expected: Vec<_> = (1..=100).map(|place| (None, place)).chain([(Some(5), 1)]).collect();
        assert_eq!(places(&rows), expected);
    }

    #[tokio::test]
    async fn it_travels() {
        let context = context();
        let plan = context.sql(MIXED).await.unwrap().create_physical_plan().await.unwrap();
        let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(&plan), &EngineCodec).unwrap();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &EngineCodec).unwrap();
        let rows = collect(back, context.task_ctx()).await.unwrap();
        assert_eq!(places(&rows).len(), 101);
    }
}
