//! Cutting text into statements at `;`, without understanding SQL beyond what can hide a semicolon: strings, quoted
//! names, comments and dollar-quoted bodies.

/// A statement of a longer text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The text without its `;`, trimmed.
    pub text: &'a str,
    /// Line of its first character, from 1.
    pub line: usize,
}

/// The statements of a text and what follows the last `;`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statements<'a> {
    /// Complete statements, empty ones left out.
    pub(super) complete: Vec<Statement<'a>>,
    /// What follows the last `;`, trimmed; `None` if only blanks and comments do.
    pub(super) rest: Option<Statement<'a>>,
}

/// Cuts `text` at its semicolons.
pub(super) fn split(text: &str) -> Statements<'_> {
    let mut complete = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let token = token_length(&text[at..]);
        if text.as_bytes()[at] == b';' {
            complete.extend(statement(text, start, at));
            start = at + 1;
        }
        at += token;
    }
    Statements {
        complete,
        rest: statement(text, start, text.len()),
    }
}

/// Every statement of `text`, the last one with or without its `;`.
pub fn all(text: &str) -> Vec<Statement<'_>> {
    let Statements { mut complete, rest } = split(text);
    complete.extend(rest);
    complete
}

fn statement(text: &str, start: usize, end: usize) -> Option<Statement<'_>> {
    let start = start + leading_blank(&text[start..end]);
    let trimmed = text[start..end].trim_end();
    let line = 1 + text[..start].matches('\n').count();
    (!trimmed.is_empty()).then_some(Statement { text: trimmed, line })
}

/// Length of the blanks and comments that a text begins with.
fn leading_blank(text: &str) -> usize {
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        // A comment that does not end yet is no blank: more of it may follow.
        let block = text[at..].starts_with("/*") && block_comment_length(&text[at..]).is_some();
        let comment = block || text[at..].starts_with("--");
        if !first.is_whitespace() && !comment {
            break;
        }
        at += if comment {
            token_length(&text[at..])
        } else {
            first.len_utf8()
        };
    }
    at
}

/// Length of the piece at the beginning of `text` that must not be cut. An unfinished piece reaches to the end.
fn token_length(text: &str) -> usize {
    let ends_after = |from: usize, mark: &str| text[from..].find(mark).map_or(text.len(), |at| from + at + mark.len());
    match text.as_bytes() {
        [b'-', b'-', ..] => ends_after(2, "\n"),
        [b'/', b'*', ..] => block_comment_length(text).unwrap_or(text.len()),
        // A doubled quote ends one piece and begins the next at once.
        [b'\'', ..] => ends_after(1, "'"),
        [b'"', ..] => ends_after(1, "\""),
        [b'`', ..] => ends_after(1, "`"),
        [b'$', ..] => dollar_tag(text).map_or(1, |tag| ends_after(tag.len(), tag)),
        _ => text.chars().next().map_or(0, char::len_utf8),
    }
}

/// Length of the comment that a text begins with, `None` if it does not end. Comments nest, as in PostgreSQL and DataFusion.
fn block_comment_length(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// `$$` or `$name$` at the beginning of `text`; a parameter like `$1` is none.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = 1 + text[1..].find('$')?;
    let name = &text[1..end];
    let is_name =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        all(text).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn semicolons_separate_and_empty_statements_vanish() {
        assert_eq!(texts("select 1;; select 2 ;\n"), ["select 1", "select 2"]);
    }

    #[test]
    fn hidden_semicolons_do_not_separate() {
        for text in [
            "select ';'",
            "select 'it''s;'",
            r#"select ";" from `a;b`"#,
            "select 1 -- a; b\n + 2",
            "select /* ; /* ; */ ; */ 1",
            "select $$ a;b $$, $x$ ;$$; $x$",
            "select 'ä;ö'",
        ] {
            assert_eq!(texts(text), [text]);
        }
    }

    #[test]
    fn parameters_are_no_dollar_quotes() {
        assert_eq!(texts("select $1; select $2"), ["select $1", "select $2"]);
    }

    #[test]
    fn only_comments_are_no_statement() {
        let parts = split("select 1; -- done\n /* really */ ");
        assert_eq!(parts.complete.len(), 1);
        assert_eq!(parts.rest, None);
    }

    #[test]
    fn an_open_string_keeps_the_statement_open() {
        let parts = split("select 'a; ");
        assert!(parts.complete.is_empty());
        assert_eq!(parts.rest.unwrap().text, "select 'a;");
    }

    #[test]
    fn a_statement_knows_its_line() {
        let lines: Vec<_> = all("select 1;\n\n-- c\nselect 2").into_iter().map(|s| s.line).collect();
        assert_eq!(lines, [1, 4]);
    }
}
