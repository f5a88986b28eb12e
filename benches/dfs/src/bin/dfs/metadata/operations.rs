//! The calls that are measured, one function per HDFS method.

use anyhow::{Result, ensure};
use quarry_dfs_wire::proto::hadoop::hdfs as proto;
use quarry_dfs_wire::rpc::RpcClient;

/// Block size of created files, in bytes.
const BLOCK_SIZE: u64 = 128 << 20;

/// Makes a directory.
pub(crate) async fn mkdirs(rpc: &RpcClient, path: String) -> Result<()> {
    let request = proto::MkdirsRequestProto {
        src: path,
        masked: proto::FsPermissionProto { perm: 0o755 },
        create_parent: true,
        unmasked: None,
    };
    let response: proto::MkdirsResponseProto = rpc.call("mkdirs", &request).await?;
    ensure!(response.result, "mkdirs of {} was answered false", request.src);
    Ok(())
}

/// Creates an empty file and closes it.
pub(crate) async fn create(rpc: &RpcClient, path: String, client: &str) -> Result<()> {
    let request = proto::CreateRequestProto {
        src: path,
        masked: proto::FsPermissionProto { perm: 0o644 },
        client_name: client.to_owned(),
        create_flag: proto::CreateFlagProto::Create as u32,
        create_parent: false,
        replication: 3,
        block_size: BLOCK_SIZE,
        ..proto::CreateRequestProto::default()
    };
    let created: proto::CreateResponseProto = rpc.call("create", &request).await?;
    let complete = proto::CompleteRequestProto {
        src: request.src,
        client_name: client.to_owned(),
        last: None,
        file_id: created.fs.and_then(|status| status.file_id),
    };
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

/// Renames a file.
pub(crate) async fn rename(rpc: &RpcClient, source: String, destination: String) -> Result<()> {
    let request = proto::RenameRequestProto {
        src: source,
        dst: destination,
    };
    let response: proto::RenameResponseProto = rpc.call("rename", &request).await?;
    ensure!(response.result, "rename of {} was answered false", request.src);
    Ok(())
}

/// Deletes a file or tree.
pub(crate) async fn delete(rpc: &RpcClient, path: String) -> Result<()> {
    let request = proto::DeleteRequestProto {
        src: path,
        recursive: true,
    };
    let response: proto::DeleteResponseProto = rpc.call("delete", &request).await?;
    ensure!(response.result, "delete of {} was answered false", request.src);
    Ok(())
}
