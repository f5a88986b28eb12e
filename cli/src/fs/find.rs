//! `find`.

use quarry_dfs_client::GlobPattern;

use super::failure::FsError;
use super::item::Item;
use super::session::Session;

/// Something that is true or false of a path, or done with it.
#[derive(Debug)]
enum Primary {
    /// Its last component fits.
    Name(GlobPattern),
    /// The same, whatever the size of the letters.
    AnyCaseName(GlobPattern),
    /// It is shown, with this after it.
    Print(char),
}

/// Shows the paths in trees for which an expression is true.
pub(super) async fn find(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let (roots, primaries) = parse(words)?;
    let mut waiting = session.expand_all(&roots).await;
    waiting.reverse();
    while let Some(item) = waiting.pop() {
        let looked = look(session, &primaries, &item).await;
        let inner = session.note(looked).unwrap_or_default();
        waiting.extend(inner.into_iter().rev());
    }
    Ok(())
}

/// Applies the expression to a path; its entries if it is a directory.
async fn look(session: &mut Session, primaries: &[Primary], item: &Item) -> Result<Vec<Item>, FsError> {
    item.status()?;
    for primary in primaries {
        if !primary.apply(session, item)? {
            break;
        }
    }
    match item.is_directory() {
        true => session.children(item).await,
        false => Ok(Vec::new()),
    }
}

/// Takes the words apart: paths, then the expression, whose parts all have to be true.
fn parse(words: Vec<String>) -> Result<(Vec<String>, Vec<Primary>), FsError> {
    let mut words = words
        .into_iter()
        .skip_while(|word| word == "-L" || word == "-H")
        .peekable();
    let mut roots = Vec::new();
    while let Some(root) = words.next_if(|word| !word.starts_with('-') && word != "(" && word != ")") {
        roots.push(root);
    }
    if roots.is_empty() {
        roots.push(".".to_owned());
    }
    let mut primaries = Vec::new();
    let mut joined = false;
    while let Some(word) = words.next() {
        let is_and = matches!(word.as_str(), "-a" | "-and");
        let unexpected = || FsError::Usage(format!("Unexpected argument: {word}"));
        match word.as_str() {
            "-a" | "-and" if joined || primaries.is_empty() => return Err(unexpected()),
            "-a" | "-and" => {}
            "-name" => primaries.push(Primary::Name(pattern(&word, words.next(), false)?)),
            "-iname" => primaries.push(Primary::AnyCaseName(pattern(&word, words.next(), true)?)),
            "-print" => primaries.push(Primary::Print('\n')),
            "-print0" => primaries.push(Primary::Print('\0')),
            _ => return Err(unexpected()),
        }
        joined = is_and;
    }
    if joined {
        return Err(FsError::Usage("Missing expression after -a".to_owned()));
    }
    if !primaries.iter().any(|primary| matches!(primary, Primary::Print(_))) {
        primaries.push(Primary::Print('\n'));
    }
    Ok((roots, primaries))
}

fn pattern(word: &str, text: Option<String>, any_case: bool) -> Result<GlobPattern, FsError> {
    let text = text.ok_or_else(|| FsError::Usage(format!("Missing argument at {word}")))?;
    let text = if any_case { text.to_lowercase() } else { text };
    GlobPattern::new(&text).map_err(|error| FsError::Usage(error.to_string()))
}

impl Primary {
    fn apply(&self, session: &mut Session, item: &Item) -> Result<bool, FsError> {
        match self {
            Self::Name(pattern) => Ok(pattern.matches(item.name())),
            Self::AnyCaseName(pattern) => Ok(pattern.matches(&item.name().to_lowercase())),
            Self::Print(end) => {
                session.write(format!("{}{end}", item.shown).as_bytes())?;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;

    #[tokio::test]
    async fn names_are_found_in_their_order() {
        let dir = testing::tree();
        let root = dir.url("");
        let ran = testing::run("find", &[&root, "-name", "*.txt"]).await;
        assert_eq!(ran.out, format!("{root}/a.txt\n{root}/sub/b.txt\n"));
        let ran = testing::run("find", &[&root, "-iname", "B*", "-a", "-print0"]).await;
        assert_eq!(ran.out, format!("{root}/sub/b.txt\0"));
        let ran = testing::run("find", &[&root]).await;
        assert_eq!(
            ran.out,
            format!("{root}\n{root}/a.txt\n{root}/empty\n{root}/sub\n{root}/sub/b.txt\n")
        );
    }

    #[tokio::test]
    async fn what_is_no_expression_is_a_usage_error() {
        let ran = testing::run("find", &["/x", "-size", "3"]).await;
        assert_eq!(ran.code, super::super::USAGE_CODE);
        assert!(ran.err.starts_with("find: Unexpected argument: -size\n"), "{}", ran.err);
        for words in [&["/x", "-name"][..], &["/x", "-a", "-print"], &["/x", "-print", "-a"]] {
            assert_eq!(
                testing::run("find", words).await.code,
                super::super::USAGE_CODE,
                "{words:?}"
            );
        }
    }
}
