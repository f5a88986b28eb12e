//! Growing scalar expressions of a wanted kind.

use super::ast::Expr;
use super::data::{Kind, WORDS};
use super::queries::{Generator, Scope};

/// SQL with places for arguments of these kinds.
type Template = (&'static str, &'static [Kind]);

use Kind::{Big, Bool, Date, Decimal, Float, Instant, Int, Text, Time, Wide, Wild};

const INT: &[Template] = &[
    ("({0} + {1})", &[Int, Int]),
    ("({0} - {1})", &[Int, Int]),
    ("({0} * {1})", &[Int, Int]),
    ("({0} % 7)", &[Int]),
    ("({0} / nullif({1}, 0))", &[Int, Int]),
    ("(- {0})", &[Int]),
    ("abs({0} % 1000)", &[Int]),
    ("coalesce({0}, {1})", &[Int, Int]),
    ("nullif({0}, {1})", &[Int, Int]),
    ("greatest({0}, {1})", &[Int, Int]),
    ("least({0}, {1})", &[Int, Int]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Int, Int]),
    ("CASE WHEN {0} THEN {1} WHEN {2} THEN {3} END", &[Bool, Int, Bool, Int]),
    ("CASE {0} WHEN {1} THEN {2} ELSE 0 END", &[Int, Int, Int]),
    ("length({0})", &[Text]),
    ("strpos({0}, 'b')", &[Text]),
    ("octet_length({0})", &[Text]),
    ("CAST({0} AS INT)", &[Bool]),
    ("CAST(date_part('year', {0}) AS INT)", &[Time]),
    ("CAST(date_part('month', {0}) AS INT)", &[Date]),
    ("CAST(round({0}) AS INT)", &[Float]),
    ("CAST({0} AS BIGINT)", &[Decimal]),
];
const BIG: &[Template] = &[
    ("coalesce({0}, {1})", &[Big, Big]),
    ("nullif({0}, {1})", &[Big, Big]),
    ("greatest({0}, {1})", &[Big, Big]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Big, Big]),
    ("CAST({0} AS BIGINT)", &[Int]),
    ("({0} % 1000)", &[Big]),
];
const FLOAT: &[Template] = &[
    ("({0} + {1})", &[Float, Float]),
    ("({0} - {1})", &[Float, Float]),
    ("({0} * 0.5)", &[Float]),
    ("abs({0})", &[Float]),
    ("floor({0})", &[Float]),
    ("ceil({0})", &[Float]),
    ("(- {0})", &[Float]),
    ("coalesce({0}, {1})", &[Float, Float]),
    ("nullif({0}, {1})", &[Float, Float]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Float, Float]),
    ("CAST(({0} % 1000) AS DOUBLE)", &[Int]),
];
const WILD: &[Template] = &[
    ("(- {0})", &[Wild]),
    ("coalesce({0}, {1})", &[Wild, Wild]),
    ("nullif({0}, {1})", &[Wild, Wild]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Wild, Wild]),
];
const DECIMAL: &[Template] = &[
    ("({0} + {1})", &[Decimal, Decimal]),
    ("({0} - {1})", &[Decimal, Decimal]),
    ("(- {0})", &[Decimal]),
    ("abs({0})", &[Decimal]),
    ("coalesce({0}, {1})", &[Decimal, Decimal]),
    ("nullif({0}, {1})", &[Decimal, Decimal]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Decimal, Decimal]),
    ("CAST(({0} % 1000) AS DECIMAL(12, 2))", &[Int]),
];
const WIDE: &[Template] = &[
    ("coalesce({0}, {1})", &[Wide, Wide]),
    ("nullif({0}, {1})", &[Wide, Wide]),
    ("greatest({0}, {1})", &[Wide, Wide]),
    ("least({0}, {1})", &[Wide, Wide]),
    ("(- {0})", &[Wide]),
    ("abs({0})", &[Wide]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Wide, Wide]),
];
const INSTANT: &[Template] = &[
    ("coalesce({0}, {1})", &[Instant, Instant]),
    ("nullif({0}, {1})", &[Instant, Instant]),
    ("greatest({0}, {1})", &[Instant, Instant]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Instant, Instant]),
];
const TEXT: &[Template] = &[
    ("({0} || {1})", &[Text, Text]),
    ("concat({0}, '-', {1})", &[Text, Text]),
    ("upper({0})", &[Text]),
    ("lower({0})", &[Text]),
    ("trim({0})", &[Text]),
    ("reverse({0})", &[Text]),
    ("substr({0}, 2, 2)", &[Text]),
    ("left({0}, 1)", &[Text]),
    ("replace({0}, 'b', 'xy')", &[Text]),
    ("lpad({0}, 4, '*')", &[Text]),
    ("split_part({0}, 'b', 1)", &[Text]),
    ("coalesce({0}, {1})", &[Text, Text]),
    ("nullif({0}, {1})", &[Text, Text]),
    ("greatest({0}, {1})", &[Text, Text]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Text, Text]),
    ("CAST({0} AS VARCHAR)", &[Int]),
    ("CAST({0} AS VARCHAR)", &[Bool]),
    ("CAST({0} AS VARCHAR)", &[Decimal]),
];
const DATE: &[Template] = &[
    ("coalesce({0}, {1})", &[Date, Date]),
    ("nullif({0}, {1})", &[Date, Date]),
    ("least({0}, {1})", &[Date, Date]),
    ("CAST({0} AS DATE)", &[Time]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Date, Date]),
];
const TIME: &[Template] = &[
    ("coalesce({0}, {1})", &[Time, Time]),
    ("nullif({0}, {1})", &[Time, Time]),
    ("date_trunc('month', {0})", &[Time]),
    ("date_trunc('hour', {0})", &[Time]),
    ("({0} + INTERVAL '3 days 2 hours')", &[Time]),
    ("({0} - INTERVAL '1 month')", &[Time]),
    ("CASE WHEN {0} THEN {1} ELSE {2} END", &[Bool, Time, Time]),
];
const BOOL: &[Template] = &[
    ("({0} AND {1})", &[Bool, Bool]),
    ("({0} OR {1})", &[Bool, Bool]),
    ("(NOT {0})", &[Bool]),
    ("({0} IS TRUE)", &[Bool]),
    ("({0} IS NOT TRUE)", &[Bool]),
    ("({0} IS UNKNOWN)", &[Bool]),
    ("({0} BETWEEN {1} AND {2})", &[Int, Int, Int]),
    ("({0} NOT BETWEEN {1} AND {2})", &[Decimal, Decimal, Decimal]),
    ("({0} IN (0, 1, 5, {1}))", &[Int, Int]),
    ("({0} NOT IN (1, 2, NULL))", &[Int]),
    ("({0} IN ('a', 'abc', '', {1}))", &[Text, Text]),
    ("({0} LIKE '%b%')", &[Text]),
    ("({0} NOT LIKE 'a_')", &[Text]),
    ("({0} ILIKE 'A%')", &[Text]),
    ("({0} ~ '^[ab]+$')", &[Text]),
    ("starts_with({0}, 'a')", &[Text]),
    ("coalesce({0}, {1})", &[Bool, Bool]),
];
const COMPARISONS: [&str; 8] = [
    "({0} = {1})",
    "({0} <> {1})",
    "({0} < {1})",
    "({0} <= {1})",
    "({0} > {1})",
    "({0} >= {1})",
    "({0} IS DISTINCT FROM {1})",
    "({0} IS NOT DISTINCT FROM {1})",
];
/// Kinds with an order.
pub(super) const COMPARABLE: [Kind; 11] = super::data::STORED;

