//! Files that a crash, a bad disk or a stranger may have written: edit log, image, block files, `VERSION`.

use std::fs;

use quarry_dfs_datanode::fuzzing as datanode;
use quarry_dfs_namenode::fuzzing as namenode;
use tempfile::TempDir;

/// Payloads per file in the framed targets.
const MAX_PAYLOADS: usize = 64;

/// A fresh directory; memory-backed where the machine has such a place, since nothing here is about durability.
fn scratch() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a temporary directory can be made")
}

/// A NameNode's directory whose log is `bytes` behind a good header or, if `raw`, nothing else.
fn load_with_log(bytes: &[u8]) {
    let dir = scratch();
    namenode::format(dir.path()).expect("a fresh directory can be formatted");
    let (path, mut content) = namenode::first_segment(dir.path());
    content.extend_from_slice(bytes);
    fs::write(path, content).expect("scratch space is writable");
    if namenode::load(dir.path()).is_ok() {
        // What was cut off stays cut off: a second start finds the same.
        namenode::load(dir.path()).expect("a directory that loads, loads again");
    }
}

fn load_with_image(bytes: &[u8]) {
    let dir = scratch();
    namenode::format(dir.path()).expect("a fresh directory can be formatted");
    let path = namenode::image(dir.path()).expect("it has an image");
    fs::write(path, bytes).expect("scratch space is writable");
    let _ = namenode::load(dir.path());
}

/// Cuts the input into payloads: each a length byte pair and that many bytes, the last one short.
fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>()
        && found.len() < MAX_PAYLOADS
    {
        let (payload, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        found.push(payload);
        bytes = rest;
    }
    found
}

/// Any bytes as the records of a segment.
pub(crate) fn edit_log(bytes: &[u8]) {
    load_with_log(bytes);
}

/// Any payloads with right checksums: what a newer or mad NameNode may have logged.
pub(crate) fn edit_log_framed(bytes: &[u8]) {
    let mut log = Vec::new();
    for payload in payloads(bytes) {
        namenode::frame(&mut log, payload);
    }
    load_with_log(&log);
}

/// Any bytes as an image.
pub(crate) fn image(bytes: &[u8]) {
    load_with_image(bytes);
}

/// A good image with any payloads after its own, all with right checksums.
pub(crate) fn image_framed(bytes: &[u8]) {
    let dir = scratch();
    namenode::format(dir.path()).expect("a fresh directory can be formatted");
    let path = namenode::image(dir.path()).expect("it has an image");
    let mut image = fs::read(path).expect("it can be read");
    for payload in payloads(bytes) {
        namenode::frame(&mut image, payload);
    }
    load_with_image(&image);
}

/// Payloads of both, without files around them.
pub(crate) fn log_records(bytes: &[u8]) {
    namenode::decode_records(bytes);
}

/// What a DataNode says to its NameNode.
pub(crate) fn datanode_message(bytes: &[u8]) {
    namenode::datanode_message(bytes);
}

/// A replica that was being written: the first two bytes say how many of the rest are its checksum file.
pub(crate) fn block_files(bytes: &[u8]) {
    let parts = payloads(bytes);
    let (meta, data) = (
        parts.first().copied().unwrap_or(&[]),
        parts.get(1).copied().unwrap_or(&[]),
    );
    let dir = scratch();
    let (data_path, meta_path) = (dir.path().join("blk_1"), dir.path().join("blk_1_1001.meta"));
    fs::write(&data_path, data).expect("scratch space is writable");
    fs::write(&meta_path, meta).expect("scratch space is writable");
    if let Ok(valid) = datanode::valid_length(&data_path, &meta_path) {
        assert!(valid <= data.len() as u64);
    }
}

/// A volume's `VERSION`.
pub(crate) fn version_file(bytes: &[u8]) {
    let dir = scratch();
    let path = dir.path().join("VERSION");
    fs::write(&path, bytes).expect("scratch space is writable");
    let _ = datanode::volume_version(&path);
}
