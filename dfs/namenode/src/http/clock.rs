//! Times and numbers as Java writes them.

use crate::core::calendar::Moment;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// As `java.util.Date`, in UTC: `Sun Nov 29 09:07:11 UTC 2026`.
pub(super) fn date(unix_ms: u64) -> String {
    let moment = Moment::of(unix_ms);
    // The epoch was a Thursday.
    let day = DAYS[(unix_ms / 86_400_000 % 7) as usize];
    let month = MONTHS[(moment.month - 1) as usize];
    format!(
        "{day} {month} {:02} {:02}:{:02}:{:02} UTC {}",
        moment.day, moment.hour, moment.minute, moment.second, moment.year
    )
}

/// As Java's `float`: at least one decimal, powers of ten below a thousandth.
pub(super) fn float(number: f32) -> String {
    if number != 0.0 && number.abs() < 1e-3 {
        let text = format!("{number:E}");
        return match text.split_once('E') {
            Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
            _ => text,
        };
    }
    format!("{number:?}")
}

/// A part of a whole in percent, as Java's `float`; nothing of nothing is 0.
pub(super) fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        return 0.0;
    }
    (part * 100) as f32 / whole as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_numbers_are_javas() {
        assert_eq!(date(1_795_943_231_000), "Sun Nov 29 09:07:11 UTC 2026");
        assert_eq!(date(0), "Thu Jan 01 00:00:00 UTC 1970");
        for (part, whole, text) in [
            (1, 6, "16.666666"),
            (8, 8, "100.0"),
            (0, 5, "0.0"),
            (2, 17, "11.764706"),
        ] {
            assert_eq!(float(percent(part, whole)), text);
        }
        assert_eq!(float(5.949_914e-4), "5.949914E-4");
    }
}
