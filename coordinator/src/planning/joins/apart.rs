//! Takes a chain of joins apart.
//!
//! Inner joins, cross joins, and semi and anti joins are taken apart, with the projections and filters between them; everything else
//! is a relation of its own.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;

use super::super::estimate::estimate;
use super::super::plain_columns::plain_columns;
use super::graph::{Expression, Graph, Reduction, Relation, renumber};
use super::order::MAX_RELATIONS;

/// Whether `plan` is a join that is taken apart, perhaps below projections and filters.
pub(super) fn is_chain(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return plain_columns(projection.expr()).is_some() && is_chain(projection.input());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return plan.fetch().is_none() && !is_volatile(filter.predicate()) && is_chain(filter.input());
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let keeps_meaning =
            !join.null_aware && join.null_equality == NullEquality::NullEqualsNothing && plan.fetch().is_none();
        let calm = join.on().iter().all(|(l, r)| !is_volatile(l) && !is_volatile(r));
        let type_fits = matches!(
            join.join_type(),
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti
        );
        return keeps_meaning && type_fits && calm && is_calm(join.filter());
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return *join.join_type() == JoinType::Inner && plan.fetch().is_none() && is_calm(join.filter());
    }
    plan.is::<CrossJoinExec>()
}

fn is_calm(filter: Option<&JoinFilter>) -> bool {
    filter.is_none_or(|filter| !is_volatile(filter.expression()))
}

impl Graph {
    /// Takes a chain of joins apart; `None` if it is none, if there are too many relations, or if the size of one is unknown.
    ///
    /// # Errors
    /// None that is expected: expressions are only renumbered.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        if !is_chain(plan) {
            return Ok(None);
        }
        let mut parts = Parts::default();
        let Some(output) = parts.take(plan)? else {
            return Ok(None);
        };
        parts.into_graph(output)
    }
}

/// What was taken apart so far.
#[derive(Default)]
struct Parts {
    relations: Vec<Relation>,
    fields: Vec<FieldRef>,
    conditions: Vec<Expression>,
}

