//! Clients at work: sequential and random reads and writes on one system.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::try_join_all;
use quarry_benches_dfs::report::{Line, QUARRY, Unit};
use quarry_benches_dfs::systems::Cluster;
use quarry_benches_dfs::systems::quarry::domain_socket;
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig, FileReader, ReadStats};

use super::{LoadArgs, per_second};

/// Bytes per plain `pread`: as many as a sequential reader gets at a time.
pub(crate) const SEQUENTIAL_PIECE: u64 = 1 << 20;
/// Bytes that a writer hands over at a time.
const WRITE_PIECE: usize = 8 << 20;

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Writes a file with so many replicas, and closes it.
    Write(u16),
    /// Reads a file from front to end over TCP.
    Read,
    /// The same from the replica's own files.
    ReadLocal,
    /// Reads so many bytes at random places over TCP.
    Random(u64),
    /// The same from the replica's own files.
    RandomLocal(u64),
}

/// Everything that is measured, in this order.
pub(crate) const OPERATIONS: [Operation; 8] = [
    Operation::Write(1),
    Operation::Write(3),
    Operation::Read,
    Operation::ReadLocal,
    Operation::Random(64 << 10),
    Operation::Random(4 << 10),
    Operation::RandomLocal(64 << 10),
    Operation::RandomLocal(4 << 10),
];

impl Operation {
    /// What it is called in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write(1) => "sequential write, 1 replica",
            Self::Write(_) => "sequential write, pipeline of 3",
            Self::Read => "sequential read over TCP",
            Self::ReadLocal => "sequential read of local replicas",
            Self::Random(4096) => "random read of 4 KiB over TCP",
            Self::Random(_) => "random read of 64 KiB over TCP",
            Self::RandomLocal(4096) => "random read of 4 KiB of local replicas",
            Self::RandomLocal(_) => "random read of 64 KiB of local replicas",
        }
    }
}

/// Some clients on a system.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    system: &'a Cluster,
    clients: Vec<DfsClient>,
    local_clients: Vec<DfsClient>,
    /// Bytes per client.
    share: u64,
    time: Duration,
    piece: Bytes,
}

impl<'a> Load<'a> {
    pub(crate) fn new(system: &'a Cluster, args: &LoadArgs, clients: usize) -> Self {
        let config = DfsClientConfig {
            user: system.user.clone(),
            ..DfsClientConfig::new(system.namenode.to_string())
        };
        // Apache's DataNodes hand out the files of replicas only with Hadoop's native library, which no package has.
        let has_local_reads = system.name == QUARRY;
        let make = |config: &DfsClientConfig| (0..clients).map(|_| DfsClient::new(config.clone())).collect();
        let local = DfsClientConfig {
            domain_socket: Some(domain_socket(&system.home)),
            ..config.clone()
        };
        Self {
            system,
            clients: make(&config),
            local_clients: if has_local_reads { make(&local) } else { Vec::new() },
            share: args.size.as_u64() / clients as u64,
            time: Duration::from_secs_f64(args.seconds),
            piece: noise(WRITE_PIECE),
        }
    }

