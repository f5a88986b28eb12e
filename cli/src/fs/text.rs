//! The forms in which `hdfs dfs` writes permissions, sizes, times and columns.

use chrono::{DateTime, Utc};
use quarry_dfs_client::{FileKind, FileStatus};

/// `drwxr-xr-x`; a sticky directory ends in `t` or `T`.
pub(super) fn permissions(status: &FileStatus) -> String {
    let kind = match status.kind {
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::File => '-',
    };
    format!("{kind}{}", symbolic(status.permission))
}

/// `rwxr-xr-x`.
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
    let value = bytes as f64 / (1u64 << (10 * power)) as f64;
    // HDFS omits the decimal of a whole number.
    let number = format!("{value:.1}");
    format!(
        "{} {}",
        number.strip_suffix(".0").unwrap_or(&number),
        UNITS[power as usize - 1]
    )
}

/// A time in milliseconds since 1970, in the given `strftime` form, in UTC.
pub(super) fn time(milliseconds: u64, form: &str) -> String {
    let time = i64::try_from(milliseconds)
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_millis);
    time.unwrap_or_default().format(form).to_string()
}

/// The lines of `ls` for some entries, aligned as HDFS aligns them.
pub(super) fn listing(entries: &[(String, FileStatus)], human: bool) -> Vec<String> {
    let replication = |status: &FileStatus| {
        if status.is_directory() {
            "-".into()
        } else {
            status.replication.to_string()
        }
    };
    let widest = |cell: &dyn Fn(&FileStatus) -> usize, least: usize| {
        entries
            .iter()
            .map(|(_, status)| cell(status))
            .max()
            .unwrap_or(0)
            .max(least)
    };
    let copies = widest(&|status| replication(status).len(), 3);
    let owner = widest(&|status| status.owner.len(), 0);
    let group = widest(&|status| status.group.len(), 0);
    let length = widest(&|status| size(status.length, human).len(), 10);
    let line = |(shown, status): &(String, FileStatus)| {
        format!(
            "{} {:>copies$} {:<owner$} {:<group$} {:>length$} {} {shown}",
            permissions(status),
            replication(status),
            status.owner,
            status.group,
            size(status.length, human),
            time(status.modification_time_ms, "%Y-%m-%d %H:%M"),
        )
    };
    entries.iter().map(line).collect()
}

/// Rows of left-aligned columns, two blanks apart; the last one is not padded.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths: Vec<_> = (0..N)
        .map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0))
        .collect();
    let pad = |(at, cell): (usize, &String)| {
        if at + 1 == N {
            cell.clone()
        } else {
            format!("{cell:<width$}", width = widths[at])
        }
    };
    rows.iter()
        .map(|row| row.iter().enumerate().map(pad).collect::<Vec<_>>().join("  "))
        .collect()
}

/// Fills the `%` directives of `stat`.
///
/// # Errors
/// The directive that is not one.
pub(super) fn stat(format: &str, status: &FileStatus) -> Result<String, char> {
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            text.push(next);
            continue;
        }
        match rest.next() {
            None => text.push('%'),
            Some(directive) => text.push_str(&directive_of(directive, status).ok_or(directive)?),
        }
    }
    Ok(text)
}

fn directive_of(directive: char, status: &FileStatus) -> Option<String> {
    const MOMENT: &str = "%Y-%m-%d %H:%M:%S";
    let kind = match status.kind {
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::File => "regular file",
    };
    Some(match directive {
        'a' => format!("{:o}", status.permission),
        'A' => symbolic(status.permission),
        'b' => status.length.to_string(),
        'F' => kind.to_owned(),
        'g' => status.group.clone(),
        'n' => status.name().to_owned(),
        'o' => status.block_size.to_string(),
        'r' => status.replication.to_string(),
        'u' => status.owner.clone(),
        'x' => time(status.access_time_ms, MOMENT),
        'X' => status.access_time_ms.to_string(),
        'y' => time(status.modification_time_ms, MOMENT),
        'Y' => status.modification_time_ms.to_string(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> FileStatus {
        FileStatus {
            path: "/d/a.txt".into(),
            kind: FileKind::File,
            length: 1366,
            replication: 3,
            block_size: 128 << 20,
            modification_time_ms: 1_700_000_000_000,
            access_time_ms: 0,
            owner: "ann".into(),
            group: "supergroup".into(),
            permission: 0o644,
            file_id: 16_386,
            children: None,
            has_acl: false,
            encrypted: false,
            erasure_coding: None,
            storage_policy: 0,
        }
    }

    fn directory() -> FileStatus {
        FileStatus {
            kind: FileKind::Directory,
            length: 0,
            replication: 0,
            permission: 0o1755,
            owner: "b".into(),
            ..file()
        }
    }

    #[test]
    fn listings_look_like_hdfs() {
        let lines = listing(&[("/d/a.txt".into(), file()), ("/d/sub".into(), directory())], false);
        assert_eq!(
            lines[0],
            "-rw-r--r--   3 ann supergroup       1366 2023-11-14 22:13 /d/a.txt"
        );
        assert_eq!(
            lines[1],
            "drwxr-xr-t   - b   supergroup          0 2023-11-14 22:13 /d/sub"
        );
    }

    #[test]
    fn sizes_for_people() {
        let human: Vec<_> = [0, 1023, 1024, 1366, 1 << 20, 3 << 29, u64::MAX]
            .iter()
            .map(|n| size(*n, true))
            .collect();
        assert_eq!(human, ["0", "1023", "1 K", "1.3 K", "1 M", "1.5 G", "16 E"]);
        assert_eq!(size(1366, false), "1366");
    }

    #[test]
    fn stat_directives() {
        assert_eq!(
            stat("%F %n %b %r %a %u:%g %y 100%", &file()).as_deref(),
            Ok("regular file a.txt 1366 3 644 ann:supergroup 2023-11-14 22:13:20 100%")
        );
        assert_eq!(stat("%q", &file()), Err('q'));
    }

    #[test]
    fn columns_are_padded_except_the_last() {
        let rows = [
            ["1".to_owned(), "3".to_owned(), "/a".to_owned()],
            ["1000".into(), "3000".into(), "/b".into()],
        ];
        assert_eq!(columns(&rows), ["1     3     /a", "1000  3000  /b"]);
    }
}
