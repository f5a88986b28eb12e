//! Decoders of `quarry-dfs-wire`, fed from memory.

use bytes::BytesMut;
use futures::executor::block_on;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::path::DfsPath;
use quarry_dfs_wire::proto::hadoop::common::{IpcConnectionContextProto, RpcRequestHeaderProto};
use quarry_dfs_wire::rpc::frame::{FrameReader, decode_delimited, split_delimited};
use quarry_dfs_wire::transfer::ack::read_ack;
use quarry_dfs_wire::transfer::op::read_op;
use quarry_dfs_wire::transfer::packet::read_packet;

/// Limit of a frame here: small, so that the limit itself is met.
const FRAME_LIMIT: usize = 1 << 20;

/// A connection's frames, each taken apart as a call and as a connection context.
pub(crate) fn rpc_frame(bytes: &[u8]) {
    block_on(async {
        let mut frames = FrameReader::new(bytes, FRAME_LIMIT);
        while let Ok(Some(frame)) = frames.next_frame().await {
            let mut call = frame.clone();
            let header = decode_delimited::<RpcRequestHeaderProto>(&mut call, "header");
            if header.is_ok() && split_delimited(&mut call, "request header").is_ok() {
                let _ = split_delimited(&mut call, "request");
            }
            let mut context = frame;
            let _ = decode_delimited::<IpcConnectionContextProto>(&mut context, "context");
        }
    });
}

/// Operations on a transfer port. What decodes must encode to something that decodes to the same.
pub(crate) fn transfer_op(mut bytes: &[u8]) {
    block_on(async {
        while let Ok(op) = read_op(&mut bytes).await {
            let encoded = op.encode();
            let again = read_op(&mut &encoded[..]).await.expect("what was encoded decodes");
            assert_eq!(again.encode(), encoded);
        }
    });
}

/// A stream of packets; a packet's parts are the whole of it.
pub(crate) fn packet(mut bytes: &[u8]) {
    block_on(async {
        let mut room = BytesMut::new();
        while let Ok(packet) = read_packet(&mut bytes, &mut room).await {
            assert_eq!(packet.data.len(), packet.header.data_len as usize);
            assert!(packet.checksums.len() + packet.data.len() < packet.raw.len());
        }
    });
}

/// A stream of acknowledgements.
pub(crate) fn pipeline_ack(mut bytes: &[u8]) {
    block_on(async {
        while let Ok(ack) = read_ack(&mut bytes).await {
            assert_eq!(ack.is_success(), ack.first_failure().is_none());
        }
    });
}

/// The header of a checksum file, and the checksums of the rest by what it says.
pub(crate) fn meta_header(bytes: &[u8]) {
    if let Ok(checksum) = DataChecksum::decode_meta_header(bytes) {
        let mut sums = BytesMut::new();
        checksum.compute(bytes, &mut sums);
        checksum.verify(bytes, &sums, 0).expect("checksums just made are right");
    }
}

/// A path: its normal form is its own normal form.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(path) = DfsPath::parse(text) {
        assert_eq!(DfsPath::parse(path.as_str()).expect("a normal form is a path"), path);
        assert!(path.as_str().starts_with('/') && !path.as_str().contains("//"));
    }
}
