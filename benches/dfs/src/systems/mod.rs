//! The two file systems that are compared, each as real processes on this machine: one NameNode and any number of DataNodes.

pub mod hdfs;
pub mod quarry;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    DatanodeReportTypeProto, GetDatanodeReportRequestProto, GetDatanodeReportResponseProto, SafeModeActionProto,
    SetSafeModeRequestProto, SetSafeModeResponseProto,
};
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcClient, RpcClientOptions};

use crate::process::Process;

/// Longest that a system may take to serve.
pub const START_LIMIT: Duration = Duration::from_secs(180);

/// A running file system; its processes end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// What to call it in tables.
    pub name: &'static str,
    /// The NameNode's RPC address.
    pub namenode: SocketAddr,
    /// Who owns everything: to be used as the calling user.
    pub user: String,
    /// The NameNode's process.
    pub namenode_process: Process,
    /// The DataNodes' processes.
    pub datanodes: Vec<Process>,
}

impl Cluster {
    /// A client of the NameNode over so many connections.
    pub fn rpc(&self, connections: usize) -> RpcClient {
        let options = RpcClientOptions {
            connections,
            ..RpcClientOptions::default()
        };
        RpcClient::new(self.namenode.to_string(), &self.user, CLIENT_PROTOCOL, options)
    }

    /// Whether a NameNode refuses changes.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn is_in_safe_mode(rpc: &RpcClient) -> Result<bool> {
        let request = SetSafeModeRequestProto {
            action: SafeModeActionProto::SafemodeGet as i32,
            checked: Some(false),
        };
        let response: SetSafeModeResponseProto = rpc.call("setSafeMode", &request).await?;
        Ok(response.result)
    }

    /// Waits until the NameNode answers, all DataNodes have registered, and changes are accepted.
    ///
    /// # Errors
    /// A process ended, or three minutes passed.
    pub async fn wait_serving(&mut self) -> Result<()> {
        let rpc = self.rpc(1);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.namenode_process.check_alive()?;
            self.datanodes.iter_mut().try_for_each(Process::check_alive)?;
            let state = serving(&rpc, self.datanodes.len()).await;
            match state {
                Ok(true) => return Ok(()),
                _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(false) => bail!("{}: not all DataNodes registered, or still in safe mode", self.name),
                Err(problem) => return Err(problem).context(self.name),
            }
        }
    }
}

async fn serving(rpc: &RpcClient, datanodes: usize) -> Result<bool> {
    let safe = Cluster::is_in_safe_mode(rpc).await?;
    let live: GetDatanodeReportResponseProto = rpc
        .call(
            "getDatanodeReport",
            &GetDatanodeReportRequestProto {
                r#type: DatanodeReportTypeProto::Live as i32,
            },
        )
        .await?;
    Ok(!safe && live.di.len() >= datanodes)
}

/// The user that this process runs as.
///
/// # Errors
/// `id` cannot be run.
pub fn current_user() -> Result<String> {
    let output = std::process::Command::new("id").arg("-un").output().context("run id")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A loopback port that is free now. Another process could take it before it is used; then the start fails and says so.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}
