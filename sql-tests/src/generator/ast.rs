//! A query as a tree that prints as SQL.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use super::data::Kind;

/// A scalar, aggregate or window expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `alias.name`.
    Column(String, String, Kind),
    /// A literal as it stands in SQL.
    Literal(String, Kind),
    /// SQL with `{0}`, `{1}` .. for the arguments.
    Call(Cow<'static, str>, Vec<Self>, Kind),
    /// The same with `{q}` for a query.
    Subquery(&'static str, Vec<Self>, Box<Query>, Kind),
}

impl Expr {
    /// A call.
    pub fn call(template: impl Into<Cow<'static, str>>, arguments: Vec<Self>, kind: Kind) -> Self {
        Self::Call(template.into(), arguments, kind)
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Column(.., kind) | Self::Literal(_, kind) | Self::Call(.., kind) | Self::Subquery(.., kind) => *kind,
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(alias, name, _) => write!(f, "{alias}.{name}"),
            Self::Literal(sql, _) => f.write_str(sql),
            Self::Call(template, arguments, _) => f.write_str(&fill(template, arguments)),
            Self::Subquery(template, arguments, query, _) => {
                f.write_str(&fill(template, arguments).replace("{q}", &query.to_string()))
            }
        }
    }
}

fn fill(template: &str, arguments: &[Expr]) -> String {
    let mut sql = String::new();
    let mut rest = template;
    while let Some((before, (hole, after))) = rest
        .split_once('{')
        .and_then(|(before, inside)| Some((before, inside.split_once('}')?)))
    {
        sql.push_str(before);
        match hole.parse::<usize>() {
            Ok(number) => sql.push_str(&arguments[number].to_string()),
            // `{q}` stays for the caller.
            Err(_) => sql.push_str(&format!("{{{hole}}}")),
        }
        rest = after;
    }
    sql + rest
}

/// What rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// A table or WITH query under an alias.
    Table(String, String),
    /// A query under an alias.
    Query(Box<Query>, String),
    /// `left KIND right ON condition`; a cross join has no condition.
    Join(Box<Self>, &'static str, Box<Self>, Option<Expr>),
}

impl Display for From {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name, alias) => write!(f, "{name} AS {alias}"),
            Self::Query(query, alias) => write!(f, "({query}) AS {alias}"),
            Self::Join(left, kind, right, on) => {
                let (open, close) = if matches!(**right, Self::Join(..)) {
                    ("(", ")")
                } else {
                    ("", "")
                };
                write!(f, "{left} {kind} {open}{right}{close}")?;
                on.iter().try_for_each(|on| write!(f, " ON {on}"))
            }
        }
    }
}

/// How rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// `GROUP BY a, b`.
    Plain,
    /// `GROUP BY ROLLUP (a, b)`.
    Rollup,
    /// `GROUP BY CUBE (a, b)`.
    Cube,
}

/// One SELECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// `DISTINCT`.
    pub distinct: bool,
    /// Result columns; they are named `c0`, `c1` ..
    pub items: Vec<Expr>,
    /// Where rows come from.
    pub from: From,
    /// `WHERE`.
    pub filter: Option<Expr>,
    /// `GROUP BY`, if there are groups.
    pub groups: Vec<Expr>,
    /// How.
    pub grouping: Grouping,
    /// `HAVING`.
    pub having: Option<Expr>,
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.distinct { "SELECT DISTINCT " } else { "SELECT " })?;
        for (number, item) in self.items.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{item} AS c{number}")?;
        }
        write!(f, " FROM {}", self.from)?;
        self.filter.iter().try_for_each(|filter| write!(f, " WHERE {filter}"))?;
        if !self.groups.is_empty() {
            let groups = self.groups.iter().map(Expr::to_string).collect::<Vec<_>>().join(", ");
            match self.grouping {
                Grouping::Plain => write!(f, " GROUP BY {groups}"),
                Grouping::Rollup => write!(f, " GROUP BY ROLLUP ({groups})"),
                Grouping::Cube => write!(f, " GROUP BY CUBE ({groups})"),
            }?;
        }
        self.having.iter().try_for_each(|having| write!(f, " HAVING {having}"))
    }
}

