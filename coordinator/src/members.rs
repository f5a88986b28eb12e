//! Which workers there are: live, silent or lost.
//!
//! Every detector reports here, and only here: a heartbeat that comes or does not, a registration stream that ends, a query that
//! lost its connection. So there is one opinion about each worker, and whoever plans a query takes one snapshot of it.
//!
//! Pure: the time is an argument. [`registration`](crate::registration) drives it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use url::Url;

/// A worker as it registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Drawn by the worker's process when it starts.
    pub id: String,
    /// `host:port` at which it takes tasks.
    pub address: String,
    /// The same as a URL.
    pub url: Url,
    /// The DataNode whose replicas it reads without a socket.
    pub datanode_uuid: Option<String>,
    /// IP address for matching replicas when there is no UUID.
    pub host: String,
    /// Network location.
    pub rack: String,
    /// Partitions it runs at a time.
    pub partitions: usize,
    /// Bytes its queries may use together.
    pub memory_limit: u64,
    /// Bytes one query may use.
    pub query_memory: u64,
}

/// What is thought of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Takes tasks.
    Live,
    /// Missed heartbeats, or a query lost its connection: no new task until it proves itself.
    Silent,
    /// Finishes what it has.
    Draining,
}

/// A worker with its state and load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Who it is.
    pub worker: WorkerInfo,
    /// What is thought of it.
    pub state: WorkerState,
    /// Bytes its queries held at the last heartbeat.
    pub memory_used: u64,
    /// Time since the last heartbeat.
    pub silent_for: Duration,
}

/// How long silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Without a heartbeat for this long a worker gets no new task.
    pub silent_after: Duration,
    /// Without a heartbeat for this long it is forgotten.
    pub lost_after: Duration,
    /// How long a worker stays out after the first lost connection; doubles with each further one.
    pub back_off: Duration,
    /// The longest such time.
    pub max_back_off: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silent_after: Duration::from_secs(3),
            lost_after: Duration::from_secs(10),
            back_off: Duration::from_secs(2),
            max_back_off: Duration::from_secs(30),
        }
    }
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beat {
    /// Bytes held by queries.
    pub memory_used: u64,
    /// Whether the worker wants no new task.
    pub draining: bool,
}

#[derive(Debug, Clone)]
struct Member {
    info: WorkerInfo,
    last_beat: Instant,
    beat: Beat,
    suspected_until: Option<Instant>,
    strikes: u32,
}

/// The workers that are registered.
#[derive(Debug, Clone, Default)]
pub struct Members {
    patience: Patience,
    by_id: BTreeMap<String, Member>,
}

