//! Times of repeated runs of one thing.

use std::time::Duration;

use serde::Serialize;

/// Times in milliseconds, in the order in which they were taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a time in milliseconds, to the microsecond.
    pub fn add(&mut self, ms: f64) {
        self.0.push((ms * 1000.0).round() / 1000.0);
    }

    /// The shortest time, which disturbances can only lengthen; absent without samples.
    pub fn min(&self) -> Option<f64> {
        self.0.iter().copied().min_by(f64::total_cmp)
    }

    /// The middle time, of an even number the mean of the two in the middle; absent without samples.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
    }
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: &[f64]) -> Samples {
        let mut samples = Samples::default();
        times.iter().for_each(|ms| samples.add(*ms));
        samples
    }

    #[test]
    fn the_order_of_runs_does_not_matter() {
        let odd = samples(&[9.0, 1.0, 4.0]);
        assert_eq!((odd.min(), odd.median()), (Some(1.0), Some(4.0)));
        let even = samples(&[9.0, 1.0, 4.0, 2.0]);
        assert_eq!((even.min(), even.median()), (Some(1.0), Some(3.0)));
    }

    #[test]
    fn without_samples_there_is_no_time() {
        assert_eq!((samples(&[]).min(), samples(&[]).median()), (None, None));
    }
}
