//! The order of joins: a pure search over sets of relations.
//!
//! The cost of a join is the rows of its result, of the side that is built and of the side that probes, weighted; the cost of a tree is
//! the sum. Up to [`MAX_SEARCHED`] relations all trees without cross products are compared, also bushy ones; beyond that, or if some
//! relations are connected by nothing, the cheapest next step is taken until one tree is left.
//!
//! How many rows a set of relations gives depends on the set alone, not on the order in which it was joined, and relations are numbered
//! by size: so the order that a statement was written in does not matter.

use std::collections::HashMap;

/// A set of relations, by their numbers.
pub(super) type Set = u64;

/// Most relations of one graph: the work of a search step by step grows with their fifth power at worst. Larger graphs stay as they are written.
pub(super) const MAX_RELATIONS: usize = 32;
/// Relations up to which all orders are compared: 3^10 is 59,049 splits.
const MAX_SEARCHED: usize = 10;

/// Cost of a row that is put into a hash table, of one that is looked up, of one that comes out.
const BUILD_COST: f64 = 1.5;
const PROBE_COST: f64 = 0.5;
const OUTPUT_COST: f64 = 1.0;

/// What takes part in the search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation {
    /// Rows after its filters.
    pub(super) rows: f64,
    /// Rows before them.
    pub(super) base_rows: f64,
    /// What it does.
    pub(super) role: Role,
}

/// What a relation does in a join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// Its rows are joined.
    Member,
    /// It decides which rows of `over` stay (semi or anti join): the part `keeps`.
    Reducer { over: Set, keeps: f64 },
}

/// Relations of which one column each is equal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Class {
    /// The relations.
    pub(super) members: Set,
    /// Different values of those columns.
    pub(super) distinct: f64,
}

/// A condition over several relations that is not an equality of plain columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// The relations.
    pub(super) over: Set,
    /// Part of the rows that satisfies it.
    pub(super) selectivity: f64,
    /// Whether a hash join can use it as its key.
    pub(super) is_key: bool,
}

/// A join to be ordered. Relations are to be in descending order of `base_rows`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Problem {
    pub(super) relations: Vec<Relation>,
    pub(super) classes: Vec<Class>,
    pub(super) conditions: Vec<Condition>,
}

/// An order. Which side is built is decided where the tree becomes a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    Relation(usize),
    Join(Box<Self>, Box<Self>),
    /// A reducer is applied.
    Reduce(Box<Self>, usize),
}

impl Tree {
    /// The relations in it.
    pub(super) fn set(&self) -> Set {
        match self {
            Self::Relation(relation) => bit(*relation),
            Self::Join(a, b) => a.set() | b.set(),
            Self::Reduce(input, reducer) => input.set() | bit(*reducer),
        }
    }
}

pub(super) fn bit(relation: usize) -> Set {
    1 << relation
}

/// Whether `part` is in `whole`.
pub(super) fn within(part: Set, whole: Set) -> bool {
    part & !whole == 0
}

impl Problem {
    /// The cheapest order found; `None` without relations.
    pub(super) fn solve(&self) -> Option<Tree> {
        let searched = (self.relations.len() <= MAX_SEARCHED).then(|| self.search()).flatten();
        searched.or_else(|| self.step_by_step())
    }

    /// Rows of a set of relations that are joined with each other by all conditions within it; of a reducer alone, its own.
    pub(super) fn rows(&self, set: Set) -> f64 {
        if set.count_ones() == 1 {
            return self.relations[set.trailing_zeros() as usize].rows.max(1.0);
        }
        let mut rows = 1.0;
        let mut joined: Set = 0;
        let members = |set: Set| (0..self.relations.len()).filter(move |&index| set & bit(index) != 0);
        let mut left = members(set)
            .filter(|&index| self.relations[index].role == Role::Member)
            .map(bit)
            .sum::<Set>();
        // Larger tables first: what follows is then looked up by its key, and multiplies the rows by what its filters left.
        while left != 0 {
            let next = members(left)
                .find(|&index| joined == 0 || self.domain(joined, index) > 1.0)
                .unwrap_or_else(|| left.trailing_zeros() as usize);
            let relation = &self.relations[next];
            let domain = self.domain(joined, next).min(relation.base_rows).max(1.0);
            rows *= relation.rows / domain;
            joined |= bit(next);
            left &= !bit(next);
        }
        for condition in &self.conditions {
            if within(condition.over, joined) && !condition.is_key {
                rows *= condition.selectivity;
            }
        }
        for index in members(set) {
            if let Role::Reducer { keeps, .. } = self.relations[index].role {
                rows *= keeps;
            }
        }
        rows.max(1.0)
    }

