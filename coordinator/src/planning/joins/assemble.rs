//! From an order of joins to a plan: sides, keys, modes, columns.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::conjunction;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::by_row_numbers::SemiJoin;
use super::by_sorting::{keys_are_sortable, project};
use super::graph::{Condition, Expression, Graph, Reduction, columns_of, renumber, with_columns};
use super::order::{Problem, Set, Tree, bit, within};
use super::prefilter::prefiltered;
use super::sizes::{Side, Sizes};

/// Builds the plan of a tree.
pub(super) struct Assembler<'a> {
    pub(super) graph: &'a Graph,
    pub(super) problem: &'a Problem,
    pub(super) sizes: Sizes,
}

/// A part of the plan, and which of the graph's columns it gives.
struct Part {
    plan: Arc<dyn ExecutionPlan>,
    columns: Vec<usize>,
    set: Set,
}

/// A join about to be made: build side first.
struct Join {
    build: Part,
    probe: Part,
    on: Vec<(Expression, Expression)>,
    filter: Option<Expression>,
    join_type: JoinType,
    /// Columns of the result, in order.
    output: Vec<usize>,
}

impl Assembler<'_> {
    /// The plan, with the columns of the graph's output under the names of `original`.
    ///
    /// # Errors
    /// None that is expected: a tree over the graph's relations can be built.
    pub(super) fn plan(&self, tree: &Tree, original: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
        let mut needed: Vec<usize> = Vec::new();
        for &column in &self.graph.output {
            if !needed.contains(&column) {
                needed.push(column);
            }
        }
        let part = self.part(tree, &needed)?;
        let schema = part.plan.schema();
        let named = schema
            .fields()
            .iter()
            .zip(original.fields())
            .all(|(a, b)| a.name() == b.name());
        if part.columns == self.graph.output && named {
            return Ok(part.plan);
        }
        let expressions = self.graph.output.iter().zip(original.fields()).map(|(&column, field)| {
            Ok(ProjectionExpr {
                expr: part.column(column)?,
                alias: field.name().clone(),
            })
        });
        let expressions = expressions.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(expressions, part.plan)?))
    }

    fn part(&self, tree: &Tree, needed: &[usize]) -> Result<Part> {
        match tree {
            Tree::Relation(relation) => self.relation(*relation),
            Tree::Join(a, b) => self.join(a, b, needed),
            Tree::Reduce(input, reducer) => self.reduce(input, *reducer, needed),
        }
    }

    fn relation(&self, index: usize) -> Result<Part> {
        let relation = &self.graph.relations[index];
        let columns: Vec<usize> = (relation.first..relation.first + relation.estimate.columns.len()).collect();
        let own = self
            .graph
            .conditions
            .iter()
            .filter(|condition| self.graph.relations_of(&condition.expression) == bit(index));
        let mut part = Part {
            plan: Arc::clone(&relation.plan),
            columns,
            set: bit(index),
        };
        let own = own
            .map(|condition| part.localize(&condition.expression))
            .collect::<Result<Vec<_>>>()?;
        if !own.is_empty() {
            part.plan = Arc::new(FilterExec::try_new(conjunction(own), part.plan)?);
        }
        Ok(part)
    }

    fn join(&self, a: &Tree, b: &Tree, needed: &[usize]) -> Result<Part> {
        let (set_a, set_b) = (a.set(), b.set());
        let here = self.conditions_between(set_a, set_b);
        let pairs = self.class_pairs(set_a, set_b);
        let mut below = needed.to_vec();
        below.extend(pairs.iter().flat_map(|&(a, b)| [a, b]));
        below.extend(here.iter().flat_map(|condition| columns_of(&condition.expression)));
        let a = self.part(a, &self.of_set(&below, set_a))?;
        let b = self.part(b, &self.of_set(&below, set_b))?;
        let (build, probe) = if self.size(&a).bytes <= self.size(&b).bytes {
            (a, b)
        } else {
            (b, a)
        };
        let mut on = Vec::new();
        for (of_a, of_b) in pairs {
            let (of_build, of_probe) = if build.set == set_a { (of_a, of_b) } else { (of_b, of_a) };
            on.push((build.column(of_build)?, probe.column(of_probe)?));
        }
        let mut filters = Vec::new();
        for condition in here {
            match self.key(condition, &build, &probe)? {
                Some(key) => on.push(key),
                None => filters.push(Arc::clone(&condition.expression)),
            }
        }
        let set = set_a | set_b;
        self.make(Join {
            output: self.in_order(needed, set, &build, &probe),
            build,
            probe,
            on,
            filter: (!filters.is_empty()).then(|| conjunction(filters)),
            join_type: JoinType::Inner,
        })
    }

    fn reduce(&self, input: &Tree, reducer: usize, needed: &[usize]) -> Result<Part> {
        let set = input.set();
        let reduction = self.reduction(reducer)?;
        let mut below = needed.to_vec();
        below.extend(reduction.on.iter().flat_map(|(kept, _)| columns_of(kept)));
        below.extend(reduction.filter.iter().flat_map(columns_of));
        let input = self.part(input, &self.of_set(&below, set))?;
        let reducing = self.relation(reducer)?;
        let output = self.of_set(needed, set);
        let reducing_builds = self.size(&reducing).bytes <= self.size(&input).bytes;
        let join_type = match (reduction.anti, reducing_builds) {
            (false, true) => JoinType::RightSemi,
            (false, false) => JoinType::LeftSemi,
            (true, true) => JoinType::RightAnti,
            (true, false) => JoinType::LeftAnti,
        };
        let mut on = Vec::new();
        for (kept, other) in &reduction.on {
            let (kept, other) = (input.localize(kept)?, reducing.localize(other)?);
            on.push(if reducing_builds { (other, kept) } else { (kept, other) });
        }
        let (build, probe) = if reducing_builds {
            (reducing, input)
        } else {
            (input, reducing)
        };
        let mut part = self.make(Join {
            build,
            probe,
            on,
            filter: reduction.filter.clone(),
            join_type,
            output,
        })?;
        part.set = set | bit(reducer);
        Ok(part)
    }

    fn reduction(&self, reducer: usize) -> Result<&Reduction> {
        let reduction = self.graph.relations[reducer].reduces.as_ref();
        reduction.ok_or_else(|| DataFusionError::Internal("a member of a join was taken for a reducer".to_owned()))
    }

    /// Conditions that become decidable when two sets are joined.
    fn conditions_between(&self, a: Set, b: Set) -> Vec<&Condition> {
        let between = |condition: &&Condition| {
            let over = self.graph.relations_of(&condition.expression);
            within(over, a | b) && !within(over, a) && !within(over, b)
        };
        self.graph.conditions.iter().filter(between).collect()
    }

    /// One column of each side for each class that is on both.
    fn class_pairs(&self, a: Set, b: Set) -> Vec<(usize, usize)> {
        let first = |class: &[usize], set: Set| {
            class
                .iter()
                .copied()
                .find(|&column| bit(self.graph.relation_of(column)) & set != 0)
        };
        let pair = |class: &Vec<usize>| first(class, a).zip(first(class, b));
        self.graph.classes.iter().filter_map(pair).collect()
    }

    /// A condition as a key of a hash join, if each of its sides is on one side of the join.
    fn key(&self, condition: &Condition, build: &Part, probe: &Part) -> Result<Option<(Expression, Expression)>> {
        let Some((left, right)) = &condition.equal else {
            return Ok(None);
        };
        let (of_left, of_right) = (self.graph.relations_of(left), self.graph.relations_of(right));
        if within(of_left, build.set) && within(of_right, probe.set) {
            return Ok(Some((build.localize(left)?, probe.localize(right)?)));
        }
        if within(of_right, build.set) && within(of_left, probe.set) {
            return Ok(Some((build.localize(right)?, probe.localize(left)?)));
        }
        Ok(None)
    }

    /// Those of `columns` that come from a set, each once.
    fn of_set(&self, columns: &[usize], set: Set) -> Vec<usize> {
        let mut kept: Vec<usize> = Vec::new();
        for &column in columns {
            if bit(self.graph.relation_of(column)) & set != 0 && !kept.contains(&column) {
                kept.push(column);
            }
        }
        kept
    }

    /// Columns of a join's result. At the root those of the output in its order; below it, as they come, which saves a copy of the order.
    fn in_order(&self, needed: &[usize], set: Set, build: &Part, probe: &Part) -> Vec<usize> {
        let needed = self.of_set(needed, set);
        if within(self.graph.members(), set) {
            return needed;
        }
        let all = build.columns.iter().chain(&probe.columns).copied();
        all.filter(|column| needed.contains(column)).collect()
    }

    fn size(&self, part: &Part) -> Side {
        let rows = self.problem.rows(part.set);
        let width: f64 = part
            .columns
            .iter()
            .map(|&column| self.graph.column(column).0.width)
            .sum();
        Side {
            rows,
            bytes: rows * width.max(1.0),
        }
    }

    /// Makes a join: by hash, by sorting if the build side would not fit, or as a nested loop without keys.
    fn make(&self, mut join: Join) -> Result<Part> {
        join.keep_a_column();
        let set = join.build.set | join.probe.set;
        let filter = join
            .filter
            .as_ref()
            .map(|filter| self.join_filter(filter, &join))
            .transpose()?;
        let positions = join.positions()?;
        let (build, probe) = (self.size(&join.build), self.size(&join.probe));
        let Join {
            build: left,
            probe: right,
            on,
            join_type,
            output,
            ..
        } = join;
        let all = positions
            .iter()
            .copied()
            .eq(0..result_columns(join_type, &left, &right));
        let projection = (!all).then(|| positions.clone());
        if on.is_empty() {
            return self.without_keys(left, right, filter, projection, output, set);
        }
        if join_type == JoinType::LeftSemi {
            let semi = SemiJoin {
                build: &left.plan,
                probe: &right.plan,
                on: &on,
                filter: filter.as_ref(),
                output: positions,
            };
            if let Some(plan) = semi.by_row_numbers(build, probe, &self.sizes)? {
                let columns = output;
                return Ok(Part { plan, columns, set });
            }
        }
        let sortable = keys_are_sortable(&on, &left.plan.schema());
        let plan = if sortable && self.sizes.exceeds_memory(build) {
            let options = vec![SortOptions::default(); on.len()];
            let equality = NullEquality::NullEqualsNothing;
            let joined = SortMergeJoinExec::try_new(left.plan, right.plan, on, filter, join_type, options, equality)?;
            project(Arc::new(joined), projection)?
        } else {
            let mode = match self.sizes.broadcast(join_type, build, probe) {
                true => PartitionMode::CollectLeft,
                false => PartitionMode::Partitioned,
            };
            let probe = match mode {
                PartitionMode::Partitioned => prefiltered(&left.plan, right.plan, &on, join_type, &self.sizes)?,
                _ => right.plan,
            };
            HashJoinExecBuilder::new(left.plan, probe, on, join_type)
                .with_filter(filter)
                .with_projection(projection)
                .with_partition_mode(mode)
                .with_null_equality(NullEquality::NullEqualsNothing)
                .build_exec()?
        };
        let columns = output;
        Ok(Part { plan, columns, set })
    }

    fn without_keys(
        &self,
        left: Part,
        right: Part,
        filter: Option<JoinFilter>,
        projection: Option<Vec<usize>>,
        output: Vec<usize>,
        set: Set,
    ) -> Result<Part> {
        let plan: Arc<dyn ExecutionPlan> = match filter {
            Some(filter) => {
                let joined =
                    NestedLoopJoinExec::try_new(left.plan, right.plan, Some(filter), &JoinType::Inner, projection)?;
                Arc::new(joined)
            }
            None => project(Arc::new(CrossJoinExec::new(left.plan, right.plan)), projection)?,
        };
        Ok(Part {
            plan,
            columns: output,
            set,
        })
    }

    fn join_filter(&self, filter: &Expression, join: &Join) -> Result<JoinFilter> {
        let mut columns: Vec<usize> = columns_of(filter).into_iter().collect();
        // Sort-merge joins take the left side's columns to come first.
        columns.sort_by_key(|&column| join.build.position(column).is_none());
        let mut sources = Vec::with_capacity(columns.len());
        for &column in &columns {
            sources.push(match join.build.position(column) {
                Some(index) => ColumnIndex {
                    index,
                    side: JoinSide::Left,
                },
                None => ColumnIndex {
                    index: join.probe.require(column)?,
                    side: JoinSide::Right,
                },
            });
        }
        let fields = columns.iter().map(|&column| Arc::clone(&self.graph.fields[column]));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let local = renumber(filter, |column| {
            columns.iter().position(|&other| other == column).unwrap_or(0)
        })?;
        Ok(JoinFilter::new(local, sources, schema))
    }
}

