//! The durable state as a sequence of records, for the checkpoint image. Parents come before their entries.
//!
//! The encoding is protobuf with the field numbers given here (persisted, never renumber).

#![expect(
    missing_docs,
    reason = "fields that carry an inode's or block's attribute are named for it"
)]

use std::collections::{BTreeMap, HashMap};

use prost::{Message, Oneof};
use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::block_map::{BlockInfo, BlockState};
use super::edit::RetryEntry;
use super::image_features::ImageFeatures;
use super::image_pack::{Batch, PackedBlock, PackedInode, PackedKind, Packer, unpack};
use super::inode::{Body, FileBody, Inode, NameId, ROOT_INODE_ID, Slot};
use super::open_files::OpenFile;
use super::replicas::Replicas;
use super::state::{ApplyError, State};

/// One record of the image.
#[derive(Clone, PartialEq, Message)]
pub struct ImageRecord {
    /// The content.
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6, 20, 21, 60")]
    pub content: Option<Content>,
}

/// Kinds of image records.
#[derive(Clone, PartialEq, Oneof)]
pub enum Content {
    /// First.
    #[prost(message, tag = "1")]
    Header(Header),
    /// Second: user and group names by number.
    #[prost(message, tag = "2")]
    Names(NameTable),
    /// A file or directory.
    #[prost(message, tag = "3")]
    Inode(ImageInode),
    /// A file being written; before its inode.
    #[prost(message, tag = "4")]
    Open(ImageOpen),
    /// A remembered answer.
    #[prost(message, tag = "5")]
    Retry(RetryEntry),
    /// Last: an image without it is cut off.
    #[prost(message, tag = "6")]
    End(End),
    /// What an administrator said of a DataNode.
    #[prost(message, tag = "60")]
    Node(ImageNode),
    /// What few inodes have; after the inodes.
    #[prost(message, tag = "20")]
    Features(ImageFeatures),
    /// Files and directories, many at once: since version 2, in place of [`Content::Inode`].
    #[prost(message, tag = "21")]
    Inodes(ImageInodes),
}

/// Counters.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Header {
    /// The last transaction that the image holds.
    #[prost(uint64, tag = "1")]
    pub last_txid: u64,
    /// The next inode's id.
    #[prost(uint64, tag = "2")]
    pub next_inode_id: u64,
    /// The next block's id.
    #[prost(uint64, tag = "3")]
    pub next_block_id: u64,
    /// The next generation stamp.
    #[prost(uint64, tag = "4")]
    pub next_generation_stamp: u64,
}

/// See [`Content::Names`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NameTable {
    /// The name with number n at position n.
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

/// See [`Content::Inode`].
#[derive(Clone, PartialEq, Message)]
pub struct ImageInode {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// 0 for the root.
    #[prost(uint64, tag = "2")]
    pub parent_id: u64,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(uint64, tag = "4")]
    pub modified_ms: u64,
    #[prost(uint64, tag = "5")]
    pub accessed_ms: u64,
    #[prost(uint32, tag = "6")]
    pub owner: u32,
    #[prost(uint32, tag = "7")]
    pub group: u32,
    #[prost(uint32, tag = "8")]
    pub permission: u32,
    /// Absent for a directory.
    #[prost(message, optional, tag = "9")]
    pub file: Option<ImageFile>,
}

/// See [`Content::Inodes`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ImageInodes {
    /// A batch, see [`super::image_pack`].
    #[prost(bytes = "vec", tag = "1")]
    pub packed: Vec<u8>,
}

/// The file part of an inode.
#[derive(Clone, PartialEq, Message)]
pub struct ImageFile {
    #[prost(uint32, tag = "1")]
    pub replication: u32,
    /// Bytes.
    #[prost(uint64, tag = "2")]
    pub block_size: u64,
    #[prost(message, repeated, tag = "3")]
    pub blocks: Vec<ImageBlock>,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ImageBlock {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub generation_stamp: u64,
    /// Bytes.
    #[prost(uint64, tag = "3")]
    pub length: u64,
    /// A [`BlockState`]'s number.
    #[prost(uint32, tag = "4")]
    pub state: u32,
}

/// See [`Content::Open`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ImageOpen {
    #[prost(uint64, tag = "1")]
    pub inode_id: u64,
    #[prost(string, tag = "2")]
    pub holder: String,
    #[prost(string, tag = "3")]
    pub client_machine: String,
}

