//! Whether two answers to one query are the same.

use std::collections::HashMap;

use crate::cells::Type;

/// Digits that a float may lose where an engine adds up in another order, relative to its size or to 1.
const TOLERANCE: f64 = 1e-9;

/// Rows as text, with the types of their columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Types of the columns.
    pub types: Vec<Type>,
    /// Rows, in the form of [`cells`](crate::cells).
    pub rows: Vec<Vec<String>>,
}

/// What differs between `expected` and `found`, if anything. Rows are a multiset, or a list if `ordered`.
#[must_use]
pub fn difference(expected: &Answer, found: &Answer, ordered: bool) -> Option<String> {
    if expected.types != found.types {
        return Some(format!("types: expected {:?}, found {:?}", expected.types, found.types));
    }
    if expected.rows.len() != found.rows.len() {
        return Some(format!(
            "{} rows expected, {} found",
            expected.rows.len(),
            found.rows.len()
        ));
    }
    let pairs = expected.rows.iter().zip(&found.rows);
    if ordered {
        let wrong = pairs.enumerate().find(|(_, (e, f))| !same_row(e, f, &expected.types));
        return wrong.map(|(place, (e, f))| format!("row {}: expected {e:?}, found {f:?}", place + 1));
    }
    let (missing, mut surplus) = leftovers(expected, found);
    for row in missing {
        match surplus.iter().position(|other| same_row(row, other, &expected.types)) {
            Some(place) => drop(surplus.swap_remove(place)),
            None => return Some(format!("missing row {row:?}; not expected: {:?}", surplus.first())),
        }
    }
    None
}

/// Rows of each side without an exact counterpart on the other.
fn leftovers<'a>(expected: &'a Answer, found: &'a Answer) -> (Vec<&'a Vec<String>>, Vec<&'a Vec<String>>) {
    let mut counts: HashMap<&Vec<String>, i64> = HashMap::new();
    expected
        .rows
        .iter()
        .for_each(|row| *counts.entry(row).or_default() += 1);
    found.rows.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let (mut missing, mut surplus) = (Vec::new(), Vec::new());
    for (row, count) in counts {
        let side = if count > 0 { &mut missing } else { &mut surplus };
        side.extend(std::iter::repeat_n(row, count.unsigned_abs() as usize));
    }
    (missing, surplus)
}

fn same_row(left: &[String], right: &[String], types: &[Type]) -> bool {
    let cells = left.iter().zip(right).zip(types);
    cells
        .into_iter()
        .all(|((l, r), kind)| l == r || (*kind == Type::Float && close(l, r)))
}

fn close(left: &str, right: &str) -> bool {
    let (Ok(l), Ok(r)) = (left.parse::<f64>(), right.parse::<f64>()) else {
        return false;
    };
    (l - r).abs() <= TOLERANCE * l.abs().max(r.abs()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[[&str; 2]]) -> Answer {
        Answer {
            types: vec![Type::Float, Type::Text],
            rows: rows
                .iter()
                .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
                .collect(),
        }
    }

    #[test]
    fn order_counts_only_where_it_was_asked_for() {
        let (one, other) = (answer(&[["1", "a"], ["2", "b"]]), answer(&[["2", "b"], ["1", "a"]]));
        assert_eq!(difference(&one, &other, false), None);
        assert!(difference(&one, &other, true).is_some());
    }

    #[test]
    fn duplicates_count() {
        let (one, other) = (
            answer(&[["1", "a"], ["1", "a"], ["2", "b"]]),
            answer(&[["1", "a"], ["2", "b"], ["2", "b"]]),
        );
        assert!(difference(&one, &other, false).is_some());
        assert!(difference(&one, &answer(&[["1", "a"]]), false).is_some());
    }

    #[test]
    fn floats_have_a_tolerance_and_text_has_none() {
        let found = answer(&[["0.30000000000004", "a"], ["NULL", "b"], ["NaN", ""]]);
        assert_eq!(
            difference(&answer(&[["0.3", "a"], ["NULL", "b"], ["NaN", ""]]), &found, false),
            None
        );
        assert!(difference(&answer(&[["0.3001", "a"], ["NULL", "b"], ["NaN", ""]]), &found, false).is_some());
        assert!(difference(&answer(&[["0.3", "c"], ["NULL", "b"], ["NaN", ""]]), &found, true).is_some());
        assert!(difference(&answer(&[["0.3", "a"], ["0", "b"], ["NaN", ""]]), &found, false).is_some());
    }
}
