//! An operator that says what planning knew of the rows below it: how they are ordered, what is equal in each, what is constant.
//!
//! Windows were planned with this knowledge: rows sorted by `a` are sorted by `b` as well where a join made the two equal. An exchange
//! travels with columns and partitions only, and a worker that does not know the rest refuses the window for want of an order.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::equivalence::{AcrossPartitions, ConstExpr, EquivalenceClass, EquivalenceGroup};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, StatisticsArgs,
};
use datafusion_proto::physical_plan::from_proto::{parse_physical_exprs, parse_physical_sort_exprs};
use datafusion_proto::physical_plan::to_proto::{serialize_physical_exprs, serialize_physical_sort_exprs};
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::{PhysicalExprNode, PhysicalSortExprNodeCollection};
use prost::Message;

use crate::one_input::only_input;

/// What is known of rows.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Orders that they are in within each partition.
    orders: Vec<Vec<PhysicalSortExpr>>,
    /// What is equal in each row.
    equal: Vec<Equal>,
}

/// Expressions of one value in each row.
#[derive(Debug, Clone)]
struct Equal {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    constant: Constant,
}

/// Among which rows a value is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Constant {
    /// It differs.
    Never = 0,
    /// All.
    Everywhere = 1,
    /// Those of one partition.
    InPartition = 2,
}

impl Known {
    /// What `properties` tell; if partitions are `whole`, with what holds within each: rows of several are not mixed on their way.
    #[must_use]
    pub fn of(properties: &EquivalenceProperties, whole: bool) -> Self {
        let orders = properties.oeq_class().iter().filter(|_| whole);
        let equal = properties.eq_group().iter().map(|class| Equal {
            expressions: class.iter().map(Arc::clone).collect(),
            constant: constant(properties, class, whole),
        });
        Self {
            orders: orders.map(|order| order.iter().cloned().collect()).collect(),
            equal: equal
                .filter(|equal| equal.constant != Constant::Never || equal.expressions.len() > 1)
                .collect(),
        }
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.orders.is_empty() && self.equal.is_empty()
    }

    fn add_to(&self, properties: &mut EquivalenceProperties) -> Result<()> {
        let classes = self
            .equal
            .iter()
            .map(|equal| EquivalenceClass::new(equal.expressions.iter().map(Arc::clone)));
        properties.add_equivalence_group(EquivalenceGroup::new(classes.collect::<Vec<_>>()))?;
        let constants = self.equal.iter().filter_map(|equal| {
            let across = match equal.constant {
                Constant::Never => return None,
                Constant::Everywhere => AcrossPartitions::Uniform(None),
                Constant::InPartition => AcrossPartitions::Heterogeneous,
            };
            Some(ConstExpr::new(Arc::clone(equal.expressions.first()?), across))
        });
        properties.add_constants(constants)?;
        properties.add_orderings(self.orders.iter().cloned());
        Ok(())
    }
}

/// Constants that differ between partitions are left out if partitions are not what they were on the other side of an exchange.
fn constant(properties: &EquivalenceProperties, class: &EquivalenceClass, whole: bool) -> Constant {
    let across = class
        .canonical_expr()
        .and_then(|first| properties.is_expr_constant(first));
    match across {
        Some(AcrossPartitions::Uniform(_)) => Constant::Everywhere,
        Some(AcrossPartitions::Heterogeneous) if whole => Constant::InPartition,
        Some(AcrossPartitions::Heterogeneous) | None => Constant::Never,
    }
}

/// Passes batches through, and has the properties that they are known to have.
#[derive(Debug)]
pub struct KnownOrderExec {
    input: Arc<dyn ExecutionPlan>,
    known: Known,
    properties: Arc<PlanProperties>,
}

impl KnownOrderExec {
    /// Tells what is `known` of the rows of `input`.
    ///
    /// # Errors
    /// None that is expected: `known` is about columns of `input`.
    pub fn try_new(input: Arc<dyn ExecutionPlan>, known: Known) -> Result<Self> {
        let mut properties = input.properties().as_ref().clone();
        known.add_to(&mut properties.eq_properties)?;
        Ok(Self {
            input,
            known,
            properties: Arc::new(properties),
        })
    }