/// See [`Content::Node`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ImageNode {
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// As in [`super::edit::SetNodeAdmin`].
    #[prost(uint32, tag = "2")]
    pub state: u32,
    #[prost(uint64, tag = "3")]
    pub expires_unix_ms: u64,
    #[prost(string, tag = "4")]
    pub rack: String,
}

/// See [`Content::End`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct End {
    /// Number of inodes that the image holds.
    #[prost(uint64, tag = "1")]
    pub inodes: u64,
}

fn bad(subject: impl ToString, problem: &'static str) -> ApplyError {
    ApplyError::Mismatch {
        edit: "image",
        subject: subject.to_string(),
        problem,
    }
}

impl State {
    /// Hands out the whole state, record by record, until `take` fails.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn export<E>(&self, mut take: impl FnMut(Content) -> Result<(), E>) -> Result<(), E> {
        take(Content::Header(Header {
            last_txid: self.last_txid,
            next_inode_id: self.next_inode_id,
            next_block_id: self.next_block_id,
            next_generation_stamp: self.next_generation_stamp,
        }))?;
        take(Content::Names(NameTable {
            names: self.namespace.names.iter().map(str::to_owned).collect(),
        }))?;
        for (inode_id, open) in self.open.iter() {
            let (holder, client_machine) = (open.holder.clone(), open.client_machine.clone());
            take(Content::Open(ImageOpen {
                inode_id,
                holder,
                client_machine,
            }))?;
        }
        self.export_inodes(&mut take)?;
        self.features
            .export()
            .try_for_each(|features| take(Content::Features(features)))?;
        self.retries
            .iter()
            .try_for_each(|entry| take(Content::Retry(entry.clone())))?;
        self.nodes.export().try_for_each(|node| take(Content::Node(node)))?;
        take(Content::End(End {
            inodes: self.namespace.count() as u64,
        }))
    }

    fn export_inodes<E>(&self, take: &mut impl FnMut(Content) -> Result<(), E>) -> Result<(), E> {
        let mut packer = Packer::default();
        let mut result = Ok(());
        let mut flush = |packer: &mut Packer| {
            let packed = packer.take();
            take(Content::Inodes(ImageInodes { packed }))
        };
        self.namespace.visit_tree(self.namespace.root(), |slot, inode| {
            let is_root = slot == self.namespace.root();
            let parent_id = if is_root {
                0
            } else {
                self.namespace.get(inode.parent).id
            };
            let blocks = inode.file().map_or(&[][..], |file| file.blocks.as_slice());
            packer.add(
                inode,
                parent_id,
                blocks.iter().map(|slot| packed_block(self.blocks.get(*slot))),
            );
            if packer.count() >= BATCH || packer.len() >= BATCH_BYTES {
                result = flush(&mut packer);
            }
            result.is_ok()
        });
        result?;
        if packer.is_empty() {
            return Ok(());
        }
        flush(&mut packer)
    }
}

/// Inodes in one record: few enough to lie in a processor's cache while they are taken in.
const BATCH: usize = 1024;
/// Bytes in one record, which a file of many blocks may exceed.
const BATCH_BYTES: usize = 1 << 20;

fn packed_block(block: &BlockInfo) -> PackedBlock {
    PackedBlock {
        id: block.id.0,
        generation_stamp: block.generation_stamp.0,
        length: block.length,
        state: block.state,
    }
}

/// Builds a state from an image's records.
#[derive(Debug)]
pub struct StateBuilder {
    state: State,
    directories: HashMap<u64, Slot>,
    /// The directory that the inode before was in: mostly the next one's, too.
    current: (u64, Slot),
    /// Told before the inodes, so that no table of all files is needed.
    open: BTreeMap<u64, ImageOpen>,
    ended: bool,
}

