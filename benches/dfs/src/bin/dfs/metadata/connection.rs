//! One connection of the native load, on a thread of its own: each of its clients has one call under way, requests that are ready leave
//! in one write, and answers are taken as they lie in the buffer.
//!
//! It does for a call what a client has to do and nothing more, because whatever it takes of the machine's cores is missing to the
//! server and makes both systems look alike.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use quarry_dfs_wire::proto::hadoop::common::rpc_request_header_proto::OperationProto;
use quarry_dfs_wire::proto::hadoop::common::rpc_response_header_proto::RpcStatusProto;
use quarry_dfs_wire::proto::hadoop::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto, RpcResponseHeaderProto,
    UserInformationProto,
};
use quarry_dfs_wire::rpc::CLIENT_PROTOCOL;
use quarry_dfs_wire::rpc::frame::FrameBuilder;

use super::operations::{Call, Operation};

/// Magic, version 9, no service class, no authentication.
const PREFACE: &[u8; 7] = b"hrpc\x09\0\0";
/// The call id that the connection context has.
const CONTEXT_CALL: i32 = -3;
/// Bytes that are read at a time.
const READ: usize = 256 << 10;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client and what it did in this phase.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) home: String,
    pub(crate) name: String,
    /// It stops after so many operations.
    pub(crate) limit: usize,
    /// Its operations are on so many things, again from the first after the last.
    pub(crate) modulo: usize,
    /// Microseconds of each operation.
    pub(crate) latencies: Vec<u32>,
    sent: Instant,
    method: &'static str,
}

impl Client {
    pub(crate) fn new(number: usize, root: &str, limit: usize, modulo: usize) -> Self {
        Self {
            number,
            home: format!("{root}/c{number}"),
            name: format!("bench_{number}"),
            limit,
            modulo: modulo.max(1),
            latencies: Vec::new(),
            sent: Instant::now(),
            method: "",
        }
    }

    fn at(&self) -> usize {
        self.latencies.len() % self.modulo
    }
}

/// A connection with its clients.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The server's retry cache tells calls apart by this and the call's number.
    client_id: [u8; 16],
    clients: Vec<Client>,
    operation: Operation,
    end: Instant,
    /// Calls so far, for their numbers: the client is the number modulo the number of clients.
    rounds: Vec<i32>,
    out: Vec<u8>,
    waiting: usize,
}

impl Connection {
    /// Connects. Nothing is called yet.
    pub(crate) fn new(
        server: SocketAddr,
        user: &str,
        clients: Vec<Client>,
        operation: Operation,
        end: Instant,
    ) -> Result<Self> {
        let stream = TcpStream::connect(server).context("connect to the NameNode")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            client_id: client_id(),
            rounds: vec![0; clients.len()],
            clients,
            operation,
            end,
            out: introduction(user),
            waiting: 0,
        })
    }

    /// Has every client call until the end.
    pub(crate) fn run(mut self) -> Result<Vec<Client>> {
        for index in 0..self.clients.len() {
            self.begin(index)?;
        }
        let mut input = vec![0; READ];
        let mut filled = 0;
        while self.waiting > 0 {
            self.stream.write_all(&self.out)?;
            self.out.clear();
            let read = self.stream.read(&mut input[filled..]).context("wait for an answer")?;
            ensure!(read > 0, "the NameNode closed the connection");
            filled += read;
            let taken = self.take(&input[..filled])?;
            input.copy_within(taken..filled, 0);
            filled -= taken;
            ensure!(filled < input.len(), "an answer has more than {READ} bytes");
        }
        Ok(self.clients)
    }

    /// Takes all whole answers; how many bytes they had.
    fn take(&mut self, mut input: &[u8]) -> Result<usize> {
        let all = input.len();
        while let Some((length, rest)) = input.split_first_chunk::<4>() {
            let Some((frame, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else {
                break;
            };
            self.answer(frame)?;
            input = rest;
        }
        Ok(all - input.len())
    }

    fn answer(&mut self, mut frame: &[u8]) -> Result<()> {
        let header = RpcResponseHeaderProto::decode_length_delimited(&mut frame)?;
        let index = header.call_id as usize % self.clients.len();
        if header.status != RpcStatusProto::Success as i32 {
            bail!("{} was answered with {header:?}", self.clients[index].method);
        }
        let length = prost::decode_length_delimiter(&mut frame)?;
        ensure!(
            length == frame.len(),
            "an answer of {} bytes says {length}",
            frame.len()
        );
        self.waiting -= 1;
        let client = &self.clients[index];
        let place = (&*client.home, &*client.name, client.at());
        if let Some(next) = self.operation.go_on(client.method, frame, place)? {
            self.send(index, &next);
            return Ok(());
        }
        let client = &mut self.clients[index];
        let micros = client.sent.elapsed().as_micros();
        client.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
        self.begin(index)
    }

    /// The client's next operation, if it has one.
    fn begin(&mut self, index: usize) -> Result<()> {
        let (operation, client) = (self.operation, &mut self.clients[index]);
        client.sent = Instant::now();
        if client.latencies.len() >= client.limit || client.sent >= self.end {
            return Ok(());
        }
        let call = operation.begin(&client.home, &client.name, client.at());
        self.send(index, &call);
        Ok(())
    }

    fn send(&mut self, index: usize, call: &Call) {
        let call_id = self.rounds[index] * self.clients.len() as i32 + index as i32;
        self.rounds[index] += 1;
        let header = request_header(call_id, &self.client_id);
        let head = RequestHeaderProto {
            method_name: call.method.to_owned(),
            declaring_class_protocol_name: CLIENT_PROTOCOL.to_owned(),
            client_protocol_version: 1,
        };
        let frame = FrameBuilder::new()
            .message(&header)
            .message(&head)
            .encoded(&call.request);
        self.out.extend_from_slice(&frame.finish());
        self.clients[index].method = call.method;
        self.waiting += 1;
    }
}

fn request_header(call_id: i32, client_id: &[u8; 16]) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
        rpc_op: Some(OperationProto::RpcFinalPacket as i32),
        call_id,
        client_id: bytes::Bytes::copy_from_slice(client_id),
        retry_count: Some(0),
        ..RpcRequestHeaderProto::default()
    }
}

/// Who we are: the first bytes of a connection.
fn introduction(user: &str) -> Vec<u8> {
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(user.to_owned()),
            real_user: None,
        }),
        protocol: Some(CLIENT_PROTOCOL.to_owned()),
    };
    let header = request_header(CONTEXT_CALL, &[0; 16]);
    let frame = FrameBuilder::new().message(&header).message(&context).finish();
    [&PREFACE[..], &frame].concat()
}

/// Another one for each connection of this process and, by the clock, of others.
fn client_id() -> [u8; 16] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since_epoch.unwrap_or_default().as_nanos() as u64;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&nanos.to_be_bytes());
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}