    /// Different values of all columns by which a relation is joined to others.
    fn domain(&self, joined: Set, relation: usize) -> f64 {
        let classes = self.classes.iter();
        let by_class = classes.filter(|class| class.members & joined != 0 && class.members & bit(relation) != 0);
        let keys = self.conditions.iter();
        let by_key = keys.filter(|key| {
            key.is_key
                && key.over & bit(relation) != 0
                && key.over & joined != 0
                && within(key.over, joined | bit(relation))
        });
        by_class.map(|class| class.distinct).product::<f64>()
            * by_key.map(|key| 1.0 / key.selectivity.max(1e-12)).product::<f64>()
    }

    fn are_connected(&self, a: Set, b: Set) -> bool {
        let by_class = self
            .classes
            .iter()
            .any(|class| class.members & a != 0 && class.members & b != 0);
        // A condition with a single row, such as a scalar subquery's, is a filter of the other side.
        let is_filter = self.is_one_row(a) || self.is_one_row(b);
        by_class
            || self.conditions.iter().any(|condition| {
                (condition.is_key || is_filter)
                    && within(condition.over, a | b)
                    && condition.over & a != 0
                    && condition.over & b != 0
            })
    }

    /// Whether a set is one relation of one row, whatever its filters leave.
    fn is_one_row(&self, set: Set) -> bool {
        set.count_ones() == 1 && self.relations[set.trailing_zeros() as usize].base_rows <= 1.0
    }

    /// Cost of joining two inputs, without their own.
    fn cost(&self, a: f64, b: f64, output: f64) -> f64 {
        BUILD_COST * a.min(b) + PROBE_COST * a.max(b) + OUTPUT_COST * output
    }

    /// The best of all orders without cross products.
    fn search(&self) -> Option<Tree> {
        let count = self.relations.len();
        let mut best: HashMap<Set, Plan> = HashMap::new();
        for set in 1..(1 as Set) << count {
            if set.count_ones() == 1 {
                let relation = set.trailing_zeros() as usize;
                if self.relations[relation].role == Role::Member {
                    best.insert(set, Plan::of(Tree::Relation(relation), 0.0, self.rows(set)));
                }
                continue;
            }
            if let Some(plan) = self.best_of(set, &best) {
                best.insert(set, plan);
            }
        }
        let all = ((1 as Set) << count) - 1;
        best.remove(&all).map(|plan| plan.tree)
    }

    fn best_of(&self, set: Set, best: &HashMap<Set, Plan>) -> Option<Plan> {
        let rows = self.rows(set);
        let mut found: Option<(f64, Set, Option<usize>)> = None;
        let mut consider = |cost: f64, part: Set, reducer: Option<usize>| {
            if found.is_none_or(|(least, ..)| cost < least) {
                found = Some((cost, part, reducer));
            }
        };
        for (reducer, relation) in self.relations.iter().enumerate() {
            let rest = set & !bit(reducer);
            if let Role::Reducer { over, .. } = relation.role
                && rest != set
                && within(over, rest)
                && let Some(input) = best.get(&rest)
            {
                consider(
                    input.cost + self.cost(input.rows, relation.rows, rows),
                    rest,
                    Some(reducer),
                );
            }
        }
        let mut part = (set - 1) & set;
        while part != 0 {
            let other = set & !part;
            // Each split once.
            if part > other
                && let (Some(a), Some(b)) = (best.get(&part), best.get(&other))
                && self.are_connected(part, other)
            {
                consider(a.cost + b.cost + self.cost(a.rows, b.rows, rows), part, None);
            }
            part = (part - 1) & set;
        }
        let (cost, part, reducer) = found?;
        let input = Box::new(best[&part].tree.clone());
        let tree = match reducer {
            Some(reducer) => Tree::Reduce(input, reducer),
            None => Tree::Join(input, Box::new(best[&(set & !part)].tree.clone())),
        };
        Some(Plan::of(tree, cost, rows))
    }

