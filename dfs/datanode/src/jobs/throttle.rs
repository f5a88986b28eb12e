//! A limit on bytes per second that several tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time for which unused allowance is kept: a task that pauses may catch up by as much.
const BURST: Duration = Duration::from_millis(100);

/// Hands out bytes at a rate.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: AtomicU64,
    /// When all that was handed out so far will have been used up at the rate.
    paid_until: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A limit; 0 is none.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            paid_until: Mutex::new(None),
        }
    }

    /// Changes the limit for what is taken from now on.
    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// The limit; 0 is none.
    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// Takes bytes; returns when they may be moved, or, for those who have moved them, when more may be.
    pub(crate) async fn take(&self, bytes: u64) {
        if let Some(until) = self.pay(bytes, Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }

    fn pay(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 || bytes == 0 {
            return None;
        }
        let mut paid_until = self.paid_until.lock();
        let from = paid_until.unwrap_or(now).max(now.checked_sub(BURST).unwrap_or(now));
        let until = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *paid_until = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_time_that_the_rate_says() {
        let throttle = Throttle::new(1000);
        let now = Instant::now();
        let wait = |bytes, at: Instant| throttle.pay(bytes, at).map(|until| until.duration_since(at));
        assert_eq!(wait(500, now), Some(Duration::from_millis(500)));
        assert_eq!(
            wait(500, now),
            Some(Duration::from_millis(1000)),
            "the second waits for the first"
        );
        let later = now + Duration::from_secs(10);
        assert_eq!(
            wait(500, later),
            Some(Duration::from_millis(400)),
            "a pause is made up for a little"
        );
    }

    #[test]
    fn no_rate_is_no_limit() {
        let throttle = Throttle::new(0);
        assert_eq!(throttle.pay(u64::MAX, Instant::now()), None);
        throttle.set(1 << 20);
        assert!(throttle.pay(1 << 20, Instant::now()).is_some());
    }
}
