//! The file of checksums that HDFS's shell leaves beside a local file, `.NAME.crc`: `crc` and a zero byte, the bytes per checksum as u32be,
//! then the CRC32 of each such piece as u32be.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use super::super::failure::FsError;
use super::super::item::Item;
use super::beside;

/// Bytes per checksum of HDFS's local file system.
const PIECE: usize = 512;

/// Writes the checksums of the local file `item`.
pub(super) fn write(item: &Item) -> Result<(), FsError> {
    let path = beside(item, &format!(".{}.crc", item.name()));
    write_all(&item.path, &path).map_err(FsError::local(path))
}

fn write_all(of: &str, to: &str) -> std::io::Result<()> {
    let mut from = BufReader::new(File::open(of)?);
    let mut to = BufWriter::new(File::create(to)?);
    to.write_all(b"crc\0")?;
    to.write_all(&(PIECE as u32).to_be_bytes())?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        from.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return to.flush();
        }
        to.write_all(&crc32fast::hash(&piece).to_be_bytes())?;
    }
}
