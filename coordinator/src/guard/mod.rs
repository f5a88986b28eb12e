//! Limits on a statement before anything recursive touches it.
//!
//! Parser, planner and evaluation recurse over a statement's shape, and a recursion that runs out of stack ends the whole
//! process. So the shape is measured here on the flat list of tokens, and after planning once more on the plan, where `WITH` and views have
//! been put in. Text that passes still meets the parser's own depth limit, a large stack and a time limit ([`crate::planning_thread`]).

mod grouping;
mod patterns;

use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, Visit, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use quarry_engine::session::QuarryOptions;

use crate::config::StatementLimits;
use crate::error::{Error, Result};

/// Checks the length of a statement's text.
///
/// # Errors
/// [`Error::TooComplex`].
pub(crate) fn check_text(sql: &str, limits: &StatementLimits) -> Result<()> {
    let limit = usize::try_from(limits.sql_bytes.as_u64()).unwrap_or(usize::MAX);
    within("SQL text in bytes", sql.len(), limit, "limits.sql_bytes")?;
    // A token takes a hundred times the memory of the letter that it may be: they are counted before they are made.
    within("number of tokens", rough_tokens(sql), limits.tokens, "limits.tokens")
}

/// About as many tokens as a text has: every run of letters or blanks, every sign, every quoted text.
fn rough_tokens(sql: &str) -> usize {
    #[derive(PartialEq)]
    enum Run {
        None,
        Word,
        Blank,
        Quoted(u8),
    }
    let (mut tokens, mut run) = (0, Run::None);
    for byte in sql.bytes() {
        let next = match (&run, byte) {
            (Run::Quoted(quote), byte) if *quote == byte => Run::None,
            (Run::Quoted(_), _) => continue,
            (_, b'\'' | b'"') => Run::Quoted(byte),
            (_, byte) if byte.is_ascii_whitespace() => Run::Blank,
            (_, byte) if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => Run::Word,
            _ => Run::None,
        };
        let ended_quote = matches!(run, Run::Quoted(_));
        tokens += usize::from(!ended_quote && (next == Run::None || next != run));
        run = next;
    }
    tokens
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
            "number of statements in one text",
            shape.statements,
            limits.statements,
            "limits.statements",
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

/// Checks what a statement becomes once the planner has written it out: each use of a `WITH` query is replaced by the query, and queries
/// that use each other twice grow without bound; `CUBE` becomes a grouping set for each choice of its columns.
///
/// # Errors
/// [`Error::TooComplex`].
pub(crate) fn check_expansion(statement: &Statement, limits: &StatementLimits) -> Result<()> {
    let mut expansion = Expansion::default();
    visit_statement(statement, &mut expansion);
    let relations = usize::try_from(expansion.largest).unwrap_or(usize::MAX);
    within(
        "number of relations with every WITH query put in",
        relations,
        limits.plan_nodes,
        "limits.plan_nodes",
    )?;
    let sets = usize::try_from(expansion.grouping_sets).unwrap_or(usize::MAX);
    within(
        "number of grouping sets of one GROUP BY",
        sets,
        limits.grouping_sets,
        "limits.grouping_sets",
    )
}

fn visit_statement(statement: &Statement, expansion: &mut Expansion) {
    // The visitor never breaks off.
    let _ = match statement {
        Statement::Statement(statement) => statement.visit(expansion),
        Statement::Explain(explain) => {
            visit_statement(&explain.statement, expansion);
            ControlFlow::Continue(())
        }
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    };
}

/// Counts relations while walking over a statement once. Its order is the text's: a `WITH` query comes before its uses.
#[derive(Default)]
struct Expansion {
    /// Queries we are inside of.
    frames: Vec<Frame>,
    /// Relations behind each name that `WITH` has given, innermost last.
    names: Vec<(String, u64)>,
    largest: u64,
    /// Of the `GROUP BY` that has most.
    grouping_sets: u64,
}

struct Frame {
    relations: u64,
    /// `WITH` queries of this query, by where they lie in memory.
    definitions: Vec<(*const Query, String)>,
    /// How many names were known outside of it.
    outer_names: usize,
}

impl Visitor for Expansion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let definitions = query.with.iter().flat_map(|with| &with.cte_tables);
        let definitions = definitions.map(|cte| {
            (
                std::ptr::from_ref(cte.query.as_ref()),
                cte.alias.name.value.to_lowercase(),
            )
        });
        let frame = Frame {
            relations: 1,
            definitions: definitions.collect(),
            outer_names: self.names.len(),
        };
        self.frames.push(frame);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(frame) = self.frames.pop() else {
            return ControlFlow::Continue(());
        };
        self.names.truncate(frame.outer_names);
        self.largest = self.largest.max(frame.relations);
        if let Some(parent) = self.frames.last_mut() {
            let here = std::ptr::from_ref(query);
            match parent.definitions.iter().find(|(definition, _)| *definition == here) {
                Some((_, name)) => self.names.push((name.clone(), frame.relations)),
                None => parent.relations = parent.relations.saturating_add(frame.relations),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.grouping_sets = self.grouping_sets.max(grouping::grouping_sets(&select.group_by));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.to_string().replace('"', "").to_lowercase();
        let relations = self
            .names
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map_or(1, |(_, relations)| *relations);
        if let Some(frame) = self.frames.last_mut() {
            frame.relations = frame.relations.saturating_add(relations);
        }
        ControlFlow::Continue(())
    }
}

/// Checks the size of a plan and of the regular expressions in it. Shared parts and views count as often as they are used: that is how
/// often the optimizer visits them.
///
/// # Errors
/// [`Error::TooComplex`].
pub(crate) fn check_plan(plan: &LogicalPlan, limits: &StatementLimits) -> Result<()> {
    let mut nodes = 0_usize;
    count_nodes(plan, limits.plan_nodes, &mut nodes)?;
    within("number of plan nodes", nodes, limits.plan_nodes, "limits.plan_nodes")?;
    let states = usize::try_from(patterns::most_states(plan)?).unwrap_or(usize::MAX);
    within(
        "number of states of a regular expression",
        states,
        limits.pattern_states,
        "limits.pattern_states",
    )
}

fn count_nodes(plan: &LogicalPlan, limit: usize, nodes: &mut usize) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        *nodes += 1;
        if let LogicalPlan::TableScan(scan) = node
            && let Some(view) = scan.source.get_logical_plan()
        {
            count_nodes(&view, limit, nodes)?;
        }
        Ok(if *nodes > limit {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(())
}

/// Gives a session the caps on what functions may make.
pub(crate) fn set_caps(options: &mut ConfigOptions, limits: &StatementLimits) {
    let mut caps = QuarryOptions::default();
    caps.value_bytes = limits.value_bytes.as_u64();
    caps.series_rows = limits.series_rows;
    options.extensions.insert(caps);
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
    /// Semicolons.
    statements: usize,
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
            statements: 0,
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
            Token::SemiColon => {
                self.statements += 1;
                self.level().start_clause(false);
            }
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
            let sql = format!("select {}", vec!["1"; 50_000].join(operator));
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
    fn statements_are_counted() {
        assert_eq!(broken(&"create schema s;".repeat(50_000)), "limits.statements");
        check("create schema s; create schema t; select 1;").unwrap();
    }

    #[test]
    fn tokens_are_counted_before_they_are_made() {
        assert_eq!(rough_tokens("select a1, 'it''s (all) one' from t"), 11);
        assert_eq!(rough_tokens(&"(".repeat(1000)), 1000);
        assert_eq!(rough_tokens("\"a b c\" <> 'x'"), 6);
        let many = "(".repeat(2_000_000);
        assert!(matches!(
            check_text(&many, &StatementLimits::default()),
            Err(Error::TooComplex {
                knob: "limits.tokens",
                ..
            })
        ));
        check_text(
            &format!("select '{}'", "( ".repeat(2_000_000)),
            &StatementLimits::default(),
        )
        .unwrap();
    }

    fn expand(sql: &str) -> Result<()> {
        let statements = datafusion::sql::parser::DFParser::parse_sql(sql).unwrap();
        check_expansion(&statements[0], &StatementLimits::default())
    }

    #[test]
    fn queries_that_double_each_other_are_counted() {
        let doubling = |levels: usize| {
            let level = |n: usize| format!("C{n} as (select * from c{0} union all select * from \"c{0}\")", n - 1);
            let queries = (1..=levels).map(level).collect::<Vec<_>>().join(", ");
            format!("with c0 as (select 1), {queries} select * from c{levels}")
        };
        expand(&doubling(10)).unwrap();
        assert!(matches!(
            expand(&doubling(40)),
            Err(Error::TooComplex {
                knob: "limits.plan_nodes",
                ..
            })
        ));
        assert!(expand(&format!("explain {}", doubling(40))).is_err());
    }

    #[test]
    fn grouping_sets_are_counted_before_they_are_made() {
        let columns = (0..30).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
        expand("select count(*) from t group by cube (a, b, c), rollup (d, e), grouping sets ((f), (g, h), ())")
            .unwrap();
        expand(&format!("select count(*) from t group by rollup ({columns})")).unwrap();
        expand(&format!("select count(*) from t group by {columns}")).unwrap();
        for group_by in [
            format!("cube ({columns})"),
            format!("x, cube ({columns}), y"),
            format!("{columns} with cube"),
            format!("rollup ({columns}), rollup ({columns}), rollup ({columns})"),
            format!("cube ({columns}), cube ({columns}), cube ({columns})"),
        ] {
            let sql = format!("select * from (select count(*) from t group by {group_by}) union all select 1");
            let Err(Error::TooComplex { knob, .. }) = expand(&sql) else {
                panic!("{group_by}: expected a broken limit");
            };
            assert_eq!(knob, "limits.grouping_sets", "{group_by}");
        }
    }

    #[test]
    fn nested_queries_count_within_and_names_end_with_their_query() {
        let nested = "with a as (with b as (select * from t, t) select * from b, b, b) select * from a, a, b";
        let statements = datafusion::sql::parser::DFParser::parse_sql(nested).unwrap();
        let mut expansion = Expansion::default();
        visit_statement(&statements[0], &mut expansion);
        // b: 1 + 2; a: 1 + 3 * 3; all: 1 + 2 * 10 + 1, for the last b is a table.
        assert_eq!(expansion.largest, 22);
    }

    #[test]
    fn closing_more_than_was_opened_is_left_to_the_parser() {
        check("select 1)))) end end").unwrap();
    }
}
