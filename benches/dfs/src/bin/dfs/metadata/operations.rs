//! The calls that are measured: HDFS's messages for each, and the check of each answer.

use anyhow::{Result, ensure};
use prost::Message;
use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::RpcClient;

/// Block size of created files, in bytes.
const BLOCK_SIZE: u64 = 128 << 20;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Mkdirs,
    /// Two calls: an empty file is created and closed.
    Create,
    GetFileInfo,
    Rename,
    Delete,
}

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) request: Vec<u8>,
}

impl Call {
    fn new(method: &'static str, request: &impl Message) -> Self {
        Self {
            method,
            request: request.encode_to_vec(),
        }
    }
}

impl Operation {
    /// As in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mkdirs => "mkdirs",
            Self::Create => "create+close",
            Self::GetFileInfo => "getFileInfo",
            Self::Rename => "rename",
            Self::Delete => "delete",
        }
    }

    /// The n-th call of a client on what is below `home`.
    pub(crate) fn begin(self, home: &str, client: &str, n: usize) -> Call {
        let file = format!("{home}/f{n}");
        match self {
            Self::Mkdirs => Call::new("mkdirs", &mkdirs_request(format!("{home}/d{n}"))),
            Self::Create => Call::new("create", &create_request(file, client)),
            Self::GetFileInfo => Call::new("getFileInfo", &proto::GetFileInfoRequestProto { src: file }),
            Self::Rename => {
                let (src, dst) = (file, format!("{home}/r{n}"));
                Call::new("rename", &proto::RenameRequestProto { src, dst })
            }
            Self::Delete => Call::new("delete", &delete_request(format!("{home}/r{n}"))),
        }
    }

    /// Checks the answer to `method`; the call that has to follow it, if the operation is not over.
    pub(crate) fn go_on(
        self,
        method: &str,
        answer: &[u8],
        (home, client, n): (&str, &str, usize),
    ) -> Result<Option<Call>> {
        let right = match method {
            "mkdirs" => proto::MkdirsResponseProto::decode(answer)?.result,
            "create" => {
                let created = proto::CreateResponseProto::decode(answer)?;
                let complete = complete_request(format!("{home}/f{n}"), client, &created);
                return Ok(Some(Call::new("complete", &complete)));
            }
            "complete" => proto::CompleteResponseProto::decode(answer)?.result,
            "getFileInfo" => proto::GetFileInfoResponseProto::decode(answer)?.fs.is_some(),
            "rename" => proto::RenameResponseProto::decode(answer)?.result,
            _ => proto::DeleteResponseProto::decode(answer)?.result,
        };
        ensure!(right, "{method} number {n} in {home} was answered wrongly");
        Ok(None)
    }
}

fn mkdirs_request(path: String) -> proto::MkdirsRequestProto {
    proto::MkdirsRequestProto {
        src: path,
        masked: proto::FsPermissionProto { perm: 0o755 },
        create_parent: true,
        unmasked: None,
    }
}

fn create_request(path: String, client: &str) -> proto::CreateRequestProto {
    proto::CreateRequestProto {
        src: path,
        masked: proto::FsPermissionProto { perm: 0o644 },
        client_name: client.to_owned(),
        create_flag: proto::CreateFlagProto::Create as u32,
        create_parent: false,
        replication: 3,
        block_size: BLOCK_SIZE,
        ..proto::CreateRequestProto::default()
    }
}

fn complete_request(path: String, client: &str, created: &proto::CreateResponseProto) -> proto::CompleteRequestProto {
    proto::CompleteRequestProto {
        src: path,
        client_name: client.to_owned(),
        last: None,
        file_id: created.fs.as_ref().and_then(|status| status.file_id),
    }
}

fn delete_request(path: String) -> proto::DeleteRequestProto {
    proto::DeleteRequestProto {
        src: path,
        recursive: true,
    }
}

/// Makes a directory.
pub(crate) async fn mkdirs(rpc: &RpcClient, path: String) -> Result<()> {
    let request = mkdirs_request(path);
    let response: proto::MkdirsResponseProto = rpc.call("mkdirs", &request).await?;
    ensure!(response.result, "mkdirs of {} was answered false", request.src);
    Ok(())
}

/// Creates an empty file and closes it.
pub(crate) async fn create(rpc: &RpcClient, path: String, client: &str) -> Result<()> {
    let request = create_request(path, client);
    let created: proto::CreateResponseProto = rpc.call("create", &request).await?;
    let complete = complete_request(request.src, client, &created);
    let response: proto::CompleteResponseProto = rpc.call("complete", &complete).await?;
    ensure!(response.result, "complete of {} was answered false", complete.src);
    Ok(())
}

/// Asks for the status of a file that exists.
pub(crate) async fn get_file_info(rpc: &RpcClient, path: String) -> Result<()> {
    let request = proto::GetFileInfoRequestProto { src: path };
    let response: proto::GetFileInfoResponseProto = rpc.call("getFileInfo", &request).await?;
    ensure!(response.fs.is_some(), "getFileInfo does not find {}", request.src);
    Ok(())
}

/// Deletes a file or tree.
pub(crate) async fn delete(rpc: &RpcClient, path: String) -> Result<()> {
    let request = delete_request(path);
    let response: proto::DeleteResponseProto = rpc.call("delete", &request).await?;
    ensure!(response.result, "delete of {} was answered false", request.src);
    Ok(())
}
