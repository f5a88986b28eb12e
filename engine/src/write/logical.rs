//! Writing in a logical plan, and how it is planned.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::encode::check_options;
use super::exec::WriteFilesExec;
use super::spec::{WriteSpec, written_schema};

/// The root of a statement that writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteFiles {
    input: LogicalPlan,
    spec: Arc<WriteSpec>,
    schema: DFSchemaRef,
}

impl WriteFiles {
    /// A plan that writes the rows of `input`, whose columns are those of `spec` by position.
    ///
    /// # Errors
    /// If the number of columns differs.
    pub fn plan(input: LogicalPlan, spec: WriteSpec) -> Result<LogicalPlan> {
        let (given, wanted) = (input.schema().fields().len(), spec.schema.fields().len());
        if given != wanted {
            return Err(DataFusionError::Plan(format!(
                "{given} columns for a table of {wanted}"
            )));
        }
        let node = Self {
            input,
            spec: Arc::new(spec),
            schema: Arc::new(DFSchema::try_from(written_schema())?),
        };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }
}

impl PartialOrd for WriteFiles {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for WriteFiles {
    fn name(&self) -> &str {
        "WriteFiles"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFiles: format={}", self.spec.format.ending())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[_; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Self { input, ..self.clone() }),
            Err(_) => Err(DataFusionError::Internal("WriteFiles has one input".to_owned())),
        }
    }

    /// All columns are written.
    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// Plans queries as DataFusion does, and [`WriteFiles`]. Each planning is an attempt of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct WritePlanner;

#[async_trait]
impl QueryPlanner for WritePlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Self)]);
        planner.create_physical_plan(plan, session).await
    }
}

#[async_trait]
impl ExtensionPlanner for WritePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(write), [input]) = (node.as_any().downcast_ref::<WriteFiles>(), inputs) else {
            return Ok(None);
        };
        check_options(write.spec.format, &write.spec.options, session.config_options())?;
        let attempt = uuid::Uuid::new_v4().simple().to_string();
        let exec = WriteFilesExec::new(Arc::clone(input), Arc::clone(&write.spec), attempt);
        Ok(Some(Arc::new(exec)))
    }
}
