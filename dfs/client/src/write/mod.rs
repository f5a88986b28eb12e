//! Writing files: bytes become packets, packets go through a pipeline of DataNodes, block after block.

mod block;
mod packet;
mod pipeline;
mod stream;
mod window;

use std::sync::Arc;

use bytes::Bytes;
use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::checksum::DataChecksum;

use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::location::DataNodeInfo;
use crate::shared::Shared;
use crate::status::FileStatus;
use block::BlockWriter;
use packet::{Packet, PacketBuilder};

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
    /// Permission bits.
    pub permission: u16,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            create_parent: true,
            replication: None,
            block_size: None,
            permission: 0o644,
        }
    }
}

/// A file open for writing: bytes go to its end, nobody else can write it.
///
/// Written bytes are on disks only after [`close`](Self::close). A writer that is dropped without `close` or
/// [`abort`](Self::abort) leaves the file open at the NameNode, which closes it with what had arrived once the lease runs out.
#[derive(Debug)]
pub struct FileWriter {
    shared: Arc<Shared>,
    file: FileStatus,
    packets: PacketBuilder,
    block: Option<BlockWriter>,
    /// The block before the current one.
    previous: Option<ExtendedBlock>,
    /// DataNodes that failed this writer.
    excluded: Vec<Arc<DataNodeInfo>>,
    length: u64,
    /// The first error: after it the file's end is unknown and nothing more is written.
    failed: Option<String>,
    _lease: Lease,
}

impl FileWriter {
    pub(crate) fn new(shared: Arc<Shared>, file: FileStatus, lease: Lease) -> Self {
        let packets = PacketBuilder::new(DataChecksum::default(), shared.config.packet_bytes(), file.block_size);
        Self {
            shared,
            file,
            packets,
            block: None,
            previous: None,
            excluded: Vec::new(),
            length: 0,
            failed: None,
            _lease: lease,
        }
    }

    /// The file's path.
    pub fn path(&self) -> &str {
        &self.file.path
    }

    /// Bytes written so far.
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
            let checksum = DataChecksum::default();
            let opened = BlockWriter::open(
                &self.shared,
                &self.file,
                self.previous.as_ref(),
                &mut self.excluded,
                checksum,
            );
            self.block = Some(opened.await?);
        }
        Ok(self.block.as_mut().expect("a block was just opened"))
    }

    async fn end_block(&mut self) -> Result<()> {
        if let Some(block) = self.block.take() {
            self.previous = Some(block.finish(self.packets.end_block()).await?);
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
