//! Keeps what planning knew of rows that come out of an exchange, where their order matters.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, InputOrderMode, replace_children_if_necessary,
};
use datafusion_distributed::{NetworkBoundaryExt, NetworkCoalesceExec};
use quarry_engine::known_order::{Known, KnownOrderExec};

/// Puts a [`KnownOrderExec`] on top of each exchange that feeds a stage in which an operator relies on an order. The head stage stays as it
/// is: it does not travel.
pub(super) fn keep_known_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // From below: the plan of a stage is whole when its exchange is reached.
    plan.transform_up(|node| {
        let Some(stage) = node
            .as_network_boundary()
            .and_then(|exchange| exchange.input_stage().local_plan())
        else {
            return Ok(Transformed::no(node));
        };
        if !relies_on_order(stage) {
            return Ok(Transformed::no(node));
        }
        let kept = with_known_order(Arc::clone(stage))?;
        Ok(Transformed::yes(replace_children_if_necessary(node, vec![kept])?))
    })
    .data()
}

/// Whether an operator of the stage with `plan` at its head relies on the order of its input.
fn relies_on_order(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is_network_boundary() {
        return false;
    }
    let itself = plan.is::<BoundedWindowAggExec>()
        || plan.is::<WindowAggExec>()
        || plan
            .downcast_ref::<AggregateExec>()
            .is_some_and(|aggregate| *aggregate.input_order_mode() != InputOrderMode::Linear)
        || plan
            .downcast_ref::<RepartitionExec>()
            .is_some_and(RepartitionExec::preserve_order);
    itself || plan.children().into_iter().any(relies_on_order)
}

fn with_known_order(stage: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    stage
        .transform_down(|node| {
            let Some(exchange) = node.as_network_boundary() else {
                return Ok(Transformed::no(node));
            };
            // The others mix what several producers send.
            let ordered = node.is::<NetworkCoalesceExec>() || exchange.input_stage().task_count() == 1;
            let known = Known::of(node.equivalence_properties(), ordered);
            if known.is_nothing() {
                return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
            }
            let telling: Arc<dyn ExecutionPlan> = Arc::new(KnownOrderExec::try_new(node, known)?);
            Ok(Transformed::new(telling, true, TreeNodeRecursion::Jump))
        })
        .data()
}
