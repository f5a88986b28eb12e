//! A real Apache HDFS, started for the time of a test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Group, quiet};
use crate::shell::JVM_FLAGS;
use crate::tools;

/// JVM, format, three DataNodes: 10 s on an idle two-core machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Apache HDFS in one JVM; ends when dropped.
#[derive(Debug)]
pub struct Oracle {
    _process: Group,
    namenode: SocketAddr,
}

impl Oracle {
    /// Starts one with its data under `dir`, as the user `user`.
    ///
    /// # Errors
    /// The JVM ended or took more than three minutes; its own output tells why.
    pub fn start(jars: &Path, dir: &Path, user: &str, datanodes: u16) -> Result<Self> {
        let source = tools::home().join("java/Oracle.java");
        let mut command = quiet("java");
        command.args(JVM_FLAGS).arg("-cp").arg(tools::class_path(dir, jars));
        command.arg(source).arg(dir.join("data")).arg(datanodes.to_string());
        command
            .env("HADOOP_USER_NAME", user)
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Group::start("the HDFS oracle", &mut command)?;
        let address = process.wait_for_line("ready ", START_LIMIT)?;
        let namenode = address
            .parse()
            .with_context(|| format!("the oracle's address '{address}'"))?;
        Ok(Self {
            _process: process,
            namenode,
        })
    }

    /// The NameNode's RPC address.
    pub fn namenode(&self) -> SocketAddr {
        self.namenode
    }
}
