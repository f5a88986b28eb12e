//! Statements of Quarry's own, which the SQL parser does not know or reads only in part: recognized by their first words.
//!
//! ```text
//! SHOW PARTITIONS t · SHOW STATS FOR t · SHOW {TABLE | COLUMN} STATS t · SHOW BLOCKS OF [TABLE] t · SHOW BLOCKS OF '/path'
//! ANALYZE [TABLE] t [COMPUTE STATISTICS] [FOR [ALL] COLUMNS [a, b]] · ANALYZE t (a, b) · COMPUTE STATS t [(a, b)]
//! ALTER TABLE [IF EXISTS] t {RENAME TO u | ADD COLUMN[S] .. | SET .. (..) | UNSET .. (..)} · ALTER VIEW v RENAME TO w
//! {KILL | CANCEL} QUERY 'id' · REFRESH [TABLE] t · INVALIDATE METADATA [t] · MSCK [REPAIR] TABLE t
//! ```

use datafusion::sql::sqlparser::ast::{ColumnDef, Ident, ObjectName};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::kind::{Alteration, Analyze, Blocks, Command, OptionKind, Show};
use crate::catalog::ObjectKind;

/// A statement of this kind.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// Rows from the catalog.
    Show(Show),
    /// Changes something.
    Command(Command),
    /// Computes statistics.
    Analyze(Analyze),
}

type Parsed<T> = Result<T, ParserError>;

/// First words of these statements.
const FIRST: [&str; 9] = [
    "SHOW",
    "ANALYZE",
    "COMPUTE",
    "ALTER",
    "KILL",
    "CANCEL",
    "REFRESH",
    "INVALIDATE",
    "MSCK",
];

