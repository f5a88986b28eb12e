//! Growing whole queries: sources and joins, groups, windows, subqueries, set operations, order and limit.

use super::ast::{Body, Expr, From, Grouping, Order, Query, Select};
use super::data::{Kind, Table};
use super::random::Random;

/// Deepest nesting of queries in queries.
const MAX_NESTING: usize = 3;
/// Rows that a join may make, roughly.
const MAX_ROWS: usize = 12_000;
/// Rows that a subquery or WITH query is taken to have.
const ROWS_OF_QUERY: usize = 120;
/// Values that a key other than an id is taken to have.
const KEYS: usize = 4;

/// What an expression may refer to.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Columns.
    columns: Vec<Expr>,
    /// Columns that differ between any two rows that differ at all: ids of tables, all columns of queries.
    key: Vec<Expr>,
    /// Rows, roughly.
    rows: usize,
}

impl Scope {
    /// The columns of a kind.
    pub(super) fn of(&self, kind: Kind) -> Vec<Expr> {
        self.columns
            .iter()
            .filter(|column| column.kind() == kind)
            .cloned()
            .collect()
    }

    /// What orders any two rows that differ. None if that cannot be compared.
    fn total_order(&self) -> Option<&[Expr]> {
        let comparable = self.key.iter().all(|column| column.kind() != Kind::Opaque);
        (comparable && !self.key.is_empty()).then_some(self.key.as_slice())
    }

    fn joined(&self, other: &Self, rows: usize) -> Self {
        let both = |l: &[Expr], r: &[Expr]| l.iter().chain(r).cloned().collect();
        Self {
            columns: both(&self.columns, &other.columns),
            key: both(&self.key, &other.key),
            rows,
        }
    }
}

/// Grows one query.
pub(super) struct Generator<'a> {
    pub(super) random: Random,
    tables: &'a [Table],
    aliases: usize,
    nesting: usize,
    /// WITH queries and what their columns hold.
    with: Vec<(String, Vec<Kind>)>,
}

impl<'a> Generator<'a> {
    pub(super) fn new(random: Random, tables: &'a [Table]) -> Self {
        Self {
            random,
            tables,
            aliases: 0,
            nesting: 0,
            with: Vec::new(),
        }
    }

    /// A whole statement.
    pub(super) fn statement(&mut self) -> Query {
        let mut with = Vec::new();
        if self.random.percent(20) {
            for number in 0..=self.random.below(2) {
                let name = format!("w{number}");
                let query = self.nested(None);
                self.with.push((name.clone(), kinds_of(&query.body)));
                with.push((name, query));
            }
        }
        let mut query = self.query(None);
        query.with = with;
        query
    }

    /// Whether there may be a query inside of this one.
    pub(super) fn may_nest(&self) -> bool {
        self.nesting < MAX_NESTING
    }

    fn nested(&mut self, kinds: Option<&[Kind]>) -> Query {
        self.nesting += 1;
        let query = self.query(kinds);
        self.nesting -= 1;
        query
    }

    /// A query whose columns hold `kinds`, or anything.
    fn query(&mut self, kinds: Option<&[Kind]>) -> Query {
        let mut body = Body::Select(Box::new(self.select(kinds)));
        while self.random.percent(18) {
            let mut wanted = kinds_of(&body);
            if wanted.contains(&Kind::Opaque) {
                break;
            }
            let right = Body::Select(Box::new(self.select(Some(&wanted))));
            let operations = [
                "UNION ALL",
                "UNION",
                "EXCEPT",
                "INTERSECT",
                "EXCEPT ALL",
                "INTERSECT ALL",
            ];
            body = Body::Set(Box::new(body), self.random.pick::<&str>(&operations), Box::new(right));
            wanted.clear();
        }
        let order = self.order(&kinds_of(&body));
        Query {
            with: Vec::new(),
            body,
            order,
        }
    }

