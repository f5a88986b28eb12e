//! The checkpoint image: the whole state in one file, made from the previous image and closed segments, never from the live state.
//!
//! The file begins with a header of 24 bytes: magic `QRYIMAGE`, u32 version 2, u64 last transaction, u32 CRC32C of those 20; then come
//! frames (see `frame`; the sync mark is 0), each one `ImageRecord`. Numbers big-endian.
//!
//! Two images are kept with every segment after the older one: should the newer prove unreadable, nothing is lost.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use prost::Message;

use super::{directory, frame, recovery, segment};
use crate::core::image::{Content, ImageRecord, StateBuilder};
use crate::core::image_pack::{Batch, unpack};
use crate::core::state::State;
use crate::error::{Error, Result, io_at};

const MAGIC: &[u8; 8] = b"QRYIMAGE";
/// Version that is written. Version 1, with a record per inode, is read as well.
const VERSION: u32 = 2;
const HEADER_SIZE: usize = 24;
const PREFIX: &str = "image_";
/// Images kept.
const KEEP: usize = 2;

/// All images, oldest first, by their last transaction.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    segment::list_numbered(dir, PREFIX)
}

fn header(version: u32, last_txid: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(version.to_be_bytes());
    header.extend(last_txid.to_be_bytes());
    header.extend(crc32c::crc32c(&header).to_be_bytes());
    header
}

/// Writes an image of `state`. On return it is on disk under its final name.
///
/// # Errors
/// `Io`; the directory is then as it was, but for a temporary file.
pub(crate) fn write(dir: &Path, state: &State) -> Result<PathBuf> {
    let name = format!("{PREFIX}{:019}", state.last_txid);
    directory::write_atomically(dir, &name, |file| write_records(file, state))
}

fn write_records(file: &mut File, state: &State) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&header(VERSION, state.last_txid))?;
    let mut buffer = Vec::new();
    state.export(|content| {
        buffer.clear();
        frame::put(&mut buffer, 0, &ImageRecord { content: Some(content) });
        out.write_all(&buffer)
    })?;
    out.flush()
}

/// A record that was read: most are batches of inodes.
enum Part {
    Inodes(Batch),
    Other(ImageRecord),
}

/// Parts that may wait to be taken in.
const PARTS_AHEAD: usize = 16;

/// Reads an image. One thread reads and decodes, this one builds the state.
///
/// # Errors
/// `Corrupt` with the offset of the bad record, or `Replay`.
pub(crate) fn read(path: &Path, last_txid: u64) -> Result<State> {
    let file = File::open(path).map_err(io_at("open", path))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut found = Vec::new();
    let begin = reader.by_ref().take(HEADER_SIZE as u64).read_to_end(&mut found);
    begin.map_err(io_at("read", path))?;
    if !(1..=VERSION).any(|version| found == header(version, last_txid)) {
        return Err(Error::Corrupt {
            file: path.to_owned(),
            offset: 0,
            problem: "its header is not that of an image of its name, or of a newer version".to_owned(),
        });
    }
    let replay = |source| Error::Replay {
        file: path.to_owned(),
        source,
    };
    std::thread::scope(|scope| {
        let (sender, parts) = sync_channel(PARTS_AHEAD);
        scope.spawn(move || read_parts(path, reader, &sender));
        let mut builder = StateBuilder::default();
        for part in parts {
            match part? {
                Part::Inodes(batch) => builder.add_batch(batch).map_err(replay)?,
                Part::Other(record) => builder.add(record).map_err(replay)?,
            }
        }
        builder.finish().map_err(replay)
    })
}

/// Sends every record, or what is wrong with the first bad one.
fn read_parts(path: &Path, mut reader: impl Read, parts: &SyncSender<Result<Part>>) {
    let (mut buffer, mut at) = (Vec::new(), HEADER_SIZE);
    loop {
        let part = match frame::read(&mut reader, &mut buffer).map_err(io_at("read", path)) {
            Ok(false) => return,
            Ok(true) => part(&buffer).map_err(|problem| Error::Corrupt {
                file: path.to_owned(),
                offset: at as u64,
                problem,
            }),
            Err(problem) => Err(problem),
        };
        let failed = part.is_err();
        at += buffer.len();
        // Nobody listens any more once a record did not fit.
        if parts.send(part).is_err() || failed {
            return;
        }
    }
}

fn part(bytes: &[u8]) -> std::result::Result<Part, String> {
    let found = frame::get(bytes)?;
    let record = ImageRecord::decode(found.payload).map_err(|problem| problem.to_string())?;
    Ok(match record.content {
        Some(Content::Inodes(inodes)) => Part::Inodes(unpack(&inodes.packed)?),
        content => Part::Other(ImageRecord { content }),
    })
}

/// Makes an image of everything before `first_open_txid` and removes what it makes superfluous.
///
/// # Errors
/// As for reading and writing; what was there before is still there.
pub(crate) fn run(dir: &Path, first_open_txid: u64) -> Result<()> {
    let last_txid = first_open_txid - 1;
    if list(dir)?.last().is_some_and(|(newest, _)| *newest >= last_txid) {
        return Ok(());
    }
    let state = recovery::load_closed(dir, first_open_txid)?;
    write(dir, &state)?;
    tracing::info!(last_txid, inodes = state.namespace.count(), "checkpoint written");
    purge(dir)
}

/// Removes images but the newest [`KEEP`] and segments that the oldest kept one covers.
fn purge(dir: &Path) -> Result<()> {
    let images = list(dir)?;
    let keep_from = images.len().saturating_sub(KEEP);
    for (_, path) in &images[..keep_from] {
        fs::remove_file(path).map_err(io_at("remove", path))?;
    }
    let Some((covered, _)) = images.get(keep_from).filter(|_| images.len() >= KEEP) else {
        return Ok(());
    };
    let segments = segment::list(dir)?;
    for pair in segments.windows(2) {
        if pair[1].first_txid <= covered + 1 {
            fs::remove_file(&pair[0].path).map_err(io_at("remove", &pair[0].path))?;
        }
    }
    Ok(())
}

/// The thread that makes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. It makes a checkpoint whenever the first transaction of a new segment is sent; a request that comes while one
    /// waits already is dropped, the next covers it.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(crate) fn start(dir: PathBuf) -> io::Result<(Self, SyncSender<u64>)> {
        let (sender, requests) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("namenode-checkpoint".to_owned())
            .spawn(move || serve(&dir, &requests))?;
        Ok((Self { thread: Some(thread) }, sender))
    }
}

/// How much the checkpoint thread yields to those that answer calls: a checkpoint of ten million files is some seconds of work.
const NICENESS: i32 = 10;

fn serve(dir: &Path, requests: &Receiver<u64>) {
    // On Linux this is about the calling thread alone. Where it is refused, checkpoints compete like any other work.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    while let Ok(first_open_txid) = requests.recv() {
        // The log is whole without it, so the NameNode goes on; the next closed segment is the next try.
        if let Err(problem) = run(dir, first_open_txid) {
            tracing::error!(%problem, "no checkpoint could be made");
        }
    }
}

impl Drop for Checkpointer {
    /// Waits for a checkpoint under way. The senders must be gone.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}
