//! A TCP proxy that makes trouble on demand: delay, silence, damage, cut. Knows nothing of what flows through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Toxin {
    /// Nothing.
    #[default]
    Pass,
    /// Each piece waits that long: a slow network.
    Delay(Duration),
    /// They stay in the proxy, and the connection stays open: a partition, or a machine that hangs.
    Hole,
    /// One bit of each piece that is longer than this many bytes is flipped: small pieces are protocol, large ones data.
    FlipBit(usize),
}

/// The state of the proxy; holds for open connections too.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// From the client to the server.
    up: Toxin,
    /// From the server to the client.
    down: Toxin,
    /// New connections are closed at once.
    refusing: bool,
    /// Counts cuts: connections from before the last one are dead.
    cuts: u64,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub(crate) struct Toxic {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    acceptor: JoinHandle<()>,
}

impl Toxic {
    /// Listens on `address` for connections to pass on to `server`.
    pub(crate) async fn start(address: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State::default()));
        let acceptor = tokio::spawn(accept(listener, server, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            acceptor,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on to what clients send, and to what the server sends.
    pub(crate) fn set(&self, up: Toxin, down: Toxin) {
        self.state.send_modify(|state| (state.up, state.down) = (up, down));
    }

    /// Resets all connections, as when a process is killed.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Whether new connections are refused.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.state.send_modify(|state| state.refusing = refusing);
    }
}

impl Drop for Toxic {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let now = *state.borrow();
        if now.refusing {
            let _ = client.set_zero_linger();
            continue;
        }
        tokio::spawn(pass(client, server, state.subscribe(), now.cuts));
    }
}

async fn pass(client: TcpStream, server: SocketAddr, state: watch::Receiver<State>, cuts: u64) {
    let Ok(server) = TcpStream::connect(server).await else {
        let _ = client.set_zero_linger();
        return;
    };
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
        // A connection that is cut is reset; one that ends by itself was shut down before.
        let _ = socket.set_zero_linger();
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = state.clone();
    tokio::select! {
        _ = cut.wait_for(|now| now.cuts != cuts) => {}
        () = async {
            tokio::join!(
                pump(from_client, to_server, state.clone(), |now| now.up),
                pump(from_server, to_client, state.clone(), |now| now.down),
            );
        } => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    toxin: impl Fn(&State) -> Toxin,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &mut buffer[..length];
        if state.wait_for(|now| toxin(now) != Toxin::Hole).await.is_err() {
            return;
        }
        let now = toxin(&state.borrow_and_update());
        match now {
            Toxin::Delay(delay) => tokio::time::sleep(delay).await,
            Toxin::FlipBit(longer_than) if length > longer_than => piece[length / 2] ^= 1,
            _ => {}
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
