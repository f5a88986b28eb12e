//! HDFS's patterns in whole paths; what fits a single name, [`GlobPattern`] knows.

use quarry_dfs_client::GlobPattern;

use super::failure::FsError;

/// Most paths that the alternatives of one pattern may stand for.
const MOST_ALTERNATIVES: usize = 10_000;

/// One component of a path: text as it is, or something to match names with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Component {
    /// A name.
    Plain(String),
    /// A pattern for names.
    Pattern(GlobPattern),
}

/// Whether the text has a character that makes it a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|c| {
        let special = !escaped && "*?[{".contains(c);
        escaped = c == '\\' && !escaped;
        special
    })
}

/// The text without the backslashes that take the special meaning away.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// Writes the alternatives out that span components: `/{a/b,c}/d` is `/a/b/d` and `/c/d`.
///
/// # Errors
/// A brace is not closed, or there are too many alternatives.
pub(super) fn alternatives(pattern: &str) -> Result<Vec<String>, FsError> {
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_owned()];
    while let Some(text) = waiting.pop() {
        match first_group(&text)? {
            None => done.push(text),
            Some((start, end)) => {
                let (before, after) = (&text[..start], &text[end + 1..]);
                let inner = split_top(&text[start + 1..end]);
                waiting.extend(inner.iter().rev().map(|choice| format!("{before}{choice}{after}")));
            }
        }
        if done.len() + waiting.len() > MOST_ALTERNATIVES {
            return Err(FsError::Other(format!(
                "{pattern}: more than {MOST_ALTERNATIVES} alternatives"
            )));
        }
    }
    Ok(done)
}

/// Where the first outer group with a slash in it starts and ends.
fn first_group(text: &str) -> Result<Option<(usize, usize)>, FsError> {
    let mut start = 0;
    let mut depth = 0usize;
    for (at, c) in unescaped(text) {
        match c {
            '{' => {
                start = if depth == 0 { at } else { start };
                depth += 1;
            }
            '}' if depth == 1 && text[start..at].contains('/') => return Ok(Some((start, at))),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    match depth {
        0 => Ok(None),
        _ => Err(FsError::Other(format!(
            "Illegal file pattern: Unclosed group in {text}"
        ))),
    }
}

/// Splits at the commas that are not in inner braces.
fn split_top(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in unescaped(text) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The characters that no backslash stands before, with their places.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| {
        let own = !escaped && *c != '\\';
        escaped = *c == '\\' && !escaped;
        own
    })
}

/// The components of an absolute path.
///
/// # Errors
/// A group or a set of characters is not closed.
pub(super) fn components(path: &str) -> Result<Vec<Component>, FsError> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(component).collect()
}

fn component(text: &str) -> Result<Component, FsError> {
    if !is_pattern(text) {
        return Ok(Component::Plain(unescape(text)));
    }
    let pattern = GlobPattern::new(text).map_err(|error| FsError::Other(error.to_string()))?;
    Ok(Component::Pattern(pattern))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn alternatives_that_span_components_are_written_out() {
        let all = alternatives("/{a/b,c}/d{1,2}").unwrap();
        assert_eq!(all, ["/a/b/d{1,2}", "/c/d{1,2}"]);
        assert_eq!(alternatives("/plain").unwrap(), ["/plain"]);
        assert!(alternatives("/{a,b").is_err());
        assert!(alternatives(&"{/a,/b}".repeat(40)).is_err());
    }

    #[test]
    fn backslashes_take_the_meaning_away() {
        assert!(is_pattern("a*") && !is_pattern(r"a\*"));
        assert_eq!(unescape(r"a\*\\b"), r"a*\b");
        let parts = components(r"/a/b*/c\*").unwrap();
        assert_eq!(
            (&parts[0], &parts[2]),
            (&Component::Plain("a".into()), &Component::Plain("c*".into()))
        );
    }
}
