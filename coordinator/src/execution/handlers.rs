//! The three questions that the execution crate asks about a plan, answered from one snapshot of the workers.
//!
//! The order of the workers in the snapshot is the order of tasks: task `i` of a stage runs on worker `i`, and the `i`-th variant
//! of each scan holds the splits for that worker. All scans of a stage share it, which is what makes reads local.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DesiredTaskCountHandler, DistributedLeafExec,
    NetworkBoundaryExt, RouteTasksEvent, RouteTasksEventResponse, RouteTasksHandler, ScaleUpLeafNodeEvent,
    ScaleUpLeafNodeEventResponse, ScaleUpLeafNodeHandler, WorkerResolver,
};
use quarry_engine::formats::reading::file_scan;
use quarry_engine::id::QueryId;
use url::Url;

use crate::members::WorkerInfo;
use crate::planning::placement::Candidate;
use crate::planning::splits::{bytes_until_limit, held_by_each, scan_files, task_scans};

/// The workers of one attempt, in task order.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    workers: Arc<Vec<WorkerInfo>>,
    /// A scan is one task for each of this many bytes.
    task_bytes: u64,
}

impl Slots {
    /// Slots on all of `workers`. A single worker gets two: a plan for one task would not leave the coordinator.
    pub(super) fn new(mut workers: Vec<WorkerInfo>, task_bytes: u64) -> Self {
        if let [only] = workers.as_slice() {
            workers.push(only.clone());
        }
        Self {
            workers: Arc::new(workers),
            task_bytes,
        }
    }

    /// The worker of each task of a stage with `tasks` tasks and this plan at its head.
    pub(super) fn of_stage(&self, plan: &Arc<dyn ExecutionPlan>, tasks: usize) -> Vec<&WorkerInfo> {
        if tasks == 1 {
            return self.best_for(plan).into_iter().collect();
        }
        self.workers.iter().cycle().take(tasks).collect()
    }

    /// The worker that holds most of what a stage of one task reads itself.
    fn best_for(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<&WorkerInfo> {
        let held = held_in_stage(plan, &self.workers);
        let workers = self.workers.iter().zip(held).rev();
        workers.max_by_key(|(_, bytes)| *bytes).map(|(worker, _)| worker)
    }

    fn urls(&self) -> Vec<Url> {
        self.workers.iter().map(|worker| worker.url.clone()).collect()
    }
}

/// One task for each `task_bytes`, at most one on each worker.
fn tasks_for(bytes: u64, task_bytes: u64, workers: usize) -> usize {
    let tasks = usize::try_from(bytes.div_ceil(task_bytes.max(1))).unwrap_or(usize::MAX);
    tasks.clamp(1, workers.max(1))
}

/// The workers with those first that hold most of what `plan` reads: stages of few tasks run there. Of equal ones another is
/// the first for each query, so that small stages do not all meet on one.
pub(super) fn by_held_bytes(
    mut workers: Vec<WorkerInfo>,
    plan: &Arc<dyn ExecutionPlan>,
    query: QueryId,
) -> Vec<WorkerInfo> {
    if !workers.is_empty() {
        let first = query.as_uuid().as_u128() % workers.len() as u128;
        workers.rotate_left(usize::try_from(first).unwrap_or(0));
    }
    let held = held_in_stage(plan, &workers);
    let mut held: Vec<(u64, WorkerInfo)> = held.into_iter().zip(workers).collect();
    held.sort_by_key(|(bytes, _)| Reverse(*bytes));
    held.into_iter().map(|(_, worker)| worker).collect()
}

/// Bytes that each of `workers` holds of what a stage reads itself.
fn held_in_stage(plan: &Arc<dyn ExecutionPlan>, workers: &[WorkerInfo]) -> Vec<u64> {
    let candidates: Vec<Candidate> = workers.iter().map(candidate).collect();
    let mut held = vec![0; workers.len()];
    for scan in stage_scans(plan).iter().filter_map(file_scan) {
        for (sum, bytes) in held.iter_mut().zip(held_by_each(scan, &candidates)) {
            *sum += bytes;
        }
    }
    held
}

/// A worker as placement sees it.
pub(super) fn candidate(worker: &WorkerInfo) -> Candidate {
    Candidate {
        datanode_uuid: worker.datanode_uuid.clone(),
        host: worker.host.clone(),
        rack: worker.rack.clone(),
        weight: worker.partitions,
    }
}

/// The scans in a stage, not those in the stages below it.
fn stage_scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<dyn ExecutionPlan>> {
    let mut scans = Vec::new();
    // The visitor never fails: it only looks.
    let _ = plan.apply(|node| {
        if node.is_network_boundary() {
            return Ok(TreeNodeRecursion::Jump);
        }
        if file_scan(node).is_some() {
            scans.push(Arc::clone(node));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    scans
}

impl WorkerResolver for Slots {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.urls())
    }
}

/// How many tasks a scan is worth: by what it reads, up to all workers.
#[async_trait]
impl DesiredTaskCountHandler for Slots {
    async fn handle(&self, event: DesiredTaskCountEvent<'_>) -> Option<Result<DesiredTaskCountEventResponse>> {
        let scan = file_scan(event.plan)?;
        let tasks = tasks_for(bytes_until_limit(scan), self.task_bytes, self.workers.len());
        let tasks = tasks.min(scan_files(scan).count().max(1));
        Some(Ok(DesiredTaskCountEventResponse::desired(tasks)))
    }
}

/// Each worker's part of a scan.
impl ScaleUpLeafNodeHandler for Slots {
    fn handle(&self, event: ScaleUpLeafNodeEvent<'_>) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
        let scan = file_scan(event.plan)?;
        if event.task_count == 1 {
            return Some(Ok(ScaleUpLeafNodeEventResponse::new(Arc::clone(event.plan))));
        }
        let candidates: Vec<Candidate> = self
            .workers
            .iter()
            .cycle()
            .take(event.task_count)
            .map(candidate)
            .collect();
        let variants = task_scans(scan, &candidates).into_iter();
        let variants = variants.map(|scan| DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>);
        let leaf = DistributedLeafExec::try_new(Arc::clone(event.plan), variants);
        Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
    }
}

/// Which worker runs which task of a stage.
impl RouteTasksHandler for Slots {
    fn handle(&self, event: RouteTasksEvent<'_>) -> Option<Result<RouteTasksEventResponse>> {
        let workers = self.of_stage(event.plan, event.task_count);
        let urls = workers.into_iter().map(|worker| worker.url.clone()).collect();
        Some(Ok(RouteTasksEventResponse::new(urls)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_follow_the_bytes_up_to_all_workers() {
        assert_eq!(tasks_for(0, 100, 5), 1);
        assert_eq!(tasks_for(100, 100, 5), 1);
        assert_eq!(tasks_for(101, 100, 5), 2);
        assert_eq!(tasks_for(10_000, 100, 5), 5);
        assert_eq!(tasks_for(10, 0, 5), 5, "no size: all workers");
    }
}
