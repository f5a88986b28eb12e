//! Who runs now and who waits: a queue with limits.
//!
//! [`Queue`] decides and does nothing else; [`Admission`] makes queries wait for it. A query takes its place when its rows are asked
//! for, and gives it back when it is over, however it ends. Places go to those that wait in the order in which they came.
//!
//! There are two limits. Queries that keep all cores busy gain nothing from company: they take turns on the cores and push each other's
//! data out of the caches and the memory (16 streams of TPC-H at SF1 on two cores: 8 % more queries per hour, less than half of the 99th percentile
//! and half of the memory with 4 at a time instead of all). But a query behind long ones must not wait for their end. So beyond `at_once`
//! running ones it waits, and when it has waited for `patience` it runs beside them, up to `running`. One whose client does not fetch keeps no
//! core busy, as a result that lies open in somebody's window: it stands aside meanwhile, which `at_once` does not count.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::record::{Query, QueryState};
use crate::error::{Error, Result};

/// Limits of queries at a time, the `[coordinator.admission]` table of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionLimits {
    /// Queries that run at a time. Those that read no table do not count.
    pub running: usize,
    /// Queries that run at a time as long as those behind them can wait. Absent: two for each partition of a task, at least 4.
    pub at_once: Option<usize>,
    /// How long a query waits for one of `at_once` to end before it runs beside them.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
    /// Queries that wait at a time; beyond that they are refused at once.
    pub waiting: usize,
    /// Longest wait.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            running: 32,
            at_once: None,
            patience: Duration::from_secs(3),
            waiting: 1_000,
            timeout: Duration::from_secs(5 * 60),
        }
    }
}

impl AdmissionLimits {
    /// The same with `at_once` decided, for tasks of so many partitions.
    #[must_use]
    pub fn for_tasks_of(self, partitions: usize) -> Self {
        let at_once = self.at_once.unwrap_or((2 * partitions).max(LEAST_AT_ONCE));
        Self {
            at_once: Some(at_once),
            ..self
        }
    }

    fn at_once(&self) -> usize {
        self.at_once.unwrap_or(self.running).min(self.running)
    }
}

/// Few cores are busy with two queries; two more keep them so while those wait for disks and networks.
const LEAST_AT_ONCE: usize = 4;

/// A place in the queue.
type Ticket = u64;

/// What becomes of a query that asks to run.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Run,
    Wait(Ticket),
    Refuse,
}

/// The decisions, without clocks or tasks.
#[derive(Debug, Default)]
struct Queue {
    running: usize,
    /// Of those, how many stand aside.
    aside: usize,
    /// Tickets, the oldest first.
    waiting: VecDeque<Ticket>,
    /// Tickets up to this one have waited long enough to run beside others.
    impatient: Ticket,
    last: Ticket,
}

impl Queue {
    /// Whether another one may run.
    fn has_place(&self, limits: &AdmissionLimits, impatient: bool) -> bool {
        self.running < limits.running && (impatient || self.running - self.aside < limits.at_once())
    }

    fn ask(&mut self, limits: &AdmissionLimits) -> Decision {
        if self.has_place(limits, false) {
            self.running += 1;
            return Decision::Run;
        }
        if self.waiting.len() >= limits.waiting {
            return Decision::Refuse;
        }
        self.last += 1;
        self.waiting.push_back(self.last);
        Decision::Wait(self.last)
    }

    /// A running query is over.
    fn end(&mut self) {
        self.running -= 1;
    }

    /// A query, and with it all that have waited longer, has waited long enough to run beside others.
    fn lose_patience(&mut self, ticket: Ticket) {
        self.impatient = self.impatient.max(ticket);
    }

    /// Whose turn it is, if there is a place.
    fn next(&mut self, limits: &AdmissionLimits) -> Option<Ticket> {
        let first = *self.waiting.front()?;
        if !self.has_place(limits, first <= self.impatient) {
            return None;
        }
        self.running += 1;
        self.waiting.pop_front()
    }

    /// A waiting query gives up. False if it waits no longer: it has been given a place.
    fn leave(&mut self, ticket: Ticket) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|&waiting| waiting != ticket);
        self.waiting.len() < before
    }
}

