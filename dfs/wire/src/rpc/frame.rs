//! Frames: a big-endian length and that many bytes, in which protobuf messages stand one after the other, each behind
//! its own length as a varint.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::poll_read_buf;

/// Least memory that a read claims, and most that a connection keeps that waits for its next frame: there may be 10,000 of those.
const FIRST_READ: usize = 1024;
/// How much memory a read claims at most ahead of the bytes that really arrive: a length costs a hostile peer nothing.
const READ_STEP: usize = 64 * 1024;
/// A buffer that grew beyond this is given back after the frame that needed it.
const KEEP_BUFFER: usize = 1024 * 1024;

/// What arrives is no frame. Nothing can follow on the same connection.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The length is not positive, or is over the limit.
    #[error("bad frame length {length}: expected 1 to {limit}")]
    Length {
        /// As received.
        length: i32,
        /// Bytes.
        limit: usize,
    },
    /// The peer ended the connection in the middle of a frame.
    #[error("connection ended inside a frame")]
    Truncated,
    /// A message inside the frame does not decode.
    #[error("bad {what}: {problem}")]
    Decode {
        /// The message.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    buffer: BytesMut,
    limit: usize,
    /// Memory that the next read claims: grows with what arrives at a time.
    step: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of up to `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            limit,
            step: FIRST_READ,
        }
    }

    /// Changes the limit for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Waits until the next frame begins to arrive; false when the stream has ended.
    ///
    /// # Errors
    /// `Io`.
    ///
    /// # Cancel safety
    /// Safe: what was read stays in the buffer.
    pub async fn readable(&mut self) -> Result<bool, FrameError> {
        self.fill(1).await
    }

    /// The next `length` bytes, outside any frame; fewer only when the stream ends before.
    ///
    /// # Errors
    /// `Io`.
    ///
    /// # Cancel safety
    /// Safe: what was read stays in the buffer.
    pub async fn take(&mut self, length: usize) -> Result<Bytes, FrameError> {
        self.fill(length).await?;
        Ok(self.buffer.split_to(length.min(self.buffer.len())).freeze())
    }

    /// The next frame without its length; none when the stream ends before it begins.
    ///
    /// # Errors
    /// `Io`, `Length`, `Truncated`.
    ///
    /// # Cancel safety
    /// Safe: what was read stays in the buffer.
    pub async fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if !self.fill(4).await? {
            return if self.buffer.is_empty() {
                Ok(None)
            } else {
                Err(FrameError::Truncated)
            };
        }
        let length = check_length(self.buffer.as_ref().get_i32(), self.limit)?;
        if !self.fill(4 + length).await? {
            return Err(FrameError::Truncated);
        }
        self.buffer.advance(4);
        let frame = self.buffer.split_to(length).freeze();
        if length > KEEP_BUFFER && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// Whether nothing of a frame has arrived yet.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame without its length, if all of it has arrived.
    ///
    /// # Errors
    /// `Length`.
    pub(super) fn buffered_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let length = check_length(i32::from_be_bytes(*length), self.limit)?;
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Reads what has arrived; false when the stream has ended.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.buffer.capacity() - self.buffer.len() < FIRST_READ / 4 {
            self.buffer.reserve(self.step);
        }
        match poll_read_buf(Pin::new(&mut self.reader), cx, &mut self.buffer) {
            Poll::Ready(read) => {
                let full = self.buffer.len() == self.buffer.capacity();
                self.step = if full {
                    (self.step * 2).min(READ_STEP)
                } else {
                    self.step
                };
                Poll::Ready(read.map(|count| count > 0))
            }
            Poll::Pending => {
                if self.buffer.is_empty() && self.buffer.capacity() > FIRST_READ {
                    self.buffer = BytesMut::new();
                }
                Poll::Pending
            }
        }
    }

    /// Reads until the buffer holds `length` bytes; false when the stream ends before.
    async fn fill(&mut self, length: usize) -> Result<bool, FrameError> {
        while self.buffer.len() < length {
            self.buffer
                .reserve((length - self.buffer.len()).clamp(FIRST_READ, READ_STEP));
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Checks a frame's length as received.
fn check_length(length: i32, limit: usize) -> Result<usize, FrameError> {
    match usize::try_from(length) {
        Ok(good) if good > 0 && good <= limit => Ok(good),
        _ => Err(FrameError::Length { length, limit }),
    }
}

/// Splits the first delimited message off a frame; `what` names it in errors.
///
/// # Errors
/// `Decode` when there is no length or the message is cut off.
pub fn split_delimited(frame: &mut Bytes, what: &'static str) -> Result<Bytes, FrameError> {
    let length = prost::decode_length_delimiter(&mut *frame).map_err(|problem| decode_error(what, problem))?;
    if length > frame.len() {
        return Err(decode_error(
            what,
            format!("{length} bytes announced, {} left in the frame", frame.len()),
        ));
    }
    Ok(frame.split_to(length))
}

/// Splits the first delimited message off a frame and decodes it; `what` names it in errors.
///
/// # Errors
/// `Decode`.
pub fn decode_delimited<M: Message + Default>(frame: &mut Bytes, what: &'static str) -> Result<M, FrameError> {
    M::decode(split_delimited(frame, what)?).map_err(|problem| decode_error(what, problem))
}

fn decode_error(what: &'static str, problem: impl ToString) -> FrameError {
    FrameError::Decode {
        what,
        problem: problem.to_string(),
    }
}

/// Appends a frame to a buffer: a message and, behind it, an encoded one if there is any.
pub(super) fn put_frame(buffer: &mut BytesMut, header: &impl Message, body: Option<&[u8]>) {
    let head = header.encoded_len();
    let mut length = head + prost::length_delimiter_len(head);
    if let Some(body) = body {
        length += body.len() + prost::length_delimiter_len(body.len());
    }
    buffer.reserve(4 + length);
    buffer.put_u32(u32::try_from(length).expect("frames stay far below 4 GiB"));
    header
        .encode_length_delimited(buffer)
        .expect("a BytesMut grows as needed");
    if let Some(body) = body {
        prost::encode_length_delimiter(body.len(), buffer).expect("a BytesMut grows as needed");
        buffer.put_slice(body);
    }
}

/// Puts a frame together.
#[derive(Debug)]
pub struct FrameBuilder(BytesMut);

impl FrameBuilder {
    /// An empty frame.
    pub fn new() -> Self {
        Self(BytesMut::from(&[0; 4][..]))
    }

    /// Appends a message behind its length.
    pub fn message(mut self, message: &impl Message) -> Self {
        let length = message.encoded_len();
        self.0.reserve(length + prost::length_delimiter_len(length));
        message
            .encode_length_delimited(&mut self.0)
            .expect("a BytesMut grows as needed");
        self
    }

    /// Appends an encoded message behind its length.
    pub fn encoded(mut self, message: &[u8]) -> Self {
        self.0
            .reserve(message.len() + prost::length_delimiter_len(message.len()));
        prost::encode_length_delimiter(message.len(), &mut self.0).expect("a BytesMut grows as needed");
        self.0.put_slice(message);
        self
    }

    /// The frame with its length in front.
    pub fn finish(mut self) -> Bytes {
        let length = u32::try_from(self.0.len() - 4).expect("frames stay far below 4 GiB");
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0.freeze()
    }
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::proto::hadoop::common::UserInformationProto;

    fn read_all(bytes: &[u8], limit: usize) -> (Vec<Bytes>, Option<FrameError>) {
        futures::executor::block_on(async {
            let (mut reader, mut frames) = (FrameReader::new(bytes, limit), Vec::new());
            loop {
                match reader.next_frame().await {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => return (frames, None),
                    Err(error) => return (frames, Some(error)),
                }
            }
        })
    }

    #[test]
    fn lengths_outside_the_limits_are_refused() {
        for length in [0, -1, i32::MIN, i32::MAX, 101] {
            let (frames, error) = read_all(&length.to_be_bytes(), 100);
            assert!(frames.is_empty());
            assert!(matches!(error, Some(FrameError::Length { length: l, limit: 100 }) if l == length));
        }
    }

    #[test]
    fn an_end_inside_a_frame_is_no_clean_end() {
        assert!(matches!(read_all(&[0, 0], 100).1, Some(FrameError::Truncated)));
        assert!(matches!(read_all(&[0, 0, 0, 2, 1], 100).1, Some(FrameError::Truncated)));
        assert!(read_all(&[], 100).1.is_none());
    }

    #[test]
    fn a_promised_length_claims_no_memory() {
        futures::executor::block_on(async {
            let mut reader = FrameReader::new(&[0x7f, 0xff, 0xff, 0xff, 1][..], usize::MAX);
            assert!(matches!(reader.next_frame().await, Err(FrameError::Truncated)));
            assert!(reader.buffer.capacity() < 1024 * 1024);
        });
    }

    #[test]
    fn messages_stand_one_after_the_other() {
        let user = UserInformationProto {
            effective_user: Some("alice".into()),
            real_user: None,
        };
        let mut frame = FrameBuilder::new().message(&user).encoded(b"xyz").finish();
        assert_eq!(frame.get_u32() as usize, frame.len());
        assert_eq!(
            decode_delimited::<UserInformationProto>(&mut frame, "user").unwrap(),
            user
        );
        assert_eq!(split_delimited(&mut frame, "rest").unwrap(), &b"xyz"[..]);
        assert!(frame.is_empty());
        assert!(split_delimited(&mut frame, "more").is_err());
    }

    proptest! {
        #[test]
        fn frames_round_trip(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..10)) {
            let bytes: Vec<u8> = frames.iter().flat_map(|f| [&(f.len() as u32).to_be_bytes()[..], f].concat()).collect();
            let (read, error) = read_all(&bytes, 300);
            prop_assert!(error.is_none());
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = read_all(&bytes, 1000);
            let mut frame = Bytes::from(bytes);
            while let Ok(_message) = split_delimited(&mut frame, "message") {}
        }
    }
}
