//! Which type each parameter of a plan must have, from the places where it stands.
//!
//! The planner finds out the types in comparisons, `IN` and `LIKE`. A client that binds strictly to what it is shown needs more: arguments of
//! functions, branches of `CASE`, casts, `LIMIT`, signs. So this walks the plan once more, with the type that each place expects.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::expr::{Between, Case, InList, Like};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::error::Result;

/// Types by the parameter's name, `$1`; `None` where nothing says.
pub(super) type Types = BTreeMap<String, Option<DataType>>;

/// What an argument may be that nobody knows, most likely first.
const GUESSES: [DataType; 5] = [
    DataType::Null,
    DataType::Utf8,
    DataType::Float64,
    DataType::Int64,
    DataType::Timestamp(TimeUnit::Nanosecond, None),
];

/// Finds the types of all parameters of a plan and of its subqueries. A parameter at several places has the type of the first that has one.
///
/// # Errors
/// None that is expected.
pub(super) fn infer(plan: &LogicalPlan) -> Result<Types> {
    let mut types = Types::new();
    plan.apply_with_subqueries(|node| {
        let schema = input_schema(node);
        let expected = match node {
            LogicalPlan::Limit(_) => Some(DataType::Int64),
            LogicalPlan::Filter(_) => Some(DataType::Boolean),
            _ => None,
        };
        node.apply_expressions(|expr| {
            Walk {
                schema: &schema,
                types: &mut types,
            }
            .expect(expr, expected.clone());
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(types)
}

/// What the expressions of a node refer to.
fn input_schema(node: &LogicalPlan) -> DFSchemaRef {
    let mut merged = DFSchema::empty();
    for input in node.inputs() {
        merged.merge(input.schema());
    }
    // Scans and VALUES have no input, but expressions over their own columns.
    merged.merge(node.schema());
    Arc::new(merged)
}

struct Walk<'a> {
    schema: &'a DFSchema,
    types: &'a mut Types,
}

impl Walk<'_> {
    /// Notes the parameters within `expr`, which stands where `expected` is.
    fn expect(&mut self, expr: &Expr, expected: Option<DataType>) {
        match expr {
            Expr::Placeholder(placeholder) => {
                let own = placeholder.field.as_ref().map(|field| field.data_type().clone());
                let found = own.or(expected).filter(|data_type| *data_type != DataType::Null);
                let known = self.types.entry(placeholder.id.clone()).or_default();
                if known.is_none() {
                    *known = found;
                }
            }
            Expr::Alias(alias) => self.expect(&alias.expr, expected),
            Expr::Negative(inner) => self.expect(inner, expected),
            Expr::Not(inner) => self.expect(inner, Some(DataType::Boolean)),
            Expr::Cast(cast) => self.expect(&cast.expr, Some(cast.field.data_type().clone())),
            Expr::TryCast(cast) => self.expect(&cast.expr, Some(cast.field.data_type().clone())),
            Expr::BinaryExpr(binary) => self.binary(binary, expected),
            Expr::Between(Between { expr, low, high, .. }) => self.alike(&[expr, low, high]),
            Expr::InList(InList { expr, list, .. }) => {
                let all: Vec<&Expr> = std::iter::once(&**expr).chain(list).collect();
                self.alike(&all);
            }
            Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
                self.expect(expr, Some(DataType::Utf8));
                self.expect(pattern, Some(DataType::Utf8));
            }
            Expr::Case(case) => self.case(case, expected),
            Expr::ScalarFunction(function) => {
                let types = self.argument_types(&function.args, function.func.as_ref());
                self.arguments(&function.args, types);
            }
            Expr::AggregateFunction(function) => {
                let types = self.argument_types(&function.params.args, function.func.as_ref());
                self.arguments(&function.params.args, types);
                if let Some(filter) = &function.params.filter {
                    self.expect(filter, Some(DataType::Boolean));
                }
            }
            other => {
                // The visitor never fails: it only looks.
                let _ = other.apply_children(|child| {
                    self.expect(child, None);
                    Ok(TreeNodeRecursion::Continue)
                });
            }
        }
    }

    fn binary(&mut self, BinaryExpr { left, op, right }: &BinaryExpr, expected: Option<DataType>) {
        match op {
            Operator::And | Operator::Or => {
                self.expect(left, Some(DataType::Boolean));
                self.expect(right, Some(DataType::Boolean));
            }
            Operator::StringConcat => {
                self.expect(left, Some(DataType::Utf8));
                self.expect(right, Some(DataType::Utf8));
            }
            _ => {
                let numeric = expected.filter(|_| op.is_numerical_operators());
                let (of_left, of_right) = (self.type_of(left), self.type_of(right));
                self.expect(left, of_right.or_else(|| numeric.clone()));
                self.expect(right, of_left.or(numeric));
            }
        }
    }

    /// Several that are compared with each other.
    fn alike(&mut self, all: &[&Expr]) {
        let known = all.iter().find_map(|expr| self.type_of(expr));
        for expr in all {
            self.expect(expr, known.clone());
        }
    }

    fn case(&mut self, case: &Case, expected: Option<DataType>) {
        let branches = case.when_then_expr.iter().map(|(_, then)| &**then);
        let branches: Vec<&Expr> = branches.chain(case.else_expr.as_deref()).collect();
        let of_branches = branches.iter().find_map(|branch| self.type_of(branch)).or(expected);
        for branch in branches {
            self.expect(branch, of_branches.clone());
        }
        let whens = case.when_then_expr.iter().map(|(when, _)| &**when);
        match &case.expr {
            Some(subject) => {
                let compared: Vec<&Expr> = std::iter::once(&**subject).chain(whens).collect();
                self.alike(&compared);
            }
            None => whens.for_each(|when| self.expect(when, Some(DataType::Boolean))),
        }
    }

    fn arguments(&mut self, arguments: &[Expr], types: Option<Vec<FieldRef>>) {
        for (at, argument) in arguments.iter().enumerate() {
            let expected = types.as_ref().and_then(|types| types.get(at));
            self.expect(argument, expected.map(|field| field.data_type().clone()));
        }
    }

    /// The types that a function makes of its arguments, where those that nobody knows are NULL; or, if it makes nothing of NULL, the first of
    /// some types that it takes for them.
    fn argument_types<F>(&self, arguments: &[Expr], function: &F) -> Option<Vec<FieldRef>>
    where
        F: datafusion::logical_expr::type_coercion::functions::UDFCoercionExt,
    {
        let known: Vec<Option<DataType>> = arguments.iter().map(|argument| self.type_of(argument)).collect();
        GUESSES.iter().find_map(|guess| {
            let fields = known.iter().map(|known| {
                let data_type = known.clone().unwrap_or_else(|| guess.clone());
                Arc::new(Field::new("argument", data_type, true))
            });
            let coerced = fields_with_udf(&fields.collect::<Vec<FieldRef>>(), function).ok()?;
            let tells = |(known, field): (&Option<DataType>, &FieldRef)| {
                known.is_some() || *field.data_type() != DataType::Null
            };
            known.iter().zip(&coerced).all(tells).then_some(coerced)
        })
    }

    /// The type of an expression, if it can be told.
    fn type_of(&self, expr: &Expr) -> Option<DataType> {
        let known = expr.get_type(self.schema).ok();
        known.filter(|data_type| *data_type != DataType::Null)
    }
}
