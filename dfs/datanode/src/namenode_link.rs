//! The link to the NameNode: opened here, kept open, opened again for as long as the DataNode runs.
//!
//! A session:
//! 1. connect, send `Register`, wait for `Registered`; join its cluster if the disks are new
//! 2. begin a reporting session, then send a full report of every storage
//! 3. send changes as they come and heartbeats in between; take acknowledgements and commands
//!
//! When anything fails, the session ends and the next begins after a growing pause.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quarry_dfs_wire::proto::dfs_v1::data_node_link_client::DataNodeLinkClient;
use quarry_dfs_wire::proto::dfs_v1::{
    FromDataNode, Heartbeat, Register, Registered, ToDataNode, from_data_node, to_data_node,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::commands::Commands;
use crate::node::Node;

/// Pause before connecting again: short at first, since a NameNode that restarts is back within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long connecting and registering may take.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// A NameNode that vanished without closing its connection is noticed after the sum of both.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages under way to the NameNode; more wait in [`crate::reports`].
const OUTGOING_MESSAGES: usize = 16;
/// Heartbeat interval if the NameNode names none, and the shortest that it may name.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(3);
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("cannot reach the NameNode: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("the NameNode ended the link: {0}")]
    Status(#[from] tonic::Status),
    #[error("the NameNode closed the link")]
    Closed,
    #[error("the NameNode did not answer the registration in time")]
    Timeout,
    #[error("the NameNode refused this DataNode: {0}")]
    Refused(String),
    #[error("the NameNode broke the protocol: {0}")]
    Protocol(&'static str),
    #[error(transparent)]
    Node(#[from] crate::Error),
}

/// Keeps the link until shutdown.
pub(crate) async fn run(node: Arc<Node>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            ended = session(&node) => ended,
        };
        node.reports.end_session();
        if let Err(error) = ended {
            tracing::warn!(namenode = %node.config.namenode, %error, "no link to the NameNode");
        }
        if began.elapsed() > REGISTER_TIMEOUT {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

async fn session(node: &Arc<Node>) -> Result<(), SessionError> {
    let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
    let register = register(node).await;
    let opening = async {
        let _ = outgoing
            .send(from_data_node::Message::Register(register).into_message())
            .await;
        let mut client = DataNodeLinkClient::new(endpoint(node)?.connect().await?);
        let mut incoming = client.connect(ReceiverStream::new(messages)).await?.into_inner();
        let registered = await_registered(&mut incoming).await?;
        Ok::<_, SessionError>((incoming, registered))
    };
    let (incoming, registered) = tokio::time::timeout(REGISTER_TIMEOUT, opening)
        .await
        .map_err(|_| SessionError::Timeout)??;
    join(node, &registered).await?;
    tracing::info!(namenode = %node.config.namenode, pool = %registered.block_pool_id, "registered");
    let barrier = node.reports.begin_session();
    send_full_reports(node, &outgoing, Some(barrier)).await?;
    node.registered.send_replace(true);
    tokio::select! {
        ended = send(node, &outgoing, &registered) => ended,
        ended = receive(node, &outgoing, incoming) => ended,
    }
}

fn endpoint(node: &Node) -> Result<Endpoint, SessionError> {
    let endpoint = Endpoint::from_shared(format!("http://{}", node.config.namenode))?;
    Ok(endpoint
        .connect_timeout(node.config.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

async fn register(node: &Arc<Node>) -> Register {
    let membership = node.membership();
    let storages = {
        let node = Arc::clone(node);
        Node::blocking(move || node.storages()).await
    };
    let (xfer_port, ipc_port) = node.ports();
    Register {
        datanode_uuid: node.uuid.clone(),
        hostname: node.hostname(),
        ip: node.config.host.to_string(),
        xfer_port: xfer_port.into(),
        ipc_port: ipc_port.into(),
        cluster_id: membership
            .as_ref()
            .map(|own| own.cluster_id.clone())
            .unwrap_or_default(),
        block_pool_id: membership.map(|own| own.pool.to_string()).unwrap_or_default(),
        storages,
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        network_location: node.config.network_location.clone(),
    }
}

async fn await_registered(incoming: &mut Streaming<ToDataNode>) -> Result<Registered, SessionError> {
    match incoming.message().await?.ok_or(SessionError::Closed)?.message {
        Some(to_data_node::Message::Registered(registered)) => Ok(registered),
        Some(to_data_node::Message::Refused(refused)) => Err(SessionError::Refused(refused.reason)),
        _ => Err(SessionError::Protocol(
            "its first message is neither Registered nor Refused",
        )),
    }
}

async fn join(node: &Arc<Node>, registered: &Registered) -> Result<(), SessionError> {
    let (node, registered) = (Arc::clone(node), registered.clone());
    let joined = Node::blocking(move || node.join(&registered.cluster_id, &registered.block_pool_id)).await;
    Ok(joined?)
}

async fn send_full_reports(
    node: &Node,
    outgoing: &mpsc::Sender<FromDataNode>,
    barrier: Option<crate::reports::Ticket>,
) -> Result<(), SessionError> {
    let volumes = node.dataset.volumes();
    for (index, volume) in volumes.iter().enumerate() {
        let replicas = node.dataset.replicas_of(index);
        // Changes are confirmed when the last storage's report is.
        let confirms = barrier.filter(|_| index + 1 == volumes.len());
        for part in node.reports.full_report(volume.storage_id(), &replicas, confirms) {
            deliver(outgoing, from_data_node::Message::FullBlockReport(part)).await?;
        }
    }
    Ok(())
}

async fn send(
    node: &Arc<Node>,
    outgoing: &mpsc::Sender<FromDataNode>,
    registered: &Registered,
) -> Result<(), SessionError> {
    let interval = match registered.heartbeat_interval_ms {
        0 => DEFAULT_HEARTBEAT,
        named => Duration::from_millis(named).max(SHORTEST_HEARTBEAT),
    };
    let mut heartbeats = tokio::time::interval(interval);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_full = Instant::now() + spread(node.config.full_report_interval);
    loop {
        while let Some(batch) = node.reports.next_batch() {
            deliver(outgoing, from_data_node::Message::BlockReport(batch)).await?;
        }
        tokio::select! {
            () = node.reports.wait() => {}
            // Here and nowhere else: a full report that overtook a change, or the reverse, would undo it at the NameNode.
            () = node.full_report_wanted.notified() => send_full_reports(node, outgoing, None).await?,
            () = tokio::time::sleep_until(next_full) => {
                send_full_reports(node, outgoing, None).await?;
                next_full = Instant::now() + spread(node.config.full_report_interval);
            }
            () = node.volume_failures.news.notified() => heartbeats.reset_immediately(),
            _ = heartbeats.tick() => {
                let heartbeat = heartbeat(node).await;
                deliver(outgoing, from_data_node::Message::Heartbeat(heartbeat)).await?;
            }
        }
    }
}

/// Between seven eighths of an interval and all of it, so that many DataNodes do not report at the same time.
fn spread(interval: Duration) -> Duration {
    let eighth = interval / 8;
    let random = uuid::Uuid::new_v4().as_u128() as u16;
    interval - eighth.mul_f64(f64::from(random) / f64::from(u16::MAX))
}

async fn heartbeat(node: &Arc<Node>) -> Heartbeat {
    let active_transfers = node.active_transfers.load(Ordering::Relaxed);
    let worker = Arc::clone(node);
    Heartbeat {
        storages: Node::blocking(move || worker.storages()).await,
        active_transfers,
        xceiver_count: node.connections.load(Ordering::Relaxed),
        scan_results: Some(node.scanned.results()),
        volume_failures: node.volume_failures.message(),
    }
}

async fn receive(
    node: &Arc<Node>,
    outgoing: &mpsc::Sender<FromDataNode>,
    mut incoming: Streaming<ToDataNode>,
) -> Result<(), SessionError> {
    let commands = Commands::new(Arc::clone(node), outgoing.clone());
    loop {
        let message = incoming.message().await?.ok_or(SessionError::Closed)?.message;
        match message.ok_or(SessionError::Protocol("a message without content"))? {
            to_data_node::Message::ReportAck(ack) => node.reports.acknowledge(ack.sequence),
            to_data_node::Message::ReplicateBlock(command) => commands.replicate(command),
            to_data_node::Message::DeleteReplicas(command) => commands.delete(&command),
            to_data_node::Message::RecoverBlock(command) => commands.recover(command),
            to_data_node::Message::SendFullBlockReport(_) => node.full_report_wanted.notify_one(),
            to_data_node::Message::SetBandwidth(limit) => node.balancing.set(limit.balancing_bytes_per_second),
            to_data_node::Message::CheckVolumes(command) => commands.check_volumes(command),
            to_data_node::Message::Refused(refused) => return Err(SessionError::Refused(refused.reason)),
            to_data_node::Message::Registered(_) => {
                return Err(SessionError::Protocol("Registered a second time"));
            }
        }
    }
}

async fn deliver(outgoing: &mpsc::Sender<FromDataNode>, message: from_data_node::Message) -> Result<(), SessionError> {
    outgoing
        .send(message.into_message())
        .await
        .map_err(|_| SessionError::Closed)
}

/// Wraps a message's content.
pub(crate) trait IntoMessage {
    /// The message.
    fn into_message(self) -> FromDataNode;
}

impl IntoMessage for from_data_node::Message {
    fn into_message(self) -> FromDataNode {
        FromDataNode { message: Some(self) }
    }
}