    fn order(&mut self, kinds: &[Kind]) -> Option<Order> {
        if kinds.contains(&Kind::Opaque) || !self.random.percent(45) {
            return None;
        }
        let directions = ["ASC", "DESC", "ASC NULLS FIRST", "DESC NULLS LAST"];
        let directions = kinds.iter().map(|_| *self.random.pick(&directions)).collect();
        let limit = self.random.percent(60).then(|| {
            let limit = *self.random.pick(&[0, 1, 3, 10, 1_000]);
            (limit, *self.random.pick(&[0, 0, 1, 7]))
        });
        Some(Order { directions, limit })
    }

    fn select(&mut self, kinds: Option<&[Kind]>) -> Select {
        let (from, scope) = self.from();
        let filter = self.random.percent(40).then(|| self.condition(&scope, 2));
        let mut select = Select {
            distinct: self.random.percent(10),
            items: Vec::new(),
            from,
            filter,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
        };
        match self.random.below(10) {
            0..=3 => self.aggregate(&mut select, &scope, kinds),
            4..=5 => self.windowed(&mut select, &scope, kinds),
            _ => select.items = self.items(&scope, kinds),
        }
        // Values that differ in their last digit would be distinct or not by chance.
        select.distinct &= select.items.iter().all(|item| item.kind() != Kind::Opaque);
        select
    }

    fn items(&mut self, scope: &Scope, kinds: Option<&[Kind]>) -> Vec<Expr> {
        let kinds = match kinds {
            Some(kinds) => kinds.to_vec(),
            None => (0..=self.random.below(4)).map(|_| self.kind_in(scope)).collect(),
        };
        kinds.into_iter().map(|kind| self.expr(scope, kind, 2)).collect()
    }

    // ---- sources

    fn from(&mut self) -> (From, Scope) {
        let (mut from, mut scope) = self.source();
        let joins = *self.random.pick(&[0, 0, 0, 1, 1, 1, 2, 2, 3]);
        for _ in 0..joins {
            let (right, right_scope) = self.source();
            if let Some(joined) = self.join((from.clone(), &scope), (right, &right_scope)) {
                (from, scope) = joined;
            }
        }
        (from, scope)
    }

    fn source(&mut self) -> (From, Scope) {
        self.aliases += 1;
        let alias = format!("a{}", self.aliases);
        if !self.with.is_empty() && self.random.percent(30) {
            let (name, kinds) = self.random.pick(&self.with).clone();
            return (From::Table(name, alias.clone()), scope_of(&alias, &kinds));
        }
        if self.may_nest() && self.random.percent(15) {
            let query = self.nested(None);
            let scope = scope_of(&alias, &kinds_of(&query.body));
            return (From::Query(Box::new(query), alias), scope);
        }
        // The smallest, of which one is empty, now and then: they make most results empty.
        let table = if self.random.percent(15) {
            self.random.pick(self.tables)
        } else {
            self.random.pick(&self.tables[2..])
        };
        let columns = table.columns.iter();
        let columns: Vec<_> = columns
            .map(|column| Expr::Column(alias.clone(), column.name.clone(), column.kind))
            .collect();
        let scope = Scope {
            key: columns[..1].to_vec(),
            columns,
            rows: table.rows.num_rows(),
        };
        (From::Table(table.name.clone(), alias), scope)
    }

    /// Joins two sources, unless that could make too many rows.
    fn join(&mut self, (left, l): (From, &Scope), (right, r): (From, &Scope)) -> Option<(From, Scope)> {
        let (mut on, mut rows) = (None, l.rows * r.rows);
        if self.random.percent(85) || rows > MAX_ROWS {
            let (condition, unique) = self.key_condition(l, r)?;
            rows = if unique { l.rows.max(r.rows) } else { rows / KEYS };
            on = Some(condition);
        }
        if rows > MAX_ROWS {
            return None;
        }
        let both = l.joined(r, rows.max(l.rows + r.rows));
        if self.random.percent(20) || (on.is_none() && self.random.percent(50)) {
            let more = self.condition_without_subquery(&both);
            on = Some(match on {
                Some(on) => Expr::call("({0} AND {1})", vec![on, more], Kind::Bool),
                None => more,
            });
        }
        let kinds = [
            "JOIN",
            "JOIN",
            "LEFT JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
            "RIGHT SEMI JOIN",
            "RIGHT ANTI JOIN",
        ];
        let kind = if on.is_none() {
            "CROSS JOIN"
        } else {
            *self.random.pick(&kinds)
        };
        let scope = match kind {
            "LEFT SEMI JOIN" | "LEFT ANTI JOIN" => l.clone(),
            "RIGHT SEMI JOIN" | "RIGHT ANTI JOIN" => r.clone(),
            _ => both,
        };
        Some((From::Join(Box::new(left), kind, Box::new(right), on), scope))
    }

