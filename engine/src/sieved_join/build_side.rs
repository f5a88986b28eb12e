//! The build side of a sieved join: its keys are noted on their way.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};

use super::key_set::{KeySet, Layout};
use crate::hidden_input::Passage;

/// A set, and the memory that it has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) set: KeySet,
    _memory: MemoryReservation,
}

/// The keys of one partition of a build side, once all of them are known; `None` inside if there is no set of them.
pub(super) type Slot = Arc<OnceLock<Option<Held>>>;

/// Notes the keys of each partition.
pub(super) struct NoteKeys {
    pub(super) key: Arc<dyn PhysicalExpr>,
    pub(super) slots: Arc<[Slot]>,
}

impl fmt::Debug for NoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteKeys {}", self.key)
    }
}

impl Passage for NoteKeys {
    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new(format!("JoinSieve[{partition}]")).register(context.memory_pool());
        Ok(Box::pin(Noting {
            inner: input.execute(partition, context)?,
            key: Arc::clone(&self.key),
            keys: Vec::new(),
            memory: Some(memory),
            slot: self.slots.get(partition).map(Arc::clone).unwrap_or_default(),
        }))
    }
}

struct Noting {
    inner: SendableRecordBatchStream,
    key: Arc<dyn PhysicalExpr>,
    /// The keys so far: columns that the join keeps, too.
    keys: Vec<ArrayRef>,
    memory: Option<MemoryReservation>,
    slot: Slot,
}

impl Noting {
    fn note(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.key.evaluate(batch)?;
        self.keys.push(keys.into_array(batch.num_rows())?);
        Ok(())
    }

    /// All rows were there.
    fn finish(&mut self) -> Result<()> {
        let keys = std::mem::take(&mut self.keys);
        let held = match self.memory.take() {
            Some(memory) => held(&keys, memory)?,
            None => None,
        };
        // Set before, if the partition is executed again: they are the same.
        let _ = self.slot.set(held);
        Ok(())
    }
}

/// The set of `keys`, if there is memory for it. The join needs none.
fn held(keys: &[ArrayRef], memory: MemoryReservation) -> Result<Option<Held>> {
    let Some(layout) = Layout::of(keys)? else {
        return Ok(None);
    };
    if memory.try_grow(layout.bytes()).is_err() {
        return Ok(None);
    }
    Ok(Some(Held {
        set: layout.fill(keys)?,
        _memory: memory,
    }))
}

impl Stream for Noting {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.inner.poll_next_unpin(cx));
        let noted = match &next {
            Some(Ok(batch)) => self.note(batch),
            Some(Err(_)) => Ok(()),
            None => self.finish(),
        };
        Poll::Ready(noted.map_or_else(|error| Some(Err(error)), |()| next))
    }
}

impl RecordBatchStream for Noting {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}