    /// What is told, for the wire.
    ///
    /// # Errors
    /// If an expression has no wire form.
    pub fn encode(
        &self,
        codec: &dyn PhysicalExtensionCodec,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Vec<u8>> {
        let order = |order: &Vec<PhysicalSortExpr>| {
            let physical_sort_expr_nodes = serialize_physical_sort_exprs(order.iter().cloned(), codec, converter)?;
            Ok(PhysicalSortExprNodeCollection {
                physical_sort_expr_nodes,
            })
        };
        let equal = |equal: &Equal| {
            Ok(EqualMessage {
                expressions: serialize_physical_exprs(&equal.expressions, codec, converter)?,
                constant: equal.constant.into(),
            })
        };
        let message = KnownMessage {
            orders: self.known.orders.iter().map(order).collect::<Result<_>>()?,
            equal: self.known.equal.iter().map(equal).collect::<Result<_>>()?,
        };
        Ok(message.encode_to_vec())
    }

    /// The operator from its wire form.
    ///
    /// # Errors
    /// If `bytes` are not what [`encode`](Self::encode) gave for an input with the same columns.
    pub fn decode(
        bytes: &[u8],
        input: &Arc<dyn ExecutionPlan>,
        context: &PhysicalPlanDecodeContext<'_>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Self> {
        let message = KnownMessage::decode(bytes).map_err(|error| {
            DataFusionError::Internal(format!(
                "an order in a plan: {error}: do coordinator and worker run the same version?"
            ))
        })?;
        let schema = input.schema();
        let orders = message
            .orders
            .iter()
            .map(|order| parse_physical_sort_exprs(&order.physical_sort_expr_nodes, context, &schema, converter));
        let equal = message.equal.iter().map(|equal| {
            Ok(Equal {
                expressions: parse_physical_exprs(&equal.expressions, context, &schema, converter)?,
                constant: equal.constant(),
            })
        });
        let known = Known {
            orders: orders.collect::<Result<_>>()?,
            equal: equal.collect::<Result<_>>()?,
        };
        Self::try_new(Arc::clone(input), known)
    }
}

/// [`Known`] on the wire.
#[derive(Clone, PartialEq, Message)]
struct KnownMessage {
    #[prost(message, repeated, tag = "1")]
    orders: Vec<PhysicalSortExprNodeCollection>,
    #[prost(message, repeated, tag = "2")]
    equal: Vec<EqualMessage>,
}

/// [`Equal`] on the wire.
#[derive(Clone, PartialEq, Message)]
struct EqualMessage {
    #[prost(message, repeated, tag = "1")]
    expressions: Vec<PhysicalExprNode>,
    #[prost(enumeration = "Constant", tag = "2")]
    constant: i32,
}

impl DisplayAs for KnownOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownOrderExec: {}", self.properties.eq_properties)
    }
}

impl ExecutionPlan for KnownOrderExec {
    fn name(&self) -> &str {
        "KnownOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        // Nothing is computed here, but they travel.
        let ordered = self.known.orders.iter().flatten().map(|sort| &sort.expr);
        let equal = self.known.equal.iter().flat_map(|equal| &equal.expressions);
        for expression in ordered.chain(equal) {
            if visit(expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_input(self.name(), children)?;
        Ok(Arc::new(Self::try_new(input, self.known.clone())?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::{col, lit};
    use datafusion::physical_plan::ExecutionPlanProperties;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::prelude::SessionContext;
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use super::*;
    use crate::codec::EngineCodec;

    #[test]
    fn what_is_known_survives_the_wire() {
        let fields = ["a", "b", "c", "d"].map(|name| Field::new(name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let column = |name| col(name, &schema).unwrap();
        let mut properties = EquivalenceProperties::new(Arc::clone(&schema));
        properties.add_equal_conditions(column("a"), column("b")).unwrap();
        properties.add_equal_conditions(column("c"), lit(7_i64)).unwrap();
        properties.add_ordering([PhysicalSortExpr::new_default(column("a"))]);
        let known = Known::of(&properties, true);
        let input: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::clone(&schema)));
        let plan: Arc<dyn ExecutionPlan> = Arc::new(KnownOrderExec::try_new(input, known).unwrap());
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, &EngineCodec).unwrap();
        let context = SessionContext::new().task_ctx();
        let back = physical_plan_from_bytes_with_extension_codec(&bytes, &context, &EngineCodec).unwrap();
        let (_, sorted) = back
            .equivalence_properties()
            .find_longest_permutation(&[column("b"), column("c"), column("d")])
            .unwrap();
        assert_eq!(
            sorted,
            [0, 1],
            "sorted by what equals `a`, and `c` is constant; of `d` nothing is known"
        );
    }

    #[test]
    fn a_constant_of_each_partition_is_known_where_partitions_are_whole() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut properties = EquivalenceProperties::new(Arc::clone(&schema));
        let a = col("a", &schema).unwrap();
        properties
            .add_constants([ConstExpr::new(Arc::clone(&a), AcrossPartitions::Heterogeneous)])
            .unwrap();
        assert!(Known::of(&properties, false).is_nothing());
        let input: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(schema));
        let telling = KnownOrderExec::try_new(input, Known::of(&properties, true)).unwrap();
        let told = telling.properties().equivalence_properties().is_expr_constant(&a);
        assert_eq!(told, Some(AcrossPartitions::Heterogeneous));
    }

    #[test]
    fn orders_are_left_out_where_rows_were_mixed() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut properties = EquivalenceProperties::new(Arc::clone(&schema));
        properties.add_ordering([PhysicalSortExpr::new_default(col("a", &schema).unwrap())]);
        assert!(Known::of(&properties, false).is_nothing());
        assert!(!Known::of(&properties, true).is_nothing());
    }
}
