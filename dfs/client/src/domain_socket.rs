//! A DataNode on this machine hands the open files of its replicas over a Unix socket (HDFS's short-circuit reads).
//!
//! Spoken here: operation 87 without shared memory, as Quarry's and Apache HDFS's DataNodes answer it. When anything goes wrong with the
//! socket, it is left alone for [`BACK_OFF`] and the replicas are read over TCP; a refusal of one block says nothing about others.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prost::Message;
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::delimited::MAX_MESSAGE_LENGTH;
use quarry_dfs_wire::transfer::op::Op;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::local::{LocalReplica, LocalReplicas};

/// How long a socket that failed is not tried again.
const BACK_OFF: Duration = Duration::from_secs(30);
/// How long the DataNode may take for an answer: it opens two files.
const PATIENCE: Duration = Duration::from_secs(5);
/// Idle connections kept. DataNodes close those that are idle for too long: then the first use fails and another is made.
const MAX_IDLE: usize = 4;
/// Version of the files' format, HDFS's only one.
const FORMAT_VERSION: u32 = 1;
/// The byte that carries the descriptors, when a byte is to be sent back.
const RECEIPT: u8 = 1;

/// The replicas of the DataNode that listens at a domain socket (HDFS's `dfs.domain.socket.path`).
#[derive(Debug)]
pub struct DomainSocketReplicas {
    path: PathBuf,
    datanode_uuid: String,
    idle: Mutex<Vec<UnixStream>>,
    /// When the socket failed.
    failed: Mutex<Option<Instant>>,
}

impl DomainSocketReplicas {
    /// The replicas of the DataNode `datanode_uuid`, which listens at `path`. Connects when first used: a DataNode that is not
    /// there, or stops listening, is no error; its replicas are then read over TCP.
    pub fn connect(path: impl Into<PathBuf>, datanode_uuid: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            datanode_uuid: datanode_uuid.into(),
            idle: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ask(&self, op: &[u8]) -> io::Result<Answer> {
        let kept = self.idle.lock().pop();
        if let Some(stream) = kept
            && let Ok(answer) = self.converse(stream, op)
        {
            return Ok(answer);
        }
        // The kept one, and with it the others, may be of a DataNode that is gone.
        self.idle.lock().clear();
        let stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.converse(stream, op)
    }

    fn converse(&self, mut stream: UnixStream, op: &[u8]) -> io::Result<Answer> {
        stream.write_all(op)?;
        let reply: pb::BlockOpResponseProto = read_delimited(&mut stream)?;
        let answer = match reply.status() {
            pb::Status::Success => {
                let (data, meta) = receive_files(&mut stream)?;
                Answer::Files(data, meta)
            }
            // The DataNode hands out no files of this kind at all.
            pb::Status::ErrorUnsupported => {
                let text = format!("not supported by the DataNode: {}", reply.message());
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            status => Answer::Refused(format!("{status:?} {}", reply.message())),
        };
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(stream);
        }
        Ok(answer)
    }

    fn is_backing_off(&self) -> bool {
        self.failed.lock().is_some_and(|at| at.elapsed() < BACK_OFF)
    }
}

enum Answer {
    Files(File, File),
    Refused(String),
}

impl LocalReplicas for DomainSocketReplicas {
    fn datanode_uuid(&self) -> &str {
        &self.datanode_uuid
    }

    fn open(&self, pool: &str, block: BlockId, generation_stamp: GenerationStamp) -> io::Result<Option<LocalReplica>> {
        if self.is_backing_off() {
            return Ok(None);
        }
        match self.ask(&request(pool, block, generation_stamp)) {
            Ok(Answer::Files(data, meta)) => {
                *self.failed.lock() = None;
                let length = data.metadata()?.len();
                Ok(Some(LocalReplica { data, meta, length }))
            }
            Ok(Answer::Refused(reason)) => {
                tracing::debug!(%block, reason, "DataNode keeps a replica's files to itself");
                Ok(None)
            }
            Err(error) => {
                tracing::info!(path = %self.path.display(), %error, "domain socket does not serve; reading over TCP for a while");
                *self.failed.lock() = Some(Instant::now());
                Ok(None)
            }
        }
    }
}

fn request(pool: &str, id: BlockId, generation_stamp: GenerationStamp) -> Vec<u8> {
    let block = Block {
        id,
        generation_stamp,
        length: 0,
    };
    let header = pb::BaseHeaderProto {
        block: (&ExtendedBlock::new(pool, block)).into(),
        token: None,
        trace_info: None,
    };
    let request = pb::OpRequestShortCircuitAccessProto {
        header,
        max_version: FORMAT_VERSION,
        slot_id: None,
        supports_receipt_verification: Some(true),
    };
    Op::RequestFds(Box::new(request)).encode()
}

/// Reads a message and not a byte more: the next one carries the descriptors.
fn read_delimited<M: Message + Default>(stream: &mut UnixStream) -> io::Result<M> {
    let nonsense = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
        if shift > 28 {
            return Err(nonsense("the length of the answer does not end".to_owned()));
        }
    }
    if length > MAX_MESSAGE_LENGTH {
        return Err(nonsense(format!("answer of {length} bytes")));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    M::decode(&message[..]).map_err(|error| nonsense(error.to_string()))
}

/// Receives the block file and the checksum file, and confirms it if asked to.
fn receive_files(stream: &mut UnixStream) -> io::Result<(File, File)> {
    let mut byte = [0];
    let mut files = Vec::with_capacity(2);
    {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut byte)];
        let received = rustix::net::recvmsg(&*stream, slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                files.extend(descriptors.map(File::from));
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if byte[0] == RECEIPT {
        stream.write_all(&[0])?;
    }
    let found = files.len();
    let mut files = files.into_iter();
    match (files.next(), files.next(), files.next()) {
        (Some(data), Some(meta), None) => Ok((data, meta)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{found} files came, expected 2"),
        )),
    }
}