    /// The cheapest step again and again; cross products only when nothing else is left.
    fn step_by_step(&self) -> Option<Tree> {
        let numbered = || self.relations.iter().enumerate();
        let mut trees: Vec<Tree> = numbered()
            .filter(|(_, relation)| relation.role == Role::Member)
            .map(|(index, _)| Tree::Relation(index))
            .collect();
        let mut reducers: Vec<usize> = numbered()
            .filter(|(_, relation)| relation.role != Role::Member)
            .map(|(index, _)| index)
            .collect();
        // Most pairs are the same in the next step.
        let mut known = HashMap::new();
        while trees.len() > 1 || !reducers.is_empty() {
            match self.cheapest_step(&trees, &reducers, &mut known)? {
                Step::Reduce(tree, reducer) => {
                    let input = Box::new(trees[tree].clone());
                    trees[tree] = Tree::Reduce(input, reducer);
                    reducers.retain(|&other| other != reducer);
                }
                Step::Join(a, b) => {
                    let second = trees.remove(b);
                    let first = Box::new(trees[a].clone());
                    trees[a] = Tree::Join(first, Box::new(second));
                }
            }
        }
        trees.pop()
    }

    fn cheapest_step(&self, trees: &[Tree], reducers: &[usize], known: &mut HashMap<Set, f64>) -> Option<Step> {
        let mut rows_of = |set: Set| *known.entry(set).or_insert_with(|| self.rows(set));
        let sets: Vec<Set> = trees.iter().map(Tree::set).collect();
        let rows: Vec<f64> = sets.iter().map(|&set| rows_of(set)).collect();
        let mut steps = Vec::new();
        for (tree, &set) in sets.iter().enumerate() {
            for &reducer in reducers {
                if let Role::Reducer { over, .. } = self.relations[reducer].role
                    && within(over, set)
                {
                    let output = rows_of(set | bit(reducer));
                    let cost = self.cost(rows[tree], self.relations[reducer].rows, output);
                    steps.push((false, cost, Step::Reduce(tree, reducer)));
                }
            }
            for other in tree + 1..sets.len() {
                let crosses = !self.are_connected(set, sets[other]);
                let cost = self.cost(rows[tree], rows[other], rows_of(set | sets[other]));
                steps.push((crosses, cost, Step::Join(tree, other)));
            }
        }
        let cheapest = steps
            .into_iter()
            .min_by(|(a_crosses, a, _), (b_crosses, b, _)| a_crosses.cmp(b_crosses).then(a.total_cmp(b)));
        cheapest.map(|(_, _, step)| step)
    }
}

enum Step {
    Join(usize, usize),
    Reduce(usize, usize),
}

/// The best tree over a set.
struct Plan {
    tree: Tree,
    cost: f64,
    rows: f64,
}

