//! Looking at the namespace and changing it.

use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use super::NameNode;
use crate::client::MkdirOptions;
use crate::convert;
use crate::error::Result;
use crate::location::{FileBlocks, LocatedFile};
use crate::status::FileStatus;

/// An entry of a directory, with its blocks when they were asked for and it is a file.
pub(crate) type Entry = (FileStatus, Option<FileBlocks>);

/// One answer of many to the question what is in a directory.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// The name that the next page begins after, if there is one.
    pub(crate) next: Option<Vec<u8>>,
}

impl NameNode {
    pub(crate) async fn status(&self, path: &str) -> Result<Option<FileStatus>> {
        let request = pb::GetFileInfoRequestProto { src: path.to_owned() };
        let answer: pb::GetFileInfoResponseProto = self.call("getFileInfo", path, &request).await?;
        answer
            .fs
            .map(|fs| convert::file_status(fs, path.to_owned()))
            .transpose()
    }

    /// Everything in a directory, or the one entry of a file; `None` if there is no such path.
    pub(crate) async fn list(&self, path: &str, locations: bool) -> Result<Option<Vec<Entry>>> {
        let mut entries = Vec::new();
        let mut next = Some(Vec::new());
        while let Some(start_after) = next {
            let Some(page) = self.list_page(path, start_after, locations).await? else {
                return Ok(None);
            };
            entries.extend(page.entries);
            next = page.next;
        }
        Ok(Some(entries))
    }

    /// The page of a directory that begins after a name; `None` if there is no such path.
    pub(crate) async fn list_page(&self, path: &str, start_after: Vec<u8>, locations: bool) -> Result<Option<Page>> {
        let request = pb::GetListingRequestProto {
            src: path.to_owned(),
            start_after: start_after.into(),
            need_location: locations,
        };
        let answer: pb::GetListingResponseProto = self.call("getListing", path, &request).await?;
        let Some(page) = answer.dir_list else {
            return Ok(None);
        };
        let last = page.partial_listing.last().map(|last| last.path.to_vec());
        let next = last.filter(|_| page.remaining_entries > 0);
        let entries = page
            .partial_listing
            .into_iter()
            .map(|entry| convert::entry(path, entry));
        Ok(Some(Page {
            entries: entries.collect::<Result<_>>()?,
            next,
        }))
    }

    /// A file with its blocks in one call; `None` if there is no such path or it is a directory.
    pub(crate) async fn located_file(&self, path: &str) -> Result<Option<LocatedFile>> {
        let request = pb::GetListingRequestProto {
            src: path.to_owned(),
            start_after: Default::default(),
            need_location: true,
        };
        let answer: pb::GetListingResponseProto = self.call("getListing", path, &request).await?;
        let page = answer.dir_list.map(|page| page.partial_listing).unwrap_or_default();
        // A file lists itself, under an empty name.
        let Some(own) = page.into_iter().find(|entry| entry.path.is_empty()) else {
            return Ok(None);
        };
        let (status, blocks) = convert::entry(path, own)?;
        Ok(blocks.map(|blocks| LocatedFile {
            status,
            blocks: blocks.into(),
        }))
    }

    pub(crate) async fn block_locations(&self, path: &str) -> Result<FileBlocks> {
        let request = pb::GetBlockLocationsRequestProto {
            src: path.to_owned(),
            offset: 0,
            length: i64::MAX as u64,
        };
        let answer: pb::GetBlockLocationsResponseProto = self.call("getBlockLocations", path, &request).await?;
        match answer.locations {
            Some(locations) => convert::file_blocks(locations),
            None => Err(crate::Error::NotFound {
                path: path.to_owned(),
                message: "the NameNode has no blocks for it".to_owned(),
            }),
        }
    }

    pub(crate) async fn mkdirs(&self, path: &str, options: MkdirOptions) -> Result<bool> {
        let request = pb::MkdirsRequestProto {
            src: path.to_owned(),
            masked: convert::permission(options.permission),
            create_parent: options.create_parent,
            unmasked: options.unmasked.map(convert::permission),
        };
        let answer: pb::MkdirsResponseProto = self.call("mkdirs", path, &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn delete(&self, path: &str, recursive: bool) -> Result<bool> {
        let request = pb::DeleteRequestProto {
            src: path.to_owned(),
            recursive,
        };
        let answer: pb::DeleteResponseProto = self.call("delete", path, &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn rename(&self, src: &str, dst: &str, overwrite: bool, to_trash: bool) -> Result<()> {
        let request = pb::Rename2RequestProto {
            src: src.to_owned(),
            dst: dst.to_owned(),
            overwrite_dest: overwrite,
            move_to_trash: to_trash.then_some(true),
        };
        let subject = format!("{src} -> {dst}");
        let _: pb::Rename2ResponseProto = self.call("rename2", &subject, &request).await?;
        Ok(())
    }

    pub(crate) async fn concat(&self, target: &str, sources: &[String]) -> Result<()> {
        let request = pb::ConcatRequestProto {
            trg: target.to_owned(),
            srcs: sources.to_vec(),
        };
        let _: pb::ConcatResponseProto = self.call("concat", target, &request).await?;
        Ok(())
    }

    pub(crate) async fn check_access(&self, path: &str, mode: u8) -> Result<()> {
        let request = pb::CheckAccessRequestProto {
            path: path.to_owned(),
            mode: i32::from(mode & 7),
        };
        let _: pb::CheckAccessResponseProto = self.call("checkAccess", path, &request).await?;
        Ok(())
    }
}
