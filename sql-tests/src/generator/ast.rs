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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// `GROUP BY a, b`.
    Plain,
    /// `GROUP BY ROLLUP (a, b)`.
    Rollup,
    /// `GROUP BY CUBE (a, b)`.
    Cube,
    /// `GROUP BY a, ROLLUP (b, c)`.
    FirstAndRollup,
    /// `GROUP BY GROUPING SETS ((a, b), (a), ())`: which groups are in each.
    Sets(Vec<Vec<usize>>),
}

/// What becomes of rows that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distinct {
    /// All stay.
    No,
    /// `DISTINCT`.
    Yes,
    /// `DISTINCT ON` so many of the first columns. The query is ordered by all columns.
    On(usize),
}

/// One SELECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// `DISTINCT`.
    pub distinct: Distinct,
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
    /// `QUALIFY`.
    pub qualify: Option<Expr>,
}

impl Select {
    /// A query of no columns yet, without anything that may be left out but the condition.
    pub fn plain(from: From, filter: Option<Expr>) -> Self {
        Self {
            distinct: Distinct::No,
            items: Vec::new(),
            from,
            filter,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
            qualify: None,
        }
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        match self.distinct {
            Distinct::No => {}
            Distinct::Yes => f.write_str("DISTINCT ")?,
            Distinct::On(count) => write!(f, "DISTINCT ON ({}) ", list(self.items.iter().take(count)))?,
        }
        for (number, item) in self.items.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{item} AS c{number}")?;
        }
        write!(f, " FROM {}", self.from)?;
        self.filter.iter().try_for_each(|filter| write!(f, " WHERE {filter}"))?;
        self.write_groups(f)?;
        self.having
            .iter()
            .try_for_each(|having| write!(f, " HAVING {having}"))?;
        self.qualify
            .iter()
            .try_for_each(|qualify| write!(f, " QUALIFY {qualify}"))
    }
}

impl Select {
    fn write_groups(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let groups = list(&self.groups);
        match (&self.grouping, self.groups.as_slice()) {
            (Grouping::Sets(sets), groups) => {
                let set = |set: &Vec<usize>| format!("({})", list(set.iter().filter_map(|place| groups.get(*place))));
                let sets: Vec<_> = sets.iter().map(set).collect();
                write!(f, " GROUP BY GROUPING SETS ({})", sets.join(", "))
            }
            (_, []) => Ok(()),
            (Grouping::FirstAndRollup, [first, others @ ..]) if !others.is_empty() => {
                write!(f, " GROUP BY {first}, ROLLUP ({})", list(others))
            }
            (Grouping::Plain | Grouping::FirstAndRollup, _) => write!(f, " GROUP BY {groups}"),
            (Grouping::Rollup, _) => write!(f, " GROUP BY ROLLUP ({groups})"),
            (Grouping::Cube, _) => write!(f, " GROUP BY CUBE ({groups})"),
        }
    }
}

fn list<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> String {
    expressions
        .into_iter()
        .map(Expr::to_string)
        .collect::<Vec<_>>()
        .join(", ")
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
        // DISTINCT ON wants to see its own expressions.
        let place = |number: usize| match &self.body {
            Body::Select(select) if matches!(select.distinct, Distinct::On(_)) => select.items[number].to_string(),
            _ => (number + 1).to_string(),
        };
        let columns: Vec<_> = directions
            .map(|(number, direction)| format!("{} {direction}", place(number)))
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
            distinct: Distinct::Yes,
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
            qualify: None,
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
    fn sets_of_groups_print_as_sql() {
        let mut select = Select {
            distinct: Distinct::No,
            items: vec![column("x")],
            from: From::Table("t".to_owned(), "a".to_owned()),
            filter: None,
            groups: vec![column("x"), column("y")],
            grouping: Grouping::FirstAndRollup,
            having: None,
            qualify: None,
        };
        assert!(select.to_string().ends_with(" GROUP BY a.x, ROLLUP (a.y)"), "{select}");
        select.grouping = Grouping::Sets(vec![vec![1], Vec::new()]);
        assert!(
            select.to_string().ends_with(" GROUP BY GROUPING SETS ((a.y), ())"),
            "{select}"
        );
        select.groups.clear();
        assert!(
            select.to_string().ends_with(" GROUP BY GROUPING SETS ((), ())"),
            "{select}"
        );
    }

    #[test]
    fn distinct_on_is_ordered_by_its_own_expressions() {
        let mut query = Query::of(Select {
            distinct: Distinct::On(1),
            items: vec![column("x"), column("y")],
            from: From::Table("t".to_owned(), "a".to_owned()),
            filter: None,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
            qualify: Some(Expr::call("({0} > 1)", vec![column("x")], Kind::Bool)),
        });
        query.order = Some(Order {
            directions: vec!["DESC", "ASC"],
            limit: None,
        });
        assert_eq!(
            query.to_string(),
            "SELECT DISTINCT ON (a.x) a.x AS c0, a.y AS c1 FROM t AS a QUALIFY (a.x > 1) ORDER BY a.x DESC, a.y ASC"
        );
    }

    #[test]
    fn a_subquery_fills_its_place() {
        let query = Query::of(Select {
            distinct: Distinct::No,
            items: vec![column("x")],
            from: From::Table("t".to_owned(), "a".to_owned()),
            filter: None,
            groups: Vec::new(),
            grouping: Grouping::Plain,
            having: None,
            qualify: None,
        });
        let exists = Expr::Subquery("({0} IN ({q}))", vec![column("y")], Box::new(query), Kind::Bool);
        assert_eq!(exists.to_string(), "(a.y IN (SELECT a.x AS c0 FROM t AS a))");
    }
}
