//! The connection to the next DataNode of a pipeline, or to the target of a copy.

use std::net::{IpAddr, SocketAddr};

use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, DatanodeInfoProto, OpWriteBlockProto, Status};
use quarry_dfs_wire::transfer::delimited::read_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::net::TcpStream;

use super::connection::Connection;
use super::error::{TransferError, within};
use crate::node::Node;

/// `ip:port` by which writers know a DataNode.
pub(crate) fn address_text(target: &DatanodeInfoProto) -> String {
    format!("{}:{}", target.id.ip_addr, target.id.xfer_port)
}

/// Where to connect to.
fn address(target: &DatanodeInfoProto) -> Result<SocketAddr, TransferError> {
    let ip: Result<IpAddr, _> = target.id.ip_addr.parse();
    let port = u16::try_from(target.id.xfer_port);
    match (ip, port) {
        (Ok(ip), Ok(port)) if port != 0 => Ok(SocketAddr::new(ip, port)),
        _ => Err(TransferError::Request(format!(
            "target {} is not an ip:port",
            address_text(target)
        ))),
    }
}

/// Connects to a DataNode's transfer port.
pub(crate) async fn connect(node: &Node, target: &DatanodeInfoProto) -> Result<Connection, TransferError> {
    let address = address(target)?;
    let stream = within(
        node.config.connect_timeout,
        "for a connection",
        TcpStream::connect(address),
    )
    .await?;
    Ok(Connection::new(stream, address)?)
}

/// The request for the next DataNode: the same, with it taken off the list of targets.
pub(crate) fn onward(request: &OpWriteBlockProto) -> OpWriteBlockProto {
    let mut onward = request.clone();
    onward.targets.drain(..1);
    if let Some(first) = take_first(&mut onward.target_storage_types) {
        onward.storage_type = Some(first);
    }
    onward.storage_id = take_first(&mut onward.target_storage_ids);
    if let Some(first) = take_first(&mut onward.target_pinnings) {
        onward.pinning = Some(first);
    }
    onward
}

fn take_first<T>(list: &mut Vec<T>) -> Option<T> {
    if list.is_empty() { None } else { Some(list.remove(0)) }
}

/// Connects to the next DataNode of a pipeline and, for clients' pipelines, waits until all of the rest is set up.
///
/// # Errors
/// [`TransferError::Mirror`] with the node that failed: the next one, or one behind it.
pub(crate) async fn open(
    node: &Node,
    request: &OpWriteBlockProto,
    await_reply: bool,
) -> Result<Connection, TransferError> {
    let target = &request.targets[0];
    let failed = |error: TransferError| TransferError::Mirror {
        node: address_text(target),
        reason: error.to_string(),
    };
    let mut connection = connect(node, target).await.map_err(failed)?;
    let timeout = node.config.pipeline_timeout(request.targets.len());
    let onward = Op::Write(Box::new(onward(request)));
    let sent = op::write_op(&mut connection.writer, &onward);
    within(timeout, "for the next node to take the request", sent)
        .await
        .map_err(failed)?;
    if await_reply {
        let reply = read_delimited::<BlockOpResponseProto>(&mut connection.reader, "set-up reply");
        let reply = within(timeout, "for the next node to set up its part", reply)
            .await
            .map_err(failed)?;
        check_reply(target, &reply)?;
    }
    Ok(connection)
}

fn check_reply(target: &DatanodeInfoProto, reply: &BlockOpResponseProto) -> Result<(), TransferError> {
    if reply.status() == Status::Success {
        return Ok(());
    }
    let node = match reply.first_bad_link() {
        "" => address_text(target),
        behind => behind.to_owned(),
    };
    let reason = format!("{:?} {}", reply.status(), reply.message());
    Err(TransferError::Mirror { node, reason })
}
