//! A NameNode that notes what DataNodes report and confirms it, or not, as the test likes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quarry_dfs_wire::proto::dfs_v1::data_node_link_server::{DataNodeLink, DataNodeLinkServer};
use quarry_dfs_wire::proto::dfs_v1::{
    CopyFailed, FromDataNode, FullBlockReport, Heartbeat, RecoveryResult, Register, Registered, ReplicaChange,
    ReplicaEvent, ReportAck, ToDataNode, VolumesChecked, from_data_node, to_data_node,
};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const POOL: &str = "BP-7-127.0.0.1-1763877600000";
const CLUSTER: &str = "CID-test";
const DEADLINE: Duration = Duration::from_secs(20);

/// What one DataNode said, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Said {
    pub(crate) registers: Vec<Register>,
    pub(crate) events: Vec<ReplicaEvent>,
    pub(crate) full_reports: Vec<FullBlockReport>,
    pub(crate) heartbeats: usize,
    pub(crate) recoveries: Vec<RecoveryResult>,
    pub(crate) checks: Vec<VolumesChecked>,
    pub(crate) failed_copies: Vec<CopyFailed>,
    pub(crate) last_heartbeat: Option<Heartbeat>,
}

impl Said {
    pub(crate) fn has(&self, change: ReplicaChange, block: u64) -> bool {
        self.find(change, block).is_some()
    }

    pub(crate) fn find(&self, change: ReplicaChange, block: u64) -> Option<&ReplicaEvent> {
        let is = |event: &&ReplicaEvent| event.change() == change && event.replica.unwrap().block_id == block;
        self.events.iter().rev().find(is)
    }
}

#[derive(Default)]
struct State {
    said: HashMap<String, Said>,
    sessions: HashMap<String, mpsc::Sender<Result<ToDataNode, Status>>>,
    hold_acks: bool,
    held: Vec<(String, u64)>,
    refuse: Option<String>,
    /// Ends the conversations of this run.
    stopped: CancellationToken,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

pub(crate) struct FakeNameNode {
    shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

impl FakeNameNode {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let server = Some(serve(listener, &shared));
        Self {
            shared,
            address,
            server,
        }
    }

    /// Drops all links and closes the port.
    pub(crate) async fn stop(&mut self) {
        let server = self.server.take().unwrap();
        server.abort();
        let _ = server.await;
        let mut state = self.shared.state.lock();
        state.sessions.clear();
        std::mem::take(&mut state.stopped).cancel();
    }

    pub(crate) async fn restart(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.server = Some(serve(socket.listen(64).unwrap(), &self.shared));
    }

    pub(crate) fn hold_acks(&self) {
        self.shared.state.lock().hold_acks = true;
    }

    pub(crate) fn refuse(&self, reason: Option<&str>) {
        self.shared.state.lock().refuse = reason.map(str::to_owned);
    }

    pub(crate) async fn release_acks(&self) {
        let held = {
            let mut state = self.shared.state.lock();
            state.hold_acks = false;
            std::mem::take(&mut state.held)
        };
        for (uuid, sequence) in held {
            self.send(&uuid, to_data_node::Message::ReportAck(ReportAck { sequence }))
                .await;
        }
    }

    pub(crate) async fn send(&self, uuid: &str, message: to_data_node::Message) {
        let session = self.shared.state.lock().sessions.get(uuid).unwrap().clone();
        session.send(Ok(ToDataNode { message: Some(message) })).await.unwrap();
    }

    pub(crate) fn said(&self, uuid: &str) -> Said {
        self.shared.state.lock().said.get(uuid).cloned().unwrap_or_default()
    }

    /// Waits until what a DataNode said satisfies `condition`.
    pub(crate) async fn until(&self, uuid: &str, what: &str, condition: impl Fn(&Said) -> bool) -> Said {
        let reached = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let said = self.said(uuid);
                if condition(&said) {
                    return said;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(DEADLINE, reached).await {
            Ok(said) => said,
            Err(_) => panic!("{what} did not happen; heard: {:#?}", self.said(uuid)),
        }
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let service = DataNodeLinkServer::new(Link(Arc::clone(shared)));
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(service);
    tokio::spawn(async move {
        server
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    })
}

struct Link(Arc<Shared>);

#[tonic::async_trait]
impl DataNodeLink for Link {
    type ConnectStream = Pin<Box<dyn futures::Stream<Item = Result<ToDataNode, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<FromDataNode>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (to_node, messages) = mpsc::channel(64);
        let stopped = self.0.state.lock().stopped.clone();
        let conversation = converse(Arc::clone(&self.0), request.into_inner(), to_node);
        tokio::spawn(async move { stopped.run_until_cancelled(conversation).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

async fn converse(
    shared: Arc<Shared>,
    mut from_node: Streaming<FromDataNode>,
    to_node: mpsc::Sender<Result<ToDataNode, Status>>,
) {
    let Ok(Some(FromDataNode {
        message: Some(from_data_node::Message::Register(register)),
    })) = from_node.message().await
    else {
        return;
    };
    let uuid = register.datanode_uuid.clone();
    let answer = {
        let mut state = shared.state.lock();
        state.said.entry(uuid.clone()).or_default().registers.push(register);
        match &state.refuse {
            Some(reason) => {
                to_data_node::Message::Refused(quarry_dfs_wire::proto::dfs_v1::Refused { reason: reason.clone() })
            }
            None => to_data_node::Message::Registered(Registered {
                cluster_id: CLUSTER.to_owned(),
                block_pool_id: POOL.to_owned(),
                heartbeat_interval_ms: 50,
            }),
        }
    };
    let _ = to_node.send(Ok(ToDataNode { message: Some(answer) })).await;
    shared.state.lock().sessions.insert(uuid.clone(), to_node.clone());
    shared.changed.notify_waiters();
    while let Ok(Some(message)) = from_node.message().await {
        if let Some(sequence) = note(&shared, &uuid, message) {
            let ack = to_data_node::Message::ReportAck(ReportAck { sequence });
            let _ = to_node.send(Ok(ToDataNode { message: Some(ack) })).await;
        }
        shared.changed.notify_waiters();
    }
}

/// The report to acknowledge now, if any.
fn note(shared: &Shared, uuid: &str, message: FromDataNode) -> Option<u64> {
    let mut state = shared.state.lock();
    let said = state.said.entry(uuid.to_owned()).or_default();
    let sequence = match message.message.unwrap() {
        from_data_node::Message::Register(_) => panic!("registered twice in one session"),
        from_data_node::Message::Heartbeat(heartbeat) => {
            said.heartbeats += 1;
            said.last_heartbeat = Some(heartbeat);
            return None;
        }
        from_data_node::Message::BlockReport(report) => {
            said.events.extend(report.events);
            report.sequence
        }
        from_data_node::Message::FullBlockReport(report) => {
            let sequence = report.sequence;
            said.full_reports.push(report);
            sequence
        }
        from_data_node::Message::RecoveryResult(result) => {
            said.recoveries.push(result);
            return None;
        }
        from_data_node::Message::VolumesChecked(checked) => {
            said.checks.push(checked);
            return None;
        }
        from_data_node::Message::CopyFailed(failed) => {
            said.failed_copies.push(failed);
            return None;
        }
    };
    if state.hold_acks {
        state.held.push((uuid.to_owned(), sequence));
        return None;
    }
    Some(sequence)
}
