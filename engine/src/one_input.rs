//! Operators of one input.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

/// The new input of an operator that has one.
///
/// # Errors
/// An internal error that names the operator, if it is given another number of them.
pub fn only_input(operator: &str, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    <[_; 1]>::try_from(inputs)
        .map(|[input]| input)
        .map_err(|inputs| DataFusionError::Internal(format!("{operator} has one input, was given {}", inputs.len())))
}
