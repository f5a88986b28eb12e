//! Doors for the fuzz targets (package `quarry-dfs-fuzz`): decoders that no other crate calls, with nothing around them.

use std::path::{Path, PathBuf};

use prost::Message;
use quarry_dfs_wire::proto::dfs_v1::FromDataNode;

use crate::core::edit::EditRecord;
use crate::core::image::ImageRecord;
use crate::core::state::State;
use crate::datanode_stream;
use crate::error::Result;
use crate::log::{checkpoint, frame, recovery, segment};

/// Makes `dir` the directory of an empty namespace: an image and no log.
///
/// # Errors
/// `Io`.
pub fn format(dir: &Path) -> Result<()> {
    checkpoint::write(dir, &State::new("fuzz", "supergroup")).map(drop)
}

/// Where the first segment of the edit log belongs, and its header.
pub fn first_segment(dir: &Path) -> (PathBuf, Vec<u8>) {
    (segment::path_of(dir, 1), segment::header(1))
}

/// The image of `dir`.
///
/// # Errors
/// `Io`, or there is none.
pub fn image(dir: &Path) -> Result<PathBuf> {
    Ok(checkpoint::list(dir)?.pop().expect("format has made one").1)
}

/// Puts a payload into a frame whose checksum is right, as the log and the image have them.
pub fn frame(buffer: &mut Vec<u8>, payload: &[u8]) {
    frame::put_payload(buffer, 0, payload);
}

/// Loads a directory as a NameNode does at its start and returns the number of inodes.
///
/// # Errors
/// What is damaged.
pub fn load(dir: &Path) -> Result<usize> {
    Ok(recovery::load(dir)?.state.namespace.count())
}

/// Decodes a payload of the log and one of the image; what does not decode is of no interest.
pub fn decode_records(payload: &[u8]) {
    let _ = EditRecord::decode(payload);
    let _ = ImageRecord::decode(payload);
}

/// Takes a message of a DataNode as it comes off its stream.
pub fn datanode_message(bytes: &[u8]) {
    if let Ok(FromDataNode { message: Some(message) }) = FromDataNode::decode(bytes) {
        datanode_stream::check(message);
    }
}
