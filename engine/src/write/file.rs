//! One file under way: rows in, bytes out, a length in mind.

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;

use super::encode::Encoder;
use super::spec::{WriteSpec, WrittenFile};
use crate::files::{FileSystem, NewFile};

/// Bytes handed to the file system at a time.
const CHUNK_BYTES: usize = 1 << 20;

pub(super) struct OpenFile {
    encoder: Encoder,
    file: Box<dyn NewFile>,
    waiting: Vec<u8>,
    done: WrittenFile,
}

impl OpenFile {
    pub(super) async fn create(
        files: &dyn FileSystem,
        path: String,
        partition: Vec<Option<String>>,
        spec: &WriteSpec,
        schema: &SchemaRef,
        config: &ConfigOptions,
    ) -> Result<Self> {
        let encoder = Encoder::new(spec, schema, config)?;
        let file = files.create(&path).await?;
        Ok(Self {
            encoder,
            file,
            waiting: Vec::new(),
            done: WrittenFile {
                path,
                rows: 0,
                bytes: 0,
                partition,
            },
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.encoder.write(batch)?;
        self.done.rows += batch.num_rows() as u64;
        self.send(CHUNK_BYTES).await
    }

    /// Length that the file has, or will have with the rows it got so far.
    pub(super) fn length(&self) -> u64 {
        self.done.bytes + (self.waiting.len() + self.encoder.pending_bytes()) as u64
    }

    pub(super) fn memory(&self) -> usize {
        self.waiting.capacity() + self.encoder.memory()
    }

    pub(super) async fn close(mut self) -> Result<WrittenFile> {
        self.encoder.finish()?;
        self.send(0).await?;
        self.file.close().await?;
        Ok(self.done)
    }

    /// Sends what is ready once it is more than `threshold`.
    async fn send(&mut self, threshold: usize) -> Result<()> {
        let ready = self.encoder.take();
        if self.waiting.is_empty() {
            self.waiting = ready;
        } else {
            self.waiting.extend_from_slice(&ready);
        }
        if self.waiting.len() > threshold {
            let bytes = Bytes::from(std::mem::take(&mut self.waiting));
            self.done.bytes += bytes.len() as u64;
            self.file.write(bytes).await?;
        }
        Ok(())
    }
}
