//! Packets: their bytes, their limits, and bytes that are none.
#![allow(clippy::unwrap_used)]

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::checksum::DataChecksum;

fn read(mut bytes: &[u8]) -> Result<Packet, TransferError> {
    block_on(read_packet(&mut bytes, &mut BytesMut::new()))
}

fn written(header: &PacketHeader, checksums: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    block_on(write_packet(&mut bytes, header, checksums, data)).unwrap();
    bytes
}

fn headers() -> impl Strategy<Value = PacketHeader> {
    (0..=i64::MAX as u64, any::<i64>(), any::<bool>(), any::<bool>()).prop_map(|(offset, seqno, last, sync)| {
        PacketHeader {
            offset_in_block: offset,
            seqno,
            last_packet_in_block: last,
            data_len: 0,
            sync_block: sync,
        }
    })
}

#[test]
fn golden_bytes() {
    let header = PacketHeader {
        offset_in_block: 512,
        seqno: 1,
        data_len: 3,
        ..Default::default()
    };
    let expected = [
        &[0, 0, 0, 4 + 4 + 3, 0, 25][..],
        &[
            0x09, 0, 2, 0, 0, 0, 0, 0, 0, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x25, 3, 0, 0, 0,
        ],
        &[0xaa, 0xbb, 0xcc, 0xdd],
        b"abc",
    ];
    assert_eq!(written(&header, &[0xaa, 0xbb, 0xcc, 0xdd], b"abc"), expected.concat());
    let sync = PacketHeader {
        sync_block: true,
        last_packet_in_block: true,
        ..Default::default()
    };
    assert_eq!(written(&sync, b"", b"")[..6], [0, 0, 0, 4, 0, 27]);
}

#[test]
fn a_header_of_27_bytes_may_say_that_nothing_is_to_be_synced() {
    let proto = PacketHeaderProto {
        sync_block: Some(false),
        ..Default::default()
    };
    let encoded = proto.encode_to_vec();
    assert_eq!(encoded.len(), 27);
    assert!(!PacketHeader::decode(&encoded).unwrap().sync_block);
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let packet = |payload: u32, header: u16| [&payload.to_be_bytes()[..], &header.to_be_bytes(), &[0; 64]].concat();
    assert!(matches!(read(&packet(3, 25)), Err(TransferError::Malformed { .. })));
    assert!(matches!(
        read(&packet(u32::MAX, 25)),
        Err(TransferError::TooLong { .. })
    ));
    assert!(matches!(
        read(&packet(16 * 1024 * 1024, 25)),
        Err(TransferError::TooLong { .. })
    ));
    assert!(matches!(read(&packet(4, 257)), Err(TransferError::TooLong { .. })));
    assert!(matches!(
        read(&packet(i32::MAX as u32, 65535)),
        Err(TransferError::TooLong { .. })
    ));
}

#[test]
fn negative_and_excessive_header_fields_are_refused() {
    let packet = |proto: PacketHeaderProto| {
        let header = proto.encode_to_vec();
        [&[0, 0, 0, 8, 0, header.len() as u8][..], &header, &[0; 4]].concat()
    };
    assert!(read(&packet(PacketHeaderProto::default())).is_ok());
    for proto in [
        PacketHeaderProto {
            data_len: -1,
            ..Default::default()
        },
        PacketHeaderProto {
            data_len: i32::MIN,
            ..Default::default()
        },
        PacketHeaderProto {
            data_len: 5,
            ..Default::default()
        },
        PacketHeaderProto {
            data_len: i32::MAX,
            ..Default::default()
        },
        PacketHeaderProto {
            offset_in_block: -1,
            ..Default::default()
        },
    ] {
        assert!(
            matches!(read(&packet(proto)), Err(TransferError::Malformed { .. })),
            "{proto:?}"
        );
    }
}

#[test]
fn ends_are_told_apart() {
    let bytes = written(
        &PacketHeader {
            data_len: 3,
            ..Default::default()
        },
        &[0; 4],
        b"abc",
    );
    assert!(matches!(read(&[]), Err(TransferError::Closed)));
    for cut in 1..bytes.len() {
        assert!(matches!(read(&bytes[..cut]), Err(TransferError::Io(_))), "cut at {cut}");
    }
}

#[test]
fn nothing_after_the_packet_is_taken_and_room_is_reused() {
    let header = PacketHeader {
        data_len: 1000,
        ..Default::default()
    };
    let one = written(&header, &[], &[7; 1000]);
    let bytes = [&one[..], &one, b"rest"].concat();
    let (mut rest, mut buffer) = (&bytes[..], BytesMut::new());
    let first = block_on(read_packet(&mut rest, &mut buffer)).unwrap();
    assert_eq!(first.raw, one);
    let room = first.raw.as_ptr();
    drop(first);
    let second = block_on(read_packet(&mut rest, &mut buffer)).unwrap();
    assert_eq!((second.raw.as_ptr(), rest), (room, &b"rest"[..]));
}

#[test]
fn a_promised_length_claims_no_memory() {
    let mut buffer = BytesMut::new();
    let mut bytes = &[0, 0xf0, 0, 0, 0, 25, 1, 2, 3][..];
    assert!(block_on(read_packet(&mut bytes, &mut buffer)).is_err());
    assert!(buffer.capacity() <= 2 * READ_STEP);
}

/// Takes a few bytes at a time and never two slices at once.
struct Trickle(Vec<u8>);

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        let taken = bytes.len().min(7);
        self.0.extend_from_slice(&bytes[..taken]);
        std::task::Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[test]
fn short_writes_go_on_where_they_stopped() {
    let header = PacketHeader {
        data_len: 100,
        ..Default::default()
    };
    let mut trickle = Trickle(Vec::new());
    block_on(write_packet(&mut trickle, &header, &[1; 8], &[2; 100])).unwrap();
    assert_eq!(trickle.0, written(&header, &[1; 8], &[2; 100]));
}

proptest! {
    #[test]
    fn headers_are_what_protobuf_makes_of_them(header in headers()) {
        let proto = PacketHeaderProto {
            offset_in_block: header.offset_in_block as i64,
            seqno: header.seqno,
            last_packet_in_block: header.last_packet_in_block,
            data_len: 0,
            sync_block: header.sync_block.then_some(true),
        };
        prop_assert_eq!(&written(&header, b"", b"")[LENGTHS..], proto.encode_to_vec());
    }

    #[test]
    fn packets_round_trip(header in headers(), data in prop::collection::vec(any::<u8>(), 0..5000)) {
        let header = PacketHeader { data_len: data.len() as u32, ..header };
        let mut sums = Vec::new();
        DataChecksum::default().compute(&data, &mut sums);
        let bytes = written(&header, &sums, &data);
        let packet = read(&bytes).unwrap();
        prop_assert_eq!(packet.header, header);
        prop_assert!(DataChecksum::default().verify(&packet.data, &packet.checksums, header.offset_in_block).is_ok());
        prop_assert_eq!((&packet.checksums[..], &packet.data[..], &packet.raw[..]), (&sums[..], &data[..], &bytes[..]));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), payload in 0u32..300, header in 0u16..60) {
        let _ = read(&bytes);
        let _ = PacketHeader::decode(&bytes);
        let _ = read(&[&payload.to_be_bytes()[..], &header.to_be_bytes(), &bytes].concat());
    }
}
