//! How our own plan operators travel between coordinator and worker.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::panic_guard::PanicGuardExec;

/// Name of [`PanicGuardExec`] on the wire. Never reuse it for something else.
const PANIC_GUARD: &[u8] = b"quarry.panic_guard.v1";

/// Encodes and decodes the operators of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineCodec;

impl PhysicalExtensionCodec for EngineCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (buf, inputs) {
            (PANIC_GUARD, [input]) => Ok(Arc::new(PanicGuardExec::new(Arc::clone(input)))),
            _ => Err(DataFusionError::Internal(format!(
                "unknown plan operator of {} bytes with {} inputs: do coordinator and worker run the same version?",
                buf.len(),
                inputs.len()
            ))),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if !node.is::<PanicGuardExec>() {
            let name = node.name();
            return Err(DataFusionError::NotImplemented(format!(
                "operator {name} cannot be sent to a worker"
            )));
        }
        buf.extend_from_slice(PANIC_GUARD);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::prelude::SessionContext;
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use super::*;

    #[tokio::test]
    async fn a_guard_survives_the_wire() {
        let context = SessionContext::new();
        let plan = context
            .sql("select 1 as one")
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        let guarded: Arc<dyn ExecutionPlan> = Arc::new(PanicGuardExec::new(plan));
        let bytes = physical_plan_to_bytes_with_extension_codec(guarded, &EngineCodec).unwrap();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &EngineCodec).unwrap();
        assert!(back.is::<PanicGuardExec>());
    }
}
