//! Replicas' files over the domain socket, as a reader on the same machine asks for them.

use std::fs::File;
use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockOpResponseProto, OpReadBlockProto, OpRequestShortCircuitAccessProto, ShortCircuitShmRequestProto,
    ShortCircuitShmResponseProto, Status,
};
use quarry_dfs_wire::transfer::op::Op;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::client::{Flags, Writer, block, bytes, header, write_block, write_request};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_827;

fn request(id: u64, stamp: u64, receipt: bool) -> OpRequestShortCircuitAccessProto {
    OpRequestShortCircuitAccessProto {
        header: header(block(id, stamp)).base_header,
        max_version: 1,
        slot_id: None,
        supports_receipt_verification: Some(receipt),
    }
}

async fn start(dir: &Path) -> (Nodes, UnixStream) {
    let pattern = dir.join("dn._PORT.sock");
    let nodes = Nodes::start_with(1, |config| config.domain_socket = Some(pattern.clone())).await;
    let path = dir.join(format!("dn.{}.sock", nodes.nodes[0].xfer_addr().port()));
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (nodes, stream)
}

/// Talks to the socket on a thread of its own: the DataNode shares this test's runtime.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn reply<M: Message + Default>(stream: &mut UnixStream) -> M {
    let mut length = [0];
    stream.read_exact(&mut length).unwrap();
    let mut length = vec![length[0]];
    while length[length.len() - 1] & 0x80 != 0 {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        length.push(byte[0]);
    }
    let mut message = vec![0; prost::decode_length_delimiter(&length[..]).unwrap()];
    stream.read_exact(&mut message).unwrap();
    M::decode(&message[..]).unwrap()
}

/// The byte that carries the descriptors, and the files.
fn receive(stream: &UnixStream) -> (u8, Vec<File>) {
    let mut byte = [0xff];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(stream, slices, &mut control, RecvFlags::empty()).unwrap();
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            files.extend(descriptors.map(File::from));
        }
    }
    (byte[0], files)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_finalized_replica_are_handed_out_for_reading() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, mut stream) = start(dir.path()).await;
    let data = bytes(5000);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    on_thread(move || {
        for receipt in [true, false, true] {
            stream
                .write_all(&Op::RequestFds(Box::new(request(ID, 1001, receipt))).encode())
                .unwrap();
            let answer: BlockOpResponseProto = reply(&mut stream);
            assert_eq!(
                (answer.status(), answer.short_circuit_access_version()),
                (Status::Success, 1)
            );
            let (byte, files) = receive(&stream);
            assert_eq!((byte, files.len()), (u8::from(receipt), 2));
            if receipt {
                stream.write_all(&[0]).unwrap();
            }
            let mut stored = vec![0; 5000];
            files[0].read_exact_at(&mut stored, 0).unwrap();
            assert_eq!(stored, data);
            let mut meta = DataChecksum::default().encode_meta_header().to_vec();
            DataChecksum::default().compute(&data, &mut meta);
            let mut stored = vec![0; meta.len()];
            files[1].read_exact_at(&mut stored, 0).unwrap();
            assert_eq!(stored, meta);
            assert!(
                files[0].write_at(b"x", 0).is_err(),
                "the files are open for reading only"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_the_connection_usable() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, mut stream) = start(dir.path()).await;
    let address = nodes.nodes[0].xfer_addr();
    write_block(address, &[], ID, &bytes(100)).await;
    let mut writer = Writer::start(address, write_request(block(ID + 1, 1001), &[])).await;
    writer.packet(&bytes(100), Flags::default()).await.unwrap();
    writer.ack().await.unwrap();
    on_thread(move || {
        let refused = [
            request(ID + 1, 1001, true), // being written
            request(ID + 2, 1001, true), // not here
            request(ID, 1002, true),     // of an older generation
            OpRequestShortCircuitAccessProto {
                max_version: 0,
                ..request(ID, 1001, true)
            },
        ];
        for request in refused {
            stream.write_all(&Op::RequestFds(Box::new(request)).encode()).unwrap();
            let answer: BlockOpResponseProto = reply(&mut stream);
            assert_ne!(answer.status(), Status::Success);
            assert!(!answer.message().is_empty());
        }
        let shared = ShortCircuitShmRequestProto::default();
        stream.write_all(&Op::RequestShm(Box::new(shared)).encode()).unwrap();
        let answer: ShortCircuitShmResponseProto = reply(&mut stream);
        assert_eq!(answer.status(), Status::ErrorUnsupported);
        stream
            .write_all(&Op::RequestFds(Box::new(request(ID, 1001, false))).encode())
            .unwrap();
        let answer: BlockOpResponseProto = reply(&mut stream);
        assert_eq!(answer.status(), Status::Success);
        assert_eq!(receive(&stream).1.len(), 2);
        // What belongs on the transfer port is refused by name, and nonsense ends the connection only.
        stream
            .write_all(&Op::Read(Box::<OpReadBlockProto>::default()).encode())
            .unwrap();
        let answer: BlockOpResponseProto = reply(&mut stream);
        assert_eq!(answer.status(), Status::ErrorUnsupported);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    })
    .await;
    drop(writer);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_goes_with_the_datanode() {
    let dir = tempfile::tempdir().unwrap();
    let (nodes, _stream) = start(dir.path()).await;
    nodes.nodes[0].shutdown().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
