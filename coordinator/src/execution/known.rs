//! Keeps what planning knew of rows that come out of an exchange, where their order matters.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};
use datafusion_distributed::{NetworkBoundaryExt, NetworkCoalesceExec};
use quarry_engine::known_order::{Known, KnownOrderExec};

/// Puts a [`KnownOrderExec`] on top of each exchange that feeds a stage in which a window relies on an order. The head stage stays as it
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

/// Whether a window of the stage with `plan` at its head relies on the order of its input. An aggregate looks for an order itself, and is right
/// without one.
fn relies_on_order(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is_network_boundary() {
        return false;
    }
    let is_window = plan.is::<BoundedWindowAggExec>() || plan.is::<WindowAggExec>();
    is_window || plan.children().into_iter().any(relies_on_order)
}

fn with_known_order(stage: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    stage
        .transform_down(|node| {
            let Some(exchange) = node.as_network_boundary() else {
                return Ok(Transformed::no(node));
            };
            // The others mix what several producers send.
            let whole = node.is::<NetworkCoalesceExec>() || exchange.input_stage().task_count() == 1;
            let known = Known::of(node.equivalence_properties(), whole);
            if known.is_nothing() {
                return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
            }
            let telling: Arc<dyn ExecutionPlan> = Arc::new(KnownOrderExec::try_new(node, known)?);
            Ok(Transformed::new(telling, true, TreeNodeRecursion::Jump))
        })
        .data()
}
