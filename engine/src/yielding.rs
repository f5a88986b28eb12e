//! Makes joins give up the thread now and then, so that a query can be cancelled while it joins.
//!
//! A task notices that it is cancelled when it yields, and operators yield when their input is not ready. A join that makes millions of
//! rows out of one batch asks its input for nothing meanwhile. Behind a cooperative operator its output counts as work.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::unnest::UnnestExec;

/// Puts a cooperative operator on top of each that multiplies rows.
#[derive(Debug, Default)]
pub struct YieldInJoins;

impl PhysicalOptimizerRule for YieldInJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let yielding = plan.transform_up(|node| match multiplies_rows(&node) {
            true => Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)))),
            false => Ok(Transformed::no(node)),
        })?;
        Ok(yielding.data)
    }

    fn name(&self) -> &str {
        "yield_in_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<UnnestExec>()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use datafusion::physical_plan::execute_stream;
    use datafusion::prelude::SessionContext;
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_join_can_be_cancelled_before_its_end() {
        let context = SessionContext::new();
        // Hours of rows out of two small batches.
        let sql = "select count(a.value + b.value) from generate_series(1, 8000) a, generate_series(1, 8000) b, \
                   generate_series(1, 8000) c where a.value + b.value > 0";
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let yielding = YieldInJoins.optimize(plan, &ConfigOptions::new()).unwrap();
        let mut rows = execute_stream(yielding, context.task_ctx()).unwrap();
        let started = Instant::now();
        assert!(
            tokio::time::timeout(Duration::from_millis(100), rows.next())
                .await
                .is_err()
        );
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