    /// A condition over both sides. Subqueries in ON are not what DataFusion is for.
    fn condition_without_subquery(&mut self, scope: &Scope) -> Expr {
        let nesting = std::mem::replace(&mut self.nesting, MAX_NESTING);
        let condition = self.condition(scope, 1);
        self.nesting = nesting;
        condition
    }

    /// Equality of a column of each side, and whether one of them is an id.
    fn key_condition(&mut self, left: &Scope, right: &Scope) -> Option<(Expr, bool)> {
        let mut pairs = Vec::new();
        for l in &left.columns {
            let matching = right
                .columns
                .iter()
                .filter(|r| r.kind() == l.kind() && r.kind() != Kind::Opaque);
            pairs.extend(matching.map(|r| (l.clone(), r.clone())));
        }
        if pairs.is_empty() {
            return None;
        }
        let (l, r) = self.random.pick(&pairs).clone();
        let unique = [&l, &r].into_iter().any(is_id);
        let template = if self.random.percent(12) {
            "({0} IS NOT DISTINCT FROM {1})"
        } else {
            "({0} = {1})"
        };
        Some((Expr::call(template, vec![l, r], Kind::Bool), unique))
    }

    // ---- aggregates

    fn aggregate(&mut self, select: &mut Select, scope: &Scope, kinds: Option<&[Kind]>) {
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
                let group = self.expr(scope, kind, 1);
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
            select.grouping = *self.random.pick(&[
                Grouping::Plain,
                Grouping::Plain,
                Grouping::Plain,
                Grouping::Rollup,
                Grouping::Cube,
            ]);
        }
        if self.random.percent(25) {
            let count = self.aggregate_of(scope, Kind::Int);
            let least = self.random.below(4).to_string();
            let least = Expr::Literal(least, Kind::Int);
            select.having = Some(Expr::call("({0} >= {1})", vec![count, least], Kind::Bool));
        }
    }

    /// An aggregate that gives `kind`.
    fn aggregate_of(&mut self, scope: &Scope, kind: Kind) -> Expr {
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
            Kind::Date | Kind::Time => {
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

    fn column_or_expr(&mut self, scope: &Scope, kind: Kind) -> Expr {
        let nesting = std::mem::replace(&mut self.nesting, MAX_NESTING);
        let depth = self.random.below(2);
        let argument = self.expr(scope, kind, depth);
        self.nesting = nesting;
        argument
    }

    // ---- windows

    fn windowed(&mut self, select: &mut Select, scope: &Scope, kinds: Option<&[Kind]>) {
        select.items = self.items(scope, kinds);
        let Some(key) = scope.total_order() else { return };
        for item in &mut select.items {
            if item.kind() == Kind::Opaque || self.random.percent(40) {
                continue;
            }
            *item = self.window(scope, key, item.kind());
        }
    }

    /// A window function that gives `kind`. Where a row's place among its equals matters, rows are in their total order.
    fn window(&mut self, scope: &Scope, key: &[Expr], kind: Kind) -> Expr {
        let whole = [
            "lag({0}) OVER (",
            "lead({0}, 2) OVER (",
            "first_value({0}) OVER (",
            "last_value({0}) OVER (",
            "nth_value({0}, 2) OVER (",
        ];
        let (function, of) = match kind {
            Kind::Int => *self.random.pick(&[
                ("row_number() OVER (", None),
                ("rank() OVER (", None),
                ("dense_rank() OVER (", None),
                ("ntile(3) OVER (", None),
                ("count({0}) OVER (", Some(Kind::Text)),
                ("sum({0} % 1000) OVER (", Some(Kind::Int)),
                ("max({0}) OVER (", Some(Kind::Int)),
                ("lag({0}, 1, 0) OVER (", Some(Kind::Int)),
            ]),
            Kind::Float => *self.random.pick(&[
                ("sum({0}) OVER (", Some(Kind::Float)),
                ("min({0}) OVER (", Some(Kind::Float)),
                ("lead({0}) OVER (", Some(Kind::Float)),
            ]),
            Kind::Decimal => ("sum({0}) OVER (", Some(Kind::Decimal)),
            kind => (*self.random.pick(&whole), Some(kind)),
        };
        let mut arguments: Vec<Expr> = of.into_iter().map(|of| self.leaf(scope, of)).collect();
        let mut over = function.to_owned();
        if self.random.percent(60) {
            let partition = self.kind_in(scope);
            let partition = self.column_or_expr(scope, partition);
            over.push_str(&format!("PARTITION BY {{{}}} ", arguments.len()));
            arguments.push(partition);
        }
        let mut places = Vec::new();
        // Some column first, then what orders all rows.
        let kind_of_first = self.kind_in(scope);
        let first = self.column_or_expr(scope, kind_of_first);
        for column in std::iter::once(&first).chain(key) {
            let direction = *self.random.pick(&["", " DESC", " NULLS FIRST"]);
            places.push(format!("{{{}}}{direction}", arguments.len()));
            arguments.push(column.clone());
        }
        over.push_str(&format!("ORDER BY {}", places.join(", ")));
        let frames = [
            "",
            " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 1 PRECEDING AND 3 FOLLOWING",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
        ];
        if takes_frame(function) {
            let frame = *self.random.pick(&frames);
            over.push_str(frame);
        }
        Expr::call(over + ")", arguments, kind)
    }

    // ---- subqueries

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
        let mut select = Select {
            distinct: false,
            items: Vec::new(),
            from,
            filter,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
        };
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

fn is_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_, name, _) if name == "id")
}

