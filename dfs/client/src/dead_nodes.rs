//! DataNodes that failed a moment ago: tried last by other reads until they have had time to recover.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a failure counts. Long enough to spare a scan hundreds of time-outs, short enough to return to a restarted DataNode.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Uuids of DataNodes that failed, and when.
#[derive(Debug, Default)]
pub(crate) struct DeadNodes {
    failed: Mutex<HashMap<String, Instant>>,
}

impl DeadNodes {
    pub(crate) fn add(&self, uuid: &str) {
        self.add_at(uuid, Instant::now());
    }

    fn add_at(&self, uuid: &str, now: Instant) {
        let mut failed = self.failed.lock();
        failed.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        failed.insert(uuid.to_owned(), now);
    }

    /// A DataNode that served again is alive.
    pub(crate) fn remove(&self, uuid: &str) {
        let mut failed = self.failed.lock();
        if !failed.is_empty() {
            failed.remove(uuid);
        }
    }

    pub(crate) fn contains(&self, uuid: &str) -> bool {
        self.contains_at(uuid, Instant::now())
    }

    fn contains_at(&self, uuid: &str, now: Instant) -> bool {
        let failed = self.failed.lock();
        failed.get(uuid).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_forgotten_in_time_or_by_success() {
        let nodes = DeadNodes::default();
        let now = Instant::now();
        nodes.add_at("a", now);
        nodes.add_at("b", now);
        nodes.remove("b");
        assert!(nodes.contains_at("a", now));
        assert!(!nodes.contains_at("b", now));
        assert!(!nodes.contains_at("a", now + REMEMBERED));
    }
}
