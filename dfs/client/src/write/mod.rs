//! Writing files: bytes become packets, packets go through a pipeline of DataNodes, block after block.

mod block;
mod excluded;
mod packet;
mod pipeline;
mod replace;
mod stream;
mod window;

use std::sync::Arc;

use bytes::Bytes;
use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::checksum::DataChecksum;

use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::location::BlockLocation;
use crate::shared::Shared;
use crate::status::FileStatus;
use block::BlockWriter;
use excluded::Excluded;
use packet::{Packet, PacketBuilder};

pub use replace::ReplaceDataNode;

/// How a file is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// Replaces a file of that name: its bytes are gone once `create` returns. Otherwise `create` fails if there is one.
    pub overwrite: bool,
    /// Makes missing directories on the way.
    pub create_parent: bool,
    /// Replicas of each block; absent: the client's setting, then the NameNode's default.
    pub replication: Option<u16>,
    /// Bytes per block, a multiple of 512; absent: the client's setting, then the NameNode's default.
    pub block_size: Option<u64>,
    /// Permission bits, with the umask already applied.
    pub permission: u16,
    /// Permission bits as they were before the umask: they count where the parent has a default access control list.
    pub unmasked: Option<u16>,
    /// How the blocks are checksummed, and over how many bytes at a time; absent: the client's settings.
    pub checksum: Option<DataChecksum>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            create_parent: true,
            replication: None,
            block_size: None,
            permission: 0o644,
            unmasked: None,
            checksum: None,
        }
    }
}

/// A file open for writing: bytes go to its end, nobody else can write it.
///
/// Written bytes are safe only after [`close`](Self::close) or a flush: [`hflush`](Self::hflush) has them in the memory of
/// every DataNode of the pipeline, [`hsync`](Self::hsync) on their disks. A writer that is dropped without `close` or
/// [`abort`](Self::abort) leaves the file open at the NameNode, which closes it with what had arrived once the lease runs out.
///
/// The loss of DataNodes, and of the NameNode for a while, is survived on the way.
#[derive(Debug)]
pub struct FileWriter {
    shared: Arc<Shared>,
    file: FileStatus,
    checksum: DataChecksum,
    packets: PacketBuilder,
    block: Option<BlockWriter>,
    /// The block before the current one.
    previous: Option<ExtendedBlock>,
    /// DataNodes that failed this writer.
    excluded: Excluded,
    length: u64,
    /// Whether the file has got a block since the NameNode was last told to keep its blocks.
    unpersisted: bool,
    /// The first error: after it the file's end is unknown and nothing more is written.
    failed: Option<String>,
    _lease: Lease,
}

impl FileWriter {
    /// Of a new file.
    pub(crate) fn new(shared: Arc<Shared>, file: FileStatus, checksum: DataChecksum, lease: Lease) -> Self {
        let packets = PacketBuilder::new(checksum, shared.config.packet_bytes(), file.block_size, 0);
        Self {
            shared,
            file,
            checksum,
            packets,
            block: None,
            previous: None,
            excluded: Excluded::default(),
            length: 0,
            unpersisted: false,
            failed: None,
            _lease: lease,
        }
    }

    /// Of a file that is appended to; `last` is its last block, if that has room and shall be written on.
    pub(crate) async fn append(
        shared: Arc<Shared>,
        file: FileStatus,
        last: Option<BlockLocation>,
        new_block: bool,
        lease: Lease,
    ) -> Result<Self> {
        let checksum = shared.config.checksum();
        let length = file.length;
        let mut writer = Self {
            length,
            ..Self::new(shared, file, checksum, lease)
        };
        match last {
            Some(last) if new_block => writer.previous = Some(last.block),
            Some(last) => {
                let last = writer.shared.with_holders(&writer.file.path, last).await?;
                let begun = last.block.block.length;
                let block = BlockWriter::reopen(&writer.shared, &writer.file, last, checksum).await?;
                let capacity = writer.shared.config.packet_bytes();
                writer.packets = PacketBuilder::new(checksum, capacity, writer.file.block_size, begun);
                writer.block = Some(block);
            }
            None => {}
        }
        Ok(writer)
    }

    /// The file's path.
    pub fn path(&self) -> &str {
        &self.file.path
    }

