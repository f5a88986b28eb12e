//! What an attempt's tasks report: listened to on the connections over which their plans go out.
//!
//! The execution crate keeps task metrics to itself and waits for all of them without a time limit. So each connection passes through a
//! [`RecordingChannel`], which notes the plan and the worker of each task on the way out and the task's metrics on the way back. A task
//! that ends without metrics (lost, or never started because nobody needed its rows) gets empty ones, so that nothing
//! waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse,
    MaybeEncoded, SetPlanRequest, TaskMetrics, WorkerChannel, WorkerToCoordinatorMsg,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use quarry_engine::channels::{Channels, address_of};
use quarry_engine::figures::{LOCAL_BYTES, REMOTE_BYTES, ScanFigures, ScanTaskFigures, StageFigures};
use quarry_engine::formats::reading::file_scan;
use tokio::sync::watch;
use tonic::codegen::http::HeaderMap;
use url::Url;

use super::handlers::candidate;
use super::{AttemptView, TaskState, TaskStatus};
use crate::members::WorkerInfo;
use crate::planning::splits::{held_bytes, scan_bytes, scan_files, scan_name};

/// Stage and task number.
type TaskId = (usize, usize);

/// One attempt's record.
#[derive(Debug)]
pub(super) struct Record {
    workers: Vec<WorkerInfo>,
    tasks: Mutex<BTreeMap<TaskId, TaskRecord>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct TaskRecord {
    worker: String,
    scans: Vec<TaskScan>,
    metrics: Option<Vec<MetricsSet>>,
    state: TaskState,
}

/// A scan in a task's plan.
#[derive(Debug)]
struct TaskScan {
    /// Its place in the plan, counted in pre-order.
    node: usize,
    table: String,
    splits: u64,
    bytes: u64,
    held: u64,
}

/// What can be said of an attempt's tasks.
pub(super) struct Recorded {
    pub(super) scans: Vec<ScanFigures>,
    pub(super) stages: Vec<StageFigures>,
    /// Whether all tasks sent their metrics.
    pub(super) complete: bool,
}

impl Record {
    pub(super) fn new(workers: Vec<WorkerInfo>) -> Arc<Self> {
        Arc::new(Self {
            workers,
            tasks: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    /// Waits until every task that was sent out has ended; false if that took longer than `timeout`.
    pub(super) async fn wait(&self, timeout: Duration) -> bool {
        let mut changes = self.changed.subscribe();
        let all = async {
            while self.tasks.lock().values().any(|task| !task.has_ended()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(timeout, all).await.is_ok()
    }

    pub(super) fn figures(&self) -> Recorded {
        let tasks = self.tasks.lock();
        let mut scans: BTreeMap<(usize, usize), ScanFigures> = BTreeMap::new();
        let mut stages: BTreeMap<usize, StageFigures> = BTreeMap::new();
        for ((stage, _), task) in tasks.iter() {
            let entry = stages.entry(*stage).or_default();
            entry.stage = *stage as u64;
            entry.workers.push(task.worker.clone());
            for scan in &task.scans {
                add_task(scans.entry((*stage, scan.node)).or_default(), task, scan);
            }
        }
        Recorded {
            scans: scans.into_values().collect(),
            stages: stages.into_values().collect(),
            complete: tasks.values().all(|task| task.metrics.is_some()),
        }
    }

    fn planned(&self, id: TaskId, url: &Url, plan: &Arc<dyn ExecutionPlan>) {
        let worker = self.workers.iter().find(|worker| worker.url == *url);
        let mut scans = Vec::new();
        collect_scans(plan, &mut 0, worker, &mut scans);
        let task = TaskRecord {
            worker: address_of(url),
            scans,
            metrics: None,
            state: TaskState::Sent,
        };
        self.tasks.lock().insert(id, task);
    }

    fn taken(&self, id: TaskId) {
        if let Some(task) = self.tasks.lock().get_mut(&id) {
            task.state = TaskState::Running;
        }
    }

    fn reported(&self, id: TaskId, metrics: Vec<MetricsSet>) {
        if let Some(task) = self.tasks.lock().get_mut(&id) {
            task.metrics = Some(metrics);
            task.state = TaskState::Ended;
        }
        self.changed.send_replace(());
    }

    /// True if the task's metrics had come.
    fn ended(&self, id: TaskId) -> bool {
        let reported = self.tasks.lock().get_mut(&id).is_some_and(|task| {
            task.state = TaskState::Ended;
            task.metrics.is_some()
        });
        self.changed.send_replace(());
        reported
    }
}

impl AttemptView for Record {
    /// Which part of the tasks that were sent out has ended.
    fn share(&self) -> f64 {
        let tasks = self.tasks.lock();
        if tasks.is_empty() {
            return 0.0;
        }
        let ended = tasks.values().filter(|task| task.has_ended()).count();
        ended as f64 / tasks.len() as f64
    }

    fn tasks(&self) -> Vec<TaskStatus> {
        let tasks = self.tasks.lock();
        let status = |(&(stage, task), record): (&TaskId, &TaskRecord)| TaskStatus {
            stage,
            task,
            worker: record.worker.clone(),
            state: record.state,
        };
        tasks.iter().map(status).collect()
    }
}

impl TaskRecord {
    fn has_ended(&self) -> bool {
        self.state == TaskState::Ended
    }
}

fn collect_scans(
    plan: &Arc<dyn ExecutionPlan>,
    node: &mut usize,
    worker: Option<&WorkerInfo>,
    scans: &mut Vec<TaskScan>,
) {
    if let Some(scan) = file_scan(plan) {
        scans.push(TaskScan {
            node: *node,
            table: scan_name(scan),
            splits: scan_files(scan).count() as u64,
            bytes: scan_bytes(scan),
            held: worker.map_or(0, |worker| held_bytes(scan, &candidate(worker))),
        });
    }
    *node += 1;
    for child in plan.children() {
        collect_scans(child, node, worker, scans);
    }
}

fn add_task(figures: &mut ScanFigures, task: &TaskRecord, scan: &TaskScan) {
    let metrics = task
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.get(scan.node))
        .cloned()
        .unwrap_or_default();
    let own = ScanTaskFigures {
        worker: task.worker.clone(),
        splits: scan.splits,
        rows: metrics.output_rows().unwrap_or(0) as u64,
        local_bytes: metric_sum(&metrics, LOCAL_BYTES),
        remote_bytes: metric_sum(&metrics, REMOTE_BYTES),
    };
    if figures.table.is_empty() || (!scan.table.is_empty() && scan.table.len() < figures.table.len()) {
        figures.table = scan.table.clone();
    }
    figures.rows += own.rows;
    figures.elapsed = figures.elapsed.max(scan_time(&metrics));
    figures.local_bytes += own.local_bytes;
    figures.remote_bytes += own.remote_bytes;
    figures.planned_bytes += scan.bytes;
    figures.planned_local_bytes += scan.held;
    figures.tasks.push(own);
}

/// Sum of a counter over all partitions.
pub(super) fn metric_sum(metrics: &MetricsSet, name: &str) -> u64 {
    metrics.sum_by_name(name).map_or(0, |value| value.as_usize() as u64)
}

/// Time that the partitions of a scan spent together.
pub(super) fn scan_time(metrics: &MetricsSet) -> Duration {
    Duration::from_nanos(metric_sum(metrics, "time_elapsed_scanning_total"))
}

/// Connections whose traffic is recorded.
pub(super) struct RecordingChannels {
    pub(super) channels: Channels,
    pub(super) record: Arc<Record>,
}

#[async_trait]
impl ChannelResolver for RecordingChannels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let inner = self.channels.get_worker_client_for_url(url).await?;
        Ok(Box::new(RecordingChannel {
            inner,
            record: Arc::clone(&self.record),
        }))
    }
}

struct RecordingChannel {
    inner: Box<dyn WorkerChannel>,
    record: Arc<Record>,
}

#[async_trait]
impl WorkerChannel for RecordingChannel {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        let id = (request.task_key.stage_id, request.task_key.task_number);
        let mut nodes = 0;
        if let MaybeEncoded::Decoded(plan) = &request.plan {
            nodes = count_nodes(plan);
            self.record.planned(id, &request.target_worker_url, plan);
        }
        let reports = self
            .inner
            .coordinator_channel(headers, request, messages, metrics, context)
            .await;
        match reports {
            Ok(reports) => {
                self.record.taken(id);
                Ok(recorded(Arc::clone(&self.record), id, nodes, reports))
            }
            Err(error) => {
                self.record.ended(id);
                Err(error)
            }
        }
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        self.inner.execute_task(headers, request, metrics, context).await
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> Result<GetWorkerInfoResponse> {
        self.inner.get_worker_info(request).await
    }
}

fn count_nodes(plan: &Arc<dyn ExecutionPlan>) -> usize {
    1 + plan.children().into_iter().map(count_nodes).sum::<usize>()
}

/// Passes a task's reports on, noting its metrics; if the reports end without metrics, empty ones are passed on before the end.
fn recorded(
    record: Arc<Record>,
    id: TaskId,
    nodes: usize,
    reports: BoxStream<'static, Result<WorkerToCoordinatorMsg>>,
) -> BoxStream<'static, Result<WorkerToCoordinatorMsg>> {
    let listener = Arc::clone(&record);
    let noted = reports.inspect(move |report| {
        if let Ok(WorkerToCoordinatorMsg::TaskMetrics(metrics)) = report {
            listener.reported(id, metrics.pre_order_plan_metrics.clone());
        }
    });
    // An error ends the crate's interest in the stream, so the empty metrics go before it.
    let filled = noted
        .chain(futures::stream::once(async { Err(end_of_reports()) }))
        .flat_map(move |report| {
            let Err(error) = report else {
                return futures::stream::iter(vec![report]);
            };
            let mut rest = Vec::new();
            if !record.ended(id) {
                let empty = TaskMetrics {
                    pre_order_plan_metrics: vec![MetricsSet::new(); nodes],
                    task_metrics: MetricsSet::new(),
                };
                rest.push(Ok(WorkerToCoordinatorMsg::TaskMetrics(empty)));
            }
            if !is_end_of_reports(&error) {
                rest.push(Err(error));
            }
            futures::stream::iter(rest)
        });
    filled.boxed()
}

/// Stands for the stream's regular end inside [`recorded`].
const END_OF_REPORTS: &str = "end of reports";

fn end_of_reports() -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Internal(END_OF_REPORTS.to_owned())
}

fn is_end_of_reports(error: &datafusion::error::DataFusionError) -> bool {
    matches!(error, datafusion::error::DataFusionError::Internal(text) if text == END_OF_REPORTS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::error::DataFusionError;

    use super::*;

    fn record() -> Arc<Record> {
        let record = Record::new(Vec::new());
        let task = TaskRecord {
            worker: "w:1".into(),
            scans: Vec::new(),
            metrics: None,
            state: TaskState::Running,
        };
        record.tasks.lock().insert((1, 0), task);
        record
    }

    fn metrics() -> Result<WorkerToCoordinatorMsg> {
        let metrics = TaskMetrics {
            pre_order_plan_metrics: vec![MetricsSet::new()],
            task_metrics: MetricsSet::new(),
        };
        Ok(WorkerToCoordinatorMsg::TaskMetrics(metrics))
    }

    #[tokio::test]
    async fn a_task_that_reports_is_complete() {
        let record = record();
        let reports = futures::stream::iter(vec![metrics()]).boxed();
        assert_eq!(recorded(Arc::clone(&record), (1, 0), 1, reports).count().await, 1);
        assert!(record.wait(Duration::from_secs(1)).await);
        assert!(record.figures().complete);
    }

    #[tokio::test]
    async fn a_task_that_ends_without_a_report_is_filled_in_and_incomplete() {
        let record = record();
        let lost = futures::stream::iter(vec![Err(DataFusionError::Execution("reset".into()))]).boxed();
        let passed: Vec<_> = recorded(Arc::clone(&record), (1, 0), 3, lost).collect().await;
        assert!(
            matches!(&passed[0], Ok(WorkerToCoordinatorMsg::TaskMetrics(metrics)) if metrics.pre_order_plan_metrics.len() == 3)
        );
        assert!(passed[1].is_err());
        assert!(record.wait(Duration::from_secs(1)).await);
        assert!(!record.figures().complete);
    }

    #[tokio::test]
    async fn waiting_ends_though_a_task_never_does() {
        assert!(!record().wait(Duration::from_millis(10)).await);
    }
}