impl Default for StateBuilder {
    fn default() -> Self {
        let state = State::new("", "");
        let current = (ROOT_INODE_ID, state.namespace.root());
        Self {
            state,
            directories: HashMap::from([current]),
            current,
            open: BTreeMap::new(),
            ended: false,
        }
    }
}

impl StateBuilder {
    /// Takes the next record.
    ///
    /// # Errors
    /// When it does not fit the ones before.
    pub fn add(&mut self, record: ImageRecord) -> Result<(), ApplyError> {
        if self.ended {
            return Err(bad("record", "it comes after the end"));
        }
        match record
            .content
            .ok_or_else(|| bad("record", "its kind is unknown: a newer version wrote it"))?
        {
            Content::Header(header) => {
                self.state.last_txid = header.last_txid;
                self.state.next_inode_id = header.next_inode_id;
                self.state.next_block_id = header.next_block_id;
                self.state.next_generation_stamp = header.next_generation_stamp;
                Ok(())
            }
            Content::Names(table) => {
                self.state.namespace.names = table.names.iter().map(String::as_str).collect();
                Ok(())
            }
            Content::Inode(inode) => {
                let (inode, blocks) = unpacked(inode)?;
                self.add_inode(inode, &blocks)
            }
            Content::Inodes(inodes) => {
                let batch = unpack(&inodes.packed).map_err(|problem| bad("inodes", problem))?;
                self.add_batch(batch)
            }
            Content::Open(open) => {
                self.open.insert(open.inode_id, open);
                Ok(())
            }
            Content::Features(features) => self.state.features.import(&features),
            Content::Retry(entry) => {
                self.state.retries.insert(entry);
                Ok(())
            }
            Content::Node(node) => {
                self.state.nodes.set_rack(&node.uuid, &node.rack);
                self.state.nodes.set_admin(&node.uuid, node.state, node.expires_unix_ms)
            }
            Content::End(end) => {
                self.ended = true;
                if end.inodes == self.state.namespace.count() as u64 {
                    Ok(())
                } else {
                    Err(bad("inodes", "their number is wrong"))
                }
            }
        }
    }

    /// Takes the inodes of the next record, which was read already.
    ///
    /// # Errors
    /// When they do not fit the records before.
    pub fn add_batch(&mut self, batch: Batch) -> Result<(), ApplyError> {
        if self.ended {
            return Err(bad("record", "it comes after the end"));
        }
        let mut blocks = &batch.blocks[..];
        for inode in batch.inodes {
            let count = match inode.kind {
                PackedKind::File { blocks, .. } => blocks,
                PackedKind::Directory => 0,
            };
            let (own, rest) = blocks.split_at(count);
            blocks = rest;
            self.add_inode(inode, own)?;
        }
        Ok(())
    }

    fn add_inode(&mut self, image: PackedInode, blocks: &[PackedBlock]) -> Result<(), ApplyError> {
        let (id, kind, parent_id) = (image.id, image.kind, image.parent_id);
        let inode = self.inode(image)?;
        if parent_id == 0 {
            self.fill_root(&inode);
            return Ok(());
        }
        let linked = self.state.namespace.link_in_order(inode);
        let slot = linked.ok_or_else(|| bad(format!("inode {id}"), "its name is taken"))?;
        if kind == PackedKind::Directory {
            self.directories.insert(id, slot);
            return Ok(());
        }
        self.add_blocks(slot, blocks)?;
        if !self.open.is_empty() {
            self.open_file(slot, id);
        }
        Ok(())
    }

