//! The service at which workers register, and the membership that queries take snapshots of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quarry_engine::registration::HEARTBEAT_INTERVAL;
use quarry_engine::registration::v1::worker_registration_server::{WorkerRegistration, WorkerRegistrationServer};
use quarry_engine::registration::v1::{
    CoordinatorMessage, Heartbeat, HeartbeatAck, Registered, Registration, WorkerMessage, coordinator_message,
    worker_message,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use url::Url;

use crate::members::{Beat, Members, Patience, WorkerInfo, WorkerStatus};

/// Time that a worker has for its first message.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Registrations are short: whatever is longer is not one.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Answers on their way to one worker.
const PENDING_ANSWERS: usize = 8;

/// The workers of this coordinator. Clones share it.
#[derive(Debug, Clone)]
pub struct Membership {
    members: Arc<Mutex<Members>>,
    patience: Patience,
    changed: Arc<watch::Sender<u64>>,
}

impl Membership {
    /// Nobody is registered yet.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        let members = Arc::new(Mutex::new(Members::new(patience)));
        Self {
            members,
            patience,
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The workers that take tasks now, by address.
    #[must_use]
    pub fn live(&self) -> Vec<WorkerInfo> {
        let now = Instant::now();
        let mut members = self.members.lock();
        for lost in members.expire(now) {
            tracing::warn!(worker = lost.address, "worker lost: no heartbeat");
        }
        members.live(now)
    }

    /// All workers, by address.
    #[must_use]
    pub fn all(&self) -> Vec<WorkerStatus> {
        self.members.lock().all(Instant::now())
    }

    /// Notes that a query lost its connection to the worker at `address` (`host:port`).
    pub fn suspect(&self, address: &str) {
        if self.members.lock().suspect(Instant::now(), address) {
            tracing::warn!(worker = address, "worker is suspect: a query lost its connection");
            self.notify();
        }
    }

    /// Waits until at least `count` workers are live; false if that took longer than `timeout`.
    pub async fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let mut changes = self.changed.subscribe();
        let enough = async {
            while self.live().len() < count {
                // The sender lives as long as `self`; polling covers workers that come back by the clock alone.
                let _ = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await;
            }
        };
        tokio::time::timeout(timeout, enough).await.is_ok()
    }

    /// The service to mount in the coordinator's server.
    #[must_use]
    pub fn service(&self) -> WorkerRegistrationServer<impl WorkerRegistration> {
        let service = RegistrationService {
            membership: self.clone(),
        };
        WorkerRegistrationServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn register(&self, info: WorkerInfo) {
        tracing::info!(
            worker = info.address,
            datanode = info.datanode_uuid,
            "worker registered"
        );
        self.members.lock().register(Instant::now(), info);
        self.notify();
    }

    fn beat(&self, id: &str, heartbeat: &Heartbeat) -> bool {
        let beat = Beat {
            memory_used: heartbeat.memory_used_bytes,
            draining: heartbeat.draining,
        };
        self.members.lock().beat(Instant::now(), id, beat)
    }

    /// A worker's stream ended, because it left or for the reason that is given.
    fn forget(&self, worker: &WorkerInfo, why: Option<&str>) {
        if !self.members.lock().forget(&worker.id) {
            return;
        }
        match why {
            None => tracing::info!(worker = worker.address, "worker left"),
            Some(why) => tracing::warn!(worker = worker.address, why, "worker lost"),
        }
        self.notify();
    }

    fn notify(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

struct RegistrationService {
    membership: Membership,
}

#[tonic::async_trait]
impl WorkerRegistration for RegistrationService {
    type RegisterStream = ReceiverStream<Result<CoordinatorMessage, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let mut messages = request.into_inner();
        let info = greeting(&mut messages).await?;
        let (answers, stream) = mpsc::channel(PENDING_ANSWERS);
        let registered = Registered {
            heartbeat_interval_ms: millis(HEARTBEAT_INTERVAL),
        };
        let registered = coordinator_message::Message::Registered(registered);
        // The channel is new and empty: there is room.
        let _ = answers.send(answer(registered)).await;
        self.membership.register(info.clone());
        tokio::spawn(listen(self.membership.clone(), info, messages, answers));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Takes heartbeats until the stream ends or is silent for too long; then the worker is out.
async fn listen(
    membership: Membership,
    info: WorkerInfo,
    mut messages: Streaming<WorkerMessage>,
    answers: mpsc::Sender<Result<CoordinatorMessage, Status>>,
) {
    let why = loop {
        let message = match tokio::time::timeout(membership.patience.lost_after, messages.message()).await {
            Err(_) => break Some("no heartbeat".to_owned()),
            Ok(Err(status)) => break Some(status.to_string()),
            Ok(Ok(None)) => break None,
            Ok(Ok(Some(message))) => message,
        };
        let Some(worker_message::Message::Heartbeat(heartbeat)) = message.message else {
            break Some("it sent something that is not a heartbeat".to_owned());
        };
        if !membership.beat(&info.id, &heartbeat) {
            break Some("another worker took its address".to_owned());
        }
        let ack = coordinator_message::Message::Ack(HeartbeatAck {
            sequence: heartbeat.sequence,
        });
        if answers.send(answer(ack)).await.is_err() {
            break Some("it stopped listening".to_owned());
        }
    };
    membership.forget(&info, why.as_deref());
}

fn answer(message: coordinator_message::Message) -> Result<CoordinatorMessage, Status> {
    Ok(CoordinatorMessage { message: Some(message) })
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

async fn greeting(messages: &mut Streaming<WorkerMessage>) -> Result<WorkerInfo, Status> {
    let first = tokio::time::timeout(GREETING_TIMEOUT, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no registration came"))??;
    match first.and_then(|message| message.message) {
        Some(worker_message::Message::Registration(registration)) => worker_info(registration),
        _ => Err(Status::invalid_argument("the first message must be a registration")),
    }
}

fn worker_info(registration: Registration) -> Result<WorkerInfo, Status> {
    let own = env!("CARGO_PKG_VERSION");
    if registration.version != own {
        let theirs = registration.version;
        return Err(Status::failed_precondition(format!(
            "worker has version {theirs}, coordinator {own}: plans only travel between equal versions"
        )));
    }
    let url = Url::parse(&format!("http://{}", registration.address));
    let url = url.ok().filter(|url| url.host().is_some() && url.port().is_some());
    let Some(url) = url else {
        return Err(Status::invalid_argument(format!(
            "address {:?} is not host:port",
            registration.address
        )));
    };
    if registration.worker_id.is_empty() {
        return Err(Status::invalid_argument("worker id is empty"));
    }
    Ok(WorkerInfo {
        id: registration.worker_id,
        address: registration.address,
        url,
        datanode_uuid: registration.datanode_uuid.filter(|uuid| !uuid.is_empty()),
        host: registration.host,
        rack: registration.rack,
        partitions: registration.partitions.max(1) as usize,
        memory_limit: registration.memory_limit_bytes,
        query_memory: registration.query_memory_bytes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn registration() -> Registration {
        Registration {
            worker_id: "w".into(),
            address: "127.0.0.1:4711".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Registration::default()
        }
    }

    #[test]
    fn a_registration_is_checked() {
        assert_eq!(worker_info(registration()).unwrap().url.port(), Some(4711));
        let wrong = [
            Registration {
                version: "0.0.0".into(),
                ..registration()
            },
            Registration {
                address: "nowhere".into(),
                ..registration()
            },
            Registration {
                address: "host:99999".into(),
                ..registration()
            },
            Registration {
                worker_id: String::new(),
                ..registration()
            },
        ];
        for registration in wrong {
            assert!(worker_info(registration.clone()).is_err(), "{registration:?}");
        }
    }
}
