//! A range of a block from a DataNode, packet by packet as it arrives: one question for the whole range, and the DataNode runs ahead of the
//! reader as far as the socket's buffers reach.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::remote::{self, Packets};
use crate::connections::{self, Connection, within};
use crate::error::TransferError;
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;

/// A read under way. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct RemoteStream {
    shared: Arc<Shared>,
    pub(super) node: Arc<DataNodeInfo>,
    connection: Connection,
    packets: Packets,
    /// What is still to be delivered, within the block.
    rest: Range<u64>,
    patience: Duration,
}

impl RemoteStream {
    /// Asks for `range` of the block.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        location: &BlockLocation,
        node: &Arc<DataNodeInfo>,
        range: Range<u64>,
    ) -> Result<Self, TransferError> {
        let patience = shared.config.datanode_timeout;
        let (connection, packets) =
            remote::ask(shared, location, node, &range, shared.config.first_byte_timeout).await?;
        Ok(Self {
            shared: Arc::clone(shared),
            node: Arc::clone(node),
            connection,
            packets,
            rest: range,
            patience,
        })
    }

    /// Where the next bytes begin in the block.
    pub(super) fn position(&self) -> u64 {
        self.rest.start
    }

    /// The next bytes, verified; `self` is given back as long as there are more.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled call loses the stream.
    pub(super) async fn next(mut self) -> Result<(Bytes, Option<Self>), TransferError> {
        loop {
            let Some(packet) = within(self.patience, self.packets.next(&mut self.connection)).await? else {
                let message = format!(
                    "the block ended at {}, {} was asked for",
                    self.rest.start, self.rest.end
                );
                return Err(TransferError::Protocol(message));
            };
            let (start, end) = (packet.offset, packet.offset + packet.data.len() as u64);
            let wanted = self.rest.start.max(start)..self.rest.end.min(end);
            if wanted.is_empty() {
                continue;
            }
            let bytes = packet
                .data
                .slice((wanted.start - start) as usize..(wanted.end - start) as usize);
            self.rest.start = wanted.end;
            if self.rest.is_empty() {
                self.finish().await?;
                return Ok((bytes, None));
            }
            return Ok((bytes, Some(self)));
        }
    }

    /// Takes the packet that ends the stream and keeps the connection for the next read.
    async fn finish(mut self) -> Result<(), TransferError> {
        while within(self.patience, self.packets.next(&mut self.connection))
            .await?
            .is_some()
        {}
        connections::thank(&mut self.connection, self.patience).await?;
        self.shared.connections.give_back(&self.node, self.connection);
        Ok(())
    }
}
