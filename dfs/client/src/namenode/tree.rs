//! Looking at the namespace and changing it.

use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use super::NameNode;
use crate::convert;
use crate::error::Result;
use crate::location::{FileBlocks, LocatedFile};
use crate::status::{ContentSummary, FileStatus, FsStats, ServerDefaults};

/// An entry of a directory, with its blocks when they were asked for and it is a file.
pub(crate) type Entry = (FileStatus, Option<FileBlocks>);

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
        let mut start_after = Default::default();
        loop {
            let request = pb::GetListingRequestProto {
                src: path.to_owned(),
                start_after,
                need_location: locations,
            };
            let answer: pb::GetListingResponseProto = self.call("getListing", path, &request).await?;
            let Some(page) = answer.dir_list else {
                return Ok(None);
            };
            start_after = page
                .partial_listing
                .last()
                .map(|last| last.path.clone())
                .unwrap_or_default();
            let empty = page.partial_listing.is_empty();
            for entry in page.partial_listing {
                entries.push(convert::entry(path, entry)?);
            }
            if page.remaining_entries == 0 || empty {
                return Ok(Some(entries));
            }
        }
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

    pub(crate) async fn mkdirs(&self, path: &str, permission: u16) -> Result<bool> {
        let permission = convert::permission(permission);
        let request = pb::MkdirsRequestProto {
            src: path.to_owned(),
            masked: permission,
            create_parent: true,
            unmasked: None,
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

    pub(crate) async fn rename(&self, src: &str, dst: &str, overwrite: bool) -> Result<()> {
        let request = pb::Rename2RequestProto {
            src: src.to_owned(),
            dst: dst.to_owned(),
            overwrite_dest: overwrite,
            move_to_trash: None,
        };
        let subject = format!("{src} -> {dst}");
        let _: pb::Rename2ResponseProto = self.call("rename2", &subject, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_permission(&self, path: &str, permission: u16) -> Result<()> {
        let request = pb::SetPermissionRequestProto {
            src: path.to_owned(),
            permission: convert::permission(permission),
        };
        let _: pb::SetPermissionResponseProto = self.call("setPermission", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_owner(&self, path: &str, owner: Option<&str>, group: Option<&str>) -> Result<()> {
        let request = pb::SetOwnerRequestProto {
            src: path.to_owned(),
            username: owner.map(str::to_owned),
            groupname: group.map(str::to_owned),
        };
        let _: pb::SetOwnerResponseProto = self.call("setOwner", path, &request).await?;
        Ok(())
    }

    pub(crate) async fn set_replication(&self, path: &str, replication: u16) -> Result<bool> {
        let request = pb::SetReplicationRequestProto {
            src: path.to_owned(),
            replication: replication.into(),
        };
        let answer: pb::SetReplicationResponseProto = self.call("setReplication", path, &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn content_summary(&self, path: &str) -> Result<ContentSummary> {
        let request = pb::GetContentSummaryRequestProto { path: path.to_owned() };
        let answer: pb::GetContentSummaryResponseProto = self.call("getContentSummary", path, &request).await?;
        Ok(ContentSummary {
            length: answer.summary.length,
            file_count: answer.summary.file_count,
            directory_count: answer.summary.directory_count,
            space_consumed: answer.summary.space_consumed,
        })
    }

    pub(crate) async fn fs_stats(&self) -> Result<FsStats> {
        let answer: pb::GetFsStatsResponseProto = self.call("getFsStats", "/", &pb::GetFsStatusRequestProto {}).await?;
        Ok(FsStats {
            capacity: answer.capacity,
            used: answer.used,
            remaining: answer.remaining,
            under_replicated: answer.under_replicated,
            corrupt_blocks: answer.corrupt_blocks,
            missing_blocks: answer.missing_blocks,
        })
    }

    pub(crate) async fn server_defaults(&self) -> Result<ServerDefaults> {
        let request = pb::GetServerDefaultsRequestProto {};
        let answer: pb::GetServerDefaultsResponseProto = self.call("getServerDefaults", "/", &request).await?;
        let defaults = answer.server_defaults;
        let replication = u16::try_from(defaults.replication);
        Ok(ServerDefaults {
            block_size: defaults.block_size,
            replication: replication.map_err(|_| self.protocol_error("default replication beyond 65535"))?,
            bytes_per_checksum: defaults.bytes_per_checksum,
        })
    }
}
