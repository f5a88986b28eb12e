//! Filters on their way down a plan, past columns that share a name.
//!
//! DataFusion takes a filter through an operator by the names of its columns. Where two columns have one name, as after a join of a table with
//! itself, it takes the first, whichever was meant: rows would be dropped by the other one's values. [`PushFilters`] lets no filter
//! that reads such a column through.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use quarry_engine::one_input::only_input;

use super::rules::{Rule, replaced};

/// A rule of DataFusion that pushes filters down, kept from doing so by an ambiguous name.
#[derive(Debug)]
pub struct PushFilters {
    own: Rule,
}

impl PushFilters {
    /// Puts itself in the place of each rule among `rules` that pushes filters down.
    #[must_use]
    pub fn instead_of_own(rules: Vec<Rule>) -> Vec<Rule> {
        let is_one = |name: &str| name.starts_with("FilterPushdown");
        replaced(rules, is_one, |own| Arc::new(Self { own }))
    }
}

impl PhysicalOptimizerRule for PushFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let barred = plan.transform_up(|node| match has_twins(&node.schema()) {
            true => Ok(Transformed::yes(Arc::new(Barrier { input: node }) as _)),
            false => Ok(Transformed::no(node)),
        })?;
        let pushed = self.own.optimize(barred.data, options)?;
        if !barred.transformed {
            return Ok(pushed);
        }
        pushed
            .transform_up(|node| match node.downcast_ref::<Barrier>() {
                Some(barrier) => Ok(Transformed::yes(Arc::clone(&barrier.input))),
                None => Ok(Transformed::no(node)),
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

/// Whether columns share a name.
fn has_twins(schema: &Schema) -> bool {
    let mut names = HashSet::new();
    !schema.fields().iter().all(|field| names.insert(field.name()))
}

/// Stands above an operator whose columns share names while filters are pushed down.
#[derive(Debug)]
struct Barrier {
    input: Arc<dyn ExecutionPlan>,
}

impl Barrier {
    /// The columns whose names no other has.
    fn only_ones(&self) -> HashSet<usize> {
        let schema = self.input.schema();
        let fields = schema.fields();
        let mut bearers: HashMap<&str, usize> = HashMap::new();
        for field in fields {
            *bearers.entry(field.name()).or_default() += 1;
        }
        (0..fields.len())
            .filter(|&index| bearers[fields[index].name().as_str()] == 1)
            .collect()
    }
}

impl DisplayAs for Barrier {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier")
    }
}

impl ExecutionPlan for Barrier {
    fn name(&self) -> &str {
        "Barrier"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        Ok(Arc::new(Self { input }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let passing = ChildFilterDescription::from_child_with_allowed_indices(&filters, self.only_ones(), &self.input)?;
        Ok(FilterDescription::new().with_child(passing))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::filter_pushdown::PushedDown;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn context(dynamic_filters: bool, rules: Vec<Rule>) -> SessionContext {
        let mut config = quarry_engine::session::session_config(2).with_create_default_catalog_and_schema(true);
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = dynamic_filters;
        config.options_mut().optimizer.enable_join_dynamic_filter_pushdown = dynamic_filters;
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_physical_optimizer_rules(rules)
            .build();
        let context = SessionContext::new_with_state(state);
        for table in [
            "a as select value as id, value % 7 as n from generate_series(1, 200)",
            "b as select value + 1000 as id, value % 2 = 0 as ok from generate_series(1, 10)",
            "c as select value as id, value % 5 as m from generate_series(1, 30)",
        ] {
            let made = context.sql(&format!("create table {table}")).await.unwrap();
            made.collect().await.unwrap();
        }
        context
    }

    const AMBIGUOUS: &str = "select row_number() over (order by a.id desc, b.id) from a left join b on b.ok \
         where a.n < (select max(c.m) from c where c.id = a.id)";

    async fn rows(context: &SessionContext, sql: &str) -> String {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn a_filter_does_not_end_up_at_another_column_of_the_same_name() {
        let own = || PhysicalOptimizer::new().rules;
        let expected = rows(&context(false, own()).await, AMBIGUOUS).await;
        let ours = PushFilters::instead_of_own(own());
        assert_eq!(rows(&context(true, ours).await, AMBIGUOUS).await, expected);
        // Once this fails, DataFusion is mended and this module has done its duty.
        assert_ne!(rows(&context(true, own()).await, AMBIGUOUS).await, expected);
    }

    #[test]
    fn filters_on_other_columns_pass() {
        let fields = ["id", "id", "n"].map(|name| Field::new(name, DataType::Int64, true));
        let input: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::new(fields.to_vec()))));
        let barrier = Barrier { input };
        let reads = |name: &str, index: usize| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let filters = vec![reads("id", 0), reads("id", 1), reads("n", 2)];
        let options = ConfigOptions::new();
        let description = barrier
            .gather_filters_for_pushdown(FilterPushdownPhase::Pre, filters, &options)
            .unwrap();
        let passed = description.parent_filters()[0]
            .iter()
            .map(|filter| matches!(filter.discriminant, PushedDown::Yes))
            .collect::<Vec<_>>();
        assert_eq!(passed, [false, false, true]);
    }
}
