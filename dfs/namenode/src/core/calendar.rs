//! Dates of the Gregorian calendar in UTC, to and from milliseconds since the epoch.

/// A moment as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Such as 2026.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
}

/// Days from the first of March of the year 0 to the epoch. Years that begin in March have their leap day last.
const EPOCH: u64 = 719_468;

impl Moment {
    /// The moment of a time.
    pub fn of(unix_ms: u64) -> Self {
        let (days, second) = (unix_ms / 86_400_000 + EPOCH, unix_ms / 1000 % 86_400);
        // 400 years have 146,097 days.
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: era * 400 + year + u64::from(month <= 2),
            month,
            day: day - (153 * from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// The time of a moment from 1970 on; `None` if there is no such moment.
    pub fn unix_ms(self) -> Option<u64> {
        let in_clock = self.hour < 24 && self.minute < 60 && self.second < 60;
        if self.year < 1970 || !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) || !in_clock {
            return None;
        }
        let year = self.year - u64::from(self.month <= 2);
        let from_march = (self.month + 9) % 12;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + self.day - 1;
        let seconds = (days.checked_sub(EPOCH)? * 24 + self.hour) * 3600 + self.minute * 60 + self.second;
        // The 31st of April and its like come back as another day.
        Some(seconds * 1000).filter(|ms| Self::of(*ms) == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_times_are_the_same_days() {
        for (ms, year, month, day) in [
            (0, 1970, 1, 1),
            (951_782_400_000, 2000, 2, 29),
            (1_795_392_000_000, 2026, 11, 23),
            (4_107_456_000_000, 2100, 2, 28),
        ] {
            let moment = Moment::of(ms);
            assert_eq!((moment.year, moment.month, moment.day), (year, month, day));
        }
        for ms in (0..4_200_000_000_000).step_by(98_765_000) {
            assert_eq!(Moment::of(ms).unix_ms(), Some(ms));
        }
        let april = Moment {
            month: 4,
            day: 31,
            ..Moment::of(1_795_392_000_000)
        };
        assert_eq!(april.unix_ms(), None);
    }
}
