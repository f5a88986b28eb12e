//! Join order, build sides and ways of joining, from statistics.
//!
//! DataFusion joins in the order that a statement is written in, and applies `IN` and `EXISTS` after all joins. [`OrderJoins`] takes
//! a chain of joins apart ([`apart`], [`graph`]), searches the cheapest order with semi and anti joins taking part ([`order`]), and builds the plan
//! again ([`assemble`], [`sizes`]). On the way it sends what filters one relation below the aggregates of others
//! ([`through_aggregate`]). A chain with a relation of unknown size stays as it was written. What would not fit in memory afterwards is joined by
//! sorting ([`by_sorting`]), and what cannot be broadcast is repartitioned ([`repartition`]).

mod apart;
mod assemble;
mod by_row_numbers;
mod by_sorting;
mod canonical;
mod graph;
mod order;
mod prefilter;
mod repartition;
mod sizes;
mod through_aggregate;

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

pub use sizes::PlanningOptions;

use assemble::Assembler;
pub(super) use by_sorting::SortLargeJoins;
use graph::Graph;
pub(super) use repartition::RepartitionJoins;
use sizes::Sizes;

/// Orders joins by their estimated cost. `datafusion.optimizer.join_reordering = false` switches it off.
#[derive(Debug, Clone, Copy)]
pub struct OrderJoins;

impl PhysicalOptimizerRule for OrderJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !options.optimizer.join_reordering {
            return Ok(plan);
        }
        // The order as written is right, too: a graph that this rule cannot put together again is no reason to fail a query.
        Ok(ordered(Arc::clone(&plan), Sizes::of(options)).unwrap_or_else(|error| {
            tracing::warn!(%error, "joins stay in the order in which they are");
            plan
        }))
    }

    fn name(&self) -> &str {
        "quarry_order_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn ordered(plan: Arc<dyn ExecutionPlan>, sizes: Sizes) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(mut graph) = Graph::of(&plan)? else {
        return with_ordered_inputs(plan, sizes);
    };
    through_aggregate::send_filters(&mut graph)?;
    for relation in &mut graph.relations {
        relation.plan = ordered(Arc::clone(&relation.plan), sizes)?;
    }
    let problem = graph.problem();
    let Some(tree) = problem.solve() else {
        return with_ordered_inputs(plan, sizes);
    };
    let assembler = Assembler {
        graph: &graph,
        problem: &problem,
        sizes,
    };
    let assembled = assembler.plan(&tree, &plan.schema())?;
    if gives_the_same(&plan.schema(), &assembled.schema()) {
        return Ok(assembled);
    }
    with_ordered_inputs(plan, sizes)
}

/// Whether a plan may take the place of another: the same columns, at most with fewer nulls.
fn gives_the_same(old: &Schema, new: &Schema) -> bool {
    let same = |(old, new): (&FieldRef, &FieldRef)| {
        let nulls_fit = old.is_nullable() || !new.is_nullable();
        old.name() == new.name() && old.data_type() == new.data_type() && old.metadata() == new.metadata() && nulls_fit
    };
    old.metadata() == new.metadata()
        && old.fields().len() == new.fields().len()
        && old.fields().iter().zip(new.fields()).all(same)
}

fn with_ordered_inputs(plan: Arc<dyn ExecutionPlan>, sizes: Sizes) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs: Vec<_> = plan.children().into_iter().map(Arc::clone).collect();
    let mut changed = false;
    let mut new_inputs = Vec::with_capacity(inputs.len());
    for input in inputs {
        let new_input = ordered(Arc::clone(&input), sizes)?;
        changed |= !Arc::ptr_eq(&input, &new_input);
        new_inputs.push(new_input);
    }
    if changed {
        with_inputs(plan, new_inputs)
    } else {
        Ok(plan)
    }
}

fn with_inputs(plan: Arc<dyn ExecutionPlan>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    plan.replace_children(inputs, options)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
