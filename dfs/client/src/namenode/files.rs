//! Writing files: leases, blocks, pipelines. What happens to the bytes is in `write/`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use super::{MAX_PAUSE, NameNode};
use crate::convert;
use crate::error::{Error, Result};
use crate::location::{BlockLocation, DataNodeInfo};
use crate::status::FileStatus;

/// What `create` needs to know, all defaults resolved.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) overwrite: bool,
    pub(crate) create_parent: bool,
    pub(crate) replication: u16,
    pub(crate) block_size: u64,
    pub(crate) permission: u16,
    pub(crate) unmasked: Option<u16>,
}

/// First pause before `complete` is asked again, doubled up to the calls' longest.
const COMPLETE_PAUSE: Duration = Duration::from_millis(50);

impl NameNode {
    /// Creates the file and gives this client its lease.
    pub(crate) async fn create(&self, file: &NewFile) -> Result<FileStatus> {
        let overwrite = if file.overwrite {
            pb::CreateFlagProto::Overwrite as u32
        } else {
            0
        };
        let request = pb::CreateRequestProto {
            src: file.path.clone(),
            masked: convert::permission(file.permission),
            client_name: self.client_name.clone(),
            create_flag: pb::CreateFlagProto::Create as u32 | overwrite,
            create_parent: file.create_parent,
            replication: file.replication.into(),
            block_size: file.block_size,
            unmasked: file.unmasked.map(convert::permission),
            ..Default::default()
        };
        let answer: pb::CreateResponseProto = self.call("create", &file.path, &request).await?;
        match answer.fs {
            Some(fs) => convert::file_status(fs, file.path.clone()),
            None => Err(self.protocol_error("create: the answer has no file status")),
        }
    }

    /// Allocates the next block; `previous` gets its final length by it.
    pub(crate) async fn add_block(
        &self,
        file: &FileStatus,
        previous: Option<&ExtendedBlock>,
        exclude: &[Arc<DataNodeInfo>],
    ) -> Result<BlockLocation> {
        let request = pb::AddBlockRequestProto {
            src: file.path.clone(),
            client_name: self.client_name.clone(),
            previous: previous.map(Into::into),
            exclude_nodes: exclude.iter().map(|node| convert::datanode_to_proto(node)).collect(),
            file_id: Some(file.file_id),
            ..Default::default()
        };
        let answer: pb::AddBlockResponseProto = self.call_when_replicated("addBlock", file, &request).await?;
        convert::block_location(answer.block)
    }

