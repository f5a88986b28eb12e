//! How a table is cut into files and row groups: a pure function of its size.
//!
//! A file fits into one block, so that no row group crosses a block border and a node that holds a block can read
//! whole row groups. Big tables have several files, so that every node holds some of them.

use super::tables::Table;

/// Block size of the files, in bytes.
pub(super) const BLOCK: u64 = 128 << 20;
/// Expected bytes of a file at most: a quarter of a block is left for estimates that are too low.
const LARGEST_FILE: u64 = BLOCK / 4 * 3;
/// Expected bytes of a file at least, unless the table is smaller: below it, opening files costs more than it spreads.
const SMALLEST_FILE: u64 = 16 << 20;
/// Files that a table should have if they do not become too small: a few for each thread of a small cluster.
const FILES: u64 = 12;
/// Expected bytes of a row group at most: large enough for long column reads, small enough for several per thread.
const LARGEST_ROW_GROUP: u64 = 16 << 20;
/// Row groups are planned larger than their share by this part of it: generated parts differ a little in their rows, and
/// what is over would make one more, tiny, row group.
const SLACK: u64 = 20;

/// The files of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many files.
    pub(super) files: u32,
    /// Rows per row group.
    pub(super) row_group_rows: usize,
}

/// How to store `table` at this scale factor.
pub(super) fn of(table: Table, scale: f64) -> Layout {
    let bytes = table.rows(scale) * table.bytes_per_row();
    let file = bytes.div_ceil(FILES).clamp(SMALLEST_FILE, LARGEST_FILE);
    let files = bytes.div_ceil(file).clamp(1, i32::MAX as u64);
    let groups = (bytes / files).div_ceil(LARGEST_ROW_GROUP).max(1);
    let rows = table.rows(scale).div_ceil(files * groups);
    Layout {
        files: files as u32,
        row_group_rows: (rows + rows.div_ceil(SLACK)) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_share_a_file_evenly() {
        let Layout { files, row_group_rows } = of(Table::LineItem, 1.0);
        let per_file = Table::LineItem.rows(1.0) / u64::from(files);
        assert!(2 * row_group_rows as u64 > per_file && (row_group_rows as u64) < per_file * 6 / 10);
        assert!(of(Table::Region, 1.0).row_group_rows >= 5);
    }

    #[test]
    fn small_tables_are_one_file_and_big_ones_fit_into_blocks() {
        assert_eq!(of(Table::Nation, 100.0).files, 1);
        assert_eq!(of(Table::LineItem, 0.01).files, 1);
        assert_eq!(of(Table::LineItem, 1.0).files, 12);
        for scale in [1.0, 10.0, 1000.0] {
            for table in Table::ALL {
                let bytes = table.rows(scale) * table.bytes_per_row() / u64::from(of(table, scale).files);
                assert!(bytes <= LARGEST_FILE, "{} at {scale}: {bytes}", table.name());
            }
        }
    }
}