fn result_columns(join_type: JoinType, build: &Part, probe: &Part) -> usize {
    match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => build.columns.len(),
        JoinType::RightSemi | JoinType::RightAnti => probe.columns.len(),
        _ => build.columns.len() + probe.columns.len(),
    }
}

impl Part {
    fn position(&self, column: usize) -> Option<usize> {
        self.columns.iter().position(|&other| other == column)
    }

    fn require(&self, column: usize) -> Result<usize> {
        self.position(column)
            .ok_or_else(|| DataFusionError::Internal(format!("column {column} of a join graph was dropped too early")))
    }

    fn column(&self, column: usize) -> Result<Expression> {
        Ok(Arc::new(self.named(self.require(column)?)))
    }

    /// The column at a position. A join takes only columns under the names that its inputs give them.
    fn named(&self, index: usize) -> Column {
        Column::new(self.plan.schema().field(index).name(), index)
    }

    /// An expression over the graph's columns as one over this part's.
    fn localize(&self, expression: &Expression) -> Result<Expression> {
        for column in columns_of(expression) {
            self.require(column)?;
        }
        with_columns(expression, |column| {
            self.named(self.position(column.index()).unwrap_or(0))
        })
    }
}

impl Join {
    /// Rows without columns are still rows, but not every exchange thinks so: one column stays.
    fn keep_a_column(&mut self) {
        if !self.output.is_empty() {
            return;
        }
        let build_gives = !matches!(self.join_type, JoinType::RightSemi | JoinType::RightAnti);
        let probe_gives = !matches!(self.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
        let of_build = self.build.columns.iter().filter(|_| build_gives);
        let of_probe = self.probe.columns.iter().filter(|_| probe_gives);
        self.output.extend(of_probe.chain(of_build).copied().next());
    }

    /// Where the output's columns are in what the join gives without a projection.
    fn positions(&self) -> Result<Vec<usize>> {
        let build_gives = !matches!(self.join_type, JoinType::RightSemi | JoinType::RightAnti);
        let offset = if build_gives { self.build.columns.len() } else { 0 };
        let position = |&column: &usize| match self.build.position(column) {
            Some(index) if build_gives => Ok(index),
            _ => Ok(offset + self.probe.require(column)?),
        };
        self.output.iter().map(position).collect()
    }
}
