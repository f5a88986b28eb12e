//! Where the bytes of a file lie.

use std::ops::Range;
use std::sync::Arc;

use quarry_dfs_wire::block::ExtendedBlock;

use crate::status::FileStatus;

/// A DataNode as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataNodeInfo {
    /// Its identity: addresses may be shared (several DataNodes on one machine) or change, this does not.
    pub uuid: String,
    /// Address of its data transfer server.
    pub ip: String,
    /// The name that it calls its machine.
    pub hostname: String,
    /// Port of its data transfer server.
    pub xfer_port: u16,
    /// Port of its RPC server.
    pub ipc_port: u16,
    /// Its place in the network, `/rack`.
    pub rack: String,
}

impl DataNodeInfo {
    /// `ip:port` of the data transfer server, as HDFS writes it in `firstBadLink`.
    pub fn xfer_address(&self) -> String {
        format!("{}:{}", self.ip, self.xfer_port)
    }

    /// How messages name it.
    pub(crate) fn label(&self) -> String {
        format!("{} ({})", self.xfer_address(), self.uuid)
    }
}

/// One block of a file.
#[derive(Clone, Debug)]
pub struct BlockLocation {
    /// The block, with its length in bytes.
    pub block: ExtendedBlock,
    /// Where it begins in the file.
    pub offset: u64,
    /// Whether the NameNode knows no good replica.
    pub corrupt: bool,
    /// Where its replicas are, in the NameNode's order of closeness to this client.
    pub datanodes: Vec<Arc<DataNodeInfo>>,
    /// The volumes of the replicas, in the same order.
    pub storage_ids: Vec<String>,
    /// The media of those volumes, as numbers of HDFS's `StorageTypeProto`.
    pub(crate) storage_types: Vec<i32>,
    /// The token that DataNodes of a secured cluster ask for; opaque.
    pub(crate) token: quarry_dfs_wire::proto::hadoop::common::TokenProto,
}

impl BlockLocation {
    /// The bytes of the file that it holds.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.block.block.length
    }
}

/// All blocks of a file, in order.
#[derive(Clone, Debug)]
pub struct FileBlocks {
    /// Length of the file in bytes.
    pub length: u64,
    /// Whether a writer has it open.
    pub under_construction: bool,
    /// The blocks. A last one that is still being written is among them with what a reader may see of it, if that was asked
    /// for: opening a file does, listing it does not.
    pub blocks: Vec<BlockLocation>,
    /// A last block that is still being written and not among the others. Its length is what the NameNode knows: mostly 0.
    pub unfinished: Option<BlockLocation>,
}

impl FileBlocks {
    /// Adds what readers may see of the last block.
    pub(crate) fn extend(&mut self, mut last: BlockLocation, visible: u64) {
        if visible > 0 {
            last.block.block.length = visible;
            last.offset = self.length;
            self.length += visible;
            self.blocks.push(last);
        }
    }

    /// The blocks that hold a byte of `range`.
    pub fn overlapping(&self, range: &Range<u64>) -> &[BlockLocation] {
        let first = self.blocks.partition_point(|b| b.range().end <= range.start);
        let last = self.blocks.partition_point(|b| b.offset < range.end).max(first);
        &self.blocks[first..last]
    }
}

/// A file with its blocks, as one listing gives them.
#[derive(Clone, Debug)]
pub struct LocatedFile {
    /// The file.
    pub status: FileStatus,
    /// Its blocks.
    pub blocks: Arc<FileBlocks>,
}