    /// The inode of the arena for one of the image, without its blocks.
    fn inode(&mut self, image: PackedInode) -> Result<Inode, ApplyError> {
        let subject = |id: u64| format!("inode {id}");
        let names = self.state.namespace.names.count();
        let name_id = |number: u32| NameId::new(number).filter(|_| (number as usize) < names);
        let (Some(owner), Some(group)) = (name_id(image.owner), name_id(image.group)) else {
            return Err(bad(subject(image.id), "its owner or group has no name"));
        };
        if image.parent_id != self.current.0 && image.parent_id != 0 {
            let parent = self.directories.get(&image.parent_id);
            let parent = parent.ok_or_else(|| bad(subject(image.id), "its parent is missing"))?;
            self.current = (image.parent_id, *parent);
        }
        Ok(Inode {
            id: image.id,
            parent: self.current.1,
            name: image.name,
            modified_ms: image.modified_ms,
            accessed_ms: image.accessed_ms,
            owner,
            group,
            permission: image.permission,
            body: match image.kind {
                PackedKind::Directory => Body::Directory(Box::default()),
                PackedKind::File {
                    replication,
                    block_size,
                    ..
                } => Body::File(FileBody {
                    replication,
                    block_size,
                    ..FileBody::default()
                }),
            },
        })
    }

    fn fill_root(&mut self, image: &Inode) {
        let root = self.state.namespace.root();
        let inode = self.state.namespace.get_mut(root);
        inode.modified_ms = image.modified_ms;
        inode.accessed_ms = image.accessed_ms;
        (inode.owner, inode.group) = (image.owner, image.group);
        inode.permission = image.permission;
    }

    fn add_blocks(&mut self, file: Slot, blocks: &[PackedBlock]) -> Result<(), ApplyError> {
        for block in blocks {
            let added = self.state.blocks.try_insert(BlockInfo {
                id: BlockId(block.id),
                generation_stamp: GenerationStamp(block.generation_stamp),
                length: block.length,
                file,
                state: block.state,
                replicas: Replicas::default(),
            });
            let slot = added.ok_or_else(|| bad(format!("block {}", block.id), "it is in two files"))?;
            let body = self.state.namespace.get_mut(file).file_mut();
            body.expect("blocks are added to files").blocks.push(slot);
        }
        Ok(())
    }

    fn open_file(&mut self, slot: Slot, inode_id: u64) {
        if let Some(open) = self.open.remove(&inode_id) {
            let open = OpenFile {
                slot,
                holder: open.holder,
                client_machine: open.client_machine,
            };
            self.state.open.insert(inode_id, open);
        }
    }

    /// The state, once the end was seen.
    ///
    /// # Errors
    /// When the image is cut off.
    pub fn finish(mut self) -> Result<State, ApplyError> {
        if !self.ended {
            return Err(bad("records", "the end is missing: the image is cut off"));
        }
        match self.open.keys().next() {
            Some(inode_id) => Err(bad(format!("inode {inode_id}"), "it is open but no file")),
            None => {
                self.state.recount_quotas();
                Ok(self.state)
            }
        }
    }
}

/// An inode of an image of version 1.
fn unpacked(image: ImageInode) -> Result<(PackedInode, Vec<PackedBlock>), ApplyError> {
    let file = image.file.as_ref();
    let blocks = file.map_or(&[][..], |file| &file.blocks).iter().map(|block| {
        let state = BlockState::from_number(block.state)
            .ok_or_else(|| bad(format!("block {}", block.id), "its state is unknown"))?;
        Ok(PackedBlock {
            id: block.id,
            generation_stamp: block.generation_stamp,
            length: block.length,
            state,
        })
    });
    let blocks = blocks.collect::<Result<Vec<_>, ApplyError>>()?;
    let inode = PackedInode {
        id: image.id,
        parent_id: image.parent_id,
        name: image.name.as_str().into(),
        modified_ms: image.modified_ms.into(),
        accessed_ms: image.accessed_ms.into(),
        owner: image.owner,
        group: image.group,
        permission: image.permission as u16,
        kind: file.map_or(PackedKind::Directory, |file| PackedKind::File {
            replication: file.replication as u16,
            block_size: file.block_size.into(),
            blocks: blocks.len(),
        }),
    };
    Ok((inode, blocks))
}