    /// Repeats a call while the NameNode says that the block before is not stored well enough yet: ours holds the answer
    /// back instead, Apache's says so at once.
    async fn call_when_replicated<A>(
        &self,
        method: &'static str,
        file: &FileStatus,
        request: &pb::AddBlockRequestProto,
    ) -> Result<A>
    where
        A: prost::Message + Default,
    {
        let deadline = Instant::now() + self.timeout;
        let mut pause = COMPLETE_PAUSE;
        loop {
            match self.call_for_writer(method, &file.path, request).await {
                Err(Error::NameNode { class, .. })
                    if class.ends_with("NotReplicatedYetException") && Instant::now() + pause < deadline =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    /// Gives back a block that no byte was written to.
    pub(crate) async fn abandon_block(&self, file: &FileStatus, block: &ExtendedBlock) -> Result<()> {
        let request = pb::AbandonBlockRequestProto {
            b: block.into(),
            src: file.path.clone(),
            holder: self.client_name.clone(),
            file_id: Some(file.file_id),
        };
        let _: pb::AbandonBlockResponseProto = self.call_for_writer("abandonBlock", &file.path, &request).await?;
        Ok(())
    }

    /// Closes the file. Repeats the question while the NameNode does not know enough replicas of the last block.
    pub(crate) async fn complete(&self, file: &FileStatus, last: Option<&ExtendedBlock>) -> Result<()> {
        let request = pb::CompleteRequestProto {
            src: file.path.clone(),
            client_name: self.client_name.clone(),
            last: last.map(Into::into),
            file_id: Some(file.file_id),
        };
        let deadline = Instant::now() + self.timeout;
        let mut pause = COMPLETE_PAUSE;
        loop {
            let answer: pb::CompleteResponseProto = self.call_for_writer("complete", &file.path, &request).await?;
            if answer.result {
                return Ok(());
            }
            if Instant::now() + pause >= deadline {
                return Err(Error::NotClosed {
                    path: file.path.clone(),
                    seconds: self.timeout.as_secs(),
                });
            }
            self.complete_repeats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    pub(crate) async fn renew_lease(&self) -> Result<()> {
        let request = pb::RenewLeaseRequestProto {
            client_name: self.client_name.clone(),
            namespaces: Vec::new(),
        };
        let _: pb::RenewLeaseResponseProto = self.call_for_writer("renewLease", &self.client_name, &request).await?;
        Ok(())
    }

    /// A new generation stamp for a block whose pipeline broke.
    pub(crate) async fn update_block_for_pipeline(&self, path: &str, block: &ExtendedBlock) -> Result<BlockLocation> {
        let request = pb::UpdateBlockForPipelineRequestProto {
            block: block.into(),
            client_name: self.client_name.clone(),
        };
        let answer: pb::UpdateBlockForPipelineResponseProto =
            self.call_for_writer("updateBlockForPipeline", path, &request).await?;
        convert::block_location(answer.block)
    }

    /// Tells the NameNode which DataNodes go on with the block, under which generation stamp.
    pub(crate) async fn update_pipeline(
        &self,
        path: &str,
        old: &ExtendedBlock,
        new: &ExtendedBlock,
        nodes: &[Arc<DataNodeInfo>],
        storage_ids: &[String],
    ) -> Result<()> {
        let request = pb::UpdatePipelineRequestProto {
            client_name: self.client_name.clone(),
            old_block: old.into(),
            new_block: new.into(),
            new_nodes: nodes.iter().map(|node| convert::datanode_id_to_proto(node)).collect(),
            storage_i_ds: storage_ids.to_vec(),
        };
        let _: pb::UpdatePipelineResponseProto = self.call_for_writer("updatePipeline", path, &request).await?;
        Ok(())
    }

    /// Reports that the replica of `location` on `node` does not match its checksums.
    pub(crate) async fn report_bad_replica(
        &self,
        path: &str,
        location: &BlockLocation,
        node: &DataNodeInfo,
    ) -> Result<()> {
        let request = pb::ReportBadBlocksRequestProto {
            blocks: vec![convert::bad_replica(location, node)],
        };
        let _: pb::ReportBadBlocksResponseProto = self.call("reportBadBlocks", path, &request).await?;
        Ok(())
    }

    /// Opens a closed file for writing at its end; with its last block if that has room.
    pub(crate) async fn append(&self, path: &str, new_block: bool) -> Result<(FileStatus, Option<BlockLocation>)> {
        let new_block = if new_block {
            pb::CreateFlagProto::NewBlock as u32
        } else {
            0
        };
        let request = pb::AppendRequestProto {
            src: path.to_owned(),
            client_name: self.client_name.clone(),
            flag: Some(pb::CreateFlagProto::Append as u32 | new_block),
        };
        let answer: pb::AppendResponseProto = self.call("append", path, &request).await?;
        let last = answer.block.map(convert::block_location).transpose()?;
        match answer.stat {
            Some(fs) => Ok((convert::file_status(fs, path.to_owned())?, last)),
            None => Err(self.protocol_error("append: the answer has no file status")),
        }
    }

    /// Makes the existence of an open file's blocks durable; with `length`, that of its last block too.
    pub(crate) async fn fsync(&self, file: &FileStatus, length: Option<u64>) -> Result<()> {
        let request = pb::FsyncRequestProto {
            src: file.path.clone(),
            client: self.client_name.clone(),
            last_block_length: Some(length.map_or(-1, |length| length as i64)),
            file_id: Some(file.file_id),
        };
        let _: pb::FsyncResponseProto = self.call_for_writer("fsync", &file.path, &request).await?;
        Ok(())
    }

    /// Cuts a file; whether it is done, or the last block is still being cut.
    pub(crate) async fn truncate(&self, path: &str, length: u64) -> Result<bool> {
        let request = pb::TruncateRequestProto {
            src: path.to_owned(),
            new_length: length,
            client_name: self.client_name.clone(),
        };
        let answer: pb::TruncateResponseProto = self.call("truncate", path, &request).await?;
        Ok(answer.result)
    }

    /// Takes the file away from its writer; whether it is closed by now.
    pub(crate) async fn recover_lease(&self, path: &str) -> Result<bool> {
        let request = pb::RecoverLeaseRequestProto {
            src: path.to_owned(),
            client_name: self.client_name.clone(),
        };
        let answer: pb::RecoverLeaseResponseProto = self.call("recoverLease", path, &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn is_file_closed(&self, path: &str) -> Result<bool> {
        let request = pb::IsFileClosedRequestProto { src: path.to_owned() };
        let answer: pb::IsFileClosedResponseProto = self.call("isFileClosed", path, &request).await?;
        Ok(answer.result)
    }

    /// The pipeline with one more DataNode: the existing ones first.
    pub(crate) async fn additional_datanode(
        &self,
        file: &FileStatus,
        block: &ExtendedBlock,
        existing: (&[Arc<DataNodeInfo>], &[String]),
        excluded: &[Arc<DataNodeInfo>],
    ) -> Result<BlockLocation> {
        let nodes = |nodes: &[Arc<DataNodeInfo>]| nodes.iter().map(|n| convert::datanode_to_proto(n)).collect();
        let request = pb::GetAdditionalDatanodeRequestProto {
            src: file.path.clone(),
            blk: block.into(),
            existings: nodes(existing.0),
            excludes: nodes(excluded),
            num_additional_nodes: 1,
            client_name: self.client_name.clone(),
            existing_storage_uuids: existing.1.to_vec(),
            file_id: Some(file.file_id),
        };
        let answer: pb::GetAdditionalDatanodeResponseProto = self
            .call_for_writer("getAdditionalDatanode", &file.path, &request)
            .await?;
        convert::block_location(answer.block)
    }
}
