//! The order of a graph's relations and conditions, which does not depend on the statement's, and the classes of equal columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::displayable;

use super::graph::{Condition, Expression, Graph, Relation, with_columns};

impl Graph {
    /// Brings the relations, and with them their columns, into an order that does not depend on the statement's.
    pub(super) fn sort_relations(&mut self, conjuncts: &mut [Expression]) -> Result<()> {
        let mut order: Vec<usize> = (0..self.relations.len()).collect();
        let name = |relation: &Relation| displayable(relation.plan.as_ref()).indent(true).to_string();
        let names: Vec<String> = self.relations.iter().map(name).collect();
        order.sort_by(|&a, &b| {
            let (of_a, of_b) = (&self.relations[a].estimate, &self.relations[b].estimate);
            let by_size = of_b
                .base_rows
                .total_cmp(&of_a.base_rows)
                .then(of_b.rows.total_cmp(&of_a.rows));
            by_size.then_with(|| names[a].cmp(&names[b]))
        });
        let mut moved = vec![0; self.fields.len()];
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut relations = Vec::with_capacity(order.len());
        for index in order {
            let mut relation = self.relations[index].clone();
            let columns = relation.estimate.columns.len();
            let own = relation.first..relation.first + columns;
            for (moved, field) in moved[own.clone()].iter_mut().zip(&self.fields[own]) {
                *moved = fields.len();
                fields.push(Arc::clone(field));
            }
            relation.first = fields.len() - columns;
            relations.push(relation);
        }
        self.fields = fields;
        self.output.iter_mut().for_each(|column| *column = moved[*column]);
        // Under the names that the columns have in their relations, whatever projections between joins called them.
        let move_columns = |expression: &mut Expression| {
            let moved = |column: &Column| moved[column.index()];
            let named = |number: usize| Column::new(self.fields[number].name(), number);
            *expression = with_columns(expression, |column| named(moved(column)))?;
            Ok::<_, DataFusionError>(())
        };
        conjuncts.iter_mut().try_for_each(move_columns)?;
        for reduction in relations.iter_mut().filter_map(|relation| relation.reduces.as_mut()) {
            for (kept, reducing) in &mut reduction.on {
                move_columns(kept)?;
                move_columns(reducing)?;
            }
            reduction.filter.iter_mut().try_for_each(move_columns)?;
        }
        self.relations = relations;
        Ok(())
    }

    /// Sorts equalities of plain columns into classes: what equals the same is equal, so that a class needs one comparison
    /// per join, whichever it is.
    pub(super) fn classify(&mut self, conjuncts: Vec<Expression>) {
        let mut groups = Groups::default();
        let (equal, others): (Vec<Expression>, Vec<Expression>) = conjuncts
            .into_iter()
            .partition(|conjunct| self.equal_columns(conjunct).is_some());
        for (a, b) in equal.iter().filter_map(|conjunct| self.equal_columns(conjunct)) {
            groups.unite(a, b);
        }
        let mut rest = others;
        for (_, class) in groups.classes() {
            let relations: BTreeSet<usize> = class.iter().map(|&column| self.relation_of(column)).collect();
            if relations.len() == class.len() {
                self.classes.push(class);
                continue;
            }
            // Two columns of one relation: the comparison between them belongs to no join. Each equality stands for itself.
            let of_class = equal
                .iter()
                .filter(|conjunct| self.equal_columns(conjunct).is_some_and(|(a, _)| class.contains(&a)));
            rest.extend(of_class.map(Arc::clone));
        }
        for expression in rest {
            let equal = self.key_sides(&expression);
            self.conditions.push(Condition { expression, equal });
        }
    }

    /// The columns of different relations, of one type, that a condition says are equal. Floating-point numbers are left out: equal
    /// zeros of different sign, and what a hash says of them, are not worth the thought.
    fn equal_columns(&self, condition: &Expression) -> Option<(usize, usize)> {
        let binary = condition.downcast_ref::<BinaryExpr>()?;
        let column = |side: &Expression| side.downcast_ref::<Column>().map(Column::index);
        let (a, b) = (column(binary.left())?, column(binary.right())?);
        let (type_a, type_b) = (self.fields[a].data_type(), self.fields[b].data_type());
        let fits = *binary.op() == Operator::Eq
            && type_a == type_b
            && !matches!(type_a, DataType::Float16 | DataType::Float32 | DataType::Float64)
            && self.relation_of(a) != self.relation_of(b);
        fits.then_some((a, b))
    }

    /// The sides of an equality between different relations.
    fn key_sides(&self, condition: &Expression) -> Option<(Expression, Expression)> {
        let binary = condition.downcast_ref::<BinaryExpr>()?;
        let (a, b) = (self.relations_of(binary.left()), self.relations_of(binary.right()));
        let fits = *binary.op() == Operator::Eq && a != 0 && b != 0 && a & b == 0;
        fits.then(|| (Arc::clone(binary.left()), Arc::clone(binary.right())))
    }
}

/// Disjoint groups of columns.
#[derive(Default)]
struct Groups(BTreeMap<usize, usize>);

impl Groups {
    fn root(&self, column: usize) -> usize {
        match self.0.get(&column) {
            Some(&parent) if parent != column => self.root(parent),
            _ => column,
        }
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (a.min(b), a.max(b));
        self.0.insert(first, first);
        self.0.insert(second, first);
    }

    fn classes(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &column in self.0.keys() {
            classes.entry(self.root(column)).or_default().push(column);
        }
        classes
    }
}
