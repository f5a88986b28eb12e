//! The query engine of a cluster: decides for each attempt whether workers run it or the coordinator.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytesize::ByteSize;
use datafusion::catalog::CatalogProviderList;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use quarry_engine::bounded_loop::bound_loops;
use quarry_engine::channels::{ChannelTimeouts, Channels};
use quarry_engine::cpu::CpuRuntime;
use quarry_engine::files::FileSystems;
use quarry_engine::formats::Tables;
use quarry_engine::formats::reading::count_bytes;
use quarry_engine::functions::register_functions;
use quarry_engine::id::QueryId;
use quarry_engine::panic_guard::GuardPanics;
use quarry_engine::query_memory::{QueryPools, default_query_memory};
use quarry_engine::session::{MIN_PARTITIONS, RuntimeOptions, fit_to_memory, runtime_env, session_config};
use quarry_engine::sieved_join::sieve_joins;
use quarry_engine::write::WritePlanner;
use quarry_engine::yielding::YieldInJoins;
use serde::{Deserialize, Serialize};

use super::distributed::{Distributed, Distribution};
use super::local::LocalAttempt;
use super::{Attempt, QueryEngine};
use crate::members::{Patience, WorkerInfo};
use crate::planning::joins::PlanningOptions;
use crate::planning::nans::KeepNans;
use crate::planning::portable::portable;
use crate::planning::rules::physical_rules;
use crate::planning::shape::{changed_by_distribution, is_recursive, plan_bytes, subqueries_allow_distribution};
use crate::planning::views::ReadViews;
use crate::registration::Membership;

/// Compression of batches between workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None if all workers are on one machine, LZ4 if a network lies between some.
    Auto,
    /// As they are: right inside a machine and on networks of 10 Gbit/s or more.
    None,
    /// LZ4: for networks of about 1 Gbit/s.
    Lz4,
    /// Zstandard: for slower networks.
    Zstd,
}

/// How queries are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// Partitions of one task, at least 2: the cores of *one worker*. Absent: the cores of this machine.
    pub partitions: Option<usize>,
    /// Threads for the part of queries that runs on the coordinator. Absent: the cores of this machine.
    pub threads: Option<usize>,
    /// Memory that the operators on the coordinator may reserve together.
    pub memory_limit: ByteSize,
    /// Memory that the operators of one query may reserve on the coordinator. Absent: four fifths of `memory_limit`.
    pub query_memory_limit: Option<ByteSize>,
    /// Directory for what operators on the coordinator spill.
    pub spill_dir: PathBuf,
    /// Most that may be spilled at a time.
    pub spill_limit: ByteSize,
    /// A query that reads less than this runs on the coordinator alone.
    pub local_below: ByteSize,
    /// A scan is one task for each of this many bytes, times the number of scans in its query, that it reads; at most one on each worker.
    pub task_bytes: ByteSize,
    /// Compression of batches between workers.
    pub compression: Compression,
    /// Batches that may wait in memory per connection of an exchange.
    pub exchange_buffer: ByteSize,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self {
            partitions: None,
            threads: None,
            memory_limit: ByteSize::gib(2),
            query_memory_limit: None,
            spill_dir: std::env::temp_dir().join("quarry-coordinator-spill"),
            spill_limit: ByteSize::gib(20),
            local_below: ByteSize::mib(1),
            task_bytes: ByteSize::mib(2),
            compression: Compression::Auto,
            exchange_buffer: ByteSize::mib(32),
        }
    }
}

/// One build side is expected to take at most this part of what its query may use: a query has several, and aggregates and sorts.
const BUILD_SHARE: u64 = 2;

/// Runs queries: the engine, what it needs, and the workers it knows. Clones share it.
#[derive(Clone)]
pub struct Execution {
    shared: Arc<Shared>,
}

struct Shared {
    config: ExecutionConfig,
    partitions: usize,
    cpu: CpuRuntime,
    runtime: Arc<RuntimeEnv>,
    pools: QueryPools,
    query_memory: u64,
    tables: Arc<Tables>,
    channels: Channels,
    membership: Membership,
}