fn templates(kind: Kind) -> &'static [Template] {
    match kind {
        Int => INT,
        Big => BIG,
        Float => FLOAT,
        Wild => WILD,
        Decimal => DECIMAL,
        Wide => WIDE,
        Text => TEXT,
        Date => DATE,
        Time => TIME,
        Instant => INSTANT,
        Bool => BOOL,
        Kind::Opaque => unreachable!("opaque values come from aggregates only"),
    }
}

impl Generator<'_> {
    /// An expression of `kind` over the columns of `scope`, at most `depth` calls deep.
    pub(super) fn expr(&mut self, scope: &Scope, kind: Kind, depth: usize) -> Expr {
        if depth == 0 || self.random.percent(35) {
            return self.leaf(scope, kind);
        }
        if kind == Bool {
            return self.condition(scope, depth);
        }
        if self.may_nest()
            && self.random.percent(4)
            && let Some(value) = self.scalar_subquery(scope, kind)
        {
            return value;
        }
        self.templated(scope, kind, depth)
    }

    fn templated(&mut self, scope: &Scope, kind: Kind, depth: usize) -> Expr {
        let (template, kinds) = *self.random.pick(templates(kind));
        let arguments = kinds.iter().map(|kind| self.expr(scope, *kind, depth - 1)).collect();
        Expr::call(template, arguments, kind)
    }

    /// A column of `kind` if there is one, else a literal.
    pub(super) fn leaf(&mut self, scope: &Scope, kind: Kind) -> Expr {
        let columns = scope.of(kind);
        if columns.is_empty() || self.random.percent(12) {
            self.literal(kind)
        } else {
            self.random.pick(&columns).clone()
        }
    }

    /// A condition, mostly a comparison.
    pub(super) fn condition(&mut self, scope: &Scope, depth: usize) -> Expr {
        let depth = depth.max(1);
        match self.random.below(10) {
            0..=4 => {
                let kind = self.kind_in(scope);
                let arguments = vec![self.expr(scope, kind, depth - 1), self.expr(scope, kind, depth - 1)];
                Expr::call(*self.random.pick(&COMPARISONS), arguments, Bool)
            }
            5 => {
                let kind = self.kind_in(scope);
                let template = *self.random.pick(&["({0} IS NULL)", "({0} IS NOT NULL)"]);
                Expr::call(template, vec![self.expr(scope, kind, depth - 1)], Bool)
            }
            6 if self.may_nest() => self.subquery_condition(scope),
            _ => self.templated(scope, Bool, depth),
        }
    }

    /// A kind that some column of the scope has.
    pub(super) fn kind_in(&mut self, scope: &Scope) -> Kind {
        let kinds: Vec<Kind> = COMPARABLE
            .into_iter()
            .filter(|kind| !scope.of(*kind).is_empty())
            .collect();
        if kinds.is_empty() {
            Int
        } else {
            *self.random.pick(&kinds)
        }
    }

    fn literal(&mut self, kind: Kind) -> Expr {
        let random = &mut self.random;
        let sql = if random.percent(12) {
            format!("CAST(NULL AS {})", sql_type(kind))
        } else {
            match kind {
                Int => format!("({})", random.below(24) as i64 - 3),
                Big => (*random.pick(&[
                    "CAST('9223372036854775807' AS BIGINT)",
                    "CAST('-9223372036854775808' AS BIGINT)",
                    "CAST(0 AS BIGINT)",
                ]))
                .to_owned(),
                Float => format!("CAST('{}' AS DOUBLE)", random.below(400) as f64 / 8.0 - 10.0),
                Wild => (*random.pick(&[
                    "CAST('NaN' AS DOUBLE)",
                    "CAST('-Infinity' AS DOUBLE)",
                    "CAST('Infinity' AS DOUBLE)",
                    "CAST(0 AS DOUBLE)",
                    "CAST('1e300' AS DOUBLE)",
                ]))
                .to_owned(),
                Decimal => format!(
                    "CAST('{}.{:02}' AS DECIMAL(12, 2))",
                    random.below(900),
                    random.below(100)
                ),
                Wide => (*random.pick(&[
                    "CAST('9999999999999999999999999999999999.9999' AS DECIMAL(38, 4))",
                    "CAST('-9999999999999999999999999999999999.9999' AS DECIMAL(38, 4))",
                    "CAST('0.0001' AS DECIMAL(38, 4))",
                ]))
                .to_owned(),
                Instant => (*random.pick(&[
                    "CAST('0001-01-01T00:00:00' AS TIMESTAMP(6))",
                    "CAST('9999-12-31T23:59:59.999999' AS TIMESTAMP(6))",
                    "CAST('1970-01-01T00:00:00' AS TIMESTAMP(6))",
                ]))
                .to_owned(),
                Text => format!("'{}'", random.pick(&WORDS).replace('\'', "''")),
                Date => format!("DATE '20{:02}-{:02}-28'", random.below(40), random.below(12) + 1),
                Time => format!("TIMESTAMP '19{:02}-06-01T12:30:00'", random.below(100)),
                Bool => (*random.pick(&["true", "false"])).to_owned(),
                Kind::Opaque => unreachable!("opaque values have no literals"),
            }
        };
        Expr::Literal(sql, kind)
    }
}

/// The type that literals of a kind have.
pub(super) fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Int => "INT",
        Big => "BIGINT",
        Float | Wild | Kind::Opaque => "DOUBLE",
        Decimal => "DECIMAL(12, 2)",
        Wide => "DECIMAL(38, 4)",
        Text => "VARCHAR",
        Date => "DATE",
        Time => "TIMESTAMP",
        Instant => "TIMESTAMP(6)",
        Bool => "BOOLEAN",
    }
}
