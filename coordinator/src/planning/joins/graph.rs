//! A join graph: relations, what is equal, what else must hold.
//!
//! All columns of all relations are numbered in one row, so that an expression means the same wherever its relations end up in a
//! tree. How a graph comes from a plan is in [`apart`](super::apart) and [`canonical`](super::canonical).

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;

use super::super::estimate::{ColumnEstimate, Distinct, Estimate, selectivity, shared_domain};
use super::order::{self, Problem, Role, Set, bit};

pub(super) type Expression = Arc<dyn PhysicalExpr>;

/// A relation of the graph.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// What gives its rows.
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// Number of its first column.
    pub(super) first: usize,
    /// What is expected of it.
    pub(super) estimate: Estimate,
    /// Set if it only decides which rows of the others stay.
    pub(super) reduces: Option<Reduction>,
}

/// A semi or anti join.
#[derive(Debug, Clone)]
pub(super) struct Reduction {
    /// Whether rows *with* a partner go.
    pub(super) anti: bool,
    /// What must be equal: of the rows that are kept, and of the reducing relation.
    pub(super) on: Vec<(Expression, Expression)>,
    /// What else must hold of both.
    pub(super) filter: Option<Expression>,
}

/// A condition that is not an equality of plain columns.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// What must hold.
    pub(super) expression: Expression,
    /// Its sides if it is an equality with which rows can be looked up.
    pub(super) equal: Option<(Expression, Expression)>,
}

/// A join graph. Relations are in descending order of size, conditions in the order of their text: two statements that differ
/// only in the order of their relations have the same graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    pub(super) relations: Vec<Relation>,
    /// Columns that are equal to each other, of different relations.
    pub(super) classes: Vec<Vec<usize>>,
    pub(super) conditions: Vec<Condition>,
    /// All columns.
    pub(super) fields: Vec<FieldRef>,
    /// Columns of the result, in order.
    pub(super) output: Vec<usize>,
}

impl Graph {
    /// The relation of a column.
    pub(super) fn relation_of(&self, column: usize) -> usize {
        let holds =
            |relation: &Relation| (relation.first..relation.first + relation.estimate.columns.len()).contains(&column);
        self.relations.iter().position(holds).unwrap_or(0)
    }

    /// The relations that an expression reads.
    pub(super) fn relations_of(&self, expression: &Expression) -> Set {
        columns_of(expression)
            .into_iter()
            .fold(0, |set, column| set | bit(self.relation_of(column)))
    }

    /// What is known of a column, and the rows of its table.
    pub(super) fn column(&self, column: usize) -> (&ColumnEstimate, f64) {
        let relation = &self.relations[self.relation_of(column)];
        (
            &relation.estimate.columns[column - relation.first],
            relation.estimate.base_rows,
        )
    }

    /// Different values that columns have together.
    pub(super) fn shared_domain(&self, columns: impl Iterator<Item = usize>) -> f64 {
        shared_domain(columns.map(|column| {
            let (estimate, base_rows) = self.column(column);
            (estimate.distinct, base_rows)
        }))
    }

    /// The relations whose rows are joined.
    pub(super) fn members(&self) -> Set {
        let members = self
            .relations
            .iter()
            .enumerate()
            .filter(|(_, relation)| relation.reduces.is_none());
        members.fold(0, |set, (index, _)| set | bit(index))
    }

