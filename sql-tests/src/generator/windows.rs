//! Growing window functions.

use super::ast::{Expr, Select};
use super::data::Kind;
use super::queries::{Generator, Scope};

/// A window's partition and order, for another window with the same in the opposite direction.
pub(super) type Seen = (Option<Expr>, Vec<(Expr, &'static str)>);

const FRAMES: [&str; 7] = [
    "",
    " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
    " ROWS BETWEEN 1 PRECEDING AND 3 FOLLOWING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING",
    " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
];
/// Frames of values: equals of a row are all in or all out. Those with an offset go by one number.
const RANGES: [&str; 4] = [
    "",
    " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING",
    " RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
];
const AGGREGATES: [&str; 4] = ["sum", "count", "min", "max"];
const OF_PLACE: [&str; 5] = ["lag", "lead", "first_value", "last_value", "nth_value"];

impl Generator<'_> {
    pub(super) fn windowed(&mut self, select: &mut Select, scope: &Scope, kinds: Option<&[Kind]>) {
        select.items = self.items(scope, kinds);
        let Some(key) = scope.total_order() else { return };
        self.seen = None;
        for item in &mut select.items {
            if item.kind() == Kind::Opaque || self.random.percent(40) {
                continue;
            }
            *item = self.window(scope, key, item.kind());
            if !scope.is_unique() {
                return;
            }
        }
        if self.random.percent(20) {
            let least = Expr::Literal((self.random.below(6) + 1).to_string(), Kind::Int);
            let value = self.window(scope, key, Kind::Int);
            let template = *self.random.pick(&["({0} <= {1})", "({0} > {1})"]);
            select.qualify = Some(Expr::call(template, vec![value, least], Kind::Bool));
        }
    }

    /// A window function that gives `kind`. Where a row's place among its equals matters, rows are in their total order.
    fn window(&mut self, scope: &Scope, key: &[Expr], kind: Kind) -> Expr {
        let (function, of) = self.function(kind);
        let mut arguments: Vec<Expr> = of.into_iter().map(|of| self.leaf(scope, of)).collect();
        let is_aggregate = AGGREGATES.iter().any(|name| function.starts_with(name));
        let is_of_place = OF_PLACE.iter().any(|name| function.starts_with(name));
        let mut over = function.to_owned();
        if is_aggregate && self.random.percent(20) {
            over.push_str(&format!(" FILTER (WHERE {{{}}})", arguments.len()));
            arguments.push(self.condition_without_subquery(scope));
        }
        if is_of_place && self.random.percent(35) {
            over.push_str(
                self.random
                    .pick::<&str>(&[" IGNORE NULLS", " IGNORE NULLS", " RESPECT NULLS"]),
            );
        }
        over.push_str(" OVER (");
        // Not of a constant: over equals alone, DataFusion's frames with an offset depend on its batches.
        let numbers = scope.of(Kind::Int);
        if is_aggregate && !numbers.is_empty() && self.random.percent(25) {
            let number = self.random.pick(&numbers).clone();
            self.over_values(scope, number, &mut over, &mut arguments);
            return Expr::call(over + ")", arguments, kind);
        }
        let (partition, order) = self.partition_and_order(scope, key);
        if let Some(partition) = &partition {
            over.push_str(&format!("PARTITION BY {{{}}} ", arguments.len()));
            arguments.push(partition.clone());
        }
        let mut places = Vec::new();
        for (column, direction) in &order {
            places.push(format!("{{{}}}{direction}", arguments.len()));
            arguments.push(column.clone());
        }
        self.seen = Some((partition, order));
        over.push_str(&format!("ORDER BY {}", places.join(", ")));
        if is_aggregate || (is_of_place && !function.starts_with('l')) || function.starts_with("last_value") {
            over.push_str(self.random.pick::<&str>(&FRAMES));
        }
        Expr::call(over + ")", arguments, kind)
    }

    /// A function up to its `OVER`, and of what it is.
    fn function(&mut self, kind: Kind) -> (&'static str, Option<Kind>) {
        match kind {
            Kind::Int => *self.random.pick(&[
                ("row_number()", None),
                ("rank()", None),
                ("dense_rank()", None),
                ("ntile(3)", None),
                ("count(*)", None),
                ("count({0})", Some(Kind::Text)),
                ("sum({0} % 1000)", Some(Kind::Int)),
                ("max({0})", Some(Kind::Int)),
                ("lag({0}, 1, 0)", Some(Kind::Int)),
                ("first_value({0})", Some(Kind::Int)),
            ]),
            Kind::Float => *self.random.pick(&[
                ("sum({0})", Some(Kind::Float)),
                ("min({0})", Some(Kind::Float)),
                ("lead({0})", Some(Kind::Float)),
            ]),
            Kind::Decimal => ("sum({0})", Some(Kind::Decimal)),
            kind => {
                let functions = [
                    "lag({0})",
                    "lead({0}, 2)",
                    "first_value({0})",
                    "last_value({0})",
                    "nth_value({0}, 2)",
                ];
                (*self.random.pick(&functions), Some(kind))
            }
        }
    }

    /// Some column first, then what orders all rows; or what the window before had, the other way round.
    fn partition_and_order(&mut self, scope: &Scope, key: &[Expr]) -> Seen {
        if let Some((partition, order)) = self.seen.clone()
            && self.random.percent(35)
        {
            let order = order.into_iter();
            let opposite = order.map(|(column, direction)| (column, opposite(direction)));
            return (partition, opposite.collect());
        }
        let partition = self.random.percent(60).then(|| {
            let kind = self.kind_in(scope);
            self.column_or_expr(scope, kind)
        });
        let kind = self.kind_in(scope);
        let first = self.column_or_expr(scope, kind);
        let columns: Vec<Expr> = std::iter::once(first).chain(key.iter().cloned()).collect();
        let mut directed = |column| (column, *self.random.pick(&["", " DESC", " NULLS FIRST"]));
        (partition, columns.into_iter().map(&mut directed).collect())
    }

    /// An order by one number with a frame of values.
    fn over_values(&mut self, scope: &Scope, number: Expr, over: &mut String, arguments: &mut Vec<Expr>) {
        if self.random.percent(50) {
            over.push_str(&format!("PARTITION BY {{{}}} ", arguments.len()));
            let kind = self.kind_in(scope);
            arguments.push(self.column_or_expr(scope, kind));
        }
        let direction = *self.random.pick(&["", " DESC", " NULLS FIRST"]);
        let frame = *self.random.pick::<&str>(&RANGES);
        over.push_str(&format!("ORDER BY {{{}}}{direction}{frame}", arguments.len()));
        arguments.push(number);
    }

    /// A window over groups: their equals count as one, for nothing tells them apart.
    pub(super) fn window_over_groups(&mut self, groups: &[Expr]) -> Option<Expr> {
        if groups.is_empty() {
            return None;
        }
        let group = self.random.pick(groups).clone();
        let template = *self.random.pick(&[
            "sum(count(*)) OVER (ORDER BY {0})",
            "rank() OVER (ORDER BY {0} DESC)",
            "max(count(*)) OVER (PARTITION BY {0})",
            "count(*) OVER (ORDER BY count(*), {0})",
        ]);
        Some(Expr::call(template, vec![group], Kind::Int))
    }
}

fn opposite(direction: &str) -> &'static str {
    match direction {
        "" => " DESC",
        " DESC" => "",
        " NULLS FIRST" => " DESC NULLS LAST",
        _ => " NULLS FIRST",
    }
}
