//! The probe side of a sieved join: rows whose key the build side does not have are left out.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::{Stream, StreamExt};

use super::build_side::Slot;
use crate::hidden_input::Passage;

/// Rows after which it is decided whether to go on.
const TRIAL_ROWS: usize = 1 << 16;
/// The sieve is taken away where it lets pass more than so many of four rows.
const MOST_OF_FOUR: usize = 3;
/// Batches read until what passed is handed on, however little it is: somebody may wait for the first rows.
const MOST_BATCHES: usize = 16;

/// Sieves each partition.
pub(super) struct SieveRows {
    pub(super) key: Arc<dyn PhysicalExpr>,
    /// Slots of the build side's partitions.
    pub(super) slots: Arc<[Slot]>,
    pub(super) metrics: ExecutionPlanMetricsSet,
}

impl fmt::Debug for SieveRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SieveRows {}", self.key)
    }
}

impl Passage for SieveRows {
    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        // Either both sides have the same partitions, or the build side has one.
        let slot = match &*self.slots {
            [one] => Some(one),
            slots => slots.get(partition),
        };
        let batch_size = context.session_config().batch_size();
        let inner = input.execute(partition, context)?;
        Ok(Box::pin(Sieving {
            rows: Rows::new(inner.schema(), batch_size),
            inner: Some(inner),
            key: Arc::clone(&self.key),
            slot: slot.map(Arc::clone).unwrap_or_default(),
            counts: Counts::default(),
            sieved: MetricBuilder::new(&self.metrics).counter("sieved_rows", partition),
        }))
    }
}

struct Sieving {
    /// None at its end.
    inner: Option<SendableRecordBatchStream>,
    key: Arc<dyn PhysicalExpr>,
    slot: Slot,
    counts: Counts,
    rows: Rows,
    sieved: Count,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    seen: usize,
    passed: usize,
}

impl Counts {
    /// Whether sieving has not paid.
    fn are_against_it(self) -> bool {
        self.seen >= TRIAL_ROWS && self.passed * 4 > self.seen * MOST_OF_FOUR
    }
}

impl Sieving {
    fn sieve(&mut self, batch: RecordBatch) -> Result<()> {
        let Some(passes) = self.passes(&batch)? else {
            return self.rows.pass(batch);
        };
        let passed = passes.count_set_bits();
        self.counts.seen += batch.num_rows();
        self.counts.passed += passed;
        self.sieved.add(batch.num_rows() - passed);
        if passed == batch.num_rows() {
            return self.rows.pass(batch);
        }
        self.rows.pass_some(batch, passes)
    }

    /// Which rows pass; `None` for all.
    fn passes(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        if self.counts.are_against_it() {
            return Ok(None);
        }
        // The join asks for this side once it has the other one: what is not there now never will be.
        let Some(Some(keys)) = self.slot.get() else {
            return Ok(None);
        };
        let of_rows = self.key.evaluate(batch)?.into_array(batch.num_rows())?;
        keys.set.may_contain(&of_rows).map(Some)
    }
}

impl Stream for Sieving {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(batch) = self.rows.next() {
                return Poll::Ready(Some(Ok(batch)));
            }
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            let taken = match ready!(inner.poll_next_unpin(cx)) {
                Some(batch) => batch.and_then(|batch| self.sieve(batch)),
                None => {
                    self.inner = None;
                    self.rows.hand_on()
                }
            };
            if let Err(error) = taken {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl RecordBatchStream for Sieving {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// Rows that passed, in batches that are not too small.
struct Rows {
    small: BatchCoalescer,
    ready: VecDeque<RecordBatch>,
    /// Batches read since rows were handed on.
    read: usize,
}

impl Rows {
    fn new(schema: SchemaRef, batch_size: usize) -> Self {
        Self {
            small: BatchCoalescer::new(schema, batch_size),
            ready: VecDeque::new(),
            read: 0,
        }
    }

    fn schema(&self) -> SchemaRef {
        self.small.schema()
    }

    fn next(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }

    /// A whole batch passes.
    fn pass(&mut self, batch: RecordBatch) -> Result<()> {
        self.hand_on()?;
        self.ready.push_back(batch);
        Ok(())
    }

    fn pass_some(&mut self, batch: RecordBatch, passes: BooleanBuffer) -> Result<()> {
        self.small
            .push_batch_with_filter(batch, &BooleanArray::new(passes, None))?;
        self.read += 1;
        if self.read >= MOST_BATCHES {
            return self.hand_on();
        }
        self.collect();
        Ok(())
    }

    /// Hands on what there is.
    fn hand_on(&mut self) -> Result<()> {
        self.read = 0;
        self.small.finish_buffered_batch()?;
        self.collect();
        Ok(())
    }

    fn collect(&mut self) {
        while let Some(batch) = self.small.next_completed_batch() {
            self.read = 0;
            self.ready.push_back(batch);
        }
    }
}