/// The queue of a coordinator.
#[derive(Debug, Default)]
pub struct Admission {
    limits: AdmissionLimits,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Queue,
    /// Where those that wait hear that it is their turn.
    doors: HashMap<Ticket, oneshot::Sender<()>>,
}

impl Inner {
    /// Whoever has a place now hears it.
    fn pass_on(&mut self, limits: &AdmissionLimits) {
        while let Some(next) = self.queue.next(limits) {
            // Its door is closed if it is just giving up: then the place goes on.
            if self.doors.remove(&next).is_none_or(|door| door.send(()).is_err()) {
                self.queue.end();
            }
        }
    }

    fn leave_place(&mut self, limits: &AdmissionLimits) {
        self.queue.end();
        self.pass_on(limits);
    }
}

impl Admission {
    /// A queue without anybody in it.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            inner: Mutex::default(),
        }
    }

    /// Waits for a place; dropping the result gives it back.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if too many wait already, or after the longest wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue.
    pub(super) async fn enter(self: &Arc<Self>, query: &Query) -> Result<Place> {
        let (ticket, turn) = {
            let mut inner = self.inner.lock();
            match inner.queue.ask(&self.limits) {
                Decision::Run => return Ok(Place(Arc::clone(self))),
                Decision::Refuse => return Err(self.refusal()),
                Decision::Wait(ticket) => {
                    let (door, turn) = oneshot::channel();
                    inner.doors.insert(ticket, door);
                    (ticket, turn)
                }
            }
        };
        query.advance(QueryState::Queued);
        let mut waiting = Waiting {
            admission: self,
            ticket: Some(ticket),
            turn,
        };
        let AdmissionLimits { patience, timeout, .. } = self.limits;
        let mut turn = tokio::time::timeout(patience.min(timeout), &mut waiting.turn)
            .await
            .ok();
        if turn.is_none() && patience < timeout {
            self.lose_patience(ticket);
            turn = tokio::time::timeout(timeout - patience, &mut waiting.turn).await.ok();
        }
        match turn {
            Some(_) => {
                waiting.ticket = None;
                Ok(Place(Arc::clone(self)))
            }
            None => Err(self.waited_in_vain()),
        }
    }

    fn lose_patience(&self, ticket: Ticket) {
        let mut inner = self.inner.lock();
        inner.queue.lose_patience(ticket);
        inner.pass_on(&self.limits);
    }

    fn refusal(&self) -> Error {
        let AdmissionLimits { running, waiting, .. } = self.limits;
        Error::Exhausted(format!(
            "query refused: {running} queries run and {waiting} wait; try again later, or raise `admission.running` or `admission.waiting` in the coordinator's configuration"
        ))
    }

    fn waited_in_vain(&self) -> Error {
        let AdmissionLimits { running, timeout, .. } = self.limits;
        Error::Exhausted(format!(
            "query waited {timeout:?} behind {running} running ones; try again later, or raise `admission.running` or `admission.timeout` in the coordinator's configuration"
        ))
    }
}

/// The right to run. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Place(Arc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.inner.lock().leave_place(&self.0.limits);
    }
}

impl Place {
    /// Nothing works for the query while its client does not fetch: another may run meanwhile. Dropping the result ends that.
    pub(super) fn stand_aside(&self) -> Aside<'_> {
        let mut inner = self.0.inner.lock();
        inner.queue.aside += 1;
        inner.pass_on(&self.0.limits);
        Aside(self)
    }
}

/// A query that stands aside. It comes back whether there is room or not.
#[derive(Debug)]
pub(super) struct Aside<'a>(&'a Place);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.0.inner.lock().queue.aside -= 1;
    }
}

/// A query in the queue; dropping it leaves.
struct Waiting<'a> {
    admission: &'a Admission,
    ticket: Option<Ticket>,
    turn: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut inner = self.admission.inner.lock();
        inner.doors.remove(&ticket);
        if !inner.queue.leave(ticket) {
            // The place came too late to be taken.
            inner.leave_place(&self.admission.limits);
        }
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
