//! The session of each task: the set-up that the coordinator plans with, the options of the user's session, readers that
//! count their bytes, and loops with bounds.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_distributed::{
    DistributedExt, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse, WorkerQueryContext, WorkerSessionBuilder,
};
use quarry_engine::bounded_loop::bound_loops;
use quarry_engine::channels::Channels;
use quarry_engine::codec::EngineCodec;
use quarry_engine::files::FileSystems;
use quarry_engine::formats::reading::count_bytes;
use quarry_engine::functions::register_functions;
use quarry_engine::query_memory::QueryPools;
use quarry_engine::session::{QuarryOptions, apply_engine_options, fit_to_memory, unpack_execution_options};
use quarry_engine::sieved_join::sieve_joins;

/// Makes the sessions of tasks.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    pub(crate) files: Arc<FileSystems>,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) pools: Arc<QueryPools>,
    pub(crate) channels: Channels,
}

impl Sessions {
    fn rewrite(&self, event: WorkerPlanRewriteEvent<'_>) -> Result<WorkerPlanRewriteEventResponse> {
        let plan = sieve_joins(bound_loops(event.plan)?)?;
        count_bytes(plan, &self.files, &self.runtime).map(WorkerPlanRewriteEventResponse::new)
    }
}

#[async_trait]
impl WorkerSessionBuilder for Sessions {
    async fn build_session_state(&self, context: WorkerQueryContext) -> Result<SessionState> {
        let WorkerQueryContext { mut builder, headers } = context;
        let mut config = builder.config().take().unwrap_or_default();
        config.set_distributed_option_extension_from_headers::<QuarryOptions>(&headers)?;
        let travelled = config
            .options()
            .extensions
            .get::<QuarryOptions>()
            .cloned()
            .unwrap_or_default();
        apply_engine_options(config.options_mut());
        unpack_execution_options(&travelled.execution, config.options_mut())?;
        let runtime = self.pools.runtime(&travelled.query, &self.runtime)?;
        fit_to_memory(config.options_mut(), &runtime);
        let rewriter = self.clone();
        let config = config
            .with_extension(Arc::clone(&self.files))
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_user_codec(EngineCodec)
            .with_distributed_worker_plan_rewrite_handler(move |event: WorkerPlanRewriteEvent<'_>| {
                rewriter.rewrite(event)
            });
        let mut state = builder.with_config(config).with_runtime_env(runtime).build();
        register_functions(&mut state)?;
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::memory_pool::MemoryConsumer;
    use quarry_engine::channels::ChannelTimeouts;
    use quarry_engine::session::{RuntimeOptions, pack_execution_options, runtime_env, session_config};
    use tonic::codegen::http::{HeaderMap, HeaderValue};

    use super::*;

    #[tokio::test]
    async fn a_users_options_arrive() {
        let client = quarry_dfs_client::DfsClient::new(quarry_dfs_client::DfsClientConfig::new("127.0.0.1:1"));
        let files = FileSystems::of_client(&client);
        let spill = tempfile::tempdir().unwrap();
        let options = RuntimeOptions {
            memory_limit: 1 << 20,
            memory_knob: "worker.memory_limit",
            spill_dir: spill.path().to_owned(),
            spill_limit: 1 << 20,
        };
        let runtime = runtime_env(&options, &files).unwrap();
        let sessions = Sessions {
            files,
            runtime,
            pools: Arc::new(QueryPools::new(1 << 10)),
            channels: Channels::new(ChannelTimeouts::default()),
        };
        let mut user = session_config(4);
        user.options_mut().set("datafusion.execution.batch_size", "7").unwrap();
        let mut headers = HeaderMap::new();
        let packed = HeaderValue::from_str(&pack_execution_options(user.options())).unwrap();
        headers.insert("x-datafusion-distributed-config-quarry.execution", packed);
        let context = WorkerQueryContext {
            builder: SessionStateBuilder::new(),
            headers,
        };
        let state = sessions.build_session_state(context).await.unwrap();
        assert_eq!(state.config().batch_size(), 7);
        assert!(!state.config_options().execution.enable_file_stream_work_stealing);
        let reservation = MemoryConsumer::new("sort").register(&state.runtime_env().memory_pool);
        let error = reservation.try_grow(2 << 10).unwrap_err();
        assert!(error.to_string().contains("query_memory_limit"), "{error}");
        assert_eq!(
            state.config_options().execution.sort_spill_reservation_bytes,
            1 << 5,
            "a part of what the query may have"
        );
    }
}
