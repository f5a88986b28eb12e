//! A scalar function of DataFusion that refuses to make too much.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ExprSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::caps;
use super::sizes::Size;

/// `own`, with its result measured first.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Capped {
    own: ScalarUDF,
    size: Size,
}

impl Capped {
    pub(super) fn new(own: ScalarUDF, size: Size) -> Self {
        Self { own, size }
    }

    fn inner(&self) -> &Arc<dyn ScalarUDFImpl> {
        self.own.inner()
    }
}

impl ScalarUDFImpl for Capped {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let limit = caps(&args.config_options).value_bytes;
        let bytes = self.size.of(&args.args, args.number_rows)?;
        if bytes > u128::from(limit) {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "one call of {} would make {bytes} bytes, the limit is {limit}; `limits.value_bytes` in the coordinator's configuration \
                 moves it",
                self.name()
            )));
        }
        self.inner().invoke_with_args(args)
    }

    fn name(&self) -> &str {
        self.inner().name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner().return_field_from_args(args)
    }

    fn is_nullable(&self, args: &[Expr], schema: &dyn ExprSchema) -> bool {
        #[expect(deprecated, reason = "whoever still asks gets the function's own answer")]
        self.inner().is_nullable(args, schema)
    }

    fn is_strict(&self) -> bool {
        self.inner().is_strict()
    }

    fn aliases(&self) -> &[String] {
        self.inner().aliases()
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner().simplify(args, info)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner().evaluate_bounds(input)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner().output_ordering(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner().coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner().documentation()
    }
}