impl Execution {
    /// Starts the threads and takes the memory and spill limits. Call it on the runtime that is to drive the connections to workers.
    ///
    /// # Errors
    /// If threads or the spill directory cannot be made.
    pub fn start(config: ExecutionConfig, files: Arc<FileSystems>) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let cpu = CpuRuntime::start("quarry-head", config.threads.unwrap_or(cores))?;
        let options = RuntimeOptions {
            memory_limit: config.memory_limit.as_u64(),
            memory_knob: "coordinator.memory_limit",
            spill_dir: config.spill_dir.clone(),
            spill_limit: config.spill_limit.as_u64(),
        };
        let query_memory = match config.query_memory_limit {
            Some(limit) => limit.as_u64(),
            None => default_query_memory(options.memory_limit),
        };
        let shared = Shared {
            pools: QueryPools::new(query_memory),
            query_memory,
            partitions: config.partitions.unwrap_or(cores),
            cpu,
            runtime: runtime_env(&options, &files)?,
            tables: Arc::new(Tables::new(files)),
            channels: Channels::new(ChannelTimeouts::default()),
            membership: Membership::new(Patience::default()),
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Arc<dyn QueryEngine> {
        Arc::new(self.clone())
    }

    /// The tables that are open.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.shared.tables
    }

    /// Partitions of one task: the cores of a worker.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.shared.partitions
    }

    /// The workers; its [`service`](Membership::service) is to be mounted in the coordinator's server.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.shared.membership
    }

    /// Memory, spill and object stores of the queries on this coordinator.
    #[must_use]
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.shared.runtime
    }

    /// A session over `catalogs` with the options that this engine's plans assume.
    #[must_use]
    pub fn session_state(&self, catalogs: Arc<dyn CatalogProviderList>) -> SessionState {
        let config = session_config(self.shared.partitions)
            .with_create_default_catalog_and_schema(false)
            .with_extension(Arc::clone(self.shared.tables.files()));
        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.shared.runtime))
            .with_catalog_list(catalogs)
            .with_query_planner(Arc::new(WritePlanner))
            .with_physical_optimizer_rules(physical_rules())
            .with_physical_optimizer_rule(Arc::new(KeepNans))
            .with_physical_optimizer_rule(Arc::new(ReadViews))
            .with_physical_optimizer_rule(Arc::new(YieldInJoins))
            .with_physical_optimizer_rule(Arc::new(GuardPanics))
            .build();
        register_functions(&mut state).expect("a session takes functions under names it has");
        state
    }

    /// The state for one query's attempt: its memory, and what the planner is to know of the workers.
    fn for_query(&self, mut state: SessionState, query: QueryId, workers: usize, memory: u64) -> Result<SessionState> {
        let runtime = self.shared.pools.runtime(&query.to_string(), &self.shared.runtime)?;
        let options = state.config_mut().options_mut();
        fit_to_memory(options, &runtime);
        // Joins are planned by hash, and sorted where that is better: so their order is searched in either case.
        let always_sort = !std::mem::replace(&mut options.optimizer.prefer_hash_join, true);
        options.extensions.insert(PlanningOptions {
            workers,
            build_limit: usize::try_from(memory / BUILD_SHARE).unwrap_or(usize::MAX),
            always_sort,
        });
        Ok(SessionStateBuilder::new_from_existing(state)
            .with_runtime_env(runtime)
            .build())
    }

    /// Plans a query for the coordinator alone, where it may have less memory than on a worker.
    async fn plan_to_stay(
        &self,
        state: &SessionState,
        query: QueryId,
        plan: &LogicalPlan,
        reason: &'static str,
    ) -> Result<Box<dyn Attempt>> {
        let state = self.for_query(state.clone(), query, 0, self.shared.query_memory)?;
        let physical = state.create_physical_plan(plan).await?;
        self.local(&state, physical, reason)
    }

    fn distribution(&self, workers: Vec<WorkerInfo>) -> Distribution {
        let shared = &self.shared;
        Distribution {
            workers,
            task_bytes: shared.config.task_bytes.as_u64(),
            compression: shared.config.compression,
            buffer_bytes: shared.config.exchange_buffer.as_u64(),
            channels: shared.channels.clone(),
            cpu: shared.cpu.handle().clone(),
            membership: shared.membership.clone(),
        }
    }

    fn local(
        &self,
        state: &SessionState,
        plan: Arc<dyn ExecutionPlan>,
        reason: &'static str,
    ) -> Result<Box<dyn Attempt>> {
        let shared = &self.shared;
        Ok(Box::new(LocalAttempt {
            plan: count_bytes(sieve_joins(bound_loops(plan)?)?, shared.tables.files(), &shared.runtime)?,
            context: state.task_ctx(),
            reason,
            cpu: shared.cpu.handle().clone(),
            membership: shared.membership.clone(),
            progress: Arc::default(),
        }))
    }

    /// Why `plan` cannot or should not leave the coordinator, if so.
    fn reason_to_stay(
        &self,
        subqueries_allow: bool,
        plan: &Arc<dyn ExecutionPlan>,
        workers: usize,
    ) -> Option<&'static str> {
        if !subqueries_allow {
            Some("a scalar subquery might return several rows")
        } else if is_recursive(plan) {
            Some("a recursive query is executed once per step")
        } else if workers == 0 {
            Some("no worker is live")
        } else if plan_bytes(plan) < self.shared.config.local_below.as_u64() {
            Some("it reads little")
        } else {
            None
        }
    }
}

