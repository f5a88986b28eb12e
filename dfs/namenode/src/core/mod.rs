//! The NameNode's decisions: a state machine without I/O, clocks or randomness of its own.
//!
//! [`Core::step`] takes the time and a command and returns an [`Outcome`]: edits to make durable, replies and actions that may leave
//! once they are. In memory the edits are applied already, by the very function that replays the log ([`state::State::apply`]).
//!
//! | file | decides |
//! |---|---|
//! | `tree`, `create`, `attributes`, `read` | the namespace's operations |
//! | `write`, `append`, `recovery`, `leases` | a file's life between create and close |
//! | `reports`, `holdings`, `replication`, `placement`, `topology`, `safe_mode` | where replicas are, and where they should be |
//! | `cluster`, `decommission`, `balance` | what administrators see and want |
//! | `acl`, `acl_calls`, `xattr`, `quota`, `storage_policy` | what few inodes have, kept beside them in `features` |
//! | `truncate`, `concat`, `listing`, `reserved`, `trash` | the rest of the namespace |
//! | `parked` | callers that wait for a report instead of hearing "not yet" |
//!
//! Iteration is over ordered maps only and randomness comes from a seed, so the same commands give the same outcomes.

pub mod acl;
pub mod acl_calls;
pub mod append;
pub mod attributes;
pub mod balance;
pub mod block_map;
pub mod calendar;
pub mod children;
pub mod cluster;
pub mod command;
pub mod concat;
pub mod construction;
pub mod create;
pub mod datanodes;
pub mod decommission;
pub mod edit;
pub mod error;
pub mod features;
pub mod fsck;
pub mod holdings;
pub mod id_set;
pub mod image;
pub mod image_features;
pub mod image_pack;
pub mod inode;
pub mod leases;
pub mod listing;
pub mod locate;
pub mod names;
pub mod namespace;
pub mod node_wishes;
pub mod open_files;
pub mod parked;
pub mod permission;
pub mod placement;
pub mod quota;
pub mod read;
pub mod recovery;
pub mod replicas;
pub mod replication;
pub mod reports;
pub mod reserved;
pub mod retry_cache;
pub mod rng;
pub mod safe_mode;
pub mod settings;
pub mod slab;
pub mod small;
pub mod state;
pub mod storage_policy;
pub mod topology;
pub mod trash;
pub mod tree;
pub mod truncate;
pub mod write;
pub mod xattr;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod feature_model_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod testscripts;

use std::collections::BTreeMap;

use quarry_dfs_wire::block::BlockId;

use balance::Balance;
use command::{Action, Caller, Command, Now, Operation, Order, Outcome, Reply, RequestId, SessionId};
use construction::Construction;
use datanodes::DataNodes;
use decommission::Leaving;
use edit::{Edit, EditEntry, RetryAnswer, RetryEntry};
use error::FsError;
use fsck::VolumeChecks;
use holdings::Holdings;
use leases::Leases;
use parked::Parked;
use recovery::Recoveries;
use replication::Replication;
use reports::FullReports;
use rng::Rng;
use safe_mode::SafeMode;
use settings::CoreSettings;
use state::State;
use topology::HostTables;
use trash::TrashEmptier;

/// What a handler achieved.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The answer.
    Done(Reply),
    /// Not yet: the caller waits for a report on this open file.
    Park {
        /// The open file.
        inode_id: u64,
        /// What the caller hears if nothing comes in time.
        otherwise: Result<Reply, FsError>,
    },
}

