//! Registration with the coordinator, and heartbeats, for as long as the worker lives.
//!
//! The connection is made again whenever it is lost, at first quickly, then every few seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use quarry_engine::registration::HEARTBEAT_INTERVAL;
use quarry_engine::registration::v1::worker_registration_client::WorkerRegistrationClient;
use quarry_engine::registration::v1::{Heartbeat, Registration, WorkerMessage, worker_message};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Endpoint;

/// First pause before registering again; doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// A coordinator that answers nothing for this long is given up, and looked for again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages on their way to the coordinator.
const PENDING_MESSAGES: usize = 4;

/// Keeps a worker registered.
pub(crate) struct Registrar {
    pub(crate) coordinator: String,
    pub(crate) registration: Registration,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) draining: Arc<AtomicBool>,
    /// Whether the worker is registered now.
    pub(crate) registered: watch::Sender<bool>,
}

impl Registrar {
    /// Registers, again and again, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let session = self.session();
            let Some(ended) = stop.run_until_cancelled(session).await else {
                return;
            };
            let was_registered = self.registered.send_replace(false);
            pause = if was_registered {
                FIRST_PAUSE
            } else {
                (pause * 2).min(LAST_PAUSE)
            };
            tracing::warn!(coordinator = self.coordinator, why = %ended.message(), "not registered; trying again");
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// One stay at the coordinator; returns why it ended.
    async fn session(&self) -> Status {
        match self.stay().await {
            Ok(()) => Status::unavailable("the coordinator ended the stream"),
            Err(status) => status,
        }
    }

    async fn stay(&self) -> Result<(), Status> {
        let mut client = self.connect().await?;
        let (messages, stream) = mpsc::channel(PENDING_MESSAGES);
        let registration = worker_message::Message::Registration(self.registration.clone());
        send(&messages, registration).await?;
        let call = client.register(ReceiverStream::new(stream));
        let answers = tokio::time::timeout(ANSWER_TIMEOUT, call)
            .await
            .map_err(|_| silent())??;
        let mut answers = answers.into_inner();
        let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sequence = 0;
        loop {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, answers.message())
                .await
                .map_err(|_| silent())??;
            if answer.is_none() {
                return Ok(());
            }
            self.registered.send_replace(true);
            ticks.tick().await;
            sequence += 1;
            send(&messages, worker_message::Message::Heartbeat(self.heartbeat(sequence))).await?;
        }
    }

    async fn connect(&self) -> Result<WorkerRegistrationClient<tonic::transport::Channel>, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.coordinator))
            .map_err(|error| Status::invalid_argument(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(WorkerRegistrationClient::new(channel))
    }

    fn heartbeat(&self, sequence: u64) -> Heartbeat {
        Heartbeat {
            sequence,
            memory_used_bytes: self.runtime.memory_pool.reserved() as u64,
            draining: self.draining.load(Ordering::Relaxed),
        }
    }
}

fn silent() -> Status {
    Status::deadline_exceeded("the coordinator does not answer")
}

async fn send(messages: &mpsc::Sender<WorkerMessage>, message: worker_message::Message) -> Result<(), Status> {
    let message = WorkerMessage { message: Some(message) };
    messages
        .send(message)
        .await
        .map_err(|_| Status::unavailable("the connection is closed"))
}
