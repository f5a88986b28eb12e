//! A replica that is not finalized, and the exclusive right to write it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::block_file::{BlockFile, PacketData, PacketError};
use super::dataset::Dataset;
use super::layout;
use super::version_file;
use super::volume::Volume;
use crate::error::{DiskContext, Result};
use crate::replica::{Replica, ReplicaError, ReplicaState};

/// The shared part of a replica that is not finalized: what writer, acker, readers and reports see of it.
#[derive(Debug)]
pub(crate) struct OpenReplica {
    pub(crate) volume: Arc<Volume>,
    status: Mutex<Status>,
    /// Rings when the writer lets go.
    released: Notify,
}

#[derive(Debug)]
struct Status {
    replica: Replica,
    /// Checksum of the last, incomplete chunk of the bytes on disk. Readers take it from here: the one in the file may
    /// already cover more bytes than they saw. `None` while nobody has written: the one in the file is right.
    tail: Option<u32>,
    /// Set while somebody has the right to write; cancelling asks for it back.
    writer: Option<CancellationToken>,
}

impl OpenReplica {
    /// A replica that nobody writes yet.
    pub(crate) fn new(volume: Arc<Volume>, replica: Replica) -> Arc<Self> {
        let status = Mutex::new(Status {
            replica,
            tail: None,
            writer: None,
        });
        Arc::new(Self {
            volume,
            status,
            released: Notify::new(),
        })
    }

    /// The replica as it is now.
    pub(crate) fn replica(&self) -> Replica {
        self.status.lock().replica
    }

    /// The replica and the checksum of its last, incomplete chunk, of the same moment.
    pub(crate) fn replica_and_tail(&self) -> (Replica, Option<u32>) {
        let status = self.status.lock();
        (status.replica, status.tail)
    }

    /// Changes state or stamp; only the holder of the writer may.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Replica)) {
        change(&mut self.status.lock().replica);
    }

    /// Takes the right to write if it is free and `check` agrees.
    pub(crate) fn attach<T>(
        &self,
        check: impl FnOnce(&Replica) -> Result<T, ReplicaError>,
    ) -> Result<(T, CancellationToken), ReplicaError> {
        let mut status = self.status.lock();
        let answer = check(&status.replica)?;
        if status.writer.is_some() {
            return Err(ReplicaError::WriterBusy(status.replica.id));
        }
        let token = CancellationToken::new();
        status.writer = Some(token.clone());
        Ok((answer, token))
    }

    /// Whether somebody has the right to write.
    pub(super) fn has_writer(&self) -> bool {
        self.status.lock().writer.is_some()
    }

    /// Gives the right to write back.
    pub(crate) fn detach(&self) {
        self.status.lock().writer = None;
        self.released.notify_waiters();
    }

    /// Asks the writer to stop.
    pub(super) fn ask_writer_to_stop(&self) {
        if let Some(writer) = &self.status.lock().writer {
            writer.cancel();
        }
    }

    /// Asks the writer to stop and waits until it has.
    pub(crate) async fn stop_writer(&self, timeout: Duration) -> Result<(), ReplicaError> {
        let stopped = async {
            loop {
                let released = self.released.notified();
                let token = self.status.lock().writer.clone();
                match token {
                    Some(token) => token.cancel(),
                    None => return,
                }
                released.await;
            }
        };
        let id = self.replica().id;
        tokio::time::timeout(timeout, stopped)
            .await
            .map_err(|_| ReplicaError::WriterBusy(id))
    }

    /// Where the replica's files are.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        let layout = self.volume.layout()?;
        Ok(match self.replica().state {
            ReplicaState::Temporary => layout.tmp(),
            _ => layout.rbw(),
        })
    }

    /// The block file and the checksum file.
    pub(crate) fn paths(&self) -> Result<(PathBuf, PathBuf)> {
        let (dir, replica) = (self.dir()?, self.replica());
        let meta = layout::meta_file_name(replica.id, replica.generation_stamp);
        Ok((dir.join(layout::block_file_name(replica.id)), dir.join(meta)))
    }

    /// Notes that the rest of the pipeline has confirmed the block's first `length` bytes.
    pub(crate) fn set_acked(&self, length: u64) {
        self.update(|replica| replica.acked = replica.acked.max(length.min(replica.on_disk)));
    }

    /// Notes that the writer sent the block's first `length` bytes.
    pub(crate) fn set_received(&self, length: u64) {
        self.update(|replica| replica.received = replica.received.max(length));
    }

    /// Notes that a new writer has taken the replica, cut it to `length` bytes and given it a stamp.
    pub(super) fn set_reopened(&self, length: u64, tail: u32, stamp: GenerationStamp) {
        let mut status = self.status.lock();
        let replica = &mut status.replica;
        (replica.state, replica.generation_stamp) = (ReplicaState::Rbw, stamp);
        (replica.received, replica.on_disk, replica.acked) = (length, length, length);
        status.tail = Some(tail);
    }

    fn set_written(&self, length: u64, tail: u32) {
        let mut status = self.status.lock();
        status.replica.on_disk = length;
        status.replica.received = status.replica.received.max(length);
        status.tail = Some(tail);
    }
}

/// The exclusive right to change one replica's files. Dropping it gives the right back and leaves the replica as it is,
/// except that an unfinished copy is removed.
#[derive(Debug)]
pub(crate) struct ReplicaWriter {
    dataset: Arc<Dataset>,
    open: Arc<OpenReplica>,
    file: BlockFile,
    cancelled: CancellationToken,
    entry_synced: bool,
}

impl ReplicaWriter {
    pub(super) fn new(
        dataset: Arc<Dataset>,
        open: Arc<OpenReplica>,
        file: BlockFile,
        cancelled: CancellationToken,
    ) -> Self {
        open.set_written(file.length(), file.tail());
        Self {
            dataset,
            open,
            file,
            cancelled,
            entry_synced: false,
        }
    }

    /// The shared view of the replica.
    pub(crate) fn open(&self) -> &Arc<OpenReplica> {
        &self.open
    }

    /// The block.
    pub(crate) fn id(&self) -> BlockId {
        self.open.replica().id
    }

    /// Bytes stored.
    pub(crate) fn length(&self) -> u64 {
        self.file.length()
    }

    /// Rings when a recovery wants the replica: the holder must drop this soon.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Stores a packet; see [`BlockFile::write`].
    pub(crate) fn write(&mut self, packet: &PacketData<'_>) -> Result<(), PacketError> {
        let before = self.file.length();
        self.file.write(packet)?;
        self.open.volume.add_used(self.file.length() - before);
        self.open.set_written(self.file.length(), self.file.tail());
        Ok(())
    }

    /// Makes the bytes durable, and the files' names too.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if !self.entry_synced {
            let dir = self.open.dir().map_err(io::Error::other)?;
            version_file::sync_dir(&dir).map_err(io::Error::other)?;
            self.entry_synced = true;
        }
        Ok(())
    }

    /// Makes the bytes durable; the names follow when the files are moved.
    pub(crate) fn sync_bytes(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    pub(super) fn sync_before_move(&mut self) -> Result<()> {
        let (data, _) = self.open.paths()?;
        self.file.sync().disk("fsync", &data)
    }
}

impl Drop for ReplicaWriter {
    fn drop(&mut self) {
        if self.open.replica().state == ReplicaState::Temporary {
            self.dataset.discard(&self.open);
        }
        self.open.detach();
    }
}
