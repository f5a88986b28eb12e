//! One Parquet file from generator to file system: rows are made and encoded on a blocking thread, the bytes go
//! through a short channel to the writer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use quarry_dfs_client::{CreateOptions, DfsClient};
use tokio::sync::mpsc;

use super::layout::BLOCK;
use super::tables::Rows;

/// Encoded pieces that may wait for the writer.
const PIECES: usize = 4;
/// Encoded bytes that are handed over together.
const PIECE: usize = 1 << 20;

/// What became of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Writes `rows` as the Parquet file `path`, calling `progress` with the number of rows of each batch.
///
/// # Errors
/// Encoding or the file system failed; the file may then exist in part.
pub(super) async fn parquet(
    dfs: &DfsClient,
    path: &str,
    rows: Rows,
    row_group_rows: usize,
    progress: impl Fn(u64) + Send + 'static,
) -> anyhow::Result<Written> {
    let (pieces, mut encoded) = mpsc::channel(PIECES);
    let encoder = tokio::task::spawn_blocking(move || encode(rows, row_group_rows, &pieces, progress));
    let options = CreateOptions {
        create_parent: true,
        block_size: Some(BLOCK),
        ..CreateOptions::default()
    };
    let mut writer = dfs.create(path, options).await?;
    let mut bytes = 0;
    while let Some(piece) = encoded.recv().await {
        bytes += piece.len() as u64;
        writer.write(piece).await?;
    }
    // The channel also closes when the encoder fails: its outcome decides before the file counts as whole.
    let rows = encoder.await??;
    writer.close().await?;
    Ok(Written { rows, bytes })
}

fn encode(
    rows: Rows,
    row_group_rows: usize,
    pieces: &mpsc::Sender<Bytes>,
    progress: impl Fn(u64),
) -> anyhow::Result<u64> {
    let buffer = Buffer::default();
    let mut writer = ArrowWriter::try_new_with_options(buffer.clone(), rows.schema(), options(row_group_rows))?;
    let mut count = 0;
    for batch in rows {
        let batch = batch?;
        writer.write(&batch)?;
        count += batch.num_rows() as u64;
        progress(batch.num_rows() as u64);
        buffer.send(PIECE, pieces)?;
    }
    writer.close()?;
    buffer.send(1, pieces)?;
    Ok(count)
}

fn options(row_group_rows: usize) -> ArrowWriterOptions {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(row_group_rows))
        .build();
    // The generator's view types are its own affair: readers shall see plain strings.
    ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true)
}

/// Bytes that the encoder has finished and nobody has sent yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// Sends what has gathered, if it is at least `enough` bytes.
    fn send(&self, enough: usize, pieces: &mpsc::Sender<Bytes>) -> anyhow::Result<()> {
        let gathered = {
            let mut buffer = self.0.lock();
            if buffer.len() < enough {
                return Ok(());
            }
            std::mem::take(&mut *buffer)
        };
        pieces
            .blocking_send(gathered.into())
            .map_err(|_| anyhow::anyhow!("the writer of the file has failed"))
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
