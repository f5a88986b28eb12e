//! Files whose every byte is known: numbered records with checksums, and a note of what was acknowledged.

use bytes::{BufMut, Bytes, BytesMut};
use quarry_dfs_client::{DfsClient, FileWriter, Result};
use quarry_dfs_wire::checksum::DataChecksum;

use crate::cluster::{get, payload};
use crate::crash::CrashCluster;

/// Length, number, checksum of the rest.
const HEADER: usize = 4 + 8 + 4;

/// Record `n` of the file with that seed: header and 1 to 9000 bytes.
fn record(seed: u64, n: u64) -> Bytes {
    let length = 1 + ((seed.wrapping_mul(31).wrapping_add(n)).wrapping_mul(0x9E37_79B9) % 9000) as usize;
    let data = payload(seed ^ (n << 20), length);
    let mut record = BytesMut::with_capacity(HEADER + length);
    record.put_u32(length as u32);
    record.put_u64(n);
    record.put_u32(DataChecksum::default().chunk_checksum(&data));
    record.extend_from_slice(&data);
    record.freeze()
}

/// One file that was or is being written.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) path: String,
    seed: u64,
    records: u64,
    written: u64,
    /// Bytes that a flush or close confirmed.
    pub(crate) acknowledged: u64,
    pub(crate) closed: bool,
}

impl Story {
    pub(crate) fn new(path: String, seed: u64) -> Self {
        Self {
            path,
            seed,
            records: 0,
            written: 0,
            acknowledged: 0,
            closed: false,
        }
    }

    /// Writes so many records.
    pub(crate) async fn write(&mut self, writer: &mut FileWriter, records: u64) -> Result<()> {
        for _ in 0..records {
            let record = record(self.seed, self.records);
            self.records += 1;
            self.written += record.len() as u64;
            writer.write(record).await?;
        }
        Ok(())
    }

    pub(crate) async fn hflush(&mut self, writer: &mut FileWriter) -> Result<()> {
        writer.hflush().await?;
        self.acknowledged = self.written;
        Ok(())
    }

    pub(crate) async fn hsync(&mut self, writer: &mut FileWriter) -> Result<()> {
        writer.hsync().await?;
        self.acknowledged = self.written;
        Ok(())
    }

    pub(crate) async fn close(&mut self, writer: FileWriter) -> Result<()> {
        let status = writer.close().await?;
        assert_eq!(status.length, self.written, "{}", self.path);
        self.acknowledged = self.written;
        self.closed = true;
        Ok(())
    }

    /// Everything that was ever handed to the writer.
    fn all(&self) -> Bytes {
        let records: Vec<_> = (0..self.records).map(|n| record(self.seed, n)).collect();
        records.concat().into()
    }

    /// Reads the file and each replica of each block and compares: at least what was acknowledged is there, and nothing
    /// but what was written.
    pub(crate) async fn check(&self, client: &DfsClient, cluster: &CrashCluster) {
        let (all, path) = (self.all(), &self.path);
        let read = get(client, path).await;
        let length = read.len() as u64;
        assert!(
            length >= self.acknowledged,
            "{path}: {length} bytes, {} were acknowledged",
            self.acknowledged
        );
        assert!(
            !self.closed || length == self.written,
            "{path}: {length} bytes after close, {} written",
            self.written
        );
        assert!(all[..read.len()] == read, "{path}: wrong bytes");
        self.check_records(&read);
        for block in &client.block_locations(path).await.unwrap().blocks {
            let expected = &all[block.range().start as usize..block.range().end as usize];
            for node in &block.datanodes {
                let stored = cluster.replica(cluster.index(&node.uuid), block.block.block.id);
                let stored = stored.unwrap_or_else(|| panic!("{path}: {} is not on {}", block.block, node.uuid));
                assert!(
                    stored == expected,
                    "{path}: {} on {}: wrong bytes",
                    block.block,
                    node.uuid
                );
            }
        }
    }

    /// What somebody would see who only has the file: whole records in order, each with the right checksum.
    fn check_records(&self, mut bytes: &[u8]) {
        for n in 0..self.records {
            let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
                return;
            };
            let length = u32::from_be_bytes(header[..4].try_into().unwrap()) as usize;
            let number = u64::from_be_bytes(header[4..12].try_into().unwrap());
            let sum = u32::from_be_bytes(header[12..].try_into().unwrap());
            let Some((data, rest)) = rest.split_at_checked(length) else {
                return;
            };
            assert_eq!(
                (number, sum),
                (n, DataChecksum::default().chunk_checksum(data)),
                "{}",
                self.path
            );
            bytes = rest;
        }
    }
}
