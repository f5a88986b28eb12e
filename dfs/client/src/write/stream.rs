//! A pipeline at work: one loop sends packets, another takes their acknowledgements.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::transfer::ack::{HEARTBEAT_SEQNO, PipelineAck, Status, read_ack};
use quarry_dfs_wire::transfer::packet::{PacketHeader, write_packet};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::packet::Packet;
use super::window::{Breakdown, Window};
use crate::connections::{Connection, within};
use crate::error::TransferError;

/// After the sending side broke, how long the DataNode's own word on what happened is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Sends the window's packets and takes their acknowledgements until the block's last one, or until the pipeline breaks.
pub(crate) async fn run(connection: Connection, window: Arc<Window>, silence: Duration) {
    let (read, write) = tokio::io::split(connection);
    let mut acks = pin!(take_acks(read, &window, silence));
    let breakdown = tokio::select! {
        biased;
        ended = &mut acks => ended.err(),
        reason = send_packets(write, &window, silence) => match timeout(LAST_WORDS, &mut acks).await {
            Ok(Err(better)) => Some(better),
            Ok(Ok(())) => None,
            Err(_) => Some(Breakdown { bad: 0, reason }),
        },
    };
    if let Some(breakdown) = breakdown {
        window.fail(breakdown);
    }
}

/// Sends packets, and heartbeats when there are none, so that no DataNode takes an idle writer for a dead one.
async fn send_packets(mut write: impl AsyncWrite + Unpin, window: &Window, silence: Duration) -> TransferError {
    loop {
        let packet = timeout(silence / 3, window.next())
            .await
            .unwrap_or_else(|_| heartbeat());
        let header = PacketHeader {
            offset_in_block: packet.offset,
            seqno: packet.seqno,
            last_packet_in_block: packet.last,
            data_len: packet.data.len() as u32,
            sync_block: packet.sync,
        };
        let sending = async { Ok(write_packet(&mut write, &header, &packet.checksums, &packet.data).await?) };
        if let Err(reason) = within(silence, sending).await {
            return reason;
        }
        if packet.last {
            // The rest is up to the acknowledgements; the connection must stay open for them.
            return pending().await;
        }
    }
}

fn heartbeat() -> Packet {
    Packet {
        seqno: HEARTBEAT_SEQNO,
        offset: 0,
        last: false,
        sync: false,
        checksums: Default::default(),
        data: Default::default(),
    }
}

/// Takes acknowledgements until that of the block's last packet.
async fn take_acks(mut read: impl AsyncRead + Unpin, window: &Window, silence: Duration) -> Result<(), Breakdown> {
    let first_is_bad = |reason| Breakdown { bad: 0, reason };
    loop {
        let ack = within(silence, async { Ok(read_ack(&mut read).await?) })
            .await
            .map_err(first_is_bad)?;
        check(&ack)?;
        if ack.seqno == HEARTBEAT_SEQNO {
            continue;
        }
        if window.acknowledge(ack.seqno).map_err(first_is_bad)? {
            return Ok(());
        }
    }
}

/// Fails with the first DataNode that did not succeed.
fn check(ack: &PipelineAck) -> Result<(), Breakdown> {
    let Some(bad) = ack.first_failure() else {
        return Ok(());
    };
    let reason = match ack.statuses[bad] {
        Status::ErrorChecksum => TransferError::Checksum("a packet arrived with a wrong checksum".to_owned()),
        status => TransferError::Refused(format!("packet {} was answered with {status:?}", ack.seqno)),
    };
    Err(Breakdown { bad, reason })
}
