//! Runs an attempt's operators on the threads for operators, and hands their batches over.
//!
//! Dropping the returned stream aborts the operators at once. A panic among them is an error of the stream, never a short result.
//! Rows and time are counted on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use parking_lot::Mutex;
use quarry_engine::error::{CANCELLED, ErrorClass, PANICKED, classify};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::registration::Membership;

/// Batches that may wait for a slow client.
const WAITING_BATCHES: usize = 2;

/// What is known of a run while it goes on and afterwards.
#[derive(Debug, Default)]
pub(super) struct Progress {
    rows: AtomicU64,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    started: Option<Instant>,
    ended: Option<Instant>,
}

impl Progress {
    /// Marks the start; false if there was one already.
    pub(super) fn start(&self) -> bool {
        let mut times = self.times.lock();
        let first = times.started.is_none();
        times.started.get_or_insert_with(Instant::now);
        first
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(super) fn elapsed(&self) -> Duration {
        let times = self.times.lock();
        let ended = times.ended.unwrap_or_else(Instant::now);
        times
            .started
            .map_or(Duration::ZERO, |started| ended.duration_since(started))
    }

    pub(super) fn has_started(&self) -> bool {
        self.times.lock().started.is_some()
    }

    fn end(&self) {
        self.times.lock().ended.get_or_insert_with(Instant::now);
    }
}

/// The error of a second `execute`.
pub(super) fn executed_already() -> DataFusionError {
    DataFusionError::Internal("an attempt executes once; plan again to run again".to_owned())
}

/// Runs what `start` starts on `cpu`.
pub(super) fn pump(
    cpu: &Handle,
    schema: &SchemaRef,
    progress: &Arc<Progress>,
    membership: &Membership,
    start: impl FnOnce() -> Result<SendableRecordBatchStream> + Send + 'static,
) -> SendableRecordBatchStream {
    let (batches, received) = mpsc::channel(WAITING_BATCHES);
    let operators = AbortOnDropHandle::new(cpu.spawn(forward(start, batches)));
    let pumped = Pumped {
        received,
        operators: Some(operators),
        progress: Arc::clone(progress),
        membership: membership.clone(),
    };
    let stream = futures::stream::unfold(pumped, |mut pumped| async {
        let item = pumped.next().await?;
        Some((item, pumped))
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), stream))
}

async fn forward(
    start: impl FnOnce() -> Result<SendableRecordBatchStream> + Send,
    batches: mpsc::Sender<Result<RecordBatch>>,
) {
    let mut stream = match start() {
        Ok(stream) => stream,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = batches.send(Err(error)).await;
            return;
        }
    };
    while let Some(batch) = stream.next().await {
        let failed = batch.is_err();
        if batches.send(batch).await.is_err() || failed {
            return;
        }
    }
}

struct Pumped {
    received: mpsc::Receiver<Result<RecordBatch>>,
    // None after the end.
    operators: Option<AbortOnDropHandle<()>>,
    progress: Arc<Progress>,
    membership: Membership,
}

impl Pumped {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.operators.as_ref()?;
        match self.received.recv().await {
            Some(Ok(batch)) => {
                self.progress.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                self.end();
                Some(Err(self.suspect(error)))
            }
            // The channel closed: the end, or a panic. Only the task knows.
            None => {
                let joined = self.operators.take()?.await;
                self.end();
                joined.err().map(|error| Err(join_error(error)))
            }
        }
    }

    /// A lost worker is out of the membership before anybody sees the error.
    fn suspect(&self, error: DataFusionError) -> DataFusionError {
        let classified = classify(&error);
        if let (ErrorClass::Node, Some(node)) = (classified.class, classified.node) {
            self.membership.suspect(&node);
        }
        error
    }

    fn end(&mut self) {
        self.operators = None;
        self.progress.end();
    }
}

impl Drop for Pumped {
    fn drop(&mut self) {
        self.end();
    }
}

fn join_error(error: tokio::task::JoinError) -> DataFusionError {
    match error.try_into_panic() {
        Ok(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            DataFusionError::Execution(format!("{PANICKED}: {}", said.unwrap_or("no message")))
        }
        Err(_) => DataFusionError::Execution(format!("{CANCELLED}: the coordinator is shutting down")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::EmptyRecordBatchStream;
    use quarry_engine::error::lost_worker;

    use super::*;
    use crate::members::Patience;

    fn run(
        start: impl FnOnce() -> Result<SendableRecordBatchStream> + Send + 'static,
    ) -> (SendableRecordBatchStream, Membership) {
        let schema = Arc::new(Schema::empty());
        let membership = Membership::new(Patience::default());
        let stream = pump(
            &Handle::current(),
            &schema,
            &Arc::new(Progress::default()),
            &membership,
            start,
        );
        (stream, membership)
    }

    #[tokio::test]
    async fn a_panic_is_an_error_not_an_end() {
        let (mut stream, _) = run(|| panic!("on purpose"));
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(classify(&error).class, ErrorClass::Bug);
        assert!(error.to_string().contains("on purpose"));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn an_error_to_start_is_the_streams_only_item() {
        let (mut stream, _) = run(|| Err(lost_worker("127.0.0.1:1", DataFusionError::Execution("reset".into()))));
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn an_end_is_an_end() {
        let empty =
            || Ok(Box::pin(EmptyRecordBatchStream::new(Arc::new(Schema::empty()))) as SendableRecordBatchStream);
        let (mut stream, _) = run(empty);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn dropping_the_stream_aborts_the_operators() {
        let (gone, dropped) = tokio::sync::oneshot::channel::<()>();
        let never = move || {
            let endless = futures::stream::once(async move {
                let _gone = gone;
                std::future::pending::<Result<RecordBatch>>().await
            });
            Ok(
                Box::pin(RecordBatchStreamAdapter::new(Arc::new(Schema::empty()), endless))
                    as SendableRecordBatchStream,
            )
        };
        let (stream, _) = run(never);
        tokio::task::yield_now().await;
        drop(stream);
        let ended = tokio::time::timeout(Duration::from_secs(5), dropped).await.unwrap();
        assert!(ended.is_err());
    }
}
