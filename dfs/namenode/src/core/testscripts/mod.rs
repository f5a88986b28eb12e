//! Scenarios played against the core: commands in, decisions out, on a clock that the script moves.

mod attributes;
mod balance;
mod cutting;
mod decommission;
pub(super) mod durability;
mod permissions;
mod placement;
mod quota;
mod recovery;
mod replication;
mod reserved;
mod retry;
mod safe_mode;
mod trash;
mod tree;
mod writing;

use std::net::IpAddr;

use quarry_dfs_wire::block::{Block, BlockId};

use super::Core;
use super::acl_calls::Modes;
use super::command::*;
use super::datanodes::{DEFAULT_RACK, DataNodeDescriptor, NodeHealth};
use super::edit::EditRecord;
use super::error::FsError;
use super::retry_cache::CallKey;
use super::settings::CoreSettings;
use super::state::State;

/// Bytes per block in scenarios.
const BLOCK: u64 = 1024;
const GIB: u64 = 1 << 30;

/// A core, its clock, everything that it logged and ordered.
pub(super) struct Script {
    pub(super) core: Core,
    now: Now,
    next_request: u64,
    pub(super) log: Vec<EditRecord>,
    pub(super) orders: Vec<(SessionId, Order)>,
    pub(super) late: Vec<(RequestId, Result<Reply, FsError>)>,
}

pub(super) fn settings() -> CoreSettings {
    CoreSettings {
        min_block_size: 1,
        seed: 7,
        ..CoreSettings::default()
    }
}

pub(super) fn caller(user: &str) -> Caller {
    Caller {
        user: user.to_owned(),
        groups: [].into(),
        address: IpAddr::from([10, 9, 9, 9]),
        call: None,
    }
}

pub(super) fn uuid(n: u64) -> String {
    format!("dn-{n}")
}

impl Script {
    pub(super) fn new() -> Self {
        Self::with(settings(), State::new("root", "supergroup"))
    }

    pub(super) fn with(settings: CoreSettings, state: State) -> Self {
        let now = Now {
            unix_ms: 1_000_000,
            tick_ms: 0,
        };
        Self {
            core: Core::new(settings, state, now),
            now,
            next_request: 0,
            log: vec![],
            orders: vec![],
            late: vec![],
        }
    }

    /// A NameNode after a crash: what the log says, nothing else.
    pub(super) fn restarted(&self) -> Self {
        let mut state = State::new("root", "supergroup");
        for record in &self.log {
            state.replay(record).unwrap();
        }
        Self::with(settings(), state)
    }

    pub(super) fn step(&mut self, command: Command) -> Vec<(RequestId, Result<Reply, FsError>)> {
        let outcome = self.core.step(self.now, command);
        self.check_holdings();
        if !outcome.edits.is_empty() {
            let (txid, time_ms) = (self.log.len() as u64 + 1, self.now.unix_ms);
            self.log.push(EditRecord {
                txid,
                time_ms,
                edits: outcome.edits,
                retry: outcome.retry,
            });
        }
        self.orders
            .extend(outcome.actions.into_iter().map(|action| (action.session, action.order)));
        outcome.replies
    }

    /// Both directions of "who holds what" say the same, whatever happened.
    fn check_holdings(&self) {
        let mut held = 0;
        for block in self.core.state.blocks.iter() {
            held += block.replicas.as_slice().len();
            for storage in block.replicas.as_slice() {
                assert!(self.core.holdings.of(*storage).contains(block.id));
            }
        }
        let storages = self.core.datanodes.iter().flat_map(|(_, node)| &node.storages);
        assert_eq!(held, storages.map(|ix| self.core.holdings.of(*ix).len()).sum::<usize>());
    }

