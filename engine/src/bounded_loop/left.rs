//! The left input: counted, and ready to be taken up again.
//!
//! A join whose left side does not fit in memory executes that input a second time, in order to spill it. But exchanges and repartitions
//! give their rows once. So what the first execution gave is kept until its end, at no cost, since the join keeps the same batches; the
//! second one gives it again and goes on where the first one stopped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

/// What is left of an execution of the left input.
#[derive(Default)]
pub(super) enum Execution {
    /// There was none yet.
    #[default]
    None,
    /// It can be taken up again.
    Stopped(Taken),
    /// It goes on, or it is over: there is nothing to take up.
    Over,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Stopped(_) => "Stopped",
            Self::Over => "Over",
        })
    }
}

/// Shared by the executions of one input.
pub(super) type Shared = Arc<Mutex<Execution>>;

/// An execution's stream, and what it gave so far.
pub(super) struct Taken {
    inner: SendableRecordBatchStream,
    given: Vec<RecordBatch>,
}

/// Starts the input, or takes it up again.
///
/// # Errors
/// That of `start`; [`DataFusionError::ResourcesExhausted`] if the first execution came to its end, whose rows are not there any more.
pub(super) fn execute(
    execution: &Shared,
    rows: &Arc<AtomicUsize>,
    start: impl FnOnce() -> Result<SendableRecordBatchStream>,
) -> Result<SendableRecordBatchStream> {
    let before = std::mem::replace(&mut *execution.lock(), Execution::Over);
    let (inner, again) = match before {
        Execution::None => (start()?, Vec::new()),
        Execution::Stopped(Taken { inner, given }) => (inner, given),
        Execution::Over => {
            return Err(DataFusionError::ResourcesExhausted(
                "the left side of a nested-loop join is too large to be held, and too far read to be spilled"
                    .to_owned(),
            ));
        }
    };
    Ok(Box::pin(LeftStream {
        schema: inner.schema(),
        // Kept the first time only: the second execution spills what it takes.
        given: again.is_empty().then(Vec::new),
        again: again.into_iter(),
        inner: Some(inner),
        rows: Arc::clone(rows),
        execution: Arc::clone(execution),
    }))
}

struct LeftStream {
    schema: SchemaRef,
    again: std::vec::IntoIter<RecordBatch>,
    /// None after the end and after an error.
    inner: Option<SendableRecordBatchStream>,
    given: Option<Vec<RecordBatch>>,
    rows: Arc<AtomicUsize>,
    execution: Shared,
}

impl Stream for LeftStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(batch) = self.again.next() {
            return Poll::Ready(Some(Ok(batch)));
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let next = ready!(inner.poll_next_unpin(cx));
        match &next {
            Some(Ok(batch)) => {
                self.rows.fetch_add(batch.num_rows(), Ordering::Relaxed);
                if let Some(given) = &mut self.given {
                    given.push(batch.clone());
                }
            }
            Some(Err(_)) | None => {
                self.inner = None;
                self.given = None;
            }
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for LeftStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for LeftStream {
    /// A join that goes over to spilling has dropped its first execution. So has one that is cancelled: then the plan is dropped next.
    fn drop(&mut self) {
        if let Some((inner, given)) = self.inner.take().zip(self.given.take()) {
            *self.execution.lock() = Execution::Stopped(Taken { inner, given });
        }
    }
}
