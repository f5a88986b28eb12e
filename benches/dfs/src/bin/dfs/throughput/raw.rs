//! What the machine itself does: bytes through loopback TCP and through `pread`, without a file system of ours above.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use quarry_benches_dfs::report::{Line, Unit};
use quarry_dfs_wire::checksum::DataChecksum;

use super::load::{Load, Operation, SEQUENTIAL_PIECE};
use super::per_second;

/// Bytes per system call of the loopback stream.
const STEP: usize = 1 << 20;
/// Loopback TCP alone.
pub(crate) const LOOPBACK: &str = "loopback TCP, one stream, nothing checked";

/// Loopback TCP and `pread`, each in the place of the operation that it bounds.
pub(crate) fn lines(load: &Load<'_>, size: u64, clients: usize) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    if clients == 1 {
        let moved = loopback(size, Checked::No)?;
        lines.push(Line::new(LOOPBACK, Unit::Throughput, per_second(size, moved)));
        let moved = loopback(size, Checked::Yes)?;
        lines.push(Line::new(
            Operation::Read.name(),
            Unit::Throughput,
            per_second(size, moved),
        ));
    }
    let files = load.block_files()?;
    let each = size / clients as u64;
    let began = Instant::now();
    let shares: Vec<Vec<PathBuf>> = (0..clients)
        .map(|client| files.iter().skip(client).step_by(clients).cloned().collect())
        .collect();
    thread::scope(|scope| {
        let readers: Vec<_> = shares
            .iter()
            .map(|share| scope.spawn(|| pread(share, SEQUENTIAL_PIECE as usize, each)))
            .collect();
        readers.into_iter().try_for_each(|reader| join(reader.join()).map(drop))
    })?;
    let moved = per_second(each * clients as u64, began.elapsed());
    lines.push(Line::new(Operation::ReadLocal.name(), Unit::Throughput, moved));
    Ok(lines)
}

/// Whether the receiver computes the CRC32C of each 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    No,
    Yes,
}

/// How long it takes to send that many bytes from one thread to another.
pub(crate) fn loopback(size: u64, checked: Checked) -> Result<Duration> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let sender = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let bytes = vec![7; STEP];
        let mut left = size;
        while left > 0 {
            let now = left.min(STEP as u64);
            stream.write_all(&bytes[..now as usize])?;
            left -= now;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![1; STEP];
    let mut sums = Vec::new();
    let began = Instant::now();
    let mut left = size;
    while left > 0 {
        let now = left.min(STEP as u64) as usize;
        stream
            .read_exact(&mut buffer[..now])
            .context("the loopback sender ended early")?;
        left -= now as u64;
        if checked == Checked::Yes {
            sums.clear();
            DataChecksum::default().compute(&buffer[..now], &mut sums);
            std::hint::black_box(&sums);
        }
    }
    let time = began.elapsed();
    join(sender.join())?;
    Ok(time)
}

/// How long it takes to read `size` bytes of `files`, `piece` bytes at a time, again from the front after the last one.
pub(crate) fn pread(files: &[PathBuf], piece: usize, size: u64) -> Result<Duration> {
    let mut open = Vec::new();
    for path in files {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let length = file.metadata()?.len();
        open.push((file, length));
    }
    let mut buffer = vec![1; piece];
    let mut left = size;
    let began = Instant::now();
    while left > 0 {
        let before = left;
        for (file, length) in &open {
            let mut at = 0;
            while at < *length && left > 0 {
                let wanted = left.min(length - at).min(piece as u64) as usize;
                let read = file.read_at(&mut buffer[..wanted], at)? as u64;
                (at, left) = (at + read, left - read);
            }
        }
        if left == before {
            return Err(anyhow!("there is no byte to read in {} files", files.len()));
        }
    }
    Ok(began.elapsed())
}

/// Makes a file.
pub(crate) fn fill(path: &Path, size: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let bytes = vec![7; STEP];
    for at in (0..size).step_by(STEP) {
        file.write_all(&bytes[..(size - at).min(STEP as u64) as usize])?;
    }
    Ok(())
}

fn join<T>(ended: thread::Result<Result<T>>) -> Result<T> {
    ended.map_err(|_| anyhow!("a thread panicked"))?
}
