//! The durable state as a sequence of records, for the checkpoint image. Parents come before their entries.
//!
//! The encoding is protobuf with the field numbers given here (persisted, never renumber).

#![expect(
    missing_docs,
    reason = "fields that carry an inode's or block's attribute are named for it"
)]

use std::collections::BTreeMap;

use prost::{Message, Oneof};
use quarry_dfs_wire::block::{BlockId, GenerationStamp};

use super::block_map::{BlockInfo, BlockState};
use super::edit::RetryEntry;
use super::image_features::ImageFeatures;
use super::inode::{Body, FileBody, Inode, NameId, ROOT_INODE_ID, Slot};
use super::open_files::OpenFile;
use super::replicas::Replicas;
use super::state::{ApplyError, State};

/// One record of the image.
#[derive(Clone, PartialEq, Message)]
pub struct ImageRecord {
    /// The content.
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6, 20, 60")]
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
        let mut result = Ok(());
        self.namespace.visit_tree(self.namespace.root(), |slot, inode| {
            result = take(Content::Inode(self.image_inode(slot, inode)));
            result.is_ok()
        });
        result?;
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

    fn image_inode(&self, slot: Slot, inode: &Inode) -> ImageInode {
        let is_root = slot == self.namespace.root();
        ImageInode {
            id: inode.id,
            parent_id: if is_root {
                0
            } else {
                self.namespace.get(inode.parent).id
            },
            name: inode.name.to_string(),
            modified_ms: inode.modified_ms.get(),
            accessed_ms: inode.accessed_ms.get(),
            owner: inode.owner.number(),
            group: inode.group.number(),
            permission: u32::from(inode.permission),
            file: inode.file().map(|file| self.image_file(file)),
        }
    }

    fn image_file(&self, file: &FileBody) -> ImageFile {
        let blocks = file.blocks.as_slice().iter().map(|slot| self.blocks.get(*slot));
        let blocks = blocks.map(|block| ImageBlock {
            id: block.id.0,
            generation_stamp: block.generation_stamp.0,
            length: block.length,
            state: block.state as u32,
        });
        ImageFile {
            replication: u32::from(file.replication),
            block_size: file.block_size.get(),
            blocks: blocks.collect(),
        }
    }
}

/// Builds a state from an image's records.
#[derive(Debug)]
pub struct StateBuilder {
    state: State,
    directories: BTreeMap<u64, Slot>,
    /// Told before the inodes, so that no table of all files is needed.
    open: BTreeMap<u64, ImageOpen>,
    ended: bool,
}

impl Default for StateBuilder {
    fn default() -> Self {
        let state = State::new("", "");
        let directories = BTreeMap::from([(ROOT_INODE_ID, state.namespace.root())]);
        Self {
            state,
            directories,
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
            Content::Inode(inode) => self.add_inode(inode),
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

    fn add_inode(&mut self, image: ImageInode) -> Result<(), ApplyError> {
        let (owner, group) = (self.name_id(&image, image.owner)?, self.name_id(&image, image.group)?);
        if image.parent_id == 0 {
            self.fill_root(&image, owner, group);
            return Ok(());
        }
        let parent = self.directories.get(&image.parent_id).copied();
        let parent = parent.ok_or_else(|| bad(format!("inode {}", image.id), "its parent is missing"))?;
        if self.state.namespace.child(parent, &image.name).is_some() {
            return Err(bad(format!("inode {}", image.id), "its name is taken"));
        }
        let is_file = image.file.is_some();
        let id = image.id;
        let slot = self.state.namespace.link(Inode {
            id,
            parent,
            name: image.name.as_str().into(),
            modified_ms: image.modified_ms.into(),
            accessed_ms: image.accessed_ms.into(),
            owner,
            group,
            permission: image.permission as u16,
            body: if is_file {
                Body::File(FileBody::default())
            } else {
                Body::Directory(Box::default())
            },
        });
        match image.file {
            Some(file) => self.add_file(slot, id, file),
            None => {
                self.directories.insert(id, slot);
                Ok(())
            }
        }
    }

    fn name_id(&self, image: &ImageInode, number: u32) -> Result<NameId, ApplyError> {
        let named = (number as usize) < self.state.namespace.names.count();
        NameId::new(number)
            .filter(|_| named)
            .ok_or_else(|| bad(format!("inode {}", image.id), "its owner or group has no name"))
    }

    fn fill_root(&mut self, image: &ImageInode, owner: NameId, group: NameId) {
        let root = self.state.namespace.root();
        let inode = self.state.namespace.get_mut(root);
        inode.modified_ms = image.modified_ms.into();
        inode.accessed_ms = image.accessed_ms.into();
        (inode.owner, inode.group) = (owner, group);
        inode.permission = image.permission as u16;
    }

    fn add_file(&mut self, slot: Slot, inode_id: u64, file: ImageFile) -> Result<(), ApplyError> {
        let mut body = FileBody {
            replication: file.replication as u16,
            block_size: file.block_size.into(),
            ..FileBody::default()
        };
        for block in file.blocks {
            let state = BlockState::from_number(block.state)
                .ok_or_else(|| bad(format!("block {}", block.id), "its state is unknown"))?;
            if self.state.blocks.find(BlockId(block.id)).is_some() {
                return Err(bad(format!("block {}", block.id), "it is in two files"));
            }
            body.blocks.push(self.state.blocks.insert(BlockInfo {
                id: BlockId(block.id),
                generation_stamp: GenerationStamp(block.generation_stamp),
                length: block.length,
                file: slot,
                state,
                replicas: Replicas::default(),
            }));
        }
        self.state.namespace.get_mut(slot).body = Body::File(body);
        if let Some(open) = self.open.remove(&inode_id) {
            let open = OpenFile {
                slot,
                holder: open.holder,
                client_machine: open.client_machine,
            };
            self.state.open.insert(inode_id, open);
        }
        Ok(())
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
