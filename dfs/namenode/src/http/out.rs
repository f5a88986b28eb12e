//! The body of a long answer, sent while it is made.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Bytes that are sent together.
const PIECE: usize = 32 << 10;
/// Pieces that may wait for the client.
const QUEUE: usize = 4;
/// Longest that a client may not take anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client is gone, or takes nothing: nobody reads what is still to come.
#[derive(Debug)]
pub(super) struct Gone;

/// Takes text, in any portions.
#[derive(Debug)]
pub(super) struct Out {
    pieces: mpsc::Sender<Result<Bytes, Infallible>>,
    piece: String,
    /// Ends the client's connection.
    cut: CancellationToken,
}

impl Out {
    /// The sender and the body that it fills.
    pub(super) fn new(cut: CancellationToken) -> (Self, Body) {
        let (pieces, waiting) = mpsc::channel(QUEUE);
        let out = Self {
            pieces,
            piece: String::new(),
            cut,
        };
        (out, Body::from_stream(ReceiverStream::new(waiting)))
    }

    /// Sends `text` once enough has gathered.
    ///
    /// # Errors
    /// `Gone`.
    pub(super) async fn write(&mut self, text: &str) -> Result<(), Gone> {
        self.piece.push_str(text);
        if self.piece.len() < PIECE {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends what has gathered.
    ///
    /// # Errors
    /// `Gone`.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        match self.pieces.send_timeout(Ok(piece), PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Gone),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                self.cut.cancel();
                Err(Gone)
            }
        }
    }
}
