//! How our own plan operators travel between coordinator and worker.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::panic_guard::PanicGuardExec;
use crate::write::{WriteFilesExec, WriteSpec};

/// Name of [`PanicGuardExec`] on the wire. Never reuse it for something else.
const PANIC_GUARD: &[u8] = b"quarry.panic_guard.v1";
/// Begins a [`WriteFilesExec`] on the wire: the attempt's name, a NUL and the specification follow. Never reuse it for something else.
const WRITE_FILES: &[u8] = b"quarry.write_files.v1:";

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
            (write, [input]) if write.starts_with(WRITE_FILES) => decode_write(&write[WRITE_FILES.len()..], input),
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
        if let Some(write) = node.downcast_ref::<WriteFilesExec>() {
            buf.extend_from_slice(WRITE_FILES);
            buf.extend_from_slice(write.attempt().as_bytes());
            buf.push(0);
            buf.extend_from_slice(&write.spec().encode()?);
            return Ok(());
        }
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

fn decode_write(bytes: &[u8], input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let broken = || DataFusionError::Internal("a write that came without its attempt".to_owned());
    let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
    let attempt = std::str::from_utf8(&bytes[..end]).map_err(|_| broken())?;
    let plain = !attempt.is_empty() && attempt.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain {
        return Err(broken());
    }
    let spec = WriteSpec::decode(&bytes[end + 1..])?;
    Ok(Arc::new(WriteFilesExec::new(
        Arc::clone(input),
        Arc::new(spec),
        attempt,
    )))
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

    #[tokio::test]
    async fn a_write_survives_the_wire() {
        let context = SessionContext::new();
        let plan = context.sql("select 1 as one").await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let spec = WriteSpec {
            staging: "hdfs:///s".to_owned(),
            format: crate::write::WriteFormat::Parquet,
            options: Default::default(),
            schema: plan.schema(),
            partition_columns: Vec::new(),
            target_bytes: 1,
            single: false,
        };
        let write: Arc<dyn ExecutionPlan> = Arc::new(WriteFilesExec::new(plan, Arc::new(spec), "a1"));
        let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(&write), &EngineCodec).unwrap();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &EngineCodec).unwrap();
        let back = back.downcast_ref::<WriteFilesExec>().unwrap();
        assert_eq!(back.attempt(), "a1");
        assert_eq!(back.spec().staging, "hdfs:///s");
    }
}
