//! Operations: the first words of a conversation.

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::TransferError;
use super::delimited::read_delimited;
use crate::proto::hadoop::hdfs::{
    OpBlockChecksumProto, OpBlockGroupChecksumProto, OpCopyBlockProto, OpReadBlockProto, OpReplaceBlockProto,
    OpRequestShortCircuitAccessProto, OpTransferBlockProto, OpWriteBlockProto, ReleaseShortCircuitAccessRequestProto,
    ShortCircuitShmRequestProto,
};

/// Version of the protocol, in front of every operation.
pub const VERSION: u16 = 28;

/// An operation with its message. Code 82 (read metadata) has had no message since Hadoop 2 and is not understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// 80: receive a block, and pass it on to the rest of a pipeline.
    Write(Box<OpWriteBlockProto>),
    /// 81: send a part of a block.
    Read(Box<OpReadBlockProto>),
    /// 83: take a replica over from another DataNode.
    Replace(Box<OpReplaceBlockProto>),
    /// 84: send a whole replica to another DataNode.
    Copy(Box<OpCopyBlockProto>),
    /// 85: the checksum of a block's checksums.
    BlockChecksum(Box<OpBlockChecksumProto>),
    /// 86: copy a replica to further DataNodes.
    Transfer(Box<OpTransferBlockProto>),
    /// 87: hand over the open files of a replica, on a Unix socket.
    RequestFds(Box<OpRequestShortCircuitAccessProto>),
    /// 88: a client is done with such files.
    ReleaseFds(Box<ReleaseShortCircuitAccessRequestProto>),
    /// 89: hand over shared memory, on a Unix socket.
    RequestShm(Box<ShortCircuitShmRequestProto>),
    /// 90: the checksum of an erasure-coded block group.
    GroupChecksum(Box<OpBlockGroupChecksumProto>),
}

impl Op {
    /// The operation's number on the wire.
    pub fn code(&self) -> u8 {
        match self {
            Self::Write(_) => 80,
            Self::Read(_) => 81,
            Self::Replace(_) => 83,
            Self::Copy(_) => 84,
            Self::BlockChecksum(_) => 85,
            Self::Transfer(_) => 86,
            Self::RequestFds(_) => 87,
            Self::ReleaseFds(_) => 88,
            Self::RequestShm(_) => 89,
            Self::GroupChecksum(_) => 90,
        }
    }

    /// Version, code and message, ready to send.
    pub fn encode(&self) -> Vec<u8> {
        let [v0, v1] = VERSION.to_be_bytes();
        let mut bytes = vec![v0, v1, self.code()];
        match self {
            Self::Write(message) => append(&mut bytes, &**message),
            Self::Read(message) => append(&mut bytes, &**message),
            Self::Replace(message) => append(&mut bytes, &**message),
            Self::Copy(message) => append(&mut bytes, &**message),
            Self::BlockChecksum(message) => append(&mut bytes, &**message),
            Self::Transfer(message) => append(&mut bytes, &**message),
            Self::RequestFds(message) => append(&mut bytes, &**message),
            Self::ReleaseFds(message) => append(&mut bytes, &**message),
            Self::RequestShm(message) => append(&mut bytes, &**message),
            Self::GroupChecksum(message) => append(&mut bytes, &**message),
        }
        bytes
    }
}

fn append(bytes: &mut Vec<u8>, message: &impl Message) {
    bytes.extend_from_slice(&message.encode_length_delimited_to_vec());
}