/// Whatever a session set: with one partition, tasks on several workers would give wrong rows. So would exchanges that are to keep an
/// order: what comes from several workers is mixed.
fn keep_distributable(state: &mut SessionState) {
    let options = state.config_mut().options_mut();
    let partitions = &mut options.execution.target_partitions;
    *partitions = (*partitions).max(MIN_PARTITIONS);
    options.optimizer.prefer_existing_sort = false;
}

#[async_trait]
impl QueryEngine for Execution {
    async fn plan(&self, state: &SessionState, query: QueryId, plan: LogicalPlan) -> Result<Box<dyn Attempt>> {
        if matches!(
            plan,
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::Ddl(_)
        ) {
            return Err(DataFusionError::Internal(
                "the engine plans queries, not statements about them".to_owned(),
            ));
        }
        let plan = portable(plan, state)?;
        let subqueries_allow = subqueries_allow_distribution(&plan)?;
        let changed = changed_by_distribution(&plan)?;
        let mut state = state.clone();
        // As a join for the workers; executed as a subquery, with its rows counted, where that would be wrong.
        state
            .config_mut()
            .options_mut()
            .optimizer
            .enable_physical_uncorrelated_scalar_subquery = !subqueries_allow;
        keep_distributable(&mut state);
        let workers = self.shared.membership.live();
        let memory = workers.iter().map(|worker| worker.query_memory).min();
        let memory = memory.unwrap_or(self.shared.query_memory);
        let session = state;
        let state = self.for_query(session.clone(), query, workers.len(), memory)?;
        let physical = state.create_physical_plan(&plan).await?;
        let little = plan_bytes(&physical) < self.shared.config.local_below.as_u64();
        let planned_for_more = !workers.is_empty() && !little && self.shared.query_memory < memory;
        let reason = changed.or_else(|| self.reason_to_stay(subqueries_allow, &physical, workers.len()));
        let reason = match reason {
            Some(reason) => reason,
            None => {
                let distribution = self.distribution(workers);
                match distribution.distribute(&state, query, Arc::clone(&physical)).await? {
                    Distributed::Attempt(attempt) => return Ok(Box::new(attempt)),
                    Distributed::Stays(reason) => reason,
                }
            }
        };
        if planned_for_more {
            return self.plan_to_stay(&session, query, &plan, reason).await;
        }
        self.local(&state, physical, reason)
    }
}