impl Members {
    /// Nobody yet.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            by_id: BTreeMap::new(),
        }
    }

    /// Takes a worker in. One at the same address is replaced: it must have died, or its address could not be taken.
    pub fn register(&mut self, now: Instant, info: WorkerInfo) {
        self.by_id.retain(|_, member| member.info.address != info.address);
        let member = Member {
            info: info.clone(),
            last_beat: now,
            beat: Beat::default(),
            suspected_until: None,
            strikes: 0,
        };
        self.by_id.insert(info.id, member);
    }

    /// Notes a heartbeat; false if the worker is not known (any more) and must register again.
    pub fn beat(&mut self, now: Instant, id: &str, beat: Beat) -> bool {
        let Some(member) = self.by_id.get_mut(id) else {
            return false;
        };
        member.last_beat = now;
        member.beat = beat;
        true
    }

    /// Takes a worker out whose registration stream ended; true if it was in.
    pub fn forget(&mut self, id: &str) -> bool {
        self.by_id.remove(id).is_some()
    }

    /// Notes that a query lost its connection to the worker at `address`; true if it is known.
    pub fn suspect(&mut self, now: Instant, address: &str) -> bool {
        let patience = self.patience;
        let Some(member) = self.by_id.values_mut().find(|member| member.info.address == address) else {
            return false;
        };
        let wait = patience
            .back_off
            .saturating_mul(1 << member.strikes.min(16))
            .min(patience.max_back_off);
        member.strikes += 1;
        member.suspected_until = Some(now + wait);
        true
    }

    /// Forgets workers that were silent for too long; returns them.
    pub fn expire(&mut self, now: Instant) -> Vec<WorkerInfo> {
        let lost_after = self.patience.lost_after;
        let is_lost = |member: &Member| now.duration_since(member.last_beat) >= lost_after;
        let lost: Vec<WorkerInfo> = self
            .by_id
            .values()
            .filter(|member| is_lost(member))
            .map(|member| member.info.clone())
            .collect();
        for worker in &lost {
            self.by_id.remove(&worker.id);
        }
        lost
    }

    /// The workers that take tasks now, by address.
    #[must_use]
    pub fn live(&self, now: Instant) -> Vec<WorkerInfo> {
        let live = self
            .by_id
            .values()
            .filter(|member| self.state(now, member) == WorkerState::Live);
        let mut live: Vec<WorkerInfo> = live.map(|member| member.info.clone()).collect();
        live.sort_by(|a, b| a.address.cmp(&b.address));
        live
    }

    /// All workers, by address.
    #[must_use]
    pub fn all(&self, now: Instant) -> Vec<WorkerStatus> {
        let status = |member: &Member| WorkerStatus {
            worker: member.info.clone(),
            state: self.state(now, member),
            memory_used: member.beat.memory_used,
            silent_for: now.duration_since(member.last_beat),
        };
        let mut all: Vec<WorkerStatus> = self.by_id.values().map(status).collect();
        all.sort_by(|a, b| a.worker.address.cmp(&b.worker.address));
        all
    }

    fn state(&self, now: Instant, member: &Member) -> WorkerState {
        let suspected = member
            .suspected_until
            .is_some_and(|until| now < until || member.last_beat < until);
        if suspected || now.duration_since(member.last_beat) >= self.patience.silent_after {
            WorkerState::Silent
        } else if member.beat.draining {
            WorkerState::Draining
        } else {
            WorkerState::Live
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn worker(id: &str, port: u16) -> WorkerInfo {
        let address = format!("127.0.0.1:{port}");
        WorkerInfo {
            id: id.into(),
            url: Url::parse(&format!("http://{address}")).unwrap(),
            address,
            datanode_uuid: None,
            host: "127.0.0.1".into(),
            rack: "/r".into(),
            partitions: 2,
            memory_limit: 1,
            query_memory: 1,
        }
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn ids(members: &Members, now: Instant) -> Vec<String> {
        members.live(now).into_iter().map(|worker| worker.id).collect()
    }

    #[test]
    fn silence_first_takes_away_tasks_then_membership() {
        let start = Instant::now();
        let mut members = Members::new(Patience::default());
        members.register(start, worker("a", 1));
        assert_eq!(ids(&members, seconds(start, 2)), ["a"]);
        assert!(ids(&members, seconds(start, 3)).is_empty());
        assert!(members.expire(seconds(start, 9)).is_empty());
        assert!(members.beat(seconds(start, 9), "a", Beat::default()));
        assert_eq!(ids(&members, seconds(start, 10)), ["a"]);
        assert_eq!(members.expire(seconds(start, 19)).len(), 1);
        assert!(!members.beat(seconds(start, 20), "a", Beat::default()));
    }

    #[test]
    fn a_suspect_returns_after_its_back_off_and_a_fresh_heartbeat() {
        let start = Instant::now();
        let mut members = Members::new(Patience::default());
        members.register(start, worker("a", 1));
        assert!(members.suspect(start, "127.0.0.1:1"));
        assert!(ids(&members, start).is_empty());
        // The time is over, but nothing was heard since.
        assert!(ids(&members, seconds(start, 2)).is_empty());
        members.beat(seconds(start, 2), "a", Beat::default());
        assert_eq!(ids(&members, seconds(start, 2)), ["a"]);
        // A second strike counts longer.
        members.suspect(seconds(start, 2), "127.0.0.1:1");
        members.beat(seconds(start, 5), "a", Beat::default());
        assert!(ids(&members, seconds(start, 5)).is_empty());
        members.beat(seconds(start, 6), "a", Beat::default());
        assert_eq!(ids(&members, seconds(start, 6)), ["a"]);
    }

    #[test]
    fn a_restarted_worker_replaces_its_former_self() {
        let start = Instant::now();
        let mut members = Members::new(Patience::default());
        members.register(start, worker("old", 1));
        members.register(start, worker("new", 1));
        assert_eq!(ids(&members, start), ["new"]);
        // The end of the old one's stream, noticed late, does not touch the new one.
        assert!(!members.forget("old"));
        assert!(members.forget("new"));
    }

    #[test]
    fn a_draining_worker_gets_no_task_but_stays_known() {
        let start = Instant::now();
        let mut members = Members::new(Patience::default());
        members.register(start, worker("a", 1));
        members.beat(
            start,
            "a",
            Beat {
                memory_used: 7,
                draining: true,
            },
        );
        assert!(ids(&members, start).is_empty());
        let status = &members.all(start)[0];
        assert_eq!((status.state, status.memory_used), (WorkerState::Draining, 7));
    }
}
