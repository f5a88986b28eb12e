//! The forms in which `hdfs dfs` writes permissions, sizes, times and columns.

use chrono::{DateTime, Local, Utc};
use quarry_dfs_client::{FileKind, FileStatus};

/// The first letter of a listing's line.
pub(super) fn kind_letter(status: &FileStatus) -> char {
    match status.kind {
        FileKind::Directory => 'd',
        FileKind::Symlink | FileKind::File => '-',
    }
}

/// `rwxr-xr-x`; a sticky directory ends in `t` or `T`.
pub(super) fn symbolic(permission: u16) -> String {
    let bit = |at: u16, letter: char| if permission & (1 << at) != 0 { letter } else { '-' };
    let mut text: Vec<char> = (0..9)
        .rev()
        .map(|at| bit(at, ['x', 'w', 'r'][usize::from(at % 3)]))
        .collect();
    if permission & 0o1000 != 0 {
        text[8] = if text[8] == 'x' { 't' } else { 'T' };
    }
    text.into_iter().collect()
}

/// A size in bytes, or with `human` as `1.5 K`.
pub(super) fn size(bytes: u64, human: bool) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if !human || bytes < 1024 {
        return bytes.to_string();
    }
    let power = (63 - bytes.leading_zeros()) / 10;
    let unit = 1u128 << (10 * power);
    let bytes = u128::from(bytes);
    if bytes.is_multiple_of(unit) {
        return format!("{} {}", bytes / unit, UNITS[power as usize - 1]);
    }
    // Rounded half up, as Java does it.
    let tenths = (bytes * 10 + unit / 2) / unit;
    match (tenths, UNITS.get(power as usize)) {
        (10_240.., Some(next)) => format!("1.0 {next}"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power as usize - 1]),
    }
}

/// A share of a whole in whole percent, rounded half up.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match u128::from(whole) {
        0 => "NaN%".to_owned(),
        whole => format!("{}%", (u128::from(part) * 100 + whole / 2) / whole),
    }
}

/// A time in milliseconds since 1970, in the given `strftime` form, in this machine's time zone.
pub(super) fn local_time(milliseconds: u64, form: &str) -> String {
    moment(milliseconds).with_timezone(&Local).format(form).to_string()
}

/// The same in UTC.
pub(super) fn utc_time(milliseconds: u64, form: &str) -> String {
    moment(milliseconds).format(form).to_string()
}

fn moment(milliseconds: u64) -> DateTime<Utc> {
    let known = i64::try_from(milliseconds).ok();
    known
        .and_then(DateTime::<Utc>::from_timestamp_millis)
        .unwrap_or_default()
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Blanks follow it.
    Left,
    /// Blanks lead it.
    Right,
}

/// Rows of columns, two blanks apart; a left-aligned last one is not padded.
pub(super) fn columns<const N: usize>(rows: &[[String; N]], sides: [Side; N]) -> Vec<String> {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let cell = |(at, text): (usize, &String)| match sides[at] {
        Side::Right => format!("{text:>width$}", width = widths[at]),
        Side::Left if at + 1 == N => text.clone(),
        Side::Left => format!("{text:<width$}", width = widths[at]),
    };
    rows.iter()
        .map(|row| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let human: Vec<_> = [0, 1023, 1024, 1025, 1366, 1 << 20, (1 << 20) - 1, 3 << 29, u64::MAX]
            .iter()
            .map(|n| size(*n, true))
            .collect();
        assert_eq!(
            human,
            ["0", "1023", "1 K", "1.0 K", "1.3 K", "1 M", "1.0 M", "1.5 G", "16.0 E"]
        );
        assert_eq!(size(1366, false), "1366");
        assert_eq!(size(1280, true), "1.3 K", "a tie is rounded up");
    }

    #[test]
    fn permissions_as_letters() {
        assert_eq!(symbolic(0o755), "rwxr-xr-x");
        assert_eq!(symbolic(0o1777), "rwxrwxrwt");
        assert_eq!(symbolic(0o1640), "rw-r----T");
    }

    #[test]
    fn columns_stand_on_their_side_and_the_last_is_not_padded() {
        let rows = [
            ["1".to_owned(), "3".to_owned(), "/a".to_owned()],
            ["1000".into(), "3000".into(), "/bc".into()],
        ];
        assert_eq!(columns(&rows, [Side::Left; 3]), ["1     3     /a", "1000  3000  /bc"]);
        let right = [Side::Left, Side::Right, Side::Right];
        assert_eq!(columns(&rows, right), ["1        3   /a", "1000  3000  /bc"]);
    }

    #[test]
    fn shares_are_whole_percents() {
        assert_eq!(
            (percent(0, 7), percent(1, 2), percent(995, 1000)),
            ("0%".into(), "50%".into(), "100%".into())
        );
    }
}
