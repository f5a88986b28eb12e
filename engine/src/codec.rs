//! How our own plan operators travel between coordinator and worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::{parse_protobuf_file_scan_config, parse_table_schema_from_proto};
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::FileScanExecConf;
use prost::Message;

use crate::formats::TableFormat;
use crate::formats::reading::file_scan;
use crate::formats::source::FormatSource;
use crate::grouping_sets::ForgetKeysExec;
use crate::known_order::KnownOrderExec;
use crate::panic_guard::PanicGuardExec;
use crate::row_numbers::RowNumbersExec;
use crate::write::{WriteFilesExec, WriteSpec};

/// Name of [`PanicGuardExec`] on the wire. Never reuse it for something else.
const PANIC_GUARD: &[u8] = b"quarry.panic_guard.v1";
/// Begins a [`WriteFilesExec`] on the wire: the attempt's name, a NUL and the specification follow. Never reuse it for something else.
const WRITE_FILES: &[u8] = b"quarry.write_files.v1:";
/// What a scan of a [`FormatSource`] begins with on the wire; a [`ScanMessage`] follows. Never reuse it for something else.
const SCAN: &[u8] = b"quarry.scan.v1:";
/// Name of [`ForgetKeysExec`] on the wire. Never reuse it for something else.
const FORGET_KEYS: &[u8] = b"quarry.forget_keys.v1";
/// Name of [`RowNumbersExec`] on the wire. Never reuse it for something else.
const ROW_NUMBERS: &[u8] = b"quarry.row_numbers.v1";
/// Begins a [`KnownOrderExec`] on the wire; what is known follows. Never reuse it for something else.
const KNOWN_ORDER: &[u8] = b"quarry.known_order.v1:";

/// A scan of files that are not Parquet.
#[derive(Clone, PartialEq, Message)]
struct ScanMessage {
    /// Name of the format, as after `STORED AS`.
    #[prost(string, tag = "1")]
    format: String,
    /// Options of the format, complete.
    #[prost(btree_map = "string, string", tag = "2")]
    options: BTreeMap<String, String>,
    /// Files, columns and projection.
    #[prost(message, optional, tag = "3")]
    scan: Option<FileScanExecConf>,
}

/// Encodes and decodes the operators of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineCodec;

impl PhysicalExtensionCodec for EngineCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(scan) = buf.strip_prefix(SCAN) {
            return self.decode_scan(scan, context, converter);
        }
        match (buf, inputs) {
            (PANIC_GUARD, [input]) => Ok(Arc::new(PanicGuardExec::new(Arc::clone(input)))),
            (FORGET_KEYS, [input]) => Ok(Arc::new(ForgetKeysExec::new(Arc::clone(input)))),
            (ROW_NUMBERS, [input]) => Ok(Arc::new(RowNumbersExec::new(Arc::clone(input)))),
            (known, [input]) if known.starts_with(KNOWN_ORDER) => {
                let context = PhysicalPlanDecodeContext::new(context, self);
                let known = &known[KNOWN_ORDER.len()..];
                Ok(Arc::new(KnownOrderExec::decode(known, input, &context, converter)?))
            }
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
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(write) = node.downcast_ref::<WriteFilesExec>() {
            buf.extend_from_slice(WRITE_FILES);
            buf.extend_from_slice(write.attempt().as_bytes());
            buf.push(0);
            buf.extend_from_slice(&write.spec().encode()?);
            return Ok(());
        }
        if let Some(known) = node.downcast_ref::<KnownOrderExec>() {
            buf.extend_from_slice(KNOWN_ORDER);
            buf.extend_from_slice(&known.encode(self, converter)?);
            return Ok(());
        }
        if node.is::<ForgetKeysExec>() {
            buf.extend_from_slice(FORGET_KEYS);
            return Ok(());
        }
        if node.is::<RowNumbersExec>() {
            buf.extend_from_slice(ROW_NUMBERS);
            return Ok(());
        }
        if let Some(scan) = self.encode_scan(&node, converter)? {
            buf.extend_from_slice(SCAN);
            buf.extend_from_slice(&scan.encode_to_vec());
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

impl EngineCodec {
    /// `None` if `node` is no scan of a [`FormatSource`].
    fn encode_scan(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Option<ScanMessage>> {
        let Some(config) = file_scan(node) else { return Ok(None) };
        let Some(source) = config.file_source().downcast_ref::<FormatSource>() else {
            return Ok(None);
        };
        Ok(Some(ScanMessage {
            format: source.format().name().to_owned(),
            options: source.options().as_ref().clone(),
            scan: Some(serialize_file_scan_config(config, self, converter)?),
        }))
    }

    fn decode_scan(
        &self,
        bytes: &[u8],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let broken = |problem: String| {
            DataFusionError::Internal(format!(
                "scan in a plan: {problem}: do coordinator and worker run the same version?"
            ))
        };
        let message = ScanMessage::decode(bytes).map_err(|error| broken(error.to_string()))?;
        let format = TableFormat::parse(&message.format)
            .ok_or_else(|| broken(format!("unknown format {:?}", message.format)))?;
        let scan = message.scan.ok_or_else(|| broken("files are missing".to_owned()))?;
        let schema = parse_table_schema_from_proto(&scan)?;
        let source = FormatSource::new(format, Arc::new(message.options), schema);
        let context = PhysicalPlanDecodeContext::new(context, self);
        let config = parse_protobuf_file_scan_config(&scan, &context, converter, Arc::new(source))?;
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::ScalarValue;
    use datafusion::datasource::listing::PartitionedFile;
    use datafusion::datasource::physical_plan::FileScanConfigBuilder;
    use datafusion::datasource::table_schema::TableSchema;
    use datafusion::execution::object_store::ObjectStoreUrl;
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

    #[tokio::test]
    async fn a_scan_survives_the_wire_with_its_options_and_partitions() {
        let context = SessionContext::new();
        let columns = |columns: &[&str]| {
            let fields = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true));
            Schema::new(fields.collect::<Vec<_>>())
        };
        let schema = TableSchema::builder(Arc::new(columns(&["a", "b"])))
            .with_table_partition_cols(columns(&["p"]).fields().clone())
            .build();
        let options = BTreeMap::from([("compression".to_owned(), "gzip".to_owned())]);
        let source = FormatSource::new(TableFormat::Json, Arc::new(options.clone()), schema);
        let file = PartitionedFile::new("t/p=x/f.json", 10).with_partition_values(vec![ScalarValue::from("x")]);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse("hdfs://").unwrap(), Arc::new(source))
            .with_file(file)
            .with_projection_indices(Some(vec![2, 0]))
            .unwrap()
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(&plan), &EngineCodec).unwrap();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &EngineCodec).unwrap();
        assert_eq!(back.schema(), plan.schema());
        let scan = file_scan(&back).unwrap();
        let source = scan.file_source().downcast_ref::<FormatSource>().unwrap();
        assert_eq!(
            (source.format(), source.options().as_ref()),
            (TableFormat::Json, &options)
        );
        let file = &scan.file_groups[0].files()[0];
        assert_eq!(file.partition_values, [ScalarValue::from("x")]);
    }
}