impl From<Reply> for Progress {
    fn from(reply: Reply) -> Self {
        Self::Done(reply)
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Core {
    settings: CoreSettings,
    state: State,
    datanodes: DataNodes,
    /// What is known of blocks whose length is not final.
    construction: BTreeMap<BlockId, Construction>,
    leases: Leases,
    replication: Replication,
    recoveries: Recoveries,
    holdings: Holdings,
    leaving: Leaving,
    balance: Balance,
    volume_checks: VolumeChecks,
    /// The operator's tables.
    hosts: HostTables,
    /// What DataNodes were told last to send for balancing, bytes per second.
    balancer_bandwidth: Option<u64>,
    full_reports: FullReports,
    safe_mode: SafeMode,
    parked: Parked,
    trash: TrashEmptier,
    rng: Rng,
    started_tick_ms: u64,
    /// Before this no copies are ordered: after a start every DataNode counts as one that may come right back.
    copies_from_tick_ms: u64,
    // Of the step under way.
    now: Now,
    out: Outcome,
}

impl Core {
    /// A NameNode that starts now from a durable state. No DataNode is known yet, so it begins in safe mode unless it has no blocks.
    pub fn new(settings: CoreSettings, state: State, now: Now) -> Self {
        let safe_mode = SafeMode::at_start(&state);
        let rng = Rng::new(settings.seed);
        let hosts = settings.hosts.clone();
        let grace = if safe_mode.is_on() { settings.lost_grace_ms } else { 0 };
        let mut core = Self {
            settings,
            state,
            datanodes: DataNodes::default(),
            construction: BTreeMap::new(),
            leases: Leases::default(),
            replication: Replication::default(),
            recoveries: Recoveries::default(),
            holdings: Holdings::default(),
            leaving: Leaving::default(),
            balance: Balance::default(),
            volume_checks: VolumeChecks::default(),
            hosts,
            balancer_bandwidth: None,
            full_reports: FullReports::default(),
            safe_mode,
            parked: Parked::default(),
            trash: TrashEmptier::default(),
            rng,
            started_tick_ms: now.tick_ms,
            copies_from_tick_ms: now.tick_ms + grace,
            now,
            out: Outcome::default(),
        };
        core.leases.start(&core.state.open, now.tick_ms);
        core.find_recoveries();
        core
    }

    /// Executes one command.
    pub fn step(&mut self, now: Now, command: Command) -> Outcome {
        self.now = now;
        match command {
            Command::Call {
                request,
                caller,
                operation,
            } => self.call(request, caller, operation),
            Command::Register {
                request,
                session,
                registration,
            } => {
                let reply = self.register(session, registration);
                self.out.replies.push((request, reply.map(|()| Reply::Void)));
            }
            Command::FromDataNode { session, message } => self.take_message(session, message),
            Command::Disconnected { session } => self.disconnected(session),
            Command::DiskSpace { low } => self.see_disk_space(low),
            Command::Tick => self.tick(),
        }
        self.wake_parked();
        if !self.out.edits.is_empty() {
            self.state.last_txid += 1;
            self.state.retries.expire(now.unix_ms);
        }
        std::mem::take(&mut self.out)
    }

    /// The durable state, for images and tests.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The DataNodes, for status displays and tests.
    pub fn datanodes(&self) -> &DataNodes {
        &self.datanodes
    }

    /// Whether the NameNode is in safe mode.
    pub fn is_in_safe_mode(&self) -> bool {
        self.safe_mode.is_on()
    }

    fn call(&mut self, request: RequestId, caller: Caller, operation: Operation) {
        let result = match self.remembered(&caller) {
            Some(result) => result,
            None => match self.execute(&caller, &operation) {
                Ok(Progress::Done(reply)) => Ok(reply),
                Ok(Progress::Park { inode_id, otherwise }) => {
                    return self.park(inode_id, request, caller, operation, otherwise);
                }
                Err(error) => Err(error),
            },
        };
        self.out.replies.push((request, result));
    }

    fn execute(&mut self, caller: &Caller, operation: &Operation) -> Result<Progress, FsError> {
        if let Some(resolved) = self.resolve_reserved(caller, operation)? {
            return self.execute_resolved(caller, &resolved);
        }
        self.execute_resolved(caller, operation)
    }

    fn execute_resolved(&mut self, caller: &Caller, operation: &Operation) -> Result<Progress, FsError> {
        match operation {
            Operation::AddBlock { at, excluded, favored } => self.add_block(caller, at, excluded, favored),
            Operation::Complete { at } => self.complete(at),
            Operation::Admin(admin) => self.execute_admin(caller, admin).map(Progress::from),
            Operation::SetSafeMode { action } => self.set_safe_mode(caller, *action).map(Progress::from),
            read if read.is_read() => self.execute_read(caller, read).map(Progress::from),
            write => self.execute_write(caller, write).map(Progress::from),
        }
    }

    fn execute_write(&mut self, caller: &Caller, operation: &Operation) -> Result<Reply, FsError> {
        match operation {
            Operation::MakeDirectories {
                path,
                permission,
                create_parent,
            } => self.make_directories(caller, path, *permission, *create_parent),
            Operation::Create(arguments) => self.create(caller, arguments),
            Operation::Append {
                path,
                holder,
                new_block,
            } => self.append(caller, path, holder, *new_block),
            Operation::AbandonBlock { at } => self.abandon_block(at),
            Operation::Fsync { at, last_block_length } => self.fsync(at, *last_block_length),
            Operation::RenewLease { holder } => self.renew_lease(holder),
            Operation::UpdateBlockForPipeline { holder, block } => self.update_block_for_pipeline(holder, *block),
            Operation::UpdatePipeline {
                holder,
                old,
                new,
                nodes,
            } => self.update_pipeline(caller, holder, *old, *new, nodes),
            Operation::RecoverLease { path, holder: _ } => self.recover_lease(caller, path),
            Operation::Rename { source, destination } => self.rename(caller, source, destination),
            Operation::Rename2 {
                source,
                destination,
                overwrite,
                to_trash,
            } => self.rename2(caller, source, destination, *overwrite, *to_trash),
            Operation::Delete { path, recursive } => self.delete(caller, path, *recursive),
            Operation::SetPermission { path, permission } => self.set_permission(caller, path, *permission),
            Operation::SetOwner { path, owner, group } => self.set_owner(caller, path, owner, group),
            Operation::SetTimes {
                path,
                modified_ms,
                accessed_ms,
            } => self.set_times(caller, path, *modified_ms, *accessed_ms),
            Operation::SetReplication { path, replication } => self.set_replication(caller, path, *replication),
            Operation::Concat { target, sources } => self.concat(caller, target, sources),
            Operation::Truncate {
                path,
                holder,
                new_length,
            } => self.truncate(caller, path, holder, *new_length),
            Operation::SetQuota {
                path,
                names,
                space,
                kind,
            } => self.set_quota(caller, path, *names, *space, *kind),
            Operation::ChangeAcl { path, change } => self.change_acl(caller, path, change),
            Operation::SetXAttr {
                path,
                xattr,
                flags,
                raw,
            } => self.set_xattr(caller, path, xattr, *flags, *raw),
            Operation::RemoveXAttr { path, xattr, raw } => self.remove_xattr(caller, path, xattr, *raw),
            Operation::SetStoragePolicy { path, policy } => self.set_storage_policy(caller, path, policy),
            Operation::UnsetStoragePolicy { path } => self.unset_storage_policy(caller, path),
            Operation::ReportBadBlocks { blocks } => self.report_bad_blocks(blocks),
            other => unreachable!("{other:?} is handled by execute"),
        }
    }

    fn tick(&mut self) {
        self.check_datanodes();
        self.check_safe_mode();
        self.check_leases();
        self.check_recoveries();
        self.check_leaving();
        self.check_replication();
        self.check_balance();
        self.expire_parked();
        self.check_trash();
    }

    /// Makes a change: applies it and adds it to the step's transaction.
    fn edit(&mut self, edit: Edit) {
        let mut removed = Vec::new();
        self.state
            .apply(&edit, self.now.unix_ms, &mut removed)
            .expect("a command is checked before it becomes an edit");
        self.out.edits.push(EditEntry { edit: Some(edit) });
        for block in removed {
            self.forget_block(block);
        }
    }

    fn send(&mut self, session: SessionId, order: Order) {
        self.out.actions.push(Action { session, order });
    }

    /// The answer given to this very call before, if it was one that must happen once.
    fn remembered(&self, caller: &Caller) -> Option<Result<Reply, FsError>> {
        let entry = self.state.retries.get(caller.call?)?;
        Some(match entry.answer() {
            RetryAnswer::Void => Ok(Reply::Void),
            RetryAnswer::True => Ok(Reply::Bool(true)),
            RetryAnswer::Created => self.created_before(entry.inode_id),
            RetryAnswer::Appended => self.appended_before(entry.inode_id),
        })
    }

    /// Remembers the answer with the step's transaction.
    fn remember(&mut self, caller: &Caller, answer: RetryAnswer, inode_id: u64) {
        let Some(call) = caller.call else { return };
        let entry = RetryEntry {
            client_id: call.client_id.to_vec(),
            call_id: call.call_id,
            expires_ms: self.now.unix_ms + retry_cache::RETRY_CACHE_MS,
            answer: answer as i32,
            inode_id,
        };
        self.state.retries.insert(entry.clone());
        self.out.retry = Some(entry);
    }
}
