//! Tables that read well on a terminal and are Markdown too.

use std::fmt;

/// Rows of cells under a header.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// Whether all columns but the first hold numbers, which are aligned right.
    numbers: bool,
}

impl Table {
    /// A table without rows, of names in the first column and numbers in the others.
    pub fn of_numbers(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rows: vec![header.into_iter().map(Into::into).collect()],
            numbers: true,
        }
    }

    /// A table without rows, of text in all columns.
    pub fn of_text(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            numbers: false,
            ..Self::of_numbers(header)
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// It has another number of cells than the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.rows[0].len(), "a row has as many cells as the header");
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The same without the columns in which every row has `-`.
    #[must_use]
    pub fn without_empty_columns(mut self) -> Self {
        let kept: Vec<bool> = (0..self.rows[0].len())
            .map(|column| self.is_empty() || self.rows[1..].iter().any(|row| row[column] != "-"))
            .collect();
        for row in &mut self.rows {
            let mut kept = kept.iter();
            row.retain(|_| kept.next().is_some_and(|kept| *kept));
        }
        self
    }

    fn rule(&self, column: usize, width: usize) -> String {
        let right = self.numbers && column > 0;
        format!("{}{}", "-".repeat(width - 1), if right { ':' } else { '-' })
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        // Markdown's right-aligned rule, `-:`, needs two characters.
        (0..self.rows[0].len())
            .map(|column| width(column).unwrap_or_default().max(2))
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let right = self.numbers && column > 0;
                let cell = if right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                write!(f, "| {cell} ")?;
            }
            writeln!(f, "|")
        };
        line(f, &self.rows[0])?;
        let rules: Vec<_> = (0..)
            .zip(&widths)
            .map(|(column, width)| self.rule(column, *width))
            .collect();
        line(f, &rules)?;
        self.rows[1..].iter().try_for_each(|row| line(f, row))
    }
}

/// A cell with a number, or with `-` if there is none.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::of_numbers(["query", "ms"]);
        table.row(["Q1".into(), "12.5".into()]);
        table.row(["total".into(), "1200.5".into()]);
        let expected = "| query |     ms |\n| ----- | -----: |\n| Q1    |   12.5 |\n| total | 1200.5 |\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn empty_columns_go() {
        let mut table = Table::of_numbers(["query", "ms", "raw"]);
        table.row(["Q1".into(), "1".into(), "-".into()]);
        table.row(["Q2".into(), "-".into(), "-".into()]);
        assert!(!table.is_empty());
        let expected = "| query | ms |\n| ----- | -: |\n| Q1    |  1 |\n| Q2    |  - |\n";
        assert_eq!(table.without_empty_columns().to_string(), expected);
        assert!(Table::of_text(["a"]).without_empty_columns().is_empty());
    }

    #[test]
    fn text_is_aligned_left() {
        let mut table = Table::of_text(["condition", "value"]);
        table.row(["runs".into(), "5".into()]);
        let expected = "| condition | value |\n| --------- | ----- |\n| runs      | 5     |\n";
        assert_eq!(table.to_string(), expected);
    }
}
