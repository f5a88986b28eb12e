//! Limits on a statement before anything recursive touches it.
//!
//! Parser, planner and evaluation recurse over a statement's shape, and a recursion that runs out of stack ends the whole
//! process. So the shape is measured here on the flat list of tokens, and after planning once more on the plan, where `WITH` and views have
//! been put in. Text that passes still meets the parser's own depth limit, a large stack and a time limit ([`crate::planning_thread`]).

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::config::StatementLimits;
use crate::error::{Error, Result};

/// Checks the length of a statement's text.
///
/// # Errors
/// [`Error::TooComplex`].
pub(crate) fn check_text(sql: &str, limits: &StatementLimits) -> Result<()> {
    let limit = usize::try_from(limits.sql_bytes.as_u64()).unwrap_or(usize::MAX);
    within("SQL text in bytes", sql.len(), limit, "limits.sql_bytes")
}

/// Checks the shape of a statement.
///
/// # Errors
/// [`Error::TooComplex`] with the first limit that is broken.
pub(crate) fn check_tokens(tokens: &[TokenWithSpan], limits: &StatementLimits) -> Result<()> {
    within("number of tokens", tokens.len(), limits.tokens, "limits.tokens")?;
    let mut shape = Shape::new();
    for token in tokens {
        shape.take(&token.token);
        within(
            "nesting of parentheses and CASE",
            shape.levels.len() - 1,
            limits.nesting,
            "limits.nesting",
        )?;
        let chain = shape.level().chain();
        within(
            "chain of operators without parentheses",
            chain,
            limits.operator_chain,
            "limits.operator_chain",
        )?;
        within(
            "number of relations and set operations",
            shape.relations,
            limits.relations,
            "limits.relations",
        )?;
    }
    Ok(())
}