    /// The system's name.
    pub(crate) fn system(&self) -> &'static str {
        self.system.name
    }

    /// Writes the files that are read later, and checks that they come back as they were written; warms up, too.
    pub(crate) async fn prepare(&self) -> Result<()> {
        for number in 0..self.clients.len() {
            self.write(number, &source(number), 1).await?;
            let reader = self.clients[number].open(&source(number)).await?;
            ensure!(reader.len() == self.share, "the file has {} bytes", reader.len());
            let mut at = 0;
            while at < reader.len() {
                let end = reader.len().min(at + WRITE_PIECE as u64);
                let bytes = reader.read_range(at..end).await?;
                ensure!(bytes[..] == self.piece[..(end - at) as usize], "bytes at {at} differ");
                at = end;
            }
        }
        Ok(())
    }

    /// Deletes everything.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.clients[0].delete("/bench", true).await?;
        Ok(())
    }

    /// Runs one operation; none if the system does not offer it.
    pub(crate) async fn measure(&self, operation: Operation) -> Result<Option<Line>> {
        let name = operation.name();
        let local = matches!(operation, Operation::ReadLocal | Operation::RandomLocal(_));
        if local && self.local_clients.is_empty() {
            return Ok(None);
        }
        let stats = Arc::new(ReadStats::default());
        let cpu_before = self.system.cpu_micros();
        let numbers = 0..self.clients.len();
        let mut line = match operation {
            Operation::Write(replicas) => {
                let began = Instant::now();
                try_join_all(numbers.map(|number| self.spawn_write(number, replicas))).await?;
                Line::new(name, Unit::Throughput, per_second(self.total(), began.elapsed()))
            }
            Operation::Read | Operation::ReadLocal => {
                let readers = self.readers(local, &stats).await?;
                let began = Instant::now();
                try_join_all(readers.into_iter().map(|reader| spawn(sequential(reader)))).await?;
                Line::new(name, Unit::Throughput, per_second(self.total(), began.elapsed()))
            }
            Operation::Random(size) | Operation::RandomLocal(size) => {
                let readers = self.readers(local, &stats).await?;
                let (began, time) = (Instant::now(), self.time);
                let reads = (0..)
                    .zip(readers)
                    .map(|(seed, reader)| spawn(random(reader, size, time, seed)));
                let counts = try_join_all(reads).await?;
                let count = counts.iter().sum::<u64>() as f64;
                Line::new(name, Unit::Rate, count / began.elapsed().as_secs_f64())
            }
        };
        if matches!(operation, Operation::Write(_) | Operation::Read) {
            let mebibytes = self.total() as f64 / f64::from(1 << 20);
            line.server_micros = Some((self.system.cpu_micros() - cpu_before) as f64 / mebibytes);
        }
        ensure!(
            !local || stats.remote_bytes() == 0,
            "{name}: {} bytes came over TCP",
            stats.remote_bytes()
        );
        Ok(Some(line))
    }

    /// The files that hold the blocks that are read.
    pub(crate) fn block_files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        collect(&self.system.home, &mut found)?;
        ensure!(!found.is_empty(), "no block file in {}", self.system.home.display());
        Ok(found)
    }

    fn total(&self) -> u64 {
        self.share * self.clients.len() as u64
    }

    async fn readers(&self, local: bool, stats: &Arc<ReadStats>) -> Result<Vec<FileReader>> {
        let clients = if local { &self.local_clients } else { &self.clients };
        let mut readers = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            readers.push(client.open(&source(number)).await?.with_stats(Arc::clone(stats)));
        }
        Ok(readers)
    }

    async fn spawn_write(&self, number: usize, replicas: u16) -> Result<()> {
        let (client, piece, share) = (self.clients[number].clone(), self.piece.clone(), self.share);
        let path = format!("/bench/written{number}");
        spawn(async move { write(&client, &path, &piece, share, replicas).await }).await
    }

    async fn write(&self, number: usize, path: &str, replicas: u16) -> Result<()> {
        write(&self.clients[number], path, &self.piece, self.share, replicas).await
    }
}

fn source(number: usize) -> String {
    format!("/bench/source{number}")
}

/// On a task of its own, so that clients use all cores.
async fn spawn<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.context("a client panicked")?
}

async fn write(client: &DfsClient, path: &str, piece: &Bytes, size: u64, replicas: u16) -> Result<()> {
    let options = CreateOptions {
        replication: Some(replicas),
        overwrite: true,
        ..CreateOptions::default()
    };
    let mut writer = client.create(path, options).await?;
    while writer.length() < size {
        let now = (size - writer.length()).min(piece.len() as u64) as usize;
        writer.write(piece.slice(..now)).await?;
    }
    writer.close().await?;
    Ok(())
}

async fn sequential(reader: FileReader) -> Result<()> {
    let mut read = 0;
    let mut pieces = pin!(reader.stream(0..reader.len()));
    while let Some(bytes) = pieces.try_next().await? {
        read += std::hint::black_box(&bytes).len() as u64;
    }
    ensure!(read == reader.len(), "{read} of {} bytes came", reader.len());
    Ok(())
}

/// Reads at random places until the time is over; how often.
async fn random(reader: FileReader, size: u64, time: Duration, seed: u64) -> Result<u64> {
    let places = (reader.len() / size).max(1);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < time {
        let at = next(&mut state) % places * size;
        let bytes = reader.read_range(at..reader.len().min(at + size)).await?;
        std::hint::black_box(&bytes);
        count += 1;
    }
    Ok(count)
}

/// The next number of a small generator (xorshift).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Bytes that nothing can compress.
fn noise(length: usize) -> Bytes {
    let mut state = 42;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        } else if name.starts_with("blk_") && !name.ends_with(".meta") && entry.metadata()?.len() > 0 {
            found.push(entry.path());
        }
    }
    Ok(())
}
