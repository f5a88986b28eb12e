//! The texts of the 99 queries, some of them in two parts (`14a`, `14b`), as Apache Spark's tests have them, and what is changed in them.
//!
//! The texts are the TPC's and not part of this repository: `interop/setup tpcds` fetches them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use quarry_benches::fetched;

/// Number of queries.
pub(crate) const QUERIES: usize = 99;

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Number of the query and, if it has several, letter of the part.
    pub(crate) name: String,
    /// The statement.
    pub(crate) sql: String,
}

impl Text {
    /// Number of the query.
    pub(crate) fn query(&self) -> &str {
        self.name.trim_end_matches(|letter: char| letter.is_ascii_lowercase())
    }
}

/// A change that makes Spark's text one of DataFusion's dialect with the same meaning.
pub(crate) struct Adaptation {
    /// The only texts with it; all if there are none.
    pub(crate) texts: &'static [&'static str],
    from: &'static str,
    to: &'static str,
    /// Why it must be.
    pub(crate) reason: &'static str,
}

/// All changes.
pub(crate) const ADAPTATIONS: [Adaptation; 4] = [
    Adaptation {
        texts: &[],
        from: "`",
        to: "\"",
        reason: "Spark quotes names with backticks, standard SQL with double quotes",
    },
    Adaptation {
        texts: &["12"],
        from: "/ sum(sum(ws_ext_sales_price))\n  OVER\n  (PARTITION BY i_class)",
        to: "/ nullif(sum(sum(ws_ext_sales_price)) OVER (PARTITION BY i_class), 0)",
        reason: "Spark divides by zero to NULL, DataFusion refuses to; small data has a class that was given away",
    },
    Adaptation {
        texts: &["30"],
        from: "c_last_review_date",
        to: "c_last_review_date_sk",
        reason: "the column has this name since version 2 of the specification, which the generator follows",
    },
    Adaptation {
        texts: &["90"],
        from: "/ cast(pmc AS DECIMAL(15, 4))",
        to: "/ nullif(cast(pmc AS DECIMAL(15, 4)), 0)",
        reason: "Spark divides by zero to NULL, DataFusion refuses to; small data has no sale in the evening",
    },
];

/// Reads the texts in `dir`, or where they were fetched to, and adapts them; in the order of their numbers.
///
/// # Errors
/// They are not there, or not all of them, or an adaptation has nothing to change.
pub(crate) fn read(dir: Option<&Path>) -> Result<Vec<Text>> {
    let dir = dir.map_or_else(|| fetched::tpcds_texts().join("tpcds"), Path::to_owned);
    let entries = fs::read_dir(&dir);
    let entries =
        entries.with_context(|| format!("the queries are not in {}: run `interop/setup tpcds`", dir.display()))?;
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_prefix('q').and_then(|name| name.strip_suffix(".sql")) else {
            continue;
        };
        let sql = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        texts.push(Text {
            name: name.to_owned(),
            sql: adapt(name, sql)?,
        });
    }
    texts.sort_by_key(|text| (text.query().parse::<u32>().unwrap_or(u32::MAX), text.name.clone()));
    let found = count(texts.iter());
    ensure!(
        found == QUERIES,
        "{} holds {found} queries, expected {QUERIES}",
        dir.display()
    );
    Ok(texts)
}

/// The texts that are asked for; all if nothing is.
///
/// # Errors
/// There is no query of a name.
pub(crate) fn choose(texts: Vec<Text>, wanted: &[String]) -> Result<Vec<Text>> {
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !texts.iter().any(|text| is_named(text, name)))
    {
        bail!("there is no query {unknown}: expected a number from 1 to {QUERIES}, perhaps with the letter of a part");
    }
    let chosen = |text: &Text| wanted.is_empty() || wanted.iter().any(|name| is_named(text, name));
    Ok(texts.into_iter().filter(chosen).collect())
}

/// Different queries among `texts`.
pub(crate) fn count<'a>(texts: impl Iterator<Item = &'a Text>) -> usize {
    let queries: std::collections::BTreeSet<_> = texts.map(Text::query).collect();
    queries.len()
}

fn is_named(text: &Text, name: &str) -> bool {
    text.name == name || text.query() == name
}

fn adapt(name: &str, mut sql: String) -> Result<String> {
    for Adaptation { texts, from, to, .. } in &ADAPTATIONS {
        if texts.is_empty() || texts.contains(&name) {
            ensure!(
                texts.is_empty() || sql.contains(from),
                "query {name} has no `{from}` any more, so that it cannot become `{to}`"
            );
            sql = sql.replace(from, to);
        }
    }
    Ok(sql.trim().trim_end_matches(';').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(name: &str) -> Text {
        let (name, sql) = (name.to_owned(), String::new());
        Text { name, sql }
    }

    #[test]
    fn a_number_names_all_its_parts() {
        let texts = || ["1", "14a", "14b", "15"].map(text).to_vec();
        let names = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let chosen = choose(texts(), &wanted).unwrap();
            chosen.into_iter().map(|text| text.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["14", "1"]), ["1", "14a", "14b"]);
        assert_eq!(names(&["14b"]), ["14b"]);
        assert_eq!(names(&[]).len(), 4);
        assert!(
            choose(texts(), &["4".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("no query 4")
        );
        assert_eq!(count(texts().iter()), 3);
    }

    #[test]
    fn missing_texts_are_told_with_the_way_to_get_them() {
        let error = format!("{:#}", read(Some(Path::new("/nowhere"))).unwrap_err());
        assert!(error.contains("interop/setup tpcds"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let error = read(Some(empty.path())).unwrap_err().to_string();
        assert!(error.contains("holds 0 queries, expected 99"), "{error}");
    }
}
