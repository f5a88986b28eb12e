//! Attempts that run on workers, by `datafusion-distributed`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    CompressionType, DistributedExec, DistributedExt, DistributedMetricsFormat, NetworkBoundaryExt,
    SessionStateBuilderExt, display_plan_ascii, rewrite_distributed_plan_with_metrics,
};
use quarry_engine::bounded_loop::bounded;
use quarry_engine::channels::Channels;
use quarry_engine::codec::EngineCodec;
use quarry_engine::figures::{QueryFigures, StageFigures};
use quarry_engine::id::QueryId;
use quarry_engine::session::{QuarryOptions, pack_execution_options};
use tokio::runtime::Handle;

use super::engine::Compression;
use super::explain::{figures_text, partitions_text, stages_text};
use super::handlers::{Slots, by_held_bytes};
use super::known::keep_known_order;
use super::pump::{Progress, executed_already, pump};
use super::record::{Record, RecordingChannels};
use super::sorted::merge_within_tasks;
use super::{Attempt, AttemptView};
use crate::members::WorkerInfo;
use crate::planning::shape::{fits_the_wire, scans};
use crate::registration::Membership;

/// How long `explain_analyze` and `figures` wait for tasks that still owe their metrics.
const METRICS_TIMEOUT: Duration = Duration::from_secs(3);

/// What distributing a plan needs besides the plan.
pub(super) struct Distribution {
    pub(super) workers: Vec<WorkerInfo>,
    pub(super) task_bytes: u64,
    pub(super) compression: Compression,
    pub(super) buffer_bytes: u64,
    pub(super) channels: Channels,
    pub(super) cpu: Handle,
    pub(super) membership: Membership,
}

/// A plan whose stages run on workers.
pub(super) struct DistributedAttempt {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    slots: Slots,
    record: Arc<Record>,
    cpu: Handle,
    membership: Membership,
    progress: Arc<Progress>,
}

/// What became of a plan that was to be distributed.
pub(super) enum Distributed {
    /// It has stages.
    Attempt(DistributedAttempt),
    /// It is better run on the coordinator; why.
    Stays(&'static str),
}

impl Distribution {
    /// Cuts `plan` into stages.
    pub(super) async fn distribute(
        self,
        state: &SessionState,
        query: QueryId,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<Distributed> {
        let workers = by_held_bytes(self.workers.clone(), &plan, query);
        // Each further scan means stages more to start, and small scans are soon read by one.
        let task_bytes = self.task_bytes.saturating_mul(scans(&plan));
        let slots = Slots::new(workers, task_bytes);
        let record = Record::new(self.workers.clone());
        let config = self.config(state, query, &slots, &record)?;
        let state = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(config)
            .with_query_planner(Arc::new(Planned(plan)))
            .with_distributed_planner()
            .build();
        let nothing = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(DFSchema::empty()),
        });
        let plan = state.query_planner().create_physical_plan(&nothing, &state).await?;
        if !plan.is::<DistributedExec>() {
            return Ok(Distributed::Stays("it is one task"));
        }
        let plan = merge_within_tasks(keep_known_order(plan)?)?;
        if !stages_fit_the_wire(&plan) {
            return Ok(Distributed::Stays("it is nested too deeply to be sent"));
        }
        let plan = bound_head(plan)?;
        Ok(Distributed::Attempt(DistributedAttempt {
            plan,
            context: state.task_ctx(),
            slots,
            record,
            cpu: self.cpu,
            membership: self.membership,
            progress: Arc::default(),
        }))
    }

    fn config(
        &self,
        state: &SessionState,
        query: QueryId,
        slots: &Slots,
        record: &Arc<Record>,
    ) -> Result<SessionConfig> {
        // Its limits are the session's.
        let mut travels = state
            .config_options()
            .extensions
            .get::<QuarryOptions>()
            .cloned()
            .unwrap_or_default();
        travels.execution = pack_execution_options(state.config().options());
        travels.query = query.to_string();
        let channels = RecordingChannels {
            channels: self.channels.clone(),
            record: Arc::clone(record),
        };
        state
            .config()
            .clone()
            .with_distributed_worker_resolver(slots.clone())
            .with_distributed_channel_resolver(channels)
            .with_distributed_desired_task_count_handler(slots.clone())
            .with_distributed_scale_up_leaf_node_handler(slots.clone())
            .with_distributed_route_tasks_handler(slots.clone())
            .with_distributed_user_codec(EngineCodec)
            .with_distributed_option_extension(travels)
            // It would give the children of a union a share of the tasks each, by a mapping nobody can ask for: splits would be
            // read on other workers than those they were placed with.
            .with_distributed_children_isolator_unions(false)?
            .with_distributed_worker_connection_buffer_budget_bytes(
                usize::try_from(self.buffer_bytes).unwrap_or(usize::MAX),
            )?
            .with_distributed_compression(compression_between(self.compression, &self.workers))
    }
}

