//! Bytes that make no sense, peers that are silent: at most their own connection ends.

use std::time::Duration;

use proptest::test_runner::{Config, TestRunner};
use quarry_dfs_wire::proto::hadoop::hdfs::{OpRequestShortCircuitAccessProto, Status};
use quarry_dfs_wire::transfer::op::Op;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Conn, Flags, Writer, assert_holds, block, bytes, header, timely, write_block, write_request};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_829;

/// Sends bytes, ends, and waits until the other side has ended too.
async fn throw(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = timely(stream.read_to_end(&mut Vec::new())).await;
}

#[test]
fn any_bytes_on_any_port_leave_the_node_serving() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let nodes = runtime.block_on(Nodes::start(1));
    let data = bytes(1000);
    runtime.block_on(write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data));
    let (xfer, ipc) = (nodes.nodes[0].xfer_addr(), nodes.nodes[0].ipc_addr());
    let write = Op::Write(Box::new(write_request(block(ID + 1, 1001), &[]))).encode();
    let strategy = proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300);
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&strategy, |noise| {
            runtime.block_on(async {
                throw(xfer, &noise).await;
                throw(ipc, &noise).await;
                for code in 78..92 {
                    throw(xfer, &[&[0, 28, code], &noise[..]].concat()).await;
                }
                throw(xfer, &[&write, &noise[..]].concat()).await;
            });
            Ok(())
        })
        .unwrap();
    let lengths = [
        &[0xff; 40][..],
        &[0x7f, 0xff, 0xff, 0xff, 0, 25],
        &[0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 4, 0xff, 0xff],
    ];
    for packet in lengths {
        runtime.block_on(throw(xfer, &[&write, packet].concat()));
    }
    runtime.block_on(assert_holds(xfer, ID, 1001, &data));
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_operations_say_so_and_clients_degrade() {
    let nodes = Nodes::start(1).await;
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    let request = OpRequestShortCircuitAccessProto {
        header: header(block(ID, 1001)).base_header,
        max_version: 1,
        ..OpRequestShortCircuitAccessProto::default()
    };
    conn.send(Op::RequestFds(Box::new(request))).await;
    assert_eq!(conn.reply().await.status(), Status::ErrorUnsupported);
    assert!(conn.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_end_in_time() {
    let nodes = Nodes::start_with(1, |config| {
        config.idle_timeout = Duration::from_millis(100);
        config.handshake_timeout = Duration::from_millis(100);
        config.transfer_timeout = Duration::from_millis(300);
    })
    .await;
    let address = nodes.nodes[0].xfer_addr();
    assert!(Conn::open(address).await.is_closed().await, "idle");
    let mut half = Conn::open(address).await;
    half.0.write_all(&[0, 28, 81]).await.unwrap();
    half.0.flush().await.unwrap();
    assert!(half.is_closed().await, "half an operation");
    let mut writer = Writer::start(address, write_request(block(ID, 1001), &[])).await;
    assert!(writer.conn.is_closed().await, "a writer without packets");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_transfers_are_bounded() {
    let nodes = Nodes::start_with(1, |config| {
        config.max_connections = 3;
        config.max_transfers = 1;
    })
    .await;
    let address = nodes.nodes[0].xfer_addr();
    let mut writer = Writer::start(address, write_request(block(ID, 1001), &[])).await;
    let (_second, reply) = Writer::try_start(address, write_request(block(ID + 1, 1001), &[])).await;
    assert_eq!(reply.status(), Status::Error);
    assert!(reply.message().contains("limit"), "{reply:?}");
    let idle = [
        Conn::open(address).await,
        Conn::open(address).await,
        Conn::open(address).await,
    ];
    let [_, _, mut last] = idle;
    assert!(last.is_closed().await);
    writer.finish(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_packet_in_the_wrong_place_does_not_end_the_block() {
    let nodes = Nodes::start(1).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(1000), 64_512, 1).await;
    writer.offset = 500;
    writer
        .packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Error]);
}

/// Idle connections; a DataNode takes three times as many by default. Both ends are in the test's process.
const IDLE: usize = 5000;

/// As many of them as this process may have, with its limit raised as far as that goes.
fn idle_connections() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The other tests need some, too.
    IDLE.min(usize::try_from(allowed / 3).unwrap_or(IDLE))
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_do_not_hurt() {
    let nodes = Nodes::start(1).await;
    let (xfer, ipc) = (nodes.nodes[0].xfer_addr(), nodes.nodes[0].ipc_addr());
    let (mut idle, count) = (Vec::new(), idle_connections());
    for index in 0..count {
        let address = if index % 10 == 0 { ipc } else { xfer };
        idle.push(timely(TcpStream::connect(address)).await.unwrap());
    }
    let data = bytes(200_000);
    write_block(xfer, &[], ID, &data).await;
    assert_holds(xfer, ID, 1001, &data).await;
    // The heartbeat before may still have counted the read.
    nodes
        .namenode
        .until(&nodes.uuid(0), "many connections without a transfer", |said| {
            let heartbeat = said.last_heartbeat.as_ref();
            heartbeat.is_some_and(|now| now.xceiver_count as usize > count / 2 && now.active_transfers == 0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_of_bytes_do_not_keep_a_connection_alive() {
    let nodes = Nodes::start_with(1, |config| {
        config.handshake_timeout = Duration::from_millis(300);
        config.transfer_timeout = Duration::from_millis(300);
    })
    .await;
    let address = nodes.nodes[0].xfer_addr();
    // A byte each 50 ms: of an operation, and of a packet that announces as much as a packet may have.
    let operation = Conn::open(address).await;
    let packet = Writer::start(address, write_request(block(ID, 1001), &[])).await.conn;
    for (mut conn, head) in [
        (operation, vec![0, 28, 80, 0xff, 0x7f]),
        (packet, vec![0, 0xff, 0xff, 0xff, 0, 25]),
    ] {
        let drip = async {
            for byte in head.into_iter().chain(std::iter::repeat(1)) {
                if conn.0.write_all(&[byte]).await.is_err() || conn.0.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timely(drip).await;
    }
}
