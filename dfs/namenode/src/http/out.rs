//! Bodies of answers: whole ones, and long ones that are sent while they are made.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes that are sent together.
const PIECE: usize = 32 << 10;
/// Pieces that may wait for the client.
const QUEUE: usize = 4;
/// Longest that a client may not take anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an answer consists of.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// What an [`Out`] writes.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body {
    /// A whole one.
    pub(super) fn of(text: String) -> Self {
        Self::Whole(Some(text.into()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Whole(text) => Poll::Ready(text.take()),
            Self::Pieces(waiting) => waiting.poll_recv(context),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// The client is gone, or takes nothing: nobody reads what is still to come.
#[derive(Debug)]
pub(super) struct Gone;

/// Takes text, in any portions.
#[derive(Debug)]
pub(super) struct Out {
    pieces: mpsc::Sender<Bytes>,
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
        (out, Body::Pieces(waiting))
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
        match self.pieces.send_timeout(piece, PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Gone),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                self.cut.cancel();
                Err(Gone)
            }
        }
    }
}