    /// Length of the file with the bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends `data`. Returns once it is on its way; waits while the window is full, which is how DataNodes slow a
    /// writer down. The loss of DataNodes is survived as long as one of a block's pipeline is left.
    ///
    /// # Errors
    /// After an error the writer is of no more use: [`abort`](Self::abort) it.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled write may have appended some of its bytes.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        self.usable()?;
        let written = self.write_all(data).await;
        self.note(written)
    }

    async fn write_all(&mut self, mut data: Bytes) -> Result<()> {
        while !data.is_empty() {
            let before = data.len();
            let packet = self.packets.fill(&mut data);
            self.length += (before - data.len()) as u64;
            if let Some(packet) = packet {
                self.send(packet).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, packet: Packet) -> Result<()> {
        self.open_block().await?.send(packet).await?;
        if self.packets.block_is_full() {
            self.end_block().await?;
        }
        Ok(())
    }

    async fn open_block(&mut self) -> Result<&mut BlockWriter> {
        if self.block.is_none() {
            let opened = BlockWriter::open(
                &self.shared,
                &self.file,
                self.previous.as_ref(),
                &mut self.excluded,
                self.checksum,
            );
            self.block = Some(opened.await?);
            self.unpersisted = true;
        }
        Ok(self.block.as_mut().expect("a block was just opened"))
    }

    async fn end_block(&mut self) -> Result<()> {
        if let Some(block) = self.block.take() {
            let end = self.packets.end_block();
            // Who failed this block shall not get the next one.
            let lost = block.lost().to_vec();
            self.previous = Some(block.finish(end).await?);
            for node in lost {
                self.excluded.add(node);
            }
        }
        Ok(())
    }

    /// On return every DataNode of the pipeline has all bytes written so far, and readers that open the file see them. They
    /// survive the loss of all but one of these DataNodes, but not the loss of power on all of them at once.
    ///
    /// # Errors
    /// As [`Self::write`]: after an error the writer is of no more use.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub async fn hflush(&mut self) -> Result<()> {
        self.flush(false, false).await
    }

    /// Like [`Self::hflush`], and the bytes are on the disks of every DataNode of the pipeline.
    ///
    /// # Errors
    /// As [`Self::write`].
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub async fn hsync(&mut self) -> Result<()> {
        self.flush(true, false).await
    }

    /// Like [`Self::hsync`], and the NameNode shows the file's length with these bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub async fn hsync_length(&mut self) -> Result<()> {
        self.flush(true, true).await
    }

    async fn flush(&mut self, sync: bool, tell_length: bool) -> Result<()> {
        self.usable()?;
        let flushed = self.flush_all(sync, tell_length).await;
        self.note(flushed)
    }

    async fn flush_all(&mut self, sync: bool, tell_length: bool) -> Result<()> {
        match self.packets.flush() {
            Some(packet) => self.send(Packet { sync, ..packet }).await?,
            // The bytes are under way or there, but perhaps not on the disks.
            None if sync && self.block.is_some() => {
                let packet = self.packets.sync();
                self.send(packet).await?;
            }
            None => {}
        }
        let mut length = self.previous.as_ref().map(|block| block.block.length);
        if let Some(block) = &mut self.block {
            length = Some(self.packets.packed());
            block.flush().await?;
        }
        if self.unpersisted || tell_length {
            let length = length.filter(|_| tell_length);
            self.shared.namenode.fsync(&self.file, length).await?;
            self.unpersisted = false;
        }
        Ok(())
    }

    /// Closes the file. On return every block is finalized and fsynced on each DataNode that is left in its pipeline, the
    /// NameNode has fsynced the file's length, and the file's status is returned.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the file was deleted or taken over; [`Error::NotClosed`] if the NameNode did not hear
    /// of enough replicas in time.
    ///
    /// # Cancel safety
    /// Not cancel safe: the file may or may not be closed then.
    pub async fn close(mut self) -> Result<FileStatus> {
        self.usable()?;
        if let Some(rest) = self.packets.flush() {
            self.send(rest).await?;
        }
        self.end_block().await?;
        self.shared
            .namenode
            .complete(&self.file, self.previous.as_ref())
            .await?;
        self.shared.locations.invalidate(&self.file.path);
        let now = self.shared.namenode.status(&self.file.path).await?;
        // Somebody may have renamed or replaced it already: then what was written is described.
        let own = now.filter(|status| status.file_id == self.file.file_id);
        Ok(own.unwrap_or(FileStatus {
            length: self.length,
            ..self.file.clone()
        }))
    }

    /// Gives the file up: it is deleted, with what was written, unless the path holds another file by now.
    ///
    /// # Errors
    /// When the NameNode does not confirm the deletion; the file then stays open until its lease runs out.
    pub async fn abort(mut self) -> Result<()> {
        self.block = None;
        let now = self.shared.namenode.status(&self.file.path).await?;
        if now.is_some_and(|status| status.file_id == self.file.file_id) {
            self.shared.namenode.delete(&self.file.path, false).await?;
        }
        Ok(())
    }

    fn usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(cause) => Err(Error::WriterFailed {
                path: self.file.path.clone(),
                cause: cause.clone(),
            }),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
            self.block = None;
        }
        result
    }
}
