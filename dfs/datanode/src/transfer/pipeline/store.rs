//! Second step: packets to the disk. All packets that have gathered while the disk was busy go there in one trip.

use std::sync::Arc;

use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::Status;
use tokio::sync::mpsc;

use super::{QUEUE_PACKETS, Received, Stored};
use crate::node::Node;
use crate::storage::ReplicaWriter;
use crate::storage::block_file::{PacketData, PacketError};
use crate::storage::disk;

/// Stores packets until the last one, a failure, or until no more come.
pub(super) async fn run(
    node: &Arc<Node>,
    mut writer: ReplicaWriter,
    checksum: DataChecksum,
    mut received: mpsc::Receiver<Received>,
    to_acknowledge: mpsc::Sender<Stored>,
) {
    let mut batch = Vec::new();
    while received.recv_many(&mut batch, QUEUE_PACKETS).await > 0 {
        let packets = std::mem::take(&mut batch);
        let worker = Arc::clone(node);
        let (writer_back, results) = Node::blocking(move || store_all(&worker, writer, checksum, packets)).await;
        for stored in results {
            if to_acknowledge.send(stored).await.is_err() {
                return;
            }
        }
        match writer_back {
            Some(back) => writer = back,
            None => return,
        }
    }
}

/// Stores a batch. The writer comes back unless the block ended or a packet could not be stored.
fn store_all(
    node: &Node,
    mut writer: ReplicaWriter,
    checksum: DataChecksum,
    packets: Vec<Received>,
) -> (Option<ReplicaWriter>, Vec<Stored>) {
    let mut results = Vec::with_capacity(packets.len());
    for received in packets {
        let header = received.packet.header;
        let status = match store(&mut writer, checksum, &received) {
            Ok(()) => Status::Success,
            Err(error) => {
                tracing::warn!(block = %writer.id(), %error, "packet was not stored");
                if let PacketError::Io(error) = &error
                    && disk::is_suspicious(error)
                {
                    node.volume_failures.wake.notify_one();
                }
                status_of(&error)
            }
        };
        received.recycle();
        let stored = Stored {
            seqno: header.seqno,
            status,
            end: writer.length(),
            last: None,
        };
        if status != Status::Success {
            results.push(stored);
            return (None, results);
        }
        if header.last_packet_in_block {
            results.push(Stored {
                last: Some(writer),
                ..stored
            });
            return (None, results);
        }
        results.push(stored);
    }
    (Some(writer), results)
}

fn store(writer: &mut ReplicaWriter, checksum: DataChecksum, received: &Received) -> Result<(), PacketError> {
    let packet = &received.packet;
    let header = &packet.header;
    if header.data_len > 0 {
        let (offset, data, sums) = (header.offset_in_block, &packet.data[..], &packet.checksums[..]);
        writer.write(&PacketData {
            offset,
            data,
            sums,
            checksum,
        })?;
    }
    if header.last_packet_in_block {
        check_end(writer, header.offset_in_block, header.data_len)?;
        writer.sync_bytes()?;
    } else if header.sync_block {
        writer.sync()?;
    }
    Ok(())
}

/// A last packet that stands elsewhere than at the end would make a block of the wrong length final.
fn check_end(writer: &ReplicaWriter, offset: u64, data_len: u32) -> Result<(), PacketError> {
    let (end, length) = (offset + u64::from(data_len), writer.length());
    if end == length {
        return Ok(());
    }
    let problem = format!("it is the last packet, but the replica has {length} bytes");
    Err(PacketError::Sequence {
        offset,
        length: data_len as usize,
        problem,
    })
}

fn status_of(error: &PacketError) -> Status {
    match error {
        PacketError::Checksum(_) => Status::ErrorChecksum,
        PacketError::Sequence { .. } | PacketError::Io(_) => Status::Error,
    }
}
