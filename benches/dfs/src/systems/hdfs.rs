//! Apache HDFS, from the jars that `interop/setup oracle` fetched: NameNode and DataNodes in a JVM each, with HDFS's and the JVM's
//! defaults but for addresses and directories.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Cluster, current_user, free_port};
use crate::process::Process;
use crate::report::HDFS;

const NAMENODE: &str = "org.apache.hadoop.hdfs.server.namenode.NameNode";
const DATANODE: &str = "org.apache.hadoop.hdfs.server.datanode.DataNode";

/// Where the jars are.
#[derive(Debug, Clone)]
pub struct Hdfs {
    jars: PathBuf,
    /// Further properties of hdfs-site.xml.
    pub properties: Vec<(String, String)>,
    /// Further arguments of each JVM.
    pub jvm: Vec<String>,
}

impl Hdfs {
    /// From `jars`, or from where `interop/setup` puts them; none if there is nothing.
    pub fn find(jars: Option<PathBuf>) -> Option<Self> {
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
            .unwrap_or_default();
        let jars = jars.unwrap_or_else(|| cache.join("quarry/interop/oracle-jars"));
        jars.is_dir().then(|| Self {
            jars,
            properties: Vec::new(),
            jvm: Vec::new(),
        })
    }

    /// Where the jars are: Hadoop's client is among them.
    pub fn jars(&self) -> &Path {
        &self.jars
    }

    /// The version of the jars, by the name of one of them.
    pub fn version(&self) -> String {
        let names = fs::read_dir(&self.jars).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .find_map(|name| {
                let version = name.strip_prefix("hadoop-hdfs-client-")?.strip_suffix(".jar")?;
                Some(version.to_owned())
            })
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// Formats and starts a NameNode and DataNodes with their files under `dir`, and waits until they serve.
    ///
    /// # Errors
    /// A JVM ended or took too long; its log is in `dir`.
    pub async fn start(&self, dir: &Path, datanodes: usize) -> Result<Cluster> {
        let port = free_port()?;
        let conf = dir.join("conf");
        fs::create_dir_all(&conf)?;
        let address = format!("127.0.0.1:{port}");
        self.configure(&conf, dir, &address, None)?;
        let mut format = self.java(&conf, NAMENODE);
        format.args(["-format", "-force", "-nonInteractive"]);
        let formatting = Process::start("formatting HDFS", &mut format, &dir.join("format.log"))?;
        formatting.finish()?;
        let mut cluster = self.restart(dir, &address)?;
        for number in 0..datanodes {
            let conf = dir.join(format!("conf{number}"));
            fs::create_dir_all(&conf)?;
            self.configure(&conf, dir, &address, Some(number))?;
            let mut command = self.java(&conf, DATANODE);
            let name = format!("HDFS's DataNode {number}");
            let log = dir.join(format!("datanode{number}.log"));
            cluster.datanodes.push(Process::start(&name, &mut command, &log)?);
        }
        cluster.wait_serving().await?;
        Ok(cluster)
    }

    /// Starts only the NameNode, on what [`Self::start`] made; does not wait.
    ///
    /// # Errors
    /// There is no JVM.
    pub fn restart(&self, dir: &Path, address: &str) -> Result<Cluster> {
        let mut command = self.java(&dir.join("conf"), NAMENODE);
        let process = Process::start("HDFS's NameNode", &mut command, &dir.join("namenode.log"))?;
        Ok(Cluster {
            name: HDFS,
            home: dir.to_owned(),
            namenode: address.parse().context("the NameNode's address")?,
            user: current_user()?,
            namenode_process: process,
            datanodes: Vec::new(),
        })
    }

    fn java(&self, conf: &Path, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(&self.jvm).arg("-cp");
        command.arg(format!("{}:{}/*", conf.display(), self.jars.display()));
        command.arg(class);
        // Whatever a user's shell says of Hadoop must not reach these processes.
        for variable in ["HADOOP_CONF_DIR", "HADOOP_USER_NAME", "JAVA_TOOL_OPTIONS"] {
            command.env_remove(variable);
        }
        command
    }

    fn configure(&self, conf: &Path, dir: &Path, address: &str, datanode: Option<usize>) -> Result<()> {
        let core = [
            ("fs.defaultFS", format!("hdfs://{address}")),
            ("hadoop.tmp.dir", dir.join("tmp").display().to_string()),
        ];
        let data = datanode.map_or_else(|| dir.join("data"), |number| dir.join(format!("data{number}")));
        let any = "127.0.0.1:0".to_owned();
        let mut hdfs = vec![
            ("dfs.namenode.name.dir", dir.join("name").display().to_string()),
            ("dfs.namenode.http-address", any.clone()),
            ("dfs.datanode.data.dir", data.display().to_string()),
            ("dfs.datanode.address", any.clone()),
            ("dfs.datanode.ipc.address", any.clone()),
            ("dfs.datanode.http.address", any),
        ];
        hdfs.extend(
            self.properties
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        fs::write(conf.join("core-site.xml"), site(&core))?;
        fs::write(conf.join("hdfs-site.xml"), site(&hdfs))?;
        fs::write(conf.join("log4j.properties"), LOG)?;
        Ok(())
    }
}

/// Warnings only: a log line per call would be measured too.
const LOG: &str = "log4j.rootLogger=WARN, stderr\n\
    log4j.appender.stderr=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.stderr.target=System.err\n\
    log4j.appender.stderr.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.stderr.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n\n";

fn site(properties: &[(&str, String)]) -> String {
    let mut text = String::from("<?xml version=\"1.0\"?>\n<configuration>\n");
    for (name, value) in properties {
        text += &format!("  <property><name>{name}</name><value>{value}</value></property>\n");
    }
    text + "</configuration>\n"
}