/// The execution crate compresses all exchanges of a query alike: one network among the workers decides for all.
fn compression_between(configured: Compression, workers: &[WorkerInfo]) -> Option<CompressionType> {
    let on_one_machine = || workers.windows(2).all(|pair| pair[0].host == pair[1].host);
    match configured {
        Compression::Auto => (!on_one_machine()).then_some(CompressionType::LZ4_FRAME),
        Compression::None => None,
        Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        Compression::Zstd => Some(CompressionType::ZSTD),
    }
}

/// Whether each stage, which travels by itself, can be decoded again.
fn stages_fit_the_wire(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_boundary = |node: &Arc<dyn ExecutionPlan>| node.is_network_boundary();
    let mut fit = true;
    // The visitor never fails: it only looks.
    let _ = plan.apply(|node| {
        if let Some(stage) = node
            .as_network_boundary()
            .and_then(|boundary| boundary.input_stage().local_plan())
        {
            fit = fit && fits_the_wire(stage, &is_boundary);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    fit
}

/// Bounds the loops of the head stage, which runs here. Those of other stages are bounded by the workers.
fn bound_head(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|node| {
        if node.is_network_boundary() {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        match bounded(&node)? {
            Some(bounded) => Ok(Transformed::yes(bounded)),
            None => Ok(Transformed::no(node)),
        }
    })
    .data()
}

/// A planner that has planned already: the execution crate's planner takes what the one below it returns.
#[derive(Debug)]
struct Planned(Arc<dyn ExecutionPlan>);

#[async_trait]
impl QueryPlanner for Planned {
    async fn create_physical_plan(&self, _: &LogicalPlan, _: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::clone(&self.0))
    }
}

impl DistributedAttempt {
    /// Where the stages will run, lowest first.
    fn planned_stages(&self) -> Vec<StageFigures> {
        let mut stages = Vec::new();
        // The visitor never fails: it only looks.
        let _ = self.plan.apply(|node| {
            if let Some(boundary) = node.as_network_boundary() {
                let stage = boundary.input_stage();
                let head = stage.local_plan();
                let workers = head
                    .map(|plan| self.slots.of_stage(plan, stage.task_count()))
                    .unwrap_or_default();
                let workers = workers.into_iter().map(|worker| worker.address.clone()).collect();
                stages.push(StageFigures {
                    stage: stage.num() as u64,
                    workers,
                });
            }
            Ok(TreeNodeRecursion::Continue)
        });
        stages.sort_by_key(|stage| stage.stage);
        stages
    }

    async fn plan_with_metrics(&self) -> Option<String> {
        if !self.progress.has_started() {
            return None;
        }
        let rewritten =
            rewrite_distributed_plan_with_metrics(Arc::clone(&self.plan), DistributedMetricsFormat::Aggregated);
        let rewritten = tokio::time::timeout(METRICS_TIMEOUT, rewritten).await.ok()?.ok()?;
        Some(display_plan_ascii(rewritten.as_ref(), true))
    }
}

#[async_trait]
impl Attempt for DistributedAttempt {
    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    fn execute(&self) -> Result<SendableRecordBatchStream> {
        if !self.progress.start() {
            return Err(executed_already());
        }
        let (plan, context) = (Arc::clone(&self.plan), Arc::clone(&self.context));
        let start = move || plan.execute(0, context);
        Ok(pump(
            &self.cpu,
            &self.plan.schema(),
            &self.progress,
            &self.membership,
            start,
        ))
    }

    fn explain(&self) -> String {
        let plan = display_plan_ascii(self.plan.as_ref(), false);
        let partitions = partitions_text(&self.plan);
        format!("{plan}\n{partitions}{}", stages_text(&self.planned_stages()))
    }

    async fn explain_analyze(&self) -> String {
        let figures = self.figures().await;
        let plan = match self.plan_with_metrics().await {
            Some(plan) => plan,
            None => format!(
                "{}\n(metrics of some tasks did not arrive)\n",
                display_plan_ascii(self.plan.as_ref(), false)
            ),
        };
        let partitions = partitions_text(&self.plan);
        format!(
            "{plan}\n{partitions}{}{}",
            stages_text(&figures.stages),
            figures_text(&figures)
        )
    }

    fn view(&self) -> Option<Arc<dyn AttemptView>> {
        Some(Arc::clone(&self.record) as Arc<dyn AttemptView>)
    }

    async fn figures(&self) -> QueryFigures {
        let waited = self.record.wait(METRICS_TIMEOUT).await;
        let recorded = self.record.figures();
        QueryFigures {
            elapsed: self.progress.elapsed(),
            rows: self.progress.rows(),
            scans: recorded.scans,
            stages: recorded.stages,
            complete: waited && recorded.complete,
        }
    }
}
