//! Growing groups and aggregates.

use super::ast::{Expr, Grouping, Select};
use super::data::Kind;
use super::queries::{Generator, MAX_NESTING, Scope};

impl Generator<'_> {
    pub(super) fn aggregate(&mut self, select: &mut Select, scope: &Scope, kinds: Option<&[Kind]>) {
        let is_free = kinds.is_none();
        let kinds = match kinds {
            Some(kinds) => kinds.to_vec(),
            None => {
                let mut kinds: Vec<Kind> = (0..=self.random.below(3)).map(|_| self.kind_in(scope)).collect();
                if self.random.percent(35) {
                    kinds.push(Kind::Opaque);
                }
                kinds
            }
        };
        for kind in kinds {
            let item = if kind != Kind::Opaque && self.random.percent(40) {
                let group = self.column_or_expr(scope, kind);
                select.groups.push(group.clone());
                group
            } else {
                self.aggregate_of(scope, kind)
            };
            select.items.push(item);
        }
        // A constant is not a group of its own, but a position.
        select.groups.retain(|group| !matches!(group, Expr::Literal(..)));
        select.groups.dedup();
        if select.groups.len() > 1 && select.groups.len() < 4 {
            select.grouping = self
                .random
                .pick(&[
                    Grouping::Plain,
                    Grouping::Plain,
                    Grouping::Plain,
                    Grouping::Rollup,
                    Grouping::Cube,
                    Grouping::FirstAndRollup,
                    Grouping::Sets(Vec::new()),
                ])
                .clone();
        }
        self.sets_and_windows(select, is_free);
        if self.random.percent(25) {
            let count = self.aggregate_of(scope, Kind::Int);
            let least = self.random.below(4).to_string();
            let least = Expr::Literal(least, Kind::Int);
            select.having = Some(Expr::call("({0} >= {1})", vec![count, least], Kind::Bool));
        }
    }

    /// Draws grouping sets, and what only groups have, where more columns are free to be.
    fn sets_and_windows(&mut self, select: &mut Select, is_free: bool) {
        if select.grouping == Grouping::Sets(Vec::new()) {
            let count = select.groups.len();
            let sets = (0..=self.random.below(3)).map(|_| (0..count).filter(|_| self.random.percent(60)).collect());
            let mut sets: Vec<Vec<usize>> = sets.collect();
            // Each column is a group of some set, or it would be none.
            sets.push((0..count).collect());
            select.grouping = Grouping::Sets(sets);
        } else if select.groups.is_empty() && self.random.percent(6) {
            let sets = if self.random.percent(50) { 1 } else { 2 };
            select.grouping = Grouping::Sets(vec![Vec::new(); sets]);
        }
        if !is_free {
            return;
        }
        if self.random.percent(20) {
            select.items.extend(self.window_over_groups(&select.groups));
        }
        if select.grouping != Grouping::Plain && !select.groups.is_empty() && self.random.percent(50) {
            let group = self.random.pick(&select.groups).clone();
            select.items.push(Expr::call("grouping({0})", vec![group], Kind::Int));
        }
    }

    /// An aggregate that gives `kind`.
    pub(super) fn aggregate_of(&mut self, scope: &Scope, kind: Kind) -> Expr {
        let any = self.kind_in(scope);
        let (template, of) = match kind {
            Kind::Int => match self.random.below(6) {
                0 => ("count(*)", None),
                1 => ("count({0})", Some(any)),
                2 => ("count(DISTINCT {0})", Some(any)),
                3 => ("sum({0} % 1000)", Some(Kind::Int)),
                4 => ("min({0})", Some(Kind::Int)),
                _ => ("max({0})", Some(Kind::Int)),
            },
            Kind::Big => *self.random.pick(&[
                ("sum({0})", Some(Kind::Big)),
                ("min({0})", Some(Kind::Big)),
                ("max({0})", Some(Kind::Big)),
                ("sum(DISTINCT {0})", Some(Kind::Big)),
                ("bit_xor({0})", Some(Kind::Big)),
            ]),
            Kind::Float => *self.random.pick(&[
                ("sum({0})", Some(Kind::Float)),
                ("min({0})", Some(Kind::Float)),
                ("max({0})", Some(Kind::Float)),
            ]),
            Kind::Decimal => *self.random.pick(&[
                ("sum({0})", Some(Kind::Decimal)),
                ("min({0})", Some(Kind::Decimal)),
                ("max({0})", Some(Kind::Decimal)),
            ]),
            Kind::Bool => *self.random.pick(&[
                ("bool_and({0})", Some(Kind::Bool)),
                ("bool_or({0})", Some(Kind::Bool)),
                ("(count({0}) > 1)", Some(Kind::Text)),
            ]),
            Kind::Text => *self.random.pick(&[
                ("min({0})", Some(Kind::Text)),
                ("max({0})", Some(Kind::Text)),
                ("string_agg({0}, '|' ORDER BY {0})", Some(Kind::Text)),
                ("first_value({0} ORDER BY {0})", Some(Kind::Text)),
            ]),
            // The least and greatest of floats with NaN depend on their order in DataFusion.
            Kind::Wild => ("last_value({0} ORDER BY {0})", Some(kind)),
            Kind::Wide => *self
                .random
                .pick(&[("min({0})", Some(Kind::Wide)), ("max({0})", Some(Kind::Wide))]),
            Kind::Date | Kind::Time | Kind::Instant => {
                let template = *self
                    .random
                    .pick(&["min({0})", "max({0})", "last_value({0} ORDER BY {0})"]);
                (template, Some(kind))
            }
            Kind::Opaque => *self.random.pick(&[
                ("avg({0})", Some(Kind::Float)),
                ("avg({0} % 1000)", Some(Kind::Int)),
                ("avg({0})", Some(Kind::Decimal)),
                ("stddev({0})", Some(Kind::Float)),
                ("var_pop({0})", Some(Kind::Float)),
                ("median({0} % 1000)", Some(Kind::Int)),
                ("array_agg({0} ORDER BY {0})", Some(Kind::Int)),
                ("array_agg(DISTINCT {0} ORDER BY {0})", Some(Kind::Text)),
            ]),
        };
        // The argument may stand there twice: the same both times.
        let argument = of.map(|of| self.column_or_expr(scope, of));
        let filter = self.random.percent(15).then(|| self.condition_without_subquery(scope));
        let mut arguments: Vec<Expr> = argument.into_iter().collect();
        let Some(filter) = filter.filter(|_| !template.starts_with('(')) else {
            return Expr::call(template, arguments, kind);
        };
        let template = format!("{template} FILTER (WHERE {{{}}})", arguments.len());
        arguments.push(filter);
        Expr::call(template, arguments, kind)
    }

    pub(super) fn column_or_expr(&mut self, scope: &Scope, kind: Kind) -> Expr {
        let nesting = std::mem::replace(&mut self.nesting, MAX_NESTING);
        let depth = self.random.below(2);
        let argument = self.expr(scope, kind, depth);
        self.nesting = nesting;
        argument
    }
}
