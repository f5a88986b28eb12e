//! Leases: one writer per file. Who writes is durable (see `open_files`); when it was last heard of is not.
//!
//! A writer that is silent for the soft limit may be replaced by another client; after the hard limit the NameNode closes its files.

use std::collections::BTreeMap;

use super::Core;
use super::command::{Caller, Reply};
use super::error::FsError;
use super::inode::Slot;
use super::open_files::{OpenFiles, RECOVERY_HOLDER};
use super::recovery::Release;

/// When each writer was last heard of, by ticks.
#[derive(Debug, Default)]
pub struct Leases {
    renewed: BTreeMap<String, u64>,
}

impl Leases {
    /// After a start every writer counts as just heard of: it had no chance to renew.
    pub fn start(&mut self, open: &OpenFiles, tick_ms: u64) {
        self.renewed = open.holders().map(|holder| (holder.to_owned(), tick_ms)).collect();
    }

    /// The writer was heard of.
    pub fn renew(&mut self, holder: &str, tick_ms: u64) {
        match self.renewed.get_mut(holder) {
            Some(at) => *at = tick_ms,
            None => {
                self.renewed.insert(holder.to_owned(), tick_ms);
            }
        }
    }

    /// Whether the writer has been silent for `limit_ms`.
    pub fn is_older(&self, holder: &str, limit_ms: u64, tick_ms: u64) -> bool {
        self.renewed.get(holder).is_none_or(|at| tick_ms >= at + limit_ms)
    }

    /// Forgets writers without open files and returns those that are silent for `limit_ms`.
    fn expired(&mut self, open: &OpenFiles, limit_ms: u64, tick_ms: u64) -> Vec<String> {
        self.renewed.retain(|holder, _| open.of_holder(holder).next().is_some());
        let expired = self.renewed.iter().filter(|(_, at)| tick_ms >= **at + limit_ms);
        expired
            .map(|(holder, _)| holder.clone())
            .filter(|holder| holder != RECOVERY_HOLDER)
            .collect()
    }
}

impl Core {
    /// Keeps a writer's files from being taken. A writer without files is no error.
    pub(crate) fn renew_lease(&mut self, holder: &str) -> Result<Reply, FsError> {
        if self.state.open.of_holder(holder).next().is_some() {
            self.leases.renew(holder, self.now.tick_ms);
        }
        Ok(Reply::Void)
    }

    /// Starts the recovery of all files of writers that passed the hard limit.
    pub(crate) fn check_leases(&mut self) {
        if self.safe_mode.is_on() {
            return;
        }
        let expired = self
            .leases
            .expired(&self.state.open, self.settings.lease_hard_ms, self.now.tick_ms);
        for holder in expired {
            let files: Vec<u64> = self.state.open.of_holder(&holder).collect();
            for inode_id in files {
                self.release(inode_id);
            }
        }
    }

    /// Makes room for a new writer of an existing file: nothing to do if it is closed; takes it from a writer past the soft limit.
    ///
    /// # Errors
    /// When the file has, for now, another writer.
    pub(crate) fn claim_lease(
        &mut self,
        path: &str,
        slot: Slot,
        holder: &str,
        what: &str,
        caller: &Caller,
    ) -> Result<(), FsError> {
        let inode_id = self.state.namespace.get(slot).id;
        let Some(open) = self.state.open.get(inode_id) else {
            return Ok(());
        };
        let refusal = format!("Failed to {what} {path} for {holder} on {}", caller.address);
        if open.holder == holder {
            return Err(FsError::AlreadyBeingCreated(format!(
                "{refusal} because {holder} is already the current lease holder."
            )));
        }
        if open.holder == RECOVERY_HOLDER {
            return Err(recovery_in_progress(&refusal));
        }
        if !self
            .leases
            .is_older(&open.holder, self.settings.lease_soft_ms, self.now.tick_ms)
        {
            if self.is_under_recovery(open.slot) {
                return Err(FsError::RecoveryInProgress(format!(
                    "{refusal} because another recovery is in progress by {} on {}",
                    open.holder, open.client_machine
                )));
            }
            let text = format!(
                "{refusal} because this file lease is currently owned by {} on {}",
                open.holder, open.client_machine
            );
            return Err(FsError::AlreadyBeingCreated(text));
        }
        match self.release(inode_id) {
            Release::Closed => Ok(()),
            Release::Pending => Err(recovery_in_progress(&refusal)),
        }
    }
}

fn recovery_in_progress(refusal: &str) -> FsError {
    FsError::RecoveryInProgress(format!(
        "{refusal} because lease recovery is in progress. Try again later."
    ))
}
