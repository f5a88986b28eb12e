//! Growing whole queries: sources and joins, groups, windows, subqueries, set operations, order and limit.

use super::ast::{Body, Distinct, Expr, From, Order, Query, Select};
use super::data::{Kind, Table};
use super::random::Random;
use super::windows::Seen;

/// Deepest nesting of queries in queries.
pub(super) const MAX_NESTING: usize = 3;
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
    /// Whether no two rows are alike.
    unique: bool,
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

    /// Whether no two rows are alike. Of those that are, each window may put another first.
    pub(super) fn is_unique(&self) -> bool {
        self.unique
    }

    /// What orders any two rows that differ. None if that cannot be compared.
    pub(super) fn total_order(&self) -> Option<&[Expr]> {
        let comparable = self.key.iter().all(|column| column.kind() != Kind::Opaque);
        (comparable && !self.key.is_empty()).then_some(self.key.as_slice())
    }

    fn joined(&self, other: &Self, rows: usize) -> Self {
        let both = |l: &[Expr], r: &[Expr]| l.iter().chain(r).cloned().collect();
        Self {
            columns: both(&self.columns, &other.columns),
            key: both(&self.key, &other.key),
            unique: self.unique && other.unique,
            rows,
        }
    }
}

/// Grows one query.
pub(super) struct Generator<'a> {
    pub(super) random: Random,
    tables: &'a [Table],
    aliases: usize,
    pub(super) nesting: usize,
    /// WITH queries in reach and what their columns hold.
    with: Vec<(String, Vec<Kind>)>,
    /// WITH queries so far.
    withs: usize,
    /// The last window of the SELECT.
    pub(super) seen: Option<Seen>,
}

impl<'a> Generator<'a> {
    pub(super) fn new(random: Random, tables: &'a [Table]) -> Self {
        Self {
            random,
            tables,
            aliases: 0,
            nesting: 0,
            with: Vec::new(),
            withs: 0,
            seen: None,
        }
    }

    /// A whole statement.
    pub(super) fn statement(&mut self) -> Query {
        let with = self.with_queries(20);
        let mut query = self.query(None);
        query.with = with;
        query
    }

    /// WITH queries, so many times in a hundred.
    fn with_queries(&mut self, chance: usize) -> Vec<(String, Query)> {
        let mut with = Vec::new();
        if self.may_nest() && self.random.percent(chance) {
            for _ in 0..=self.random.below(2) {
                let name = format!("w{}", self.withs);
                self.withs += 1;
                let query = self.nested(None);
                self.with.push((name.clone(), kinds_of(&query.body)));
                with.push((name, query));
            }
        }
        with
    }

    /// Whether there may be a query inside of this one.
    pub(super) fn may_nest(&self) -> bool {
        self.nesting < MAX_NESTING
    }

    fn nested(&mut self, kinds: Option<&[Kind]>) -> Query {
        self.nesting += 1;
        let known = self.with.len();
        let with = self.with_queries(8);
        let mut query = self.query(kinds);
        query.with = with;
        self.with.truncate(known);
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
        if order.is_some() {
            self.distinct_on(&mut body);
        }
        Query {
            with: Vec::new(),
            body,
            order,
        }
    }

    /// Now and then one row for each of the first columns' values: the first in the order, which is of all columns.
    fn distinct_on(&mut self, body: &mut Body) {
        let Body::Select(select) = body else { return };
        // A constant would be a position, and over an expression that is there twice DataFusion panics.
        let mut items = select.items.iter().enumerate();
        let unfit =
            items.any(|(place, item)| matches!(item, Expr::Literal(..)) || select.items[..place].contains(item));
        if select.distinct == Distinct::No && !unfit && self.random.percent(12) {
            select.distinct = Distinct::On(1 + self.random.below(select.items.len()));
        }
    }

    fn order(&mut self, kinds: &[Kind]) -> Option<Order> {
        if kinds.contains(&Kind::Opaque) || !self.random.percent(45) {
            return None;
        }
        let directions = ["ASC", "DESC", "ASC NULLS FIRST", "DESC NULLS LAST"];
        let directions = kinds.iter().map(|_| *self.random.pick(&directions)).collect();
        // DataFusion's search for the first rows takes -0 and 0 now for one value, now for two: which rows are the first is left to chance.
        let limit = (!kinds.contains(&Kind::Wild) && self.random.percent(60)).then(|| {
            let limit = *self.random.pick(&[0, 1, 3, 10, 1_000]);
            (limit, *self.random.pick(&[0, 0, 1, 7]))
        });
        Some(Order { directions, limit })
    }