impl Plan {
    fn of(tree: Tree, cost: f64, rows: f64) -> Self {
        Self { tree, cost, rows }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn member(rows: f64, base_rows: f64) -> Relation {
        Relation {
            rows,
            base_rows,
            role: Role::Member,
        }
    }

    fn class(members: &[usize], distinct: f64) -> Class {
        Class {
            members: members.iter().map(|&member| bit(member)).sum(),
            distinct,
        }
    }

    fn drawing(tree: &Tree, names: &[&str]) -> String {
        match tree {
            Tree::Relation(relation) => names[*relation].to_owned(),
            Tree::Join(a, b) => {
                let mut sides = [drawing(a, names), drawing(b, names)];
                sides.sort();
                format!("({} x {})", sides[0], sides[1])
            }
            Tree::Reduce(input, reducer) => format!("({} < {})", drawing(input, names), names[*reducer]),
        }
    }

    #[test]
    fn a_subquery_that_keeps_little_comes_before_the_joins() {
        // TPC-H Q18: lineitem, orders, customer, and the orders with a large quantity.
        let problem = Problem {
            relations: vec![
                member(6e6, 6e6),
                member(1.5e6, 1.5e6),
                Relation {
                    rows: 3e5,
                    base_rows: 1.5e6,
                    role: Role::Reducer {
                        over: bit(1),
                        keeps: 0.2,
                    },
                },
                member(1.5e5, 1.5e5),
            ],
            classes: vec![class(&[0, 1], 1.5e6), class(&[1, 3], 1.5e5)],
            conditions: vec![],
        };
        let tree = problem.solve().unwrap();
        let names = ["lineitem", "orders", "subquery", "customer"];
        assert_eq!(drawing(&tree, &names), "(((orders < subquery) x customer) x lineitem)");
    }

    #[test]
    fn a_scalar_filters_before_a_large_subquery_reduces() {
        // TPC-H Q22: customers, those that have orders, and the mean of an account.
        let problem = Problem {
            relations: vec![
                Relation {
                    rows: 1.5e7,
                    base_rows: 1.5e7,
                    role: Role::Reducer {
                        over: bit(1),
                        keeps: 0.1,
                    },
                },
                member(4e5, 1.5e6),
                member(1.0, 1.0),
            ],
            classes: vec![],
            conditions: vec![Condition {
                over: bit(1) | bit(2),
                selectivity: 0.3,
                is_key: false,
            }],
        };
        let tree = problem.solve().unwrap();
        let names = ["orders", "customer", "mean"];
        assert_eq!(drawing(&tree, &names), "((customer x mean) < orders)");
    }

    #[test]
    fn filtered_dimensions_come_first() {
        // TPC-H Q5: one region of five leaves a fifth of the suppliers; orders of one year a seventh.
        let problem = Problem {
            relations: vec![
                member(6e6, 6e6),
                member(2.2e5, 1.5e6),
                member(1.5e5, 1.5e5),
                member(1e4, 1e4),
                member(25.0, 25.0),
                member(1.0, 5.0),
            ],
            classes: vec![
                class(&[0, 1], 1.5e6),
                class(&[1, 2], 1.5e5),
                class(&[0, 3], 1e4),
                class(&[2, 3, 4], 25.0),
                class(&[4, 5], 5.0),
            ],
            conditions: vec![],
        };
        let tree = problem.solve().unwrap();
        let names = ["lineitem", "orders", "customer", "supplier", "nation", "region"];
        let drawn = drawing(&tree, &names);
        assert!(drawn.contains("(nation x region)"), "{drawn}");
        assert!(!drawn.contains("(lineitem x orders)"), "{drawn}");
    }

    #[test]
    fn keys_of_two_columns_are_no_more_than_there_are_rows() {
        let problem = Problem {
            relations: vec![member(6e6, 6e6), member(8e5, 8e5)],
            classes: vec![class(&[0, 1], 2e5), class(&[0, 1], 1e4)],
            conditions: vec![],
        };
        assert!((problem.rows(0b11) - 6e6).abs() < 1.0);
    }

    #[test]
    fn relations_without_a_condition_are_crossed_last() {
        let problem = Problem {
            relations: vec![member(1e3, 1e3), member(1e2, 1e2), member(1.0, 1.0)],
            classes: vec![class(&[0, 1], 1e2)],
            conditions: vec![],
        };
        assert_eq!(
            drawing(&problem.solve().unwrap(), &["a", "b", "one"]),
            "((a x b) x one)"
        );
    }

    fn any_problem() -> impl Strategy<Value = Problem> {
        let relation = (1u32..1_000_000, 1u32..100, any::<bool>());
        proptest::collection::vec(relation, 2..14).prop_flat_map(|sizes| {
            let count = sizes.len();
            let pair = (0..count, 0..count, 1u32..1_000_000);
            let pairs = proptest::collection::vec(pair, 0..16);
            pairs.prop_map(move |pairs| {
                let relations = sizes.iter().enumerate().map(|(index, (rows, percent, reduces))| {
                    let base_rows = f64::from(*rows);
                    let role = if *reduces && index > 0 {
                        Role::Reducer {
                            over: bit(0),
                            keeps: 0.5,
                        }
                    } else {
                        Role::Member
                    };
                    Relation {
                        rows: base_rows * f64::from(*percent) / 100.0,
                        base_rows,
                        role,
                    }
                });
                let classes = pairs
                    .iter()
                    .filter(|(a, b, _)| a != b)
                    .map(|(a, b, distinct)| class(&[*a, *b], f64::from(*distinct)));
                Problem {
                    relations: relations.collect(),
                    classes: classes.collect(),
                    conditions: vec![],
                }
            })
        })
    }

    proptest! {
        #[test]
        fn every_relation_is_joined_once(problem in any_problem()) {
            let tree = problem.solve().unwrap();
            let mut seen = Vec::new();
            collect(&tree, &mut seen, &problem)?;
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..problem.relations.len()).collect::<Vec<_>>());
        }
    }

    fn collect(tree: &Tree, seen: &mut Vec<usize>, problem: &Problem) -> Result<(), TestCaseError> {
        match tree {
            Tree::Relation(relation) => {
                prop_assert_eq!(problem.relations[*relation].role, Role::Member);
                seen.push(*relation);
            }
            Tree::Join(a, b) => {
                collect(a, seen, problem)?;
                collect(b, seen, problem)?;
            }
            Tree::Reduce(input, reducer) => {
                let Role::Reducer { over, .. } = problem.relations[*reducer].role else {
                    return Err(TestCaseError::fail("a member reduces"));
                };
                prop_assert!(within(over, input.set()));
                collect(input, seen, problem)?;
                seen.push(*reducer);
            }
        }
        Ok(())
    }
}
