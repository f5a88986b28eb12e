//! A window function of DataFusion that is evaluated only in the order that a statement gives.
//!
//! To save a sort, DataFusion evaluates a window function over rows in the opposite order, and notes that in the plan. The note is not
//! part of the plan's wire form: on a worker, the `lag` that stands for a `lead` would be a `lag` again.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// `own`, never reversed.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OneWay {
    own: WindowUDF,
}

impl OneWay {
    pub(super) fn new(own: WindowUDF) -> Self {
        Self { own }
    }

    fn inner(&self) -> &Arc<dyn WindowUDFImpl> {
        self.own.inner()
    }
}

impl WindowUDFImpl for OneWay {
    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::NotSupported
    }

    fn name(&self) -> &str {
        self.inner().name()
    }

    fn aliases(&self) -> &[String] {
        self.inner().aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner().signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner().expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        self.inner().partition_evaluator(args)
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        self.inner().simplify()
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.inner().field(args)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner().sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner().coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner().documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner().limit_effect(args)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use crate::codec::EngineCodec;
    use crate::functions::register_functions;

    /// Rows of a statement whose plan went over the wire.
    async fn rows_after_the_wire(context: &SessionContext, sql: &str) -> String {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, &EngineCodec).unwrap();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &EngineCodec).unwrap();
        let batches = collect(back, context.task_ctx()).await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn windows_of_opposite_orders_survive_the_wire() {
        let plain = SessionContext::new();
        let mut state = SessionStateBuilder::new().with_default_features().build();
        register_functions(&mut state).unwrap();
        let ours = SessionContext::new_with_state(state);
        for function in [
            "lag(v, 1, -1)",
            "lead(v, 2)",
            "nth_value(v, 2)",
            "first_value(v)",
            "last_value(v)",
        ] {
            let frame = "rows between unbounded preceding and unbounded following";
            let sql = format!(
                "select v, sum(v) over (order by v) s, {function} over (order by v desc {frame}) f from (values (3), (1), (2), (5)) t(v) \
                 order by v"
            );
            let expected = plain.sql(&sql).await.unwrap().collect().await.unwrap();
            let expected = pretty_format_batches(&expected).unwrap().to_string();
            assert_eq!(rows_after_the_wire(&ours, &sql).await, expected, "{function}");
        }
    }
}
