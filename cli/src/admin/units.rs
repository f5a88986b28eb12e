//! Figures as `dfsadmin` writes them.

use chrono::{DateTime, Local, Utc};

/// Bytes with their unit: `49.09 GB`, `24 KB`, `0 B`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    let power = if bytes == 0 {
        0
    } else {
        (63 - bytes.leading_zeros()) / 10
    };
    let (bytes, unit) = (u128::from(bytes), 1u128 << (10 * power));
    if bytes.is_multiple_of(unit) {
        return format!("{} {}", bytes / unit, UNITS[power as usize]);
    }
    let hundredths = (bytes * 100 + unit / 2) / unit;
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, UNITS[power as usize])
}

/// `53687091200 (50 GB)`.
pub(super) fn exact(count: u64) -> String {
    format!("{count} ({})", bytes(count))
}

/// A share of a whole in percent: `47.75%`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "0.00%".to_owned(),
        whole => format!("{:.2}%", part as f64 * 100.0 / whole as f64),
    }
}

/// A moment as Java prints it: `Mon Nov 23 08:51:05 UTC 2026`.
pub(super) fn moment(milliseconds: u64) -> String {
    let moment = i64::try_from(milliseconds)
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_millis);
    moment
        .unwrap_or_default()
        .with_timezone(&Local)
        .format("%a %b %d %H:%M:%S %Z %Y")
        .to_string()
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_look_like_dfsadmin_s() {
        assert_eq!(exact(0), "0 (0 B)");
        assert_eq!(exact(24_576), "24576 (24 KB)");
        assert_eq!(exact(52_710_469_632), "52710469632 (49.09 GB)");
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(1, 0), "0.00%");
    }
}
