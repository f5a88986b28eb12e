//! The right input: cut so that no slice makes too many pairs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

/// Pairs of rows that are compared before the thread is given up: some ten milliseconds of a core.
pub(super) const PAIRS_PER_TURN: usize = 1 << 22;

/// Slices of `inner` for a join with `left_rows` rows on its other side.
pub(super) fn slices(inner: SendableRecordBatchStream, left_rows: &Arc<AtomicUsize>) -> SendableRecordBatchStream {
    Box::pin(Slices {
        inner,
        left_rows: Arc::clone(left_rows),
        rest: None,
        pairs: 0,
    })
}

struct Slices {
    inner: SendableRecordBatchStream,
    left_rows: Arc<AtomicUsize>,
    /// What of the current batch was not given yet.
    rest: Option<RecordBatch>,
    /// Pairs that the join makes of the slices given since the thread was last given up.
    pairs: usize,
}

impl Slices {
    fn slice(&mut self, batch: RecordBatch) -> RecordBatch {
        // All of them: the join asks for its right side when it has its left one.
        let left_rows = self.left_rows.load(Ordering::Relaxed).max(1);
        let rows = (PAIRS_PER_TURN / left_rows).clamp(1, batch.num_rows().max(1));
        self.pairs = self.pairs.saturating_add(rows.saturating_mul(left_rows));
        if rows >= batch.num_rows() {
            return batch;
        }
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        batch.slice(0, rows)
    }
}

impl Stream for Slices {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.pairs >= PAIRS_PER_TURN {
            self.pairs = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(rest) => Some(Ok(rest)),
            None => ready!(self.inner.poll_next_unpin(cx)),
        };
        Poll::Ready(batch.map(|batch| batch.map(|batch| self.slice(batch))))
    }
}

impl RecordBatchStream for Slices {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}