    /// The search for an order that this graph poses.
    pub(super) fn problem(&self) -> Problem {
        let members = self.members();
        let columns: Vec<ColumnEstimate> = self
            .relations
            .iter()
            .flat_map(|relation| relation.estimate.columns.clone())
            .collect();
        let relations = self.relations.iter().map(|relation| order::Relation {
            rows: relation.estimate.rows,
            base_rows: relation.estimate.base_rows,
            role: match &relation.reduces {
                None => Role::Member,
                Some(reduction) => Role::Reducer {
                    over: self.reduced(reduction) & members,
                    keeps: self.keeps(relation, reduction),
                },
            },
        });
        let classes = self.classes.iter().map(|class| order::Class {
            members: class.iter().fold(0, |set, &column| set | bit(self.relation_of(column))),
            distinct: self.shared_domain(class.iter().copied()),
        });
        let conditions = self.conditions.iter().map(|condition| order::Condition {
            over: self.relations_of(&condition.expression),
            selectivity: self.condition_selectivity(condition, &columns),
            is_key: condition.equal.is_some(),
        });
        Problem {
            relations: relations.collect(),
            classes: classes.collect(),
            conditions: conditions.collect(),
        }
    }

    /// The relations that a reduction needs to read, with the reducing one.
    pub(super) fn reduced(&self, reduction: &Reduction) -> Set {
        let kept = reduction.on.iter().map(|(kept, _)| kept);
        kept.chain(&reduction.filter)
            .fold(0, |set, expression| set | self.relations_of(expression))
    }

    fn condition_selectivity(&self, condition: &Condition, columns: &[ColumnEstimate]) -> f64 {
        match &condition.equal {
            None => selectivity::selectivity(&condition.expression, columns),
            Some((left, right)) => 1.0 / self.key_domain(left, right),
        }
    }

    fn key_domain(&self, left: &Expression, right: &Expression) -> f64 {
        let side = |key: &Expression| match selectivity::column_of(key) {
            Some(column) => {
                let (estimate, base_rows) = self.column(column);
                (estimate.distinct, base_rows)
            }
            None => {
                let relations = self.relations_of(key);
                let largest = (0..self.relations.len()).filter(|&index| relations & bit(index) != 0);
                let rows = largest
                    .map(|index| self.relations[index].estimate.base_rows)
                    .fold(1.0, f64::max);
                (Distinct::Unknown, rows)
            }
        };
        shared_domain([side(left), side(right)].into_iter())
    }

    /// Part of the rows that a semi or anti join keeps.
    fn keeps(&self, relation: &Relation, reduction: &Reduction) -> f64 {
        let mut found: f64 = 1.0;
        for (kept, reducing) in &reduction.on {
            let now = match selectivity::column_of(reducing) {
                Some(column) => relation.estimate.distinct_now(column - relation.first),
                None => relation.estimate.rows,
            };
            found = found.min(now / self.key_domain(kept, reducing));
        }
        let found = found.min(1.0);
        match (reduction.anti, reduction.filter.is_some()) {
            (false, false) => found,
            (false, true) => found * MATCHES_FILTER,
            (true, false) => (1.0 - found).max(ANTI_KEEPS),
            (true, true) => (1.0 - found * MATCHES_FILTER).max(ANTI_KEEPS),
        }
    }
}

/// Part of the rows with partners that also satisfies a semi join's further condition.
const MATCHES_FILTER: f64 = 0.5;
/// An anti join keeps at least this part: that nothing at all stays is an estimate's error more often than it is true.
const ANTI_KEEPS: f64 = 0.1;

/// The columns that an expression reads.
pub(super) fn columns_of(expression: &Expression) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    // The visitor never fails: it only looks.
    let _ = expression.apply(|part| {
        columns.extend(part.downcast_ref::<Column>().map(Column::index));
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}

/// An expression over columns with other numbers.
pub(super) fn renumber(expression: &Expression, number: impl Fn(usize) -> usize) -> Result<Expression> {
    with_columns(expression, |column| Column::new(column.name(), number(column.index())))
}

/// An expression over other columns.
pub(super) fn with_columns(expression: &Expression, other: impl Fn(&Column) -> Column) -> Result<Expression> {
    Arc::clone(expression)
        .transform(|part| {
            let Some(column) = part.downcast_ref::<Column>() else {
                return Ok(Transformed::no(part));
            };
            Ok(Transformed::yes(Arc::new(other(column))))
        })
        .data()
}
