//! Window functions that ignore nulls by their name: `lag_ignore_nulls` is `lag(..) IGNORE NULLS`.
//!
//! `IGNORE NULLS` is not part of the wire form of a window function; a name is. Plans that go to workers have these functions in place of
//! those with `IGNORE NULLS`.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;

/// The name of the function that does what `function` does with `IGNORE NULLS`.
#[must_use]
pub fn ignoring_nulls(function: &str) -> String {
    format!("{function}_ignore_nulls")
}

/// `own` with `IGNORE NULLS`. It is not reversed: that is not part of the wire form either.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IgnoreNulls {
    own: WindowUDF,
    name: String,
}

impl IgnoreNulls {
    pub(super) fn new(own: WindowUDF) -> Self {
        let name = ignoring_nulls(own.name());
        Self { own, name }
    }

    fn inner(&self) -> &Arc<dyn WindowUDFImpl> {
        self.own.inner()
    }
}

impl WindowUDFImpl for IgnoreNulls {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        self.inner().signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner().expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        self.inner().partition_evaluator(PartitionEvaluatorArgs::new(
            args.input_exprs(),
            args.input_fields(),
            args.is_reversed(),
            true,
        ))
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

    /// The next value that is not null may be any number of rows away.
    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::super::{IGNORE_NULLS, register_functions};

    #[tokio::test]
    async fn a_name_does_what_the_words_do() {
        let mut state = SessionStateBuilder::new().with_default_features().build();
        register_functions(&mut state).unwrap();
        let context = SessionContext::new_with_state(state);
        for name in IGNORE_NULLS {
            let arguments = if name == "nth_value" { "v, 2" } else { "v" };
            let rows = |function: String| {
                let sql = format!(
                    "select k, {function} over (order by k rows between 2 preceding and 1 following) as f \
                     from (values (1, 10), (2, null), (3, null), (4, 40), (5, 50), (6, null)) t(k, v) order by k"
                );
                let context = &context;
                async move {
                    let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
                    pretty_format_batches(&batches).unwrap().to_string()
                }
            };
            let (words, own) = (
                format!("{name}({arguments}) ignore nulls"),
                format!("{name}({arguments})"),
            );
            let expected = rows(words).await;
            assert_eq!(
                rows(format!("{name}_ignore_nulls({arguments})")).await,
                expected,
                "{name}"
            );
            assert_ne!(rows(own).await, expected, "{name}");
        }
    }
}
