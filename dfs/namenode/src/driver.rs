//! The owner thread: the one place that changes the core.
//!
//! For each command, in order:
//! 1. read the clocks and step the core;
//! 2. answers to reads leave at once;
//! 3. edits, with everything that may only happen once they are on disk (other answers, orders), go to the log thread.
//!
//! Short questions do not come here: their callers look into the core themselves, between two steps. They see every change that was
//! answered, as a change is applied before its answer can leave, and never wait for the disk, as no step does.
//!
//! Orders and answers without edits of their own wait for the edits before them, as they may depend on those.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::core::command::{
    Action, Caller, Command, DataNodeMessage, Now, Operation, Order, Registration, Reply, RequestId, SessionId,
};
use crate::core::edit::EditRecord;
use crate::core::error::FsError;
use crate::log::checkpoint::Checkpointer;
use crate::log::directory::Directory;
use crate::log::writer::{LogFailure, LogWriter};

/// What callers get.
pub(crate) type Answer = Result<Reply, FsError>;

/// Commands that may wait for the owner thread; more make their senders wait.
const QUEUE: usize = 4096;

/// What the outside sends to the owner thread.
#[derive(Debug)]
pub(crate) enum Input {
    Call {
        caller: Caller,
        operation: Operation,
        answer: oneshot::Sender<Answer>,
    },
    Register {
        session: SessionId,
        registration: Registration,
        link: Link,
        answer: oneshot::Sender<Answer>,
    },
    FromDataNode {
        session: SessionId,
        message: DataNodeMessage,
        done: oneshot::Sender<()>,
    },
    Disconnected {
        session: SessionId,
    },
    DiskSpace {
        low: bool,
    },
    Tick,
    /// Close the log segment, so that a checkpoint can be made of everything before.
    Checkpoint,
}

/// The owner thread's end of a DataNode's connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) orders: mpsc::Sender<Order>,
    /// Ends the connection: its DataNode then comes back and reports anew.
    pub(crate) cancel: CancellationToken,
}

impl Link {
    fn send(&self, order: Order) {
        let closes = matches!(order, Order::Close { .. });
        // A DataNode that does not take its orders is as good as lost.
        if self.orders.try_send(order).is_err() && !closes {
            self.cancel.cancel();
        }
    }
}

/// Inputs taken from the queue at a time.
const INPUTS: usize = 256;

/// A cheap handle to the owner thread.
#[derive(Debug, Clone)]
pub(crate) struct CoreHandle {
    inputs: mpsc::Sender<Input>,
    core: Arc<RwLock<Core>>,
}

fn stopped() -> FsError {
    FsError::Retriable("the NameNode is shutting down".to_owned())
}

impl CoreHandle {
    /// Executes a client's call. On return of a change it is durable.
    pub(crate) async fn call(&self, caller: Caller, operation: Operation) -> Answer {
        if let Some(answer) = self.look(&caller, &operation) {
            return answer;
        }
        let (answer, answered) = oneshot::channel();
        self.send(Input::Call {
            caller,
            operation,
            answer,
        })
        .await
        .map_err(|()| stopped())?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Answers a short question on the spot.
    fn look(&self, caller: &Caller, operation: &Operation) -> Option<Answer> {
        match self.core.read() {
            Ok(core) => core.look(caller, operation),
            // The owner thread panicked in the midst of a change: nothing that is in memory can be trusted.
            Err(_) => Some(Err(stopped())),
        }
    }

    /// Sends anything else; fails when the owner thread has ended.
    pub(crate) async fn send(&self, input: Input) -> Result<(), ()> {
        self.inputs.send(input).await.map_err(|_| ())
    }
}

/// The owner thread's own state. Fields are dropped in order: the log is written out before its directory is given up.
pub(crate) struct Driver {
    core: Arc<RwLock<Core>>,
    log: LogWriter,
    /// Waits for a checkpoint under way when it is dropped.
    _checkpointer: Checkpointer,
    /// Released last: another NameNode may have the directory then.
    _directory: Directory,
    inputs: mpsc::Receiver<Input>,
    started: Instant,
    waiting: BTreeMap<RequestId, (oneshot::Sender<Answer>, bool)>,
    links: BTreeMap<SessionId, Link>,
    next_request: u64,
    last_txid: u64,
}

/// Milliseconds since the epoch.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}

/// The clocks now; ticks count from `started`.
pub(crate) fn now_at(started: Instant) -> Now {
    Now {
        unix_ms: unix_ms(),
        tick_ms: started.elapsed().as_millis() as u64,
    }
}

impl Driver {
    /// Prepares the thread; [`Self::run`] is its body. It ends when all handles are gone.
    pub(crate) fn new(
        core: Core,
        log: LogWriter,
        checkpointer: Checkpointer,
        directory: Directory,
        started: Instant,
    ) -> (Self, CoreHandle) {
        let (sender, inputs) = mpsc::channel(QUEUE);
        let last_txid = core.state().last_txid;
        let core = Arc::new(RwLock::new(core));
        let handle = CoreHandle {
            inputs: sender,
            core: Arc::clone(&core),
        };
        let driver = Self {
            core,
            log,
            _checkpointer: checkpointer,
            _directory: directory,
            inputs,
            started,
            waiting: BTreeMap::new(),
            links: BTreeMap::new(),
            next_request: 0,
            last_txid,
        };
        (driver, handle)
    }

