//! Attempts that the coordinator runs by itself, on plain DataFusion.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use quarry_engine::figures::{LOCAL_BYTES, QueryFigures, REMOTE_BYTES, ScanFigures, ScanTaskFigures};
use quarry_engine::formats::reading::file_scan;
use tokio::runtime::Handle;

use super::Attempt;
use super::explain::{COORDINATOR, figures_text, partitions_text};
use super::pump::{Progress, executed_already, pump};
use super::record::{metric_sum, scan_time};
use crate::planning::shape::plan_bytes;
use crate::planning::splits::{scan_bytes, scan_files, scan_name};
use crate::registration::Membership;

/// A plan that runs in this process.
pub(super) struct LocalAttempt {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) context: Arc<TaskContext>,
    /// Why it is not distributed, for `EXPLAIN`.
    pub(super) reason: &'static str,
    pub(super) cpu: Handle,
    pub(super) membership: Membership,
    pub(super) progress: Arc<Progress>,
}

#[async_trait]
impl Attempt for LocalAttempt {
    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    fn reads_tables(&self) -> bool {
        plan_bytes(&self.plan) > 0
    }

    fn execute(&self) -> Result<SendableRecordBatchStream> {
        if !self.progress.start() {
            return Err(executed_already());
        }
        let (plan, context) = (Arc::clone(&self.plan), Arc::clone(&self.context));
        let start = move || execute_stream(plan, context);
        Ok(pump(
            &self.cpu,
            &self.plan.schema(),
            &self.progress,
            &self.membership,
            start,
        ))
    }

    fn explain(&self) -> String {
        format!(
            "{}\n{}runs on the coordinator: {}\n",
            displayable(self.plan.as_ref()).indent(false),
            partitions_text(&self.plan),
            self.reason
        )
    }

    async fn explain_analyze(&self) -> String {
        let plan = DisplayableExecutionPlan::with_metrics(self.plan.as_ref())
            .indent(false)
            .to_string();
        let figures = format!("{}{}", partitions_text(&self.plan), figures_text(&self.figures().await));
        format!("{plan}\nruns on the coordinator: {}\n{figures}", self.reason)
    }

    async fn figures(&self) -> QueryFigures {
        let mut scans = Vec::new();
        collect_scans(&self.plan, &mut scans);
        QueryFigures {
            elapsed: self.progress.elapsed(),
            rows: self.progress.rows(),
            scans,
            stages: Vec::new(),
            complete: true,
        }
    }
}

fn collect_scans(plan: &Arc<dyn ExecutionPlan>, scans: &mut Vec<ScanFigures>) {
    if let Some(scan) = file_scan(plan) {
        let metrics = plan.metrics().unwrap_or_default();
        let task = ScanTaskFigures {
            worker: COORDINATOR.to_owned(),
            splits: scan_files(scan).count() as u64,
            rows: metrics.output_rows().unwrap_or(0) as u64,
            local_bytes: metric_sum(&metrics, LOCAL_BYTES),
            remote_bytes: metric_sum(&metrics, REMOTE_BYTES),
        };
        scans.push(ScanFigures {
            table: scan_name(scan),
            rows: task.rows,
            elapsed: scan_time(&metrics),
            local_bytes: task.local_bytes,
            remote_bytes: task.remote_bytes,
            planned_local_bytes: 0,
            planned_bytes: scan_bytes(scan),
            tasks: vec![task],
        });
    }
    for child in plan.children() {
        collect_scans(child, scans);
    }
}