/// Reads the next operation. The wait for its first byte is as long as the client is idle: put a deadline around it.
///
/// # Errors
/// `Closed` when the connection ends before an operation begins; `Version`, `UnknownOp` and those of
/// [`read_delimited`] otherwise. After any of them the connection is of no use.
///
/// # Cancel safety
/// Not cancel safe, except before the first byte has arrived.
pub async fn read_op(reader: &mut (impl AsyncRead + Unpin)) -> Result<Op, TransferError> {
    let mut version = [0; 2];
    if reader.read(&mut version[..1]).await? == 0 {
        return Err(TransferError::Closed);
    }
    reader.read_exact(&mut version[1..]).await?;
    let found = u16::from_be_bytes(version);
    if found != VERSION {
        return Err(TransferError::Version { found });
    }
    let code = reader.read_u8().await?;
    read_message(reader, code).await.map_err(|error| match error {
        // The operation has begun: this end is not a clean one.
        TransferError::Closed => std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into(),
        other => other,
    })
}

async fn read_message(reader: &mut (impl AsyncRead + Unpin), code: u8) -> Result<Op, TransferError> {
    const WHAT: &str = "data transfer operation";
    Ok(match code {
        80 => Op::Write(Box::new(read_delimited(reader, WHAT).await?)),
        81 => Op::Read(Box::new(read_delimited(reader, WHAT).await?)),
        83 => Op::Replace(Box::new(read_delimited(reader, WHAT).await?)),
        84 => Op::Copy(Box::new(read_delimited(reader, WHAT).await?)),
        85 => Op::BlockChecksum(Box::new(read_delimited(reader, WHAT).await?)),
        86 => Op::Transfer(Box::new(read_delimited(reader, WHAT).await?)),
        87 => Op::RequestFds(Box::new(read_delimited(reader, WHAT).await?)),
        88 => Op::ReleaseFds(Box::new(read_delimited(reader, WHAT).await?)),
        89 => Op::RequestShm(Box::new(read_delimited(reader, WHAT).await?)),
        90 => Op::GroupChecksum(Box::new(read_delimited(reader, WHAT).await?)),
        _ => return Err(TransferError::UnknownOp(code)),
    })
}

/// Sends an operation and flushes.
///
/// # Errors
/// Those of the socket.
pub async fn write_op(writer: &mut (impl AsyncWrite + Unpin), op: &Op) -> Result<(), TransferError> {
    writer.write_all(&op.encode()).await?;
    writer.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Op, TransferError> {
        block_on(read_op(&mut bytes))
    }

    fn every_op() -> [Op; 10] {
        [
            Op::Write(Box::default()),
            Op::Read(Box::default()),
            Op::Replace(Box::default()),
            Op::Copy(Box::default()),
            Op::BlockChecksum(Box::default()),
            Op::Transfer(Box::default()),
            Op::RequestFds(Box::default()),
            Op::ReleaseFds(Box::default()),
            Op::RequestShm(Box::default()),
            Op::GroupChecksum(Box::default()),
        ]
    }

    #[test]
    fn every_operation_comes_back() {
        for op in every_op() {
            let mut bytes = Vec::new();
            block_on(write_op(&mut bytes, &op)).unwrap();
            assert_eq!(&bytes[..3], [0, 28, op.code()]);
            assert_eq!(read(&bytes).unwrap(), op);
        }
    }

    #[test]
    fn other_versions_and_operations_are_refused() {
        assert!(matches!(
            read(&[0, 27, 81, 0]),
            Err(TransferError::Version { found: 27 })
        ));
        assert!(matches!(
            read(b"GET / HTTP/1.1\r\n"),
            Err(TransferError::Version { .. })
        ));
        for code in [0, 79, 82, 91, 255] {
            assert!(matches!(read(&[0, 28, code, 0]), Err(TransferError::UnknownOp(c)) if c == code));
        }
    }

    #[test]
    fn ends_are_told_apart() {
        assert!(matches!(read(&[]), Err(TransferError::Closed)));
        for cut in [&[0][..], &[0, 28], &[0, 28, 81], &[0, 28, 81, 9]] {
            assert!(matches!(read(cut), Err(TransferError::Io(_))), "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), code in 78u8..93) {
            let _ = read(&bytes);
            let _ = read(&[&[0, 28, code][..], &bytes].concat());
        }
    }
}