    /// Serves until all handles are gone, then writes what is waiting.
    pub(crate) fn run(mut self) {
        let mut inputs = Vec::with_capacity(INPUTS);
        while self.inputs.blocking_recv_many(&mut inputs, INPUTS) > 0 {
            inputs.drain(..).for_each(|input| self.serve(input));
        }
    }

    fn serve(&mut self, input: Input) {
        let done = match input {
            Input::Checkpoint => return self.log.roll(),
            Input::FromDataNode { session, message, done } => {
                self.step(Command::FromDataNode { session, message });
                Some(done)
            }
            input => {
                let command = self.command_of(input);
                command.into_iter().for_each(|command| self.step(command));
                None
            }
        };
        // The stream may be gone by now; then nobody waits.
        done.map(|done| done.send(()));
    }

    fn command_of(&mut self, input: Input) -> Option<Command> {
        Some(match input {
            Input::Call {
                caller,
                operation,
                answer,
            } => {
                if let Some(refusal) = self.refusal(&operation) {
                    let _ = answer.send(Err(refusal));
                    return None;
                }
                let request = self.wait(answer, operation.is_read());
                Command::Call {
                    request,
                    caller,
                    operation,
                }
            }
            Input::Register {
                session,
                registration,
                link,
                answer,
            } => {
                self.links.insert(session, link);
                let request = self.wait(answer, true);
                Command::Register {
                    request,
                    session,
                    registration,
                }
            }
            Input::Disconnected { session } => {
                self.links.remove(&session);
                Command::Disconnected { session }
            }
            Input::DiskSpace { low } => Command::DiskSpace { low },
            Input::Tick => Command::Tick,
            Input::FromDataNode { .. } | Input::Checkpoint => return None,
        })
    }

    /// A NameNode that cannot write its log changes nothing, not even in memory.
    fn refusal(&self, operation: &Operation) -> Option<FsError> {
        let failure = self.log.failure().filter(|_| !operation.is_read())?;
        Some(FsError::Io(failure.to_string()))
    }

    fn wait(&mut self, answer: oneshot::Sender<Answer>, is_read: bool) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.waiting.insert(request, (answer, is_read));
        request
    }

    fn step(&mut self, command: Command) {
        let now = now_at(self.started);
        let outcome = self
            .core
            .write()
            .expect("nobody else holds the core for a change")
            .step(now, command);
        let mut held = Vec::new();
        for (request, reply) in outcome.replies {
            let Some((answer, is_read)) = self.waiting.remove(&request) else {
                continue;
            };
            if is_read {
                let _ = answer.send(reply);
            } else {
                held.push((answer, reply));
            }
        }
        let orders = self.addressed(outcome.actions);
        let record = (!outcome.edits.is_empty()).then(|| {
            self.last_txid += 1;
            EditRecord {
                txid: self.last_txid,
                time_ms: now.unix_ms,
                edits: outcome.edits,
                retry: outcome.retry,
            }
        });
        if record.is_none() && held.is_empty() && orders.is_empty() {
            return;
        }
        if record.is_none() && self.log.failure().is_none() && self.log.is_durable(self.last_txid) {
            return release(held, orders, Ok(()));
        }
        self.log
            .append(record, Box::new(move |result| release(held, orders, result)));
    }

    fn addressed(&self, actions: Vec<Action>) -> Vec<(Link, Order)> {
        let links = &self.links;
        actions
            .into_iter()
            .filter_map(|action| Some((links.get(&action.session)?.clone(), action.order)))
            .collect()
    }
}

/// Lets out what waited for the log. A failed log lets out nothing but the news of it.
fn release(held: Vec<(oneshot::Sender<Answer>, Answer)>, orders: Vec<(Link, Order)>, result: Result<(), LogFailure>) {
    for (answer, reply) in held {
        // A caller that hung up does not hear its answer.
        let _ = answer.send(match &result {
            Ok(()) => reply,
            Err(failure) => Err(FsError::Io(failure.to_string())),
        });
    }
    if result.is_ok() {
        for (link, order) in orders {
            link.send(order);
        }
    }
}