fn takes_frame(function: &str) -> bool {
    ["sum", "count", "min", "max", "first_value", "last_value", "nth_value"]
        .iter()
        .any(|name| function.starts_with(name))
}

fn kinds_of(body: &Body) -> Vec<Kind> {
    match body {
        Body::Select(select) => select.items.iter().map(Expr::kind).collect(),
        Body::Set(left, ..) => kinds_of(left),
    }
}

fn scope_of(alias: &str, kinds: &[Kind]) -> Scope {
    let columns = kinds.iter().enumerate();
    let columns = columns.map(|(number, kind)| Expr::Column(alias.to_owned(), format!("c{number}"), *kind));
    let columns: Vec<_> = columns.collect();
    Scope {
        key: columns.clone(),
        columns,
        rows: ROWS_OF_QUERY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{query, tables};

    #[test]
    fn a_seed_gives_the_same_queries_again_and_others_give_others() {
        let tables = tables(5);
        let texts = |seed| {
            (0..50)
                .map(|index| query(seed, index, &tables).to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn all_constructs_appear() {
        let tables = tables(5);
        let text: String = (0..3_000).map(|index| query(9, index, &tables).to_string()).collect();
        for construct in [
            "FULL JOIN",
            "LEFT ANTI JOIN",
            "CROSS JOIN",
            "UNION ALL",
            "EXCEPT",
            "INTERSECT ALL",
            "EXISTS",
            "NOT IN (SELECT",
            "ROLLUP",
            "CUBE",
            "HAVING",
            "PARTITION BY",
            "GROUPS BETWEEN",
            "ROWS BETWEEN",
            "LIMIT 0",
            "OFFSET 7",
            "WITH w0",
            "FILTER",
            "SELECT DISTINCT",
            "NaN",
            "Infinity",
            "-9223372036854775808",
            "NULLS FIRST",
            "t0 AS",
            "IS NOT DISTINCT FROM",
        ] {
            assert!(text.contains(construct), "{construct}");
        }
    }
}