/// A SELECT or a set operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `SELECT`.
    Select(Box<Select>),
    /// `(left) UNION ALL (right)` and the like.
    Set(Box<Self>, &'static str, Box<Self>),
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(select) => select.fmt(f),
            Self::Set(left, operation, right) => write!(f, "({left}) {operation} ({right})"),
        }
    }
}

impl Body {
    /// Number of result columns.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Select(select) => select.items.len(),
            Self::Set(left, ..) => left.width(),
        }
    }
}

/// The order of a result, by all of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// For each column `ASC`, `DESC`, and where nulls go.
    pub directions: Vec<&'static str>,
    /// `LIMIT` and `OFFSET`.
    pub limit: Option<(u64, u64)>,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// `WITH` queries by name.
    pub with: Vec<(String, Self)>,
    /// What is computed.
    pub body: Body,
    /// `ORDER BY` all columns.
    pub order: Option<Order>,
}

impl Query {
    /// A query of one SELECT.
    #[must_use]
    pub fn of(select: Select) -> Self {
        Self {
            with: Vec::new(),
            body: Body::Select(Box::new(select)),
            order: None,
        }
    }

    /// Whether the order of its rows is part of the answer.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.order.is_some()
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, (name, query)) in self.with.iter().enumerate() {
            let start = if number == 0 { "WITH " } else { ", " };
            write!(f, "{start}{name} AS ({query})")?;
        }
        if !self.with.is_empty() {
            f.write_str(" ")?;
        }
        write!(f, "{}", self.body)?;
        let Some(order) = &self.order else { return Ok(()) };
        let width = self.body.width();
        let directions = order.directions.iter().take(width).enumerate();
        let columns: Vec<_> = directions
            .map(|(n, direction)| format!("{} {direction}", n + 1))
            .collect();
        write!(f, " ORDER BY {}", columns.join(", "))?;
        if let Some((limit, offset)) = order.limit {
            write!(f, " LIMIT {limit}")?;
            if offset > 0 {
                write!(f, " OFFSET {offset}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Expr {
        Expr::Column("a".to_owned(), name.to_owned(), Kind::Int)
    }

    #[test]
    fn a_query_prints_as_sql() {
        let select = Select {
            distinct: true,
            items: vec![column("x"), Expr::call("count({0})", vec![column("y")], Kind::Int)],
            from: From::Join(
                Box::new(From::Table("t".to_owned(), "a".to_owned())),
                "LEFT JOIN",
                Box::new(From::Table("u".to_owned(), "b".to_owned())),
                Some(Expr::call("({0} = {1})", vec![column("x"), column("y")], Kind::Bool)),
            ),
            filter: None,
            groups: vec![column("x")],
            grouping: Grouping::Rollup,
            having: None,
        };
        let mut query = Query::of(select);
        query.order = Some(Order {
            directions: vec!["ASC", "DESC NULLS LAST"],
            limit: Some((3, 1)),
        });
        assert_eq!(
            query.to_string(),
            "SELECT DISTINCT a.x AS c0, count(a.y) AS c1 FROM t AS a LEFT JOIN u AS b ON (a.x = a.y) GROUP BY ROLLUP (a.x) \
             ORDER BY 1 ASC, 2 DESC NULLS LAST LIMIT 3 OFFSET 1"
        );
    }

    #[test]
    fn a_subquery_fills_its_place() {
        let query = Query::of(Select {
            distinct: false,
            items: vec![column("x")],
            from: From::Table("t".to_owned(), "a".to_owned()),
            filter: None,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
        });
        let exists = Expr::Subquery("({0} IN ({q}))", vec![column("y")], Box::new(query), Kind::Bool);
        assert_eq!(exists.to_string(), "(a.y IN (SELECT a.x AS c0 FROM t AS a))");
    }
}
