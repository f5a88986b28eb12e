//! A real Apache HDFS, started for the time of a test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::java::ClassPath;
use crate::process::Group;
use crate::tools;

/// JVM, format, three DataNodes: 10 s on an idle two-core machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Apache HDFS in one JVM; ends when dropped.
#[derive(Debug)]
pub struct Oracle {
    _process: Group,
    namenode: SocketAddr,
    http: SocketAddr,
}

impl Oracle {
    /// Starts one with its data under `dir`, as the user `user`.
    ///
    /// # Errors
    /// The JVM ended or took more than three minutes; its own output tells why.
    pub fn start(jars: &Path, dir: &Path, user: &str, datanodes: u16) -> Result<Self> {
        let source = tools::home().join("java/Oracle.java");
        let mut command = ClassPath::new(dir, &[jars]).java(user)?;
        command.arg(source).arg(dir.join("data")).arg(datanodes.to_string());
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut process = Group::start("the HDFS oracle", &mut command)?;
        let addresses = process.wait_for_line("ready ", START_LIMIT)?;
        let (namenode, http) = addresses
            .split_once(' ')
            .with_context(|| format!("two addresses, not '{addresses}'"))?;
        Ok(Self {
            _process: process,
            namenode: namenode.parse().with_context(|| addresses.clone())?,
            http: http.parse().with_context(|| addresses.clone())?,
        })
    }

    /// The NameNode's RPC address.
    pub fn namenode(&self) -> SocketAddr {
        self.namenode
    }

    /// The NameNode's HTTP address, which serves `fsck`.
    pub fn http(&self) -> SocketAddr {
        self.http
    }
}
