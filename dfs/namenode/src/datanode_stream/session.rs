//! One DataNode's connection.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::proto::dfs_v1::{
    FromDataNode, Refused, Register, Registered, ReportAck, ToDataNode, from_data_node, to_data_node,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::convert;
use crate::core::command::{DataNodeMessage, Order, SessionId};
use crate::driver::{CoreHandle, Input, Link};
use crate::log::directory::Identity;

/// Time for a new connection to introduce itself.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a DataNode to take what is sent to it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Orders that may wait for a DataNode; one that lets more pile up is cut off and starts afresh.
const ORDERS: usize = 4096;

/// One DataNode's connection.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) core: CoreHandle,
    pub(super) identity: Arc<Identity>,
    pub(super) heartbeat_interval: Duration,
    pub(super) outgoing: mpsc::Sender<Result<ToDataNode, Status>>,
    pub(super) stop: CancellationToken,
}

impl Session {
    /// Serves until the end; the error says what broke the rules, and has been sent to the DataNode too.
    pub(super) async fn run(self, mut incoming: Streaming<FromDataNode>) -> Result<(), Status> {
        let (orders, mut from_core) = mpsc::channel(ORDERS);
        let result = match self.register(&mut incoming, orders).await {
            Ok(true) => {
                let result = self.serve(&mut incoming, &mut from_core).await;
                // The core is gone only at shutdown, when nobody needs to know.
                let _ = self.core.send(Input::Disconnected { session: self.id }).await;
                result
            }
            Ok(false) => Ok(()),
            Err(status) => Err(status),
        };
        if let Err(status) = &result {
            let _ = timeout(SEND_TIMEOUT, self.outgoing.send(Err(status.clone()))).await;
        }
        result
    }

    async fn register(
        &self,
        incoming: &mut Streaming<FromDataNode>,
        orders: mpsc::Sender<Order>,
    ) -> Result<bool, Status> {
        let first = tokio::select! {
            () = self.stop.cancelled() => return Ok(false),
            first = timeout(REGISTER_TIMEOUT, incoming.message()) => first,
        };
        let first = first.map_err(|_| Status::deadline_exceeded("no Register came in time"))??;
        let Some(from_data_node::Message::Register(register)) = first.and_then(|first| first.message) else {
            return Err(Status::failed_precondition("the first message must be Register"));
        };
        if let Some(reason) = self.foreign(&register) {
            return self.refuse(reason).await;
        }
        let registration = match convert::registration(register) {
            Ok(registration) => registration,
            Err(problem) => return self.refuse(problem.message().to_owned()).await,
        };
        tracing::info!(
            session = self.id.0,
            uuid = registration.descriptor.uuid,
            ip = registration.descriptor.ip,
            "DataNode registers"
        );
        let (answer, answered) = oneshot::channel();
        let link = Link {
            orders,
            cancel: self.stop.clone(),
        };
        let input = Input::Register {
            session: self.id,
            registration,
            link,
            answer,
        };
        self.core
            .send(input)
            .await
            .map_err(|()| Status::unavailable("the NameNode is shutting down"))?;
        match answered.await {
            Ok(Ok(_)) => {
                self.send(to_data_node::Message::Registered(Registered {
                    cluster_id: self.identity.cluster_id.clone(),
                    block_pool_id: self.identity.block_pool_id.clone(),
                    heartbeat_interval_ms: self.heartbeat_interval.as_millis() as u64,
                }))
                .await?;
                Ok(true)
            }
            Ok(Err(refusal)) => {
                let _ = self.core.send(Input::Disconnected { session: self.id }).await;
                self.refuse(refusal.to_string()).await
            }
            Err(_) => Err(Status::unavailable("the NameNode is shutting down")),
        }
    }

    /// Why a DataNode's disks belong to another cluster.
    fn foreign(&self, register: &Register) -> Option<String> {
        let pairs = [
            ("cluster", &register.cluster_id, &self.identity.cluster_id),
            ("block pool", &register.block_pool_id, &self.identity.block_pool_id),
        ];
        let (what, theirs, ours) = pairs
            .into_iter()
            .find(|(_, theirs, ours)| !theirs.is_empty() && theirs != ours)?;
        Some(format!(
            "the DataNode's disks belong to {what} {theirs}; this NameNode serves {ours}"
        ))
    }

    async fn refuse(&self, reason: String) -> Result<bool, Status> {
        tracing::warn!(session = self.id.0, reason, "DataNode refused");
        self.send(to_data_node::Message::Refused(Refused { reason })).await?;
        Ok(false)
    }

    async fn send(&self, message: to_data_node::Message) -> Result<(), Status> {
        let sent = timeout(
            SEND_TIMEOUT,
            self.outgoing.send(Ok(ToDataNode { message: Some(message) })),
        )
        .await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the DataNode closed the stream")),
            Err(_) => Err(Status::deadline_exceeded(
                "the DataNode does not take what is sent to it",
            )),
        }
    }

    async fn serve(
        &self,
        incoming: &mut Streaming<FromDataNode>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<(), Status> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                Some(order) = orders.recv() => {
                    if let Order::Close { reason } = order {
                        return Err(Status::aborted(reason));
                    }
                    self.send(convert::order(order)).await?;
                }
                message = incoming.message() => match message {
                    Ok(Some(message)) => self.take(message).await?,
                    // A clean end and a broken connection are alike: the DataNode is not there.
                    Ok(None) | Err(_) => return Ok(()),
                },
            }
        }
    }

    async fn take(&self, message: FromDataNode) -> Result<(), Status> {
        let content = message
            .message
            .ok_or_else(|| Status::invalid_argument("a message of unknown kind"))?;
        let (message, sequence) = convert::message(content)?;
        self.tell(message).await?;
        match sequence {
            Some(sequence) => {
                self.send(to_data_node::Message::ReportAck(ReportAck { sequence }))
                    .await
            }
            None => Ok(()),
        }
    }

    async fn tell(&self, message: DataNodeMessage) -> Result<(), Status> {
        let (done, finished) = oneshot::channel();
        let stopped = || Status::unavailable("the NameNode is shutting down");
        self.core
            .send(Input::FromDataNode {
                session: self.id,
                message,
                done,
            })
            .await
            .map_err(|()| stopped())?;
        finished.await.map_err(|_| stopped())
    }
}