    /// Moves the clock on in steps of a tick.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.tick_ms + ms;
        while self.now.tick_ms < end {
            let step = 100.min(end - self.now.tick_ms);
            self.now.tick_ms += step;
            self.now.unix_ms += step;
            let replies = self.step(Command::Tick);
            self.late.extend(replies);
        }
    }

    /// Issues a call that may be parked; its answer, if it comes at once.
    pub(super) fn start(
        &mut self,
        caller: Caller,
        operation: Operation,
    ) -> (RequestId, Option<Result<Reply, FsError>>) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let mut answer = None;
        for (to, reply) in self.step(Command::Call {
            request,
            caller,
            operation,
        }) {
            if to == request {
                answer = Some(reply);
            } else {
                self.late.push((to, reply));
            }
        }
        (request, answer)
    }

    pub(super) fn call_as(&mut self, caller: Caller, operation: Operation) -> Result<Reply, FsError> {
        self.start(caller, operation).1.expect("answered at once")
    }

    pub(super) fn call(&mut self, operation: Operation) -> Result<Reply, FsError> {
        self.call_as(caller("root"), operation)
    }

    /// A DataNode connects; what it holds it has still to report.
    pub(super) fn connect(&mut self, n: u64, rack: &str, remaining: u64) {
        self.next_request += 1;
        let descriptor = DataNodeDescriptor {
            uuid: uuid(n),
            ip: format!("10.0.0.{n}"),
            hostname: format!("host{n}"),
            xfer_port: 9866,
            ipc_port: 9867,
            rack: rack.to_owned(),
        };
        let registration = Registration {
            descriptor,
            storages: vec![storage(n, remaining)],
            software_version: String::new(),
        };
        let (request, session) = (RequestId(self.next_request), SessionId(n));
        let replies = self.step(Command::Register {
            request,
            session,
            registration,
        });
        assert_eq!(replies, [(request, Ok(Reply::Void))]);
    }

    /// An empty DataNode connects and reports.
    pub(super) fn register_on(&mut self, n: u64, rack: &str, remaining: u64) {
        self.connect(n, rack, remaining);
        self.full_report(n, &[]);
    }

    pub(super) fn register(&mut self, nodes: impl IntoIterator<Item = u64>) {
        for n in nodes {
            self.register_on(n, DEFAULT_RACK, GIB);
        }
    }

    pub(super) fn say(&mut self, n: u64, message: DataNodeMessage) {
        let replies = self.step(Command::FromDataNode {
            session: SessionId(n),
            message,
        });
        self.late.extend(replies);
    }

    pub(super) fn heartbeat(&mut self, n: u64) {
        self.say(
            n,
            DataNodeMessage::Heartbeat {
                storages: vec![storage(n, GIB)],
                active_transfers: 0,
                health: NodeHealth::default(),
            },
        );
    }

    pub(super) fn change(&mut self, n: u64, change: ReplicaChange, block: Block) {
        self.news(n, change, block, "");
    }

    fn news(&mut self, n: u64, change: ReplicaChange, block: Block, delete_hint: &str) {
        let news = ReplicaNews {
            storage_id: format!("s-{n}"),
            change,
            replica: ReportedReplica {
                block,
                state: ReplicaState::Finalized,
            },
            delete_hint: delete_hint.to_owned(),
        };
        self.say(n, DataNodeMessage::Changes(vec![news]));
    }

    /// Node `n` has taken a replica over, in place of the one on `replaces`.
    pub(super) fn took_over(&mut self, n: u64, block: Block, replaces: u64) {
        self.news(n, ReplicaChange::Received, block, &uuid(replaces));
    }

    pub(super) fn received(&mut self, n: u64, block: Block) {
        self.change(n, ReplicaChange::Received, block);
    }

    pub(super) fn full_report(&mut self, n: u64, replicas: &[(Block, ReplicaState)]) {
        let replicas = replicas
            .iter()
            .map(|(block, state)| ReportedReplica {
                block: *block,
                state: *state,
            })
            .collect();
        self.say(
            n,
            DataNodeMessage::FullReport {
                storage_id: format!("s-{n}"),
                replicas,
                last_part: true,
            },
        );
    }

    pub(super) fn create(&mut self, path: &str, replication: u16) -> Result<FileStatus, FsError> {
        match self.call(create(path, "writer", replication))? {
            Reply::Status(Some(status)) => Ok(*status),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn add_block(&mut self, path: &str, previous: Option<Block>) -> LocatedBlock {
        match self.call(add_block(path, previous)).unwrap() {
            Reply::Block(block) => *block,
            other => panic!("{other:?}"),
        }
    }

    /// Writes a file of one block of `length` bytes, reported by all its targets, and closes it.
    pub(super) fn write(&mut self, path: &str, replication: u16, length: u64) -> (Block, Vec<u64>) {
        self.create(path, replication).unwrap();
        let located = self.add_block(path, None);
        let block = Block {
            length,
            ..located.block
        };
        let nodes = nodes_of(&located);
        for n in &nodes {
            self.received(*n, block);
        }
        assert_eq!(self.call(complete(path, Some(block))), Ok(Reply::Bool(true)));
        (block, nodes)
    }

    pub(super) fn holders(&mut self, path: &str) -> Vec<u64> {
        let operation = Operation::GetBlockLocations {
            path: path.to_owned(),
            offset: 0,
            length: u64::MAX,
        };
        match self.call(operation).unwrap() {
            Reply::Blocks(blocks) => {
                let mut holders = nodes_of(&blocks.blocks[0]);
                holders.sort_unstable();
                holders
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn take_orders(&mut self) -> Vec<(u64, Order)> {
        self.orders
            .drain(..)
            .map(|(session, order)| (session.0, order))
            .collect()
    }

    /// The blocks that nodes were told to delete.
    pub(super) fn take_deletions(&mut self) -> Vec<(u64, BlockId)> {
        let deletions = self.take_orders().into_iter().filter_map(|(n, order)| match order {
            Order::Delete { blocks } => Some(blocks.into_iter().map(move |block| (n, block.id))),
            _ => None,
        });
        let mut all: Vec<_> = deletions.flatten().collect();
        all.sort_unstable();
        all
    }
}

pub(super) fn storage(n: u64, remaining: u64) -> StorageReport {
    StorageReport {
        storage_id: format!("s-{n}"),
        capacity: GIB,
        dfs_used: GIB - remaining,
        remaining,
        ..StorageReport::default()
    }
}

pub(super) fn nodes_of(block: &LocatedBlock) -> Vec<u64> {
    block
        .locations
        .iter()
        .map(|place| place.node.uuid[3..].parse().unwrap())
        .collect()
}

pub(super) fn create(path: &str, holder: &str, replication: u16) -> Operation {
    Operation::Create(CreateArguments {
        path: path.to_owned(),
        permission: Modes::plain(0o644),
        holder: holder.to_owned(),
        create: true,
        overwrite: false,
        create_parent: true,
        replication,
        block_size: BLOCK,
        storage_policy: String::new(),
        lazy_persist: false,
    })
}

pub(super) fn at(path: &str, block: Option<Block>) -> WriterBlock {
    WriterBlock {
        path: path.to_owned(),
        inode_id: 0,
        holder: "writer".to_owned(),
        block,
    }
}

pub(super) fn add_block(path: &str, previous: Option<Block>) -> Operation {
    Operation::AddBlock {
        at: at(path, previous),
        excluded: vec![],
        favored: vec![],
    }
}

pub(super) fn complete(path: &str, last: Option<Block>) -> Operation {
    Operation::Complete { at: at(path, last) }
}

pub(super) fn mkdirs(path: &str) -> Operation {
    Operation::MakeDirectories {
        path: path.to_owned(),
        permission: Modes::plain(0o755),
        create_parent: true,
    }
}

pub(super) fn call_key(call_id: i32) -> Option<CallKey> {
    Some(CallKey {
        client_id: [9; 16],
        call_id,
    })
}
