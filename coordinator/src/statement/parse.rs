//! From SQL text to statements: tokens, their limits, positional parameters, syntax.

use std::collections::VecDeque;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::create::{CreateTable, parse_create};
use super::own::{self, Own};
use crate::config::StatementLimits;
use crate::error::{Error, Result};
use crate::guard;

/// Deepest expression or query that the parser takes; its own default.
pub(super) const PARSER_RECURSION: usize = 50;

/// One statement of a text.
#[derive(Debug, Clone)]
pub(crate) enum Parsed {
    /// As the SQL parser reads it.
    Sql(Statement),
    /// `CREATE TABLE`.
    CreateTable(Box<CreateTable>),
    /// One that it does not know.
    Own(Own),
}

/// Parses a text of one or more statements. Each `?` becomes `$1`, `$2`, ... in the order of the text: DataFusion
/// takes all `?` for one and the same parameter.
///
/// # Errors
/// [`Error::Invalid`] with line and column, also for a text without any statement; [`Error::TooComplex`].
pub(crate) fn parse(sql: &str, limits: &StatementLimits) -> Result<VecDeque<Parsed>> {
    guard::check_text(sql, limits)?;
    let mut tokens = tokenize(sql)?;
    guard::check_tokens(&tokens, limits)?;
    number_placeholders(&mut tokens)?;
    let mut statements = VecDeque::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
        if !tokens.iter().all(is_blank) {
            let end = tokens.last().map(|token| token.span.end);
            parse_one(tokens, limits, &mut statements).map_err(|error| at_end(error, end))?;
        }
    }
    if statements.is_empty() {
        return Err(Error::invalid("the text holds no SQL statement"));
    }
    Ok(statements)
}

fn parse_one(tokens: &[TokenWithSpan], limits: &StatementLimits, statements: &mut VecDeque<Parsed>) -> Result<()> {
    if let Some(created) = parse_create(tokens) {
        let created = created.map_err(syntax_error)?;
        if let Parsed::CreateTable(create) = &created
            && let Some(query) = &create.query
        {
            guard::check_expansion(query, limits)?;
        }
        statements.push_back(created);
        return Ok(());
    }
    let own = own::parse(tokens, PARSER_RECURSION).map_err(|error| syntax_error(error.into()))?;
    if let Some(own) = own {
        statements.push_back(Parsed::Own(own));
        return Ok(());
    }
    let mut parser = DFParserBuilder::new(tokens.to_vec())
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(PARSER_RECURSION)
        .build()
        .map_err(syntax_error)?;
    for statement in parser.parse_statements().map_err(syntax_error)? {
        guard::check_expansion(&statement, limits)?;
        statements.push_back(Parsed::Sql(statement));
    }
    Ok(())
}

fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| Error::invalid(format!("syntax error: {error}")))
}

/// The parser's own words, without the wrappings.
fn syntax_error(error: DataFusionError) -> Error {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => syntax_error(*inner),
        DataFusionError::SQL(error, _) => match *error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
                Error::invalid(format!("syntax error: {text}"))
            }
            ParserError::RecursionLimitExceeded => Error::invalid(format!(
                "syntax error: expressions or queries are nested deeper than {PARSER_RECURSION} (recursion limit)"
            )),
        },
        other => Error::invalid(other.strip_backtrace()),
    }
}

/// The parser says where it stumbled, except at the end of the text.
fn at_end(error: Error, end: Option<Location>) -> Error {
    match (error, end) {
        (Error::Invalid(text), Some(end)) if text.ends_with("found: EOF") => {
            Error::invalid(format!("{text} at Line: {}, Column: {}", end.line, end.column))
        }
        (error, _) => error,
    }
}