/// Reads one statement of this kind; `None` if it is none.
///
/// # Errors
/// If it begins as one and goes on otherwise.
pub(crate) fn parse(tokens: &[TokenWithSpan], recursion: usize) -> Parsed<Option<Own>> {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    let known = first.is_some_and(|first| FIRST.iter().any(|word| is_word(&first.token, word)));
    if !known {
        return Ok(None);
    }
    let parser = Parser::new(&GenericDialect {})
        .with_recursion_limit(recursion)
        .with_tokens_with_locations(tokens.to_vec());
    let mut words = Words(parser);
    let Some(own) = words.statement()? else {
        return Ok(None);
    };
    words.end()?;
    Ok(Some(own))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// The parser, asked for words rather than keywords.
struct Words(Parser<'static>);

impl Words {
    /// Takes these words if they come next.
    fn take(&mut self, words: &[&str]) -> bool {
        let come = words
            .iter()
            .enumerate()
            .all(|(index, word)| is_word(&self.0.peek_nth_token(index).token, word));
        if come {
            words.iter().for_each(|_| {
                self.0.next_token();
            });
        }
        come
    }

    /// Takes one of these words if it comes next.
    fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(&[word]))
    }

    fn expect(&mut self, words: &[&str]) -> Parsed<()> {
        if self.take(words) {
            return Ok(());
        }
        self.expected(&words.join(" "))
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        self.0.expected(what, self.0.peek_token())
    }

    fn end(&self) -> Parsed<()> {
        match self.0.peek_token().token {
            Token::EOF => Ok(()),
            _ => self.expected("end of statement"),
        }
    }

    fn name(&mut self) -> Parsed<ObjectName> {
        self.0.parse_object_name(false)
    }

    fn statement(&mut self) -> Parsed<Option<Own>> {
        if self.take(&["SHOW"]) {
            return Ok(self.show()?.map(Own::Show));
        }
        if self.take(&["ALTER"]) {
            return Ok(self.alter()?.map(Own::Command));
        }
        if self.take(&["ANALYZE"]) {
            return self.analyze().map(Own::Analyze).map(Some);
        }
        if self.take(&["COMPUTE", "STATS"]) {
            let table = self.name()?;
            let columns = self.column_list()?;
            return Ok(Some(Own::Analyze(Analyze { table, columns })));
        }
        Ok(self.administer()?.map(Own::Command))
    }

    fn show(&mut self) -> Parsed<Option<Show>> {
        let show = if self.take(&["PARTITIONS"]) {
            self.take_any(&["FROM", "IN", "OF", "FOR"]);
            Show::Partitions(self.name()?)
        } else if self.take(&["TABLE", "STATS"]) {
            Show::TableStats(self.name()?)
        } else if self.take(&["COLUMN", "STATS"]) {
            Show::ColumnStats(self.name()?)
        } else if self.take(&["STATS"]) {
            self.take_any(&["FOR", "OF"]);
            Show::ColumnStats(self.name()?)
        } else if self.take(&["BLOCKS"]) {
            if !self.take_any(&["OF", "FOR"]) {
                return self.expected("OF or FOR");
            }
            Show::Blocks(self.blocks()?)
        } else {
            return Ok(None);
        };
        Ok(Some(show))
    }

    fn blocks(&mut self) -> Parsed<Blocks> {
        if self.take(&["TABLE"]) {
            return Ok(Blocks::Table(self.name()?));
        }
        match self.0.peek_token().token {
            Token::SingleQuotedString(_) => Ok(Blocks::Path(self.0.parse_literal_string()?)),
            _ => Ok(Blocks::Table(self.name()?)),
        }
    }

    fn analyze(&mut self) -> Parsed<Analyze> {
        self.take(&["TABLE"]);
        let table = self.name()?;
        let mut columns = self.column_list()?;
        self.take(&["COMPUTE", "STATISTICS"]);
        if self.take(&["FOR", "ALL", "COLUMNS"]) {
            return Ok(Analyze { table, columns: None });
        }
        if self.take(&["FOR", "COLUMNS"]) && self.0.peek_token().token != Token::EOF {
            columns = Some(self.0.parse_comma_separated(Parser::parse_identifier)?);
        }
        Ok(Analyze { table, columns })
    }

    /// `(a, b)`, if it comes next.
    fn column_list(&mut self) -> Parsed<Option<Vec<Ident>>> {
        if !self.0.consume_token(&Token::LParen) {
            return Ok(None);
        }
        let columns = self.0.parse_comma_separated(Parser::parse_identifier)?;
        self.0.expect_token(&Token::RParen)?;
        Ok(Some(columns))
    }

    fn administer(&mut self) -> Parsed<Option<Command>> {
        let command = if self.take(&["KILL", "QUERY"]) || self.take(&["CANCEL", "QUERY"]) {
            Command::Kill(self.0.parse_literal_string()?)
        } else if self.take(&["REFRESH"]) {
            self.take(&["TABLE"]);
            Command::Refresh(Some(self.name()?))
        } else if self.take(&["INVALIDATE", "METADATA"]) {
            let all = self.0.peek_token().token == Token::EOF;
            Command::Refresh(if all { None } else { Some(self.name()?) })
        } else if self.take(&["MSCK"]) {
            self.take(&["REPAIR"]);
            self.expect(&["TABLE"])?;
            let table = self.name()?;
            if self.take_any(&["ADD", "DROP", "SYNC"]) {
                self.expect(&["PARTITIONS"])?;
            }
            Command::Refresh(Some(table))
        } else {
            return Ok(None);
        };
        Ok(Some(command))
    }

    fn alter(&mut self) -> Parsed<Option<Command>> {
        let kind = if self.take(&["TABLE"]) {
            ObjectKind::Table
        } else if self.take(&["VIEW"]) {
            ObjectKind::View
        } else {
            return Ok(None);
        };
        let if_exists = self.take(&["IF", "EXISTS"]);
        let name = self.name()?;
        let alteration = if self.take(&["RENAME", "TO"]) {
            Alteration::Rename(self.name()?)
        } else if kind == ObjectKind::View {
            return self.expected("RENAME TO");
        } else if self.take(&["ADD"]) {
            self.add_columns()?
        } else if self.take(&["SET"]) {
            self.set()?
        } else if self.take(&["UNSET"]) {
            let kind = self.option_kind();
            let if_exists = self.take(&["IF", "EXISTS"]);
            let keys = self.parenthesized(|words| words.key())?;
            Alteration::Unset { kind, keys, if_exists }
        } else {
            return self.expected("RENAME TO, ADD COLUMN, SET or UNSET");
        };
        Ok(Some(Command::Alter {
            kind,
            name,
            if_exists,
            alteration,
        }))
    }

    fn add_columns(&mut self) -> Parsed<Alteration> {
        self.take_any(&["COLUMN", "COLUMNS"]);
        let if_not_exists = self.take(&["IF", "NOT", "EXISTS"]);
        let columns: Vec<ColumnDef> = if self.0.peek_token().token == Token::LParen {
            self.parenthesized(|words| words.0.parse_column_def())?
        } else {
            vec![self.0.parse_column_def()?]
        };
        Ok(Alteration::AddColumns { columns, if_not_exists })
    }

    fn set(&mut self) -> Parsed<Alteration> {
        let kind = self.option_kind();
        let pairs = self.parenthesized(|words| {
            let key = words.key()?;
            let _ = words.0.consume_token(&Token::Eq);
            Ok((key, words.value()?))
        })?;
        Ok(Alteration::Set { kind, pairs })
    }

    fn option_kind(&mut self) -> OptionKind {
        if self.take(&["OPTIONS"]) {
            OptionKind::Options
        } else {
            self.take_any(&["TBLPROPERTIES", "PROPERTIES"]);
            OptionKind::Properties
        }
    }

    fn parenthesized<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.0.expect_token(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.0.consume_token(&Token::Comma) {
            items.push(item(self)?);
        }
        self.0.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// `'a.b'`, `"a.b"` or `a.b`.
    fn key(&mut self) -> Parsed<String> {
        if let Token::SingleQuotedString(text) = self.0.peek_token().token {
            self.0.next_token();
            return Ok(text);
        }
        let parts = self.name()?.0.into_iter();
        let parts = parts.map(|part| {
            part.as_ident()
                .map_or_else(|| part.to_string(), |ident| ident.value.clone())
        });
        Ok(parts.collect::<Vec<_>>().join("."))
    }

    /// A string, a number or a word.
    fn value(&mut self) -> Parsed<String> {
        let token = self.0.next_token();
        match token.token {
            Token::SingleQuotedString(text) => Ok(text),
            Token::Number(text, _) => Ok(text),
            Token::Word(word) => Ok(word.value),
            _ => self.0.expected("a value", token),
        }
    }
}
