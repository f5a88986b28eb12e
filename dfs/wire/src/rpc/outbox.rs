//! The sending half of a connection, for server and client: frames from many tasks leave in as few writes as possible.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// Small frames are copied together up to this many bytes; a frame of this size leaves alone and uncopied.
const BATCH_LENGTH: usize = 64 * 1024;

/// A frame on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Bytes,
    /// Nothing may be sent after it.
    pub(super) last: bool,
    /// Held until the frame is written, so that a peer that does not read cannot pile up frames here.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Sends frames until no sender is left or one was the last. `patience` bounds each write.
///
/// # Errors
/// Those of the socket; `TimedOut` when the peer reads too slowly.
pub(super) async fn send_all(
    writer: &mut (impl AsyncWrite + Unpin),
    frames: &mut mpsc::Receiver<Outgoing>,
    patience: Duration,
) -> io::Result<()> {
    let mut batch = Batch::default();
    while let Some(first) = frames.recv().await {
        batch.push(first);
        while !batch.is_full() {
            let Ok(next) = frames.try_recv() else { break };
            batch.push(next);
        }
        timeout(patience, batch.send(writer))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if batch.last {
            break;
        }
    }
    Ok(())
}

/// Frames that leave together.
#[derive(Default)]
struct Batch {
    small: BytesMut,
    large: Option<Bytes>,
    permits: Vec<OwnedSemaphorePermit>,
    last: bool,
}

impl Batch {
    fn push(&mut self, outgoing: Outgoing) {
        if outgoing.frame.len() < BATCH_LENGTH {
            self.small.extend_from_slice(&outgoing.frame);
        } else {
            self.large = Some(outgoing.frame);
        }
        self.permits.extend(outgoing.permit);
        self.last |= outgoing.last;
    }

    fn is_full(&self) -> bool {
        self.last || self.large.is_some() || self.small.len() >= BATCH_LENGTH
    }

    async fn send(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        writer.write_all(&self.small).await?;
        if let Some(large) = self.large.take() {
            writer.write_all(&large).await?;
        }
        writer.flush().await?;
        self.small.clear();
        self.permits.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outgoing(byte: u8, length: usize, last: bool) -> Outgoing {
        Outgoing {
            frame: vec![byte; length].into(),
            last,
            permit: None,
        }
    }

    #[tokio::test]
    async fn frames_leave_in_order_and_stop_at_the_last() {
        let (tx, mut rx) = mpsc::channel(8);
        let lengths = [10, BATCH_LENGTH - 1, 5, 3 * BATCH_LENGTH, 1];
        for (i, length) in lengths.into_iter().enumerate() {
            tx.try_send(outgoing(i as u8, length, false)).unwrap();
        }
        tx.try_send(outgoing(9, 2, true)).unwrap();
        tx.try_send(outgoing(10, 2, false)).unwrap();
        let mut sent = Vec::new();
        send_all(&mut sent, &mut rx, Duration::from_secs(5)).await.unwrap();
        let expected: Vec<u8> = lengths
            .into_iter()
            .enumerate()
            .flat_map(|(i, length)| vec![i as u8; length])
            .chain([9, 9])
            .collect();
        assert!(sent == expected);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (mut near, _far) = tokio::io::duplex(16);
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(outgoing(1, 100, false)).unwrap();
        let error = send_all(&mut near, &mut rx, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