fn number_placeholders(tokens: &mut [TokenWithSpan]) -> Result<()> {
    let mut positional = 0_usize;
    let mut named = false;
    for token in tokens {
        let Token::Placeholder(name) = &mut token.token else {
            continue;
        };
        if name == "?" {
            positional += 1;
            *name = format!("${positional}");
        } else {
            named = true;
        }
    }
    if positional > 0 && named {
        return Err(Error::invalid(
            "a statement's parameters are either all `?` or all `$1`, `$2`, ...; this one mixes both",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(sql: &str) -> String {
        let statements = parse(sql, &StatementLimits::default()).unwrap();
        statements
            .iter()
            .map(|statement| match statement {
                Parsed::Sql(statement) => statement.to_string(),
                Parsed::CreateTable(create) => match &create.query {
                    None => create.head.to_string(),
                    Some(query) => format!("{} [AS] {query}", create.head),
                },
                Parsed::Own(own) => format!("{own:?}"),
            })
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn error(sql: &str) -> String {
        parse(sql, &StatementLimits::default()).unwrap_err().to_string()
    }

    #[test]
    fn question_marks_are_numbered_outside_of_quotes_and_comments() {
        let sql = "select ?, '?', \"a?\", $$?$$ -- ?\n, /* ? */ ? from t where b = ?";
        assert_eq!(text(sql), "SELECT $1, '?', \"a?\", $$?$$, $2 FROM t WHERE b = $3");
    }

    #[test]
    fn numbered_parameters_stay() {
        assert_eq!(text("select $2, $1"), "SELECT $2, $1");
        assert!(error("select ?, $1").contains("mixes"));
    }

    #[test]
    fn several_statements_and_stray_semicolons() {
        assert_eq!(text(";; select 1; select 2;"), "SELECT 1; SELECT 2");
        assert!(error(" ; -- nothing\n ").contains("no SQL statement"));
    }

    #[test]
    fn create_table_takes_its_clauses_in_any_order() {
        let head = "CREATE EXTERNAL TABLE";
        assert_eq!(
            text("create table t (a int)"),
            format!("{head} t STORED AS PARQUET LOCATION ''")
        );
        for sql in [
            "create table t stored as csv partitioned by (a) location '/x' as select 1 as a, 2 as b",
            "create table t partitioned by (a) location '/x' stored as csv as (select 1 as a, 2 as b)",
        ] {
            let created = parse(sql, &StatementLimits::default()).unwrap();
            let Some(Parsed::CreateTable(create)) = created.front() else {
                panic!("{sql}")
            };
            assert_eq!(create.head.file_type, "CSV");
            assert_eq!(create.head.locations, ["/x"]);
            assert_eq!(create.head.table_partition_cols, ["a"]);
            assert!(create.query.is_some());
        }
        assert!(text("create or replace table a.b as with x as (select 1) select * from x").contains("[AS]"));
        assert!(error("create table t as").contains("query"));
        assert!(error("create table t (a int) stored as parquet as select").contains("Expected"));
    }

    #[test]
    fn errors_say_where() {
        assert!(
            error("select 1\nfrom t t t").contains("Line: 2"),
            "{}",
            error("select 1\nfrom t t t")
        );
        assert!(error("select 'open").contains("Line: 1"));
        let unfinished = error("select 1,\n  (2 +");
        assert!(unfinished.ends_with("found: EOF at Line: 2, Column: 7"), "{unfinished}");
        for sql in [
            "show\npartitions",
            "show\nblocks t",
            "kill\nquery 7",
            "alter\ntable t drop",
            "analyze t\nfor rows",
        ] {
            assert!(error(sql).contains("Line: 2"), "{}", error(sql));
        }
    }

    #[test]
    fn names_that_are_words_of_own_statements_are_names() {
        assert_eq!(text("select stats from blocks"), "SELECT stats FROM blocks");
        assert_eq!(text("show tables"), "SHOW TABLES");
    }

    #[test]
    fn deep_text_is_an_error_not_an_overflow() {
        let deep = format!("select {}1{}", "(".repeat(90), ")".repeat(90));
        assert!(error(&deep).contains("ecursion"), "{}", error(&deep));
    }
}