/// Checks the size of a plan. Shared parts count as often as they are used: that is how often the optimizer visits them.
///
/// # Errors
/// [`Error::TooComplex`].
pub(crate) fn check_plan(plan: &LogicalPlan, limits: &StatementLimits) -> Result<()> {
    let mut nodes = 0_usize;
    plan.apply_with_subqueries(|_| {
        nodes += 1;
        Ok(if nodes > limits.plan_nodes {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    within("number of plan nodes", nodes, limits.plan_nodes, "limits.plan_nodes")
}

fn within(what: &'static str, found: usize, limit: usize, knob: &'static str) -> Result<()> {
    if found > limit {
        return Err(Error::TooComplex {
            what,
            found,
            limit,
            knob,
        });
    }
    Ok(())
}

/// What was seen so far.
struct Shape {
    /// Open parentheses, brackets and `CASE`s, outermost first; never empty.
    levels: Vec<Level>,
    relations: usize,
}

/// State within one pair of parentheses.
#[derive(Default)]
struct Level {
    /// `AND` and `OR` since the last comma or clause.
    logical: usize,
    /// Other operators since the last `AND`, `OR`, comma or clause: they bind tighter and form a chain of their own.
    arithmetic: usize,
    /// Between `FROM` and the next clause a comma is a join.
    in_from: bool,
    /// Opened by `CASE`, closed by `END`.
    is_case: bool,
}

impl Level {
    fn chain(&self) -> usize {
        self.logical + self.arithmetic
    }

    fn start_expression(&mut self) {
        self.logical = 0;
        self.arithmetic = 0;
    }

    fn start_clause(&mut self, in_from: bool) {
        self.start_expression();
        self.in_from = in_from;
    }
}

impl Shape {
    fn new() -> Self {
        Self {
            levels: vec![Level::default()],
            relations: 0,
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never closed")
    }

    fn open(&mut self, is_case: bool) {
        self.levels.push(Level {
            is_case,
            ..Level::default()
        });
    }

    fn close(&mut self) {
        if self.levels.len() > 1 {
            self.levels.pop();
        }
    }

    fn take(&mut self, token: &Token) {
        match token {
            Token::LParen | Token::LBrace => self.open(false),
            // Subscripts chain without end: a[1][1][1].
            Token::LBracket => {
                self.level().arithmetic += 1;
                self.open(false);
            }
            Token::RParen | Token::RBrace | Token::RBracket => self.close(),
            Token::Comma => self.comma(),
            Token::SemiColon => self.level().start_clause(false),
            Token::Word(word) => self.keyword(word.keyword),
            token if is_operand(token) => {}
            _ => self.level().arithmetic += 1,
        }
    }

    fn comma(&mut self) {
        let level = self.level();
        level.start_expression();
        if level.in_from {
            self.relations += 1;
        }
    }

    fn keyword(&mut self, keyword: Keyword) {
        match keyword {
            Keyword::AND | Keyword::OR | Keyword::XOR => {
                let level = self.level();
                level.logical += 1;
                level.arithmetic = 0;
            }
            Keyword::NOT | Keyword::IS | Keyword::LIKE | Keyword::ILIKE | Keyword::SIMILAR | Keyword::IN => {
                self.level().arithmetic += 1
            }
            Keyword::BETWEEN | Keyword::DIV | Keyword::AT | Keyword::COLLATE | Keyword::ESCAPE => {
                self.level().arithmetic += 1
            }
            Keyword::CASE => self.open(true),
            Keyword::END if self.level().is_case => self.close(),
            Keyword::FROM => {
                self.relations += 1;
                self.level().start_clause(true);
            }
            Keyword::JOIN => {
                self.relations += 1;
                self.level().start_expression();
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                self.relations += 1;
                self.level().start_clause(false);
            }
            Keyword::SELECT | Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER => {
                self.level().start_clause(false)
            }
            Keyword::LIMIT | Keyword::VALUES | Keyword::QUALIFY | Keyword::WINDOW => self.level().start_clause(false),
            Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => self.level().start_expression(),
            _ => {}
        }
    }
}

/// Whether the token is neither an operator nor opens or closes anything.
fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::EOF
            | Token::Whitespace(_)
            | Token::Number(..)
            | Token::Char(_)
            | Token::Period
            | Token::Colon
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn check(sql: &str) -> Result<()> {
        let tokens = Tokenizer::new(&GenericDialect {}, sql)
            .tokenize_with_location()
            .unwrap();
        check_tokens(&tokens, &StatementLimits::default())
    }

    fn broken(sql: &str) -> &'static str {
        match check(sql) {
            Err(Error::TooComplex { knob, .. }) => knob,
            other => panic!("expected a broken limit, found {other:?}"),
        }
    }

    #[test]
    fn everyday_statements_pass() {
        for sql in [
            "select a, b + c * 2 from t join u on t.a = u.a where x between 1 and 2 group by a order by b desc limit 10",
            "select case when a = 1 then 'x' else 'y' end, count(*) filter (where b) from t, u, v",
            "create table x (end int)",
        ] {
            check(sql).unwrap();
        }
    }

    #[test]
    fn long_lists_are_not_chains() {
        let list = (0..50_000).map(|i| format!("{i} + 1")).collect::<Vec<_>>().join(", ");
        check(&format!("select 1 where 1 in ({list})")).unwrap();
        let rows = (0..5_000)
            .map(|i| format!("({i}, -{i})"))
            .collect::<Vec<_>>()
            .join(", ");
        check(&format!("values {rows}")).unwrap();
        let cases = (0..5_000)
            .map(|i| format!("when a = {i} then -{i}"))
            .collect::<Vec<_>>()
            .join(" ");
        check(&format!("select case {cases} end from t")).unwrap();
    }

    #[test]
    fn chains_of_operators_are_counted() {
        for operator in [" + ", " || ", " OR ", " and ", " = ", "::int + ", " is null is null + "] {
            let sql = format!("select {}", vec!["1"; 100_000].join(operator));
            assert_eq!(broken(&sql), "limits.operator_chain", "{operator}");
        }
        assert_eq!(
            broken(&format!("select {}1", "not ".repeat(5_000))),
            "limits.operator_chain"
        );
        assert_eq!(
            broken(&format!("select a{}", "[1]".repeat(5_000))),
            "limits.operator_chain"
        );
    }

    #[test]
    fn depth_is_counted() {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("abs(", ")"),
            ("case when true then ", " end"),
            ("(select ", ")"),
        ] {
            let sql = format!("select {}1{}", open.repeat(10_000), close.repeat(10_000));
            assert_eq!(broken(&sql), "limits.nesting", "{open}");
        }
    }

    #[test]
    fn relations_are_counted() {
        let unions = vec!["select 1"; 10_000].join(" union all ");
        assert_eq!(broken(&unions), "limits.relations");
        let commas = vec!["t"; 10_000].join(", ");
        assert_eq!(broken(&format!("select 1 from {commas}")), "limits.relations");
    }

    #[test]
    fn closing_more_than_was_opened_is_left_to_the_parser() {
        check("select 1)))) end end").unwrap();
    }
}
