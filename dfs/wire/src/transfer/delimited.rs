//! Messages behind their own length as a varint.

use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::TransferError;

/// Longest message, in bytes. Operations and answers have a few hundred; tokens and long pipelines some thousand.
pub const MAX_MESSAGE_LENGTH: usize = 1024 * 1024;
/// Longest varint that may hold a 32-bit length, in bytes.
const MAX_LENGTH_BYTES: usize = 5;
/// How much memory a read claims at most ahead of the bytes that really arrive.
const READ_STEP: usize = 16 * 1024;

/// Reads a message of up to [`MAX_MESSAGE_LENGTH`] bytes; `what` names it in errors. The length is read byte by byte, so
/// that nothing after the message is taken: give it a buffered reader.
///
/// # Errors
/// `Closed` when the connection ends before the message, else `Io`, `TooLong` or `Malformed`.
///
/// # Cancel safety
/// Not cancel safe: the connection is of no use afterwards.
pub async fn read_delimited<M: Message + Default>(
    reader: &mut (impl AsyncRead + Unpin),
    what: &'static str,
) -> Result<M, TransferError> {
    let length = read_length(reader, what).await?;
    let message = read_exactly(reader, length).await?;
    M::decode(message).map_err(|problem| TransferError::malformed(what, problem))
}

async fn read_length(reader: &mut (impl AsyncRead + Unpin), what: &'static str) -> Result<usize, TransferError> {
    let mut length = 0u64;
    for i in 0..MAX_LENGTH_BYTES {
        let mut byte = [0];
        if i == 0 {
            if reader.read(&mut byte).await? == 0 {
                return Err(TransferError::Closed);
            }
        } else {
            reader.read_exact(&mut byte).await?;
        }
        length |= u64::from(byte[0] & 0x7f) << (7 * i);
        if byte[0] & 0x80 == 0 {
            return check_length(length, what);
        }
    }
    Err(TransferError::malformed(what, "its length does not end"))
}

fn check_length(length: u64, what: &'static str) -> Result<usize, TransferError> {
    if length > MAX_MESSAGE_LENGTH as u64 {
        return Err(TransferError::TooLong {
            what,
            length,
            limit: MAX_MESSAGE_LENGTH as u64,
        });
    }
    Ok(length as usize)
}

/// Reads that many bytes and not one more, claiming memory only as they arrive.
async fn read_exactly(reader: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Bytes, TransferError> {
    let mut buffer = BytesMut::new();
    let mut rest = reader.take(length as u64);
    while buffer.len() < length {
        buffer.reserve((length - buffer.len()).min(READ_STEP));
        if rest.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(buffer.freeze())
}

/// Writes a message behind its length and flushes.
///
/// # Errors
/// Those of the socket.
pub async fn write_delimited(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
) -> Result<(), TransferError> {
    writer.write_all(&message.encode_length_delimited_to_vec()).await?;
    writer.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::proto::hadoop::hdfs::BlockOpResponseProto;

    fn read(mut bytes: &[u8]) -> Result<BlockOpResponseProto, TransferError> {
        block_on(read_delimited(&mut bytes, "answer"))
    }

    #[test]
    fn nothing_after_the_message_is_taken() {
        let message = BlockOpResponseProto {
            message: Some("x".into()),
            ..Default::default()
        };
        let mut bytes = Vec::new();
        block_on(write_delimited(&mut bytes, &message)).unwrap();
        bytes.extend_from_slice(b"rest");
        let mut rest = &bytes[..];
        let decoded: BlockOpResponseProto = block_on(read_delimited(&mut rest, "answer")).unwrap();
        assert_eq!((decoded, rest), (message, &b"rest"[..]));
    }

    #[test]
    fn ends_are_told_apart() {
        assert!(matches!(read(&[]), Err(TransferError::Closed)));
        assert!(matches!(read(&[3, 8]), Err(TransferError::Io(_))));
        assert!(matches!(read(&[0x80]), Err(TransferError::Io(_))));
    }

    #[test]
    fn absurd_lengths_are_refused() {
        assert!(matches!(read(&[0xff; 6]), Err(TransferError::Malformed { .. })));
        let two_gib = [0xff, 0xff, 0xff, 0xff, 0x07];
        assert!(matches!(
            read(&two_gib),
            Err(TransferError::TooLong {
                length: 2_147_483_647,
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
