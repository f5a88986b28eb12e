//! `CREATE TABLE ... [AS query]`: taken apart before the parsers see it.
//!
//! No parser at hand reads `CREATE TABLE t (...) STORED AS ... PARTITIONED BY ... LOCATION ... OPTIONS (...) AS query` with the clauses in any
//! order. One reads them for external tables, another reads queries. So the tokens are parted at `AS`; what is before goes to the first as if it
//! were an external table, what follows to the second.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{CreateExternalTable, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::parse::{PARSER_RECURSION, Parsed};

/// `CREATE TABLE`: a managed table.
#[derive(Debug, Clone)]
pub(crate) struct CreateTable {
    /// Name, columns and clauses; no location is the empty one.
    pub(crate) head: CreateExternalTable,
    /// `AS query`.
    pub(crate) query: Option<DfStatement>,
}

/// Parses the tokens of one `CREATE TABLE`; `None` if they are another statement's.
///
/// # Errors
/// Syntax errors of either part.
pub(super) fn parse_create(tokens: &[TokenWithSpan]) -> Option<Result<Parsed, DataFusionError>> {
    let table = table_keyword(tokens)?;
    let end = query_start(tokens, table).unwrap_or(tokens.len());
    Some(parse_parts(
        &tokens[..table],
        &tokens[table..end],
        tokens.get(end + 1..),
    ))
}

/// Position of `TABLE` in `CREATE [OR REPLACE] TABLE`.
fn table_keyword(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut words = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(index, token)| (index, keyword(token)));
    if words.next()?.1 != Keyword::CREATE {
        return None;
    }
    let mut next = words.next()?;
    if next.1 == Keyword::OR {
        if words.next()?.1 != Keyword::REPLACE {
            return None;
        }
        next = words.next()?;
    }
    (next.1 == Keyword::TABLE).then_some(next.0)
}

/// Position of the `AS` that begins the query: outside of parentheses, not that of `STORED AS`.
fn query_start(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = Keyword::NoKeyword;
    for (index, token) in tokens.iter().enumerate().skip(from) {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && keyword(token) == Keyword::AS && before != Keyword::STORED => return Some(index),
            _ => {}
        }
        before = keyword(token);
    }
    None
}

fn parse_parts(
    create: &[TokenWithSpan],
    head: &[TokenWithSpan],
    query: Option<&[TokenWithSpan]>,
) -> Result<Parsed, DataFusionError> {
    let has = |wanted| outside_parentheses(head).any(|token| keyword(token) == wanted);
    let mut tokens = create.to_vec();
    tokens.push(word("EXTERNAL", Keyword::EXTERNAL));
    tokens.extend_from_slice(head);
    if !has(Keyword::STORED) {
        tokens.extend([
            word("STORED", Keyword::STORED),
            word("AS", Keyword::AS),
            word("PARQUET", Keyword::PARQUET),
        ]);
    }
    if !has(Keyword::LOCATION) {
        tokens.push(word("LOCATION", Keyword::LOCATION));
        tokens.push(TokenWithSpan::wrap(Token::SingleQuotedString(String::new())));
    }
    let head = match one_statement(tokens)? {
        DfStatement::CreateExternalTable(head) => head,
        other => return Ok(Parsed::Sql(other)),
    };
    let query = query.map(|query| one_statement(query.to_vec())).transpose()?;
    Ok(Parsed::CreateTable(Box::new(CreateTable { head, query })))
}

fn outside_parentheses(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &TokenWithSpan> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

/// Parses exactly one statement.
pub(super) fn one_statement(tokens: Vec<TokenWithSpan>) -> Result<DfStatement, DataFusionError> {
    let mut parser = DFParserBuilder::new(tokens)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(PARSER_RECURSION)
        .build()?;
    let mut statements = parser.parse_statements()?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(DataFusionError::Plan(
            "syntax error: AS is not followed by a query".to_owned(),
        )),
    }
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn word(text: &str, keyword: Keyword) -> TokenWithSpan {
    TokenWithSpan::wrap(Token::Word(Word {
        value: text.to_owned(),
        quote_style: None,
        keyword,
    }))
}