impl Parts {
    /// Takes `plan` apart; returns the columns that it gives.
    fn take(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Vec<usize>>> {
        if !is_chain(plan) {
            return Ok(self.relation(plan, None));
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let columns = self.take(projection.input())?;
            return Ok(columns.map(|columns| pick(&columns, plain_columns(projection.expr()).as_deref())));
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            let Some(columns) = self.take(filter.input())? else {
                return Ok(None);
            };
            self.conditions
                .push(renumber(filter.predicate(), |column| columns[column])?);
            return Ok(Some(pick(&columns, filter.projection().as_deref())));
        }
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return self.hash_join(join);
        }
        if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let Some((left, right)) = self.both(join.left(), join.right())? else {
                return Ok(None);
            };
            if let Some(filter) = join.filter() {
                self.conditions.push(join_filter(filter, &left, &right)?);
            }
            let columns = [left, right].concat();
            return Ok(Some(pick(&columns, join.projection().as_deref())));
        }
        if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
            let sides = self.both(join.left(), join.right())?;
            return Ok(sides.map(|(left, right)| [left, right].concat()));
        }
        Ok(None)
    }

    fn both(
        &mut self,
        left: &Arc<dyn ExecutionPlan>,
        right: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<(Vec<usize>, Vec<usize>)>> {
        let Some(left) = self.take(left)? else { return Ok(None) };
        Ok(self.take(right)?.map(|right| (left, right)))
    }

    fn hash_join(&mut self, join: &HashJoinExec) -> Result<Option<Vec<usize>>> {
        let columns = match join.join_type() {
            JoinType::Inner => {
                let Some((left, right)) = self.both(join.left(), join.right())? else {
                    return Ok(None);
                };
                for (l, r) in join.on() {
                    let (l, r) = (
                        renumber(l, |column| left[column])?,
                        renumber(r, |column| right[column])?,
                    );
                    self.conditions.push(Arc::new(BinaryExpr::new(l, Operator::Eq, r)));
                }
                if let Some(filter) = join.filter() {
                    self.conditions.push(join_filter(filter, &left, &right)?);
                }
                Some([left, right].concat())
            }
            JoinType::LeftSemi | JoinType::LeftAnti => self.reduction(join, true)?,
            _ => self.reduction(join, false)?,
        };
        Ok(columns.map(|columns| pick(&columns, join.projection.as_deref())))
    }

    fn reduction(&mut self, join: &HashJoinExec, keeps_left: bool) -> Result<Option<Vec<usize>>> {
        let (kept, reducing) = if keeps_left {
            (join.left(), join.right())
        } else {
            (join.right(), join.left())
        };
        let Some(kept) = self.take(kept)? else { return Ok(None) };
        let Some(columns) = self.relation(reducing, None) else {
            return Ok(None);
        };
        let mut on = Vec::with_capacity(join.on().len());
        for (left, right) in join.on() {
            let (of_kept, of_reducing) = if keeps_left { (left, right) } else { (right, left) };
            on.push((
                renumber(of_kept, |column| kept[column])?,
                renumber(of_reducing, |column| columns[column])?,
            ));
        }
        let (left, right) = if keeps_left {
            (&kept, &columns)
        } else {
            (&columns, &kept)
        };
        let filter = join
            .filter()
            .map(|filter| join_filter(filter, left, right))
            .transpose()?;
        if let Some(relation) = self.relations.last_mut() {
            let anti = matches!(join.join_type(), JoinType::LeftAnti | JoinType::RightAnti);
            relation.reduces = Some(Reduction { anti, on, filter });
        }
        Ok(Some(kept))
    }

    fn relation(&mut self, plan: &Arc<dyn ExecutionPlan>, reduces: Option<Reduction>) -> Option<Vec<usize>> {
        if self.relations.len() >= MAX_RELATIONS {
            return None;
        }
        let first = self.fields.len();
        let estimate = estimate(plan)?;
        self.fields.extend(plan.schema().fields().iter().map(Arc::clone));
        // A relation's columns and its estimate's must be the same ones.
        if first + estimate.columns.len() != self.fields.len() {
            return None;
        }
        self.relations.push(Relation {
            plan: Arc::clone(plan),
            first,
            estimate,
            reduces,
        });
        Some((first..self.fields.len()).collect())
    }

    fn into_graph(self, output: Vec<usize>) -> Result<Option<Graph>> {
        let Self {
            relations,
            fields,
            conditions,
        } = self;
        let mut graph = Graph {
            relations,
            fields,
            output,
            ..Graph::default()
        };
        let mut conjuncts: Vec<Expression> = conditions
            .iter()
            .flat_map(|condition| {
                split_conjunction(condition)
                    .into_iter()
                    .map(Arc::clone)
                    .collect::<Vec<_>>()
            })
            .collect();
        graph.sort_relations(&mut conjuncts)?;
        conjuncts.sort_by_cached_key(ToString::to_string);
        conjuncts.dedup_by(|a, b| a == b);
        // A condition over nothing has no place in a tree.
        if conjuncts.iter().any(|conjunct| graph.relations_of(conjunct) == 0) {
            return Ok(None);
        }
        let reducers_read_members = graph.relations.iter().filter_map(|relation| relation.reduces.as_ref());
        if reducers_read_members
            .into_iter()
            .any(|reduction| graph.reduced(reduction) & graph.members() == 0)
        {
            return Ok(None);
        }
        graph.classify(conjuncts);
        Ok(Some(graph))
    }
}

fn join_filter(filter: &JoinFilter, left: &[usize], right: &[usize]) -> Result<Expression> {
    let indices = filter.column_indices();
    renumber(filter.expression(), |column| {
        let source = &indices[column];
        match source.side {
            JoinSide::Left => left[source.index],
            JoinSide::Right | JoinSide::None => right[source.index],
        }
    })
}

fn pick(columns: &[usize], kept: Option<&[usize]>) -> Vec<usize> {
    match kept {
        None => columns.to_vec(),
        Some(kept) => kept.iter().map(|&index| columns[index]).collect(),
    }
}
