//! A small service, a server for it, and a socket to say anything on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use prost::Message;
use quarry_dfs_wire::proto::hadoop::common::rpc_request_header_proto::OperationProto;
use quarry_dfs_wire::proto::hadoop::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto, RpcResponseHeaderProto,
    UserInformationProto,
};
use quarry_dfs_wire::proto::hadoop::hdfs::{GetFileInfoRequestProto, MkdirsResponseProto, RenameRequestProto};
use quarry_dfs_wire::rpc::frame::{FrameBuilder, FrameReader, decode_delimited, split_delimited};
use quarry_dfs_wire::rpc::{
    CLIENT_PROTOCOL, CallContext, RpcClient, RpcClientOptions, RpcException, RpcServer, RpcServerOptions, RpcService,
    decode,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// `rename` answers with its own request, `getFileInfo` waits for the gate, `delete` fails, `create` panics.
#[derive(Default)]
pub(crate) struct TestService {
    pub(crate) gate: Gate,
    pub(crate) contexts: Mutex<Vec<CallContext>>,
    pub(crate) running: AtomicUsize,
}

pub(crate) struct Gate(pub(crate) Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

#[async_trait]
impl RpcService for TestService {
    fn protocols(&self) -> &[&'static str] {
        &[CLIENT_PROTOCOL]
    }

    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes, RpcException> {
        self.contexts.lock().push(context.clone());
        match context.method.as_str() {
            "rename" => Ok(decode::<RenameRequestProto>(&context, request)?.encode_to_vec().into()),
            "getFileInfo" => {
                let request: GetFileInfoRequestProto = decode(&context, request)?;
                self.running.fetch_add(1, Ordering::SeqCst);
                self.gate.0.acquire().await.unwrap().forget();
                Ok(request.encode_to_vec().into())
            }
            "mkdirs" => Ok(MkdirsResponseProto { result: true }.encode_to_vec().into()),
            "delete" => Err(RpcException::safe_mode("Cannot delete /a. Name node is in safe mode.")),
            "create" => panic!("create panics"),
            method => Err(RpcException::no_such_method(method, &context.protocol)),
        }
    }

    fn state_id(&self) -> Option<i64> {
        Some(42)
    }
}

/// A server with the test service.
pub(crate) async fn server(options: RpcServerOptions) -> (RpcServer, Arc<TestService>) {
    let service = Arc::new(TestService::default());
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), Arc::<TestService>::clone(&service), options)
        .await
        .unwrap();
    (server, service)
}

/// A client of a server.
pub(crate) fn client(server: &RpcServer) -> RpcClient {
    RpcClient::new(
        server.local_addr().to_string(),
        "alice",
        CLIENT_PROTOCOL,
        RpcClientOptions::default(),
    )
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("still not so: {what}"));
}

/// A socket to a server, for bytes of any kind.
pub(crate) struct Raw {
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Raw {
    pub(crate) async fn connect(server: &RpcServer) -> Self {
        let (reader, writer) = TcpStream::connect(server.local_addr()).await.unwrap().into_split();
        Self {
            reader: FrameReader::new(reader, 1 << 20),
            writer,
        }
    }

    /// Connected, with preface and context sent.
    pub(crate) async fn established(server: &RpcServer) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send(b"hrpc\x09\x00\x00").await;
        raw.send(&context_frame("alice")).await;
        raw
    }

    /// Sends; that the other side has closed already is no error here.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    pub(crate) async fn finish_sending(&mut self) {
        let _ = self.writer.shutdown().await;
    }

    /// The next reply's header and body; none when the connection has ended.
    pub(crate) async fn reply(&mut self) -> Option<(RpcResponseHeaderProto, Bytes)> {
        let frame = timeout(PATIENCE, self.reader.next_frame())
            .await
            .expect("neither a reply nor an end");
        let mut frame = frame.ok()??;
        let header = decode_delimited(&mut frame, "header").unwrap();
        let body = if frame.has_remaining() {
            split_delimited(&mut frame, "body").unwrap()
        } else {
            Bytes::new()
        };
        Some((header, body))
    }

    /// Everything that comes until the connection ends.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = timeout(PATIENCE, self.reader.take(1)).await.expect("no end");
            match bytes {
                Ok(bytes) if !bytes.is_empty() => all.extend_from_slice(&bytes),
                _ => return all,
            }
        }
    }
}

/// The header of a call.
pub(crate) fn header(call_id: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
        rpc_op: Some(OperationProto::RpcFinalPacket as i32),
        call_id,
        client_id: Bytes::from_static(&[3; 16]),
        retry_count: Some(0),
        ..Default::default()
    }
}

/// A connection context.
pub(crate) fn context_frame(user: &str) -> Bytes {
    let user_info = UserInformationProto {
        effective_user: Some(user.into()),
        real_user: None,
    };
    let context = IpcConnectionContextProto {
        user_info: Some(user_info),
        protocol: Some(CLIENT_PROTOCOL.into()),
    };
    FrameBuilder::new().message(&header(-3)).message(&context).finish()
}

/// A call with an encoded request.
pub(crate) fn call_frame(call_id: i32, protocol: &str, method: &str, request: &[u8]) -> Bytes {
    let head = RequestHeaderProto {
        method_name: method.into(),
        declaring_class_protocol_name: protocol.into(),
        client_protocol_version: 1,
    };
    FrameBuilder::new()
        .message(&header(call_id))
        .message(&head)
        .encoded(request)
        .finish()
}