    fn select(&mut self, kinds: Option<&[Kind]>) -> Select {
        let (from, scope) = self.from();
        let filter = self.random.percent(40).then(|| self.condition(&scope, 2));
        let mut select = Select::plain(from, filter);
        if self.random.percent(10) {
            select.distinct = Distinct::Yes;
        }
        match self.random.below(10) {
            0..=3 => self.aggregate(&mut select, &scope, kinds),
            4..=5 => self.windowed(&mut select, &scope, kinds),
            _ => {
                select.items = self.items(&scope, kinds);
                if self.random.percent(5) {
                    self.unnest(&mut select.items, &scope);
                }
            }
        }
        // Values that differ in their last digit would be distinct or not by chance.
        if select.items.iter().any(|item| item.kind() == Kind::Opaque) {
            select.distinct = Distinct::No;
        }
        select
    }

    /// Makes one of the items a list of two or three values, each in a row of its own.
    fn unnest(&mut self, items: &mut [Expr], scope: &Scope) {
        let place = self.random.below(items.len());
        let kind = items[place].kind();
        if kind == Kind::Opaque {
            return;
        }
        let template = *self
            .random
            .pick(&["unnest(make_array({0}, {1}))", "unnest(make_array({0}, {1}, {0}))"]);
        let arguments = vec![self.leaf(scope, kind), self.leaf(scope, kind)];
        items[place] = Expr::call(template, arguments, kind);
    }

    pub(super) fn items(&mut self, scope: &Scope, kinds: Option<&[Kind]>) -> Vec<Expr> {
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
        if self.may_nest() && self.random.percent(8) {
            (from, scope) = self.lateral(from, scope);
        }
        (from, scope)
    }

    /// Joins each row with what a query finds for it: one row, or none or one for each that matches.
    fn lateral(&mut self, left: From, outer: Scope) -> (From, Scope) {
        let ((mut select, tie), inner) = self.tied(&outer);
        let Some(unique) = tie else { return (left, outer) };
        let kinds: Vec<Kind> = (0..=self.random.below(2)).map(|_| self.kind_in(&inner)).collect();
        // Many matches for each of many rows take too long.
        let single = !unique || self.random.percent(40);
        let rows = if single { outer.rows } else { outer.rows.max(inner.rows) };
        if rows > MAX_ROWS {
            return (left, outer);
        }
        select.items = kinds
            .iter()
            .map(|kind| {
                if single {
                    self.aggregate_of(&inner, *kind)
                } else {
                    self.leaf(&inner, *kind)
                }
            })
            .collect();
        self.aliases += 1;
        let alias = format!("a{}", self.aliases);
        let scope = outer.joined(&scope_of(&alias, &kinds), rows);
        let right = From::Query(Box::new(Query::of(select)), alias);
        let (kind, on) = if self.random.percent(50) {
            ("CROSS JOIN LATERAL", None)
        } else {
            ("LEFT JOIN LATERAL", Some(Expr::Literal("true".to_owned(), Kind::Bool)))
        };
        (From::Join(Box::new(left), kind, Box::new(right), on), scope)
    }

    pub(super) fn source(&mut self) -> (From, Scope) {
        self.aliases += 1;
        let alias = format!("a{}", self.aliases);
        if !self.with.is_empty() && self.random.percent(40) {
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
            unique: true,
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
    pub(super) fn condition_without_subquery(&mut self, scope: &Scope) -> Expr {
        let nesting = std::mem::replace(&mut self.nesting, MAX_NESTING);
        let condition = self.condition(scope, 1);
        self.nesting = nesting;
        condition
    }

    /// Equality of a column of each side, and whether one of them is an id.
    pub(super) fn key_condition(&mut self, left: &Scope, right: &Scope) -> Option<(Expr, bool)> {
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
}

fn is_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_, name, _) if name == "id")
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
        unique: false,
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
            "GROUPING SETS",
            "GROUPING SETS (())",
            "grouping(",
            "DISTINCT ON",
            "QUALIFY",
            "IGNORE NULLS",
            "RESPECT NULLS",
            "unnest(",
            "LEFT JOIN LATERAL",
            "CROSS JOIN LATERAL",
            "RANGE BETWEEN 2 PRECEDING",
            "OVER (ORDER BY count(*)",
            "9999-12-31",
            "DECIMAL(38, 4)",
            "IS NOT DISTINCT FROM",
        ] {
            assert!(text.contains(construct), "{construct}");
        }
    }
}
