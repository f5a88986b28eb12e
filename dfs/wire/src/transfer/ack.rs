//! Acks: what a pipeline says to each packet, from its far end back to the writer.

use tokio::io::{AsyncRead, AsyncWrite};

use super::TransferError;
use super::delimited::{read_delimited, write_delimited};
use crate::proto::hadoop::hdfs::PipelineAckProto;
pub use crate::proto::hadoop::hdfs::Status;

/// Sequence number of heartbeat packets and of the acks to them.
pub const HEARTBEAT_SEQNO: i64 = -1;
/// Sequence number of acks that answer no packet but tell of a restart.
pub const OUT_OF_BAND_SEQNO: i64 = -2;
/// Most DataNodes in a pipeline: HDFS's largest replication.
pub const MAX_PIPELINE_LENGTH: usize = 512;
/// The part of a flag that holds the status. Above it: one reserved bit, two of congestion, two of slowness.
const STATUS_MASK: u32 = 0xf;

/// The statuses of the DataNodes of a pipeline towards one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineAck {
    /// The packet's sequence number.
    pub seqno: i64,
    /// The acking DataNode's own status first, then those downstream of it.
    pub statuses: Vec<Status>,
    /// How long the downstream took, in nanoseconds.
    pub downstream_ack_nanos: u64,
}

impl PipelineAck {
    /// An ack of a DataNode with its downstream's statuses, none at the end of the pipeline.
    pub fn new(seqno: i64, own: Status, downstream: &[Status]) -> Self {
        let statuses = std::iter::once(own).chain(downstream.iter().copied()).collect();
        Self {
            seqno,
            statuses,
            downstream_ack_nanos: 0,
        }
    }

    /// Whether every DataNode has the packet.
    pub fn is_success(&self) -> bool {
        self.statuses.iter().all(|status| *status == Status::Success)
    }

    /// The position in the pipeline of the first DataNode that does not have the packet.
    pub fn first_failure(&self) -> Option<usize> {
        self.statuses.iter().position(|status| *status != Status::Success)
    }
}

impl From<&PipelineAck> for PipelineAckProto {
    fn from(ack: &PipelineAck) -> Self {
        let numbers = || ack.statuses.iter().map(|status| *status as i32);
        Self {
            seqno: ack.seqno,
            reply: numbers().collect(),
            downstream_ack_time_nanos: Some(ack.downstream_ack_nanos),
            // Java clients look here, others at `reply`.
            flag: numbers().map(|number| number as u32).collect(),
        }
    }
}

impl TryFrom<&PipelineAckProto> for PipelineAck {
    type Error = TransferError;

    fn try_from(proto: &PipelineAckProto) -> Result<Self, TransferError> {
        let malformed = |problem: String| TransferError::malformed("pipeline ack", problem);
        if proto.reply.len() > MAX_PIPELINE_LENGTH || proto.flag.len() > MAX_PIPELINE_LENGTH {
            return Err(malformed(format!("more than {MAX_PIPELINE_LENGTH} statuses")));
        }
        let flags = proto.flag.iter().map(|flag| (flag & STATUS_MASK) as i32);
        let numbers: Vec<i32> = if proto.flag.is_empty() {
            proto.reply.clone()
        } else {
            flags.collect()
        };
        let status = |number| Status::try_from(number).map_err(|_| malformed(format!("unknown status {number}")));
        Ok(Self {
            seqno: proto.seqno,
            statuses: numbers.into_iter().map(status).collect::<Result<_, _>>()?,
            downstream_ack_nanos: proto.downstream_ack_time_nanos(),
        })
    }
}

/// Reads an ack; give it a buffered reader.
///
/// # Errors
/// See [`read_delimited`].
///
/// # Cancel safety
/// Not cancel safe.
pub async fn read_ack(reader: &mut (impl AsyncRead + Unpin)) -> Result<PipelineAck, TransferError> {
    let proto: PipelineAckProto = read_delimited(reader, "pipeline ack").await?;
    PipelineAck::try_from(&proto)
}

/// Sends an ack and flushes.
///
/// # Errors
/// Those of the socket.
pub async fn write_ack(writer: &mut (impl AsyncWrite + Unpin), ack: &PipelineAck) -> Result<(), TransferError> {
    write_delimited(writer, &PipelineAckProto::from(ack)).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reply_and_flag_say_the_same() {
        let ack = PipelineAck::new(7, Status::Success, &[Status::ErrorChecksum]);
        let proto = PipelineAckProto::from(&ack);
        assert_eq!((proto.reply, proto.flag), (vec![0, 2], vec![0, 2]));
        assert_eq!((ack.is_success(), ack.first_failure()), (false, Some(1)));
        assert!(PipelineAck::new(7, Status::Success, &[]).is_success());
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        block_on(write_ack(
            &mut bytes,
            &PipelineAck::new(HEARTBEAT_SEQNO, Status::Success, &[Status::Error]),
        ))
        .unwrap();
        // Length 11; seqno zigzag(-1) = 1; reply 0, 1 unpacked; nanoseconds 0; flag packed.
        assert_eq!(bytes, [12, 0x08, 1, 0x10, 0, 0x10, 1, 0x18, 0, 0x22, 2, 0, 1]);
    }

    #[test]
    fn congestion_and_slowness_are_not_part_of_the_status() {
        let proto = PipelineAckProto {
            seqno: 1,
            reply: vec![1],
            flag: vec![0b1_0110_0000 | 2],
            ..Default::default()
        };
        assert_eq!(PipelineAck::try_from(&proto).unwrap().statuses, [Status::ErrorChecksum]);
        let without_flags = PipelineAckProto {
            flag: vec![],
            ..proto.clone()
        };
        assert_eq!(PipelineAck::try_from(&without_flags).unwrap().statuses, [Status::Error]);
        let unknown = PipelineAckProto {
            flag: vec![15],
            ..proto
        };
        assert!(PipelineAck::try_from(&unknown).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(seqno in any::<i64>(), numbers in prop::collection::vec(0..14, 1..20), nanos in any::<u64>()) {
            let statuses = numbers.into_iter().map(|n| Status::try_from(n).unwrap()).collect();
            let ack = PipelineAck { seqno, statuses, downstream_ack_nanos: nanos };
            let mut bytes = Vec::new();
            block_on(write_ack(&mut bytes, &ack)).unwrap();
            prop_assert_eq!(block_on(read_ack(&mut &bytes[..])).unwrap(), ack);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = block_on(read_ack(&mut &bytes[..]));
        }
    }
}
