//! The ports of a running NameNode and DataNode: whatever a connection sends, it ends in time and the servers go on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quarry_dfs_datanode::{DataNode, DataNodeConfig, DataNodeHandle};
use quarry_dfs_namenode::{NameNode, NameNodeConfig, NameNodeHandle};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Longer than any deadline below: a connection that is still open then hangs.
const HANG: Duration = Duration::from_secs(30);
/// Deadlines of the servers: short, as half a message is the usual input.
const SHORT: Duration = Duration::from_millis(500);
/// Most of an answer that is read.
const ANSWER: u64 = 1 << 20;

/// Both servers; they live as long as the process.
struct Servers {
    _runtime: Runtime,
    _dir: TempDir,
    _namenode: NameNodeHandle,
    _datanode: DataNodeHandle,
    rpc: SocketAddr,
    transfer: SocketAddr,
    ipc: SocketAddr,
}

/// Set by a panic anywhere in the process: servers survive the panics of their tasks, a fuzz target must not.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::SeqCst);
            before(panic);
        }));
        let runtime = Runtime::new().expect("threads can be started");
        runtime.block_on(start()).into_servers(runtime)
    })
}

struct Started {
    dir: TempDir,
    namenode: NameNodeHandle,
    datanode: DataNodeHandle,
}

async fn start() -> Started {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let namenode = NameNode::start(NameNodeConfig {
        dir: dir.path().join("namenode"),
        rpc_address: local,
        link_address: local,
        http_address: local,
        ..NameNodeConfig::default()
    });
    let namenode = namenode.await.expect("a NameNode starts");
    let datanode = DataNode::start(DataNodeConfig {
        dirs: vec![dir.path().join("data")],
        namenode: namenode.link_addr().to_string(),
        xfer_address: local,
        ipc_address: local,
        handshake_timeout: SHORT,
        transfer_timeout: SHORT,
        idle_timeout: SHORT,
        ..DataNodeConfig::default()
    });
    let datanode = datanode.await.expect("a DataNode starts");
    let registered = datanode.wait_registered(Instant::now() + HANG).await;
    registered.expect("the DataNode finds its NameNode");
    Started {
        dir,
        namenode,
        datanode,
    }
}

impl Started {
    fn into_servers(self, runtime: Runtime) -> Servers {
        Servers {
            rpc: self.namenode.rpc_addr(),
            transfer: self.datanode.xfer_addr(),
            ipc: self.datanode.ipc_addr(),
            _runtime: runtime,
            _dir: self.dir,
            _namenode: self.namenode,
            _datanode: self.datanode,
        }
    }
}

/// Sends the bytes and the end of the stream, and reads until the server closes.
fn play(address: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    socket.set_write_timeout(Some(HANG)).expect("a timeout can be set");
    // The server may close before it has read everything: what it refuses, it need not read.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(problem) = socket.take(ANSWER).read_to_end(&mut answer) {
        let reset = std::io::ErrorKind::ConnectionReset;
        assert_eq!(problem.kind(), reset, "{address} neither answers nor closes: {problem}");
    }
    assert!(!PANICKED.load(Ordering::SeqCst), "a server's task panicked");
}

/// The NameNode's port for clients.
pub(crate) fn namenode_rpc(bytes: &[u8]) {
    play(servers().rpc, bytes);
}

/// The DataNode's port for blocks.
pub(crate) fn datanode_transfer(bytes: &[u8]) {
    play(servers().transfer, bytes);
}

/// The DataNode's port for calls.
pub(crate) fn datanode_ipc(bytes: &[u8]) {
    play(servers().ipc, bytes);
}
