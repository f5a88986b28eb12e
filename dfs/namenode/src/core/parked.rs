//! Callers that wait for a replica's report. HDFS would answer "not yet" and let them sleep and ask again.

use std::collections::BTreeMap;

use super::command::{Caller, Operation, Reply, RequestId};
use super::error::FsError;
use super::{Core, Progress};

#[derive(Debug)]
struct Waiter {
    request: RequestId,
    caller: Caller,
    operation: Operation,
    /// Heard when the deadline passes.
    otherwise: Result<Reply, FsError>,
    deadline_tick_ms: u64,
}

/// The waiting callers by open file, and the files on which something happened since they were last looked at.
#[derive(Debug, Default)]
pub struct Parked {
    waiters: BTreeMap<u64, Vec<Waiter>>,
    woken: Vec<u64>,
}

impl Parked {
    /// Something happened to this file.
    pub fn wake(&mut self, inode_id: u64) {
        if self.waiters.contains_key(&inode_id) {
            self.woken.push(inode_id);
        }
    }

    /// Number of waiting callers.
    pub fn count(&self) -> usize {
        self.waiters.values().map(Vec::len).sum()
    }
}

impl Core {
    /// Lets a caller wait for news of an open file.
    pub(crate) fn park(
        &mut self,
        inode_id: u64,
        request: RequestId,
        caller: Caller,
        operation: Operation,
        otherwise: Result<Reply, FsError>,
    ) {
        let deadline_tick_ms = self.now.tick_ms + self.settings.park_ms;
        let waiter = Waiter {
            request,
            caller,
            operation,
            otherwise,
            deadline_tick_ms,
        };
        self.parked.waiters.entry(inode_id).or_default().push(waiter);
    }

    /// Runs the waiting calls of files that had news. Each keeps its place and deadline if it must wait on.
    pub(crate) fn wake_parked(&mut self) {
        while let Some(inode_id) = self.parked.woken.pop() {
            for mut waiter in self.parked.waiters.remove(&inode_id).unwrap_or_default() {
                match self.execute(&waiter.caller, &waiter.operation) {
                    Ok(Progress::Done(reply)) => self.out.replies.push((waiter.request, Ok(reply))),
                    Err(error) => self.out.replies.push((waiter.request, Err(error))),
                    Ok(Progress::Park { inode_id, otherwise }) => {
                        waiter.otherwise = otherwise;
                        self.parked.waiters.entry(inode_id).or_default().push(waiter);
                    }
                }
            }
        }
    }

    /// Answers those who waited too long.
    pub(crate) fn expire_parked(&mut self) {
        let now = self.now.tick_ms;
        let replies = &mut self.out.replies;
        self.parked.waiters.retain(|_, waiters| {
            for waiter in waiters.extract_if(.., |waiter| waiter.deadline_tick_ms <= now) {
                replies.push((waiter.request, waiter.otherwise));
            }
            !waiters.is_empty()
        });
    }
}
