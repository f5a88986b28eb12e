//! Growing queries in places of values and conditions.

use super::ast::{Expr, Query, Select};
use super::data::Kind;
use super::queries::{Generator, Scope};

impl Generator<'_> {
    /// A SELECT without columns from a source whose rows are tied to the outer row, if that can be; whether they are by an id.
    pub(super) fn tied(&mut self, outer: &Scope) -> ((Select, Option<bool>), Scope) {
        self.nesting += 1;
        let (from, inner) = self.source();
        self.nesting -= 1;
        let tie = self.key_condition(&inner, outer);
        let unique = tie.as_ref().map(|(_, unique)| *unique);
        let select = Select::plain(from, tie.map(|(tie, _)| tie));
        ((select, unique), inner)
    }

    /// A value that a query finds for the outer row, of no rows if there is no match.
    pub(super) fn scalar_subquery(&mut self, outer: &Scope, kind: Kind) -> Option<Expr> {
        let template = single_value(kind, self.random.percent(50))?;
        let ((mut select, tie), inner) = self.tied(outer);
        tie?;
        let column = self.leaf(&inner, kind);
        select.items = vec![Expr::call(template, vec![column], kind)];
        Some(Expr::Subquery("({q})", Vec::new(), Box::new(Query::of(select)), kind))
    }

    /// EXISTS, IN, or a comparison with a single value; often tied to the outer row.
    pub(super) fn subquery_condition(&mut self, outer: &Scope) -> Expr {
        self.nesting += 1;
        let (from, inner) = self.source();
        let tie = if self.random.percent(60) {
            self.key_condition(&inner, outer)
        } else {
            None
        };
        let mut filter = tie.map(|(tie, _)| tie);
        if self.random.percent(50) {
            let own = self.condition_without_subquery(&inner);
            filter = Some(match filter {
                Some(tie) => Expr::call("({0} AND {1})", vec![tie, own], Kind::Bool),
                None => own,
            });
        }
        self.nesting -= 1;
        let mut select = Select::plain(from, filter);
        let kind = self.kind_in(&inner);
        match self.random.below(4) {
            0 => {
                select.items = vec![self.leaf(&inner, kind)];
                let template = *self.random.pick(&["EXISTS ({q})", "(NOT EXISTS ({q}))"]);
                Expr::Subquery(template, Vec::new(), Box::new(Query::of(select)), Kind::Bool)
            }
            1 | 2 => {
                select.items = vec![self.leaf(&inner, kind)];
                let value = self.leaf(outer, kind);
                let template = *self.random.pick(&["({0} IN ({q}))", "({0} NOT IN ({q}))"]);
                Expr::Subquery(template, vec![value], Box::new(Query::of(select)), Kind::Bool)
            }
            _ => {
                let kind = if kind == Kind::Wild || self.random.percent(50) {
                    Kind::Int
                } else {
                    kind
                };
                let column = self.leaf(&inner, kind);
                let template = *self.random.pick(&["max({0})", "min({0})"]);
                select.items = vec![if self.random.percent(50) {
                    Expr::call(template, vec![column], kind)
                } else if kind == Kind::Int {
                    Expr::call("count({0})", vec![column], kind)
                } else {
                    Expr::call("min({0})", vec![column], kind)
                }];
                let value = self.leaf(outer, kind);
                let template = *self.random.pick(&["({0} = ({q}))", "({0} < ({q}))", "({0} >= ({q}))"]);
                Expr::Subquery(template, vec![value], Box::new(Query::of(select)), Kind::Bool)
            }
        }
    }
}

fn single_value(kind: Kind, choice: bool) -> Option<&'static str> {
    match kind {
        Kind::Bool => Some("bool_or({0})"),
        // The least and greatest of floats with NaN depend on their order in DataFusion.
        Kind::Wild | Kind::Opaque => None,
        Kind::Int if choice => Some("count({0})"),
        _ if choice => Some("max({0})"),
        _ => Some("min({0})"),
    }
}
