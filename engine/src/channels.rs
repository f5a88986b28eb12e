//! Connections between coordinator and workers, with time limits, and with the worker's name on every transport error.
//!
//! One HTTP/2 connection per worker and process. A peer that stops answering, without closing, is found by pings: the
//! connection fails, and so does every call on it. The connections live on the runtime that [`Channels::new`] is called on, which
//! should not be the one that computes: a busy runtime answers no pings.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse,
    SetPlanRequest, WorkerChannel, WorkerToCoordinatorMsg,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tonic::codegen::http::HeaderMap;
use tonic::transport::{Channel, Endpoint};
use url::Url;

use crate::error::lost_worker;

/// Time limits of connections between workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelTimeouts {
    /// For a TCP connection to be made.
    pub connect: Duration,
    /// Silence after which a ping is sent.
    pub ping_interval: Duration,
    /// Time that the answer to a ping may take before the connection counts as lost.
    pub ping_timeout: Duration,
    /// For a worker to accept a task's plan.
    pub set_plan: Duration,
}

impl Default for ChannelTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(5),
            set_plan: Duration::from_secs(10),
        }
    }
}

/// Flow-control window of one stream: large batches should not wait for window updates.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Flow-control window of a whole connection.
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// Connections kept at a time; beyond that the cache starts anew.
const MAX_CHANNELS: usize = 4096;

/// The connections of one process.
#[derive(Clone)]
pub struct Channels {
    timeouts: ChannelTimeouts,
    io: Handle,
    open: Arc<Mutex<HashMap<Url, Channel>>>,
}

impl Channels {
    /// Connections that live on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(timeouts: ChannelTimeouts) -> Self {
        Self {
            timeouts,
            io: Handle::current(),
            open: Arc::default(),
        }
    }

    /// Forgets the connection to a worker that is gone.
    pub fn forget(&self, url: &Url) {
        self.open.lock().remove(url);
    }

    fn channel(&self, url: &Url) -> Result<Channel> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(url) {
            return Ok(channel.clone());
        }
        if open.len() >= MAX_CHANNELS {
            open.clear();
        }
        let channel = self.connect_lazily(url)?;
        open.insert(url.clone(), channel.clone());
        Ok(channel)
    }

    fn connect_lazily(&self, url: &Url) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(url.to_string())
            .map_err(|error| DataFusionError::Configuration(format!("worker address {url}: {error}")))?
            .connect_timeout(self.timeouts.connect)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.timeouts.ping_interval)
            .keep_alive_timeout(self.timeouts.ping_timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let _on_io = self.io.enter();
        Ok(endpoint.connect_lazy())
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let channel = self.channel(url)?;
        Ok(Box::new(NamedChannel {
            inner: create_worker_client(BoxCloneSyncChannel::new(channel)),
            address: address_of(url),
            set_plan: self.timeouts.set_plan,
        }))
    }
}

/// `host:port` of a worker's URL.
#[must_use]
pub fn address_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Puts the worker's address on transport errors and bounds the time to accept a plan.
struct NamedChannel {
    inner: Box<dyn WorkerChannel>,
    address: String,
    set_plan: Duration,
}

#[async_trait]
impl WorkerChannel for NamedChannel {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        let accept = self
            .inner
            .coordinator_channel(headers, request, messages, metrics, context);
        let accepted = match tokio::time::timeout(self.set_plan, accept).await {
            Ok(accepted) => accepted.map_err(|error| name_transport_error(&self.address, error))?,
            Err(_) => {
                let late = format!("did not accept a task within {:?}", self.set_plan);
                return Err(lost_worker(&self.address, DataFusionError::Execution(late)));
            }
        };
        Ok(named(&self.address, accepted))
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let streams = self.inner.execute_task(headers, request, metrics, context).await;
        let streams = streams.map_err(|error| name_transport_error(&self.address, error))?;
        Ok(streams.into_iter().map(|stream| named(&self.address, stream)).collect())
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> Result<GetWorkerInfoResponse> {
        let info = self.inner.get_worker_info(request).await;
        info.map_err(|error| name_transport_error(&self.address, error))
    }
}

fn named<T: 'static>(address: &str, stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
    let address = address.to_owned();
    stream
        .map(move |item| item.map_err(|error| name_transport_error(&address, error)))
        .boxed()
}

/// Errors that the worker itself reported pass; what the connection reports means that the worker is lost.
fn name_transport_error(address: &str, error: DataFusionError) -> DataFusionError {
    let DataFusionError::External(source) = &error else {
        return error;
    };
    if source.is::<tonic::Status>() || source.is::<tonic::transport::Error>() {
        return lost_worker(address, error);
    }
    error
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::{ErrorClass, classify};

    #[tokio::test]
    async fn a_worker_that_is_not_there_is_named() {
        // A port that was free a moment ago and is closed now.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let channels = Channels::new(ChannelTimeouts::default());
        let url = Url::parse(&format!("http://{address}")).unwrap();
        let mut client = channels.get_worker_client_for_url(&url).await.unwrap();
        let Err(error) = client.get_worker_info(GetWorkerInfoRequest {}).await else {
            panic!("nobody is there")
        };
        let classified = classify(&error);
        assert_eq!(classified.class, ErrorClass::Node);
        assert_eq!(classified.node.as_deref(), Some(address.as_str()));
    }

    #[tokio::test]
    async fn a_worker_that_accepts_and_never_answers_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let timeouts = ChannelTimeouts {
            ping_interval: Duration::from_millis(100),
            ping_timeout: Duration::from_millis(100),
            ..ChannelTimeouts::default()
        };
        let channels = Channels::new(timeouts);
        let mut client = channels.get_worker_client_for_url(&url).await.unwrap();
        let call = client.get_worker_info(GetWorkerInfoRequest {});
        let answer = tokio::time::timeout(Duration::from_secs(5), call).await.unwrap();
        let Err(error) = answer else { panic!("nobody answers") };
        assert_eq!(classify(&error).class, ErrorClass::Node);
    }
}
