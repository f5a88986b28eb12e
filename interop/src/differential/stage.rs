//! A file system under comparison, and the driver in front of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::script::{self, Script, Step};
use crate::cluster::Cluster;
use crate::java::{ClassPath, write_configuration};
use crate::oracle::Oracle;
use crate::shell::{FsShell, Outcome};
use crate::{USER, data};

/// Both systems: the default replication of 3 is satisfied.
const NODES: u16 = 3;

/// The users of the scripts and their groups; `java/Oracle.java` has the same.
const GROUPS: &str = "[namenode.user_groups]
quarry = [\"supergroup\"]
sue = [\"supergroup\"]
ann = [\"staff\"]
bob = [\"staff\", \"ops\"]
";

/// Who is asked; ends with this.
#[derive(Debug)]
#[expect(dead_code, reason = "held for as long as the driver talks to it")]
enum Server {
    Hdfs(Oracle),
    Quarry(Cluster),
}

/// A server that was started for this, and a driver.
#[derive(Debug)]
pub struct Stage {
    // In this order: the driver ends first, the folder goes last.
    driver: FsShell,
    _server: Server,
    namenode: SocketAddr,
    local: PathBuf,
    _dir: TempDir,
}

impl Stage {
    /// Apache HDFS; `jars` are the programs' and the library's, as [`crate::tools::hadoop`] finds them.
    ///
    /// # Errors
    /// A JVM did not start.
    pub fn hdfs(jars: &[PathBuf; 2]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let oracle = Oracle::start(&jars[1], &dir.path().join("server"), USER, NODES)?;
        let (namenode, http) = (oracle.namenode(), oracle.http());
        Self::new(jars, dir, Server::Hdfs(oracle), namenode, http)
    }

    /// Quarry.
    ///
    /// # Errors
    /// The cluster or the driver did not start.
    pub fn quarry(jars: &[PathBuf; 2]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let http = crate::cluster::free_address()?;
        let configuration = format!("[namenode]\nhttp_address = \"{http}\"\n{GROUPS}");
        let cluster = Cluster::start_with(&dir.path().join("server"), NODES, &configuration)?;
        let namenode = cluster.endpoints().namenode.rpc;
        Self::new(jars, dir, Server::Quarry(cluster), namenode, http)
    }

    fn new(jars: &[PathBuf; 2], dir: TempDir, server: Server, namenode: SocketAddr, http: SocketAddr) -> Result<Self> {
        let classes = dir.path().join("classes");
        let http = http.to_string();
        write_configuration(&classes, namenode, &[("dfs.namenode.http-address", &http)])?;
        fs::write(classes.join("log4j.properties"), "log4j.rootLogger=OFF\n")?;
        let path = ClassPath::new(&classes, &[&jars[0], &jars[1]]);
        path.compile("driver")?;
        let driver = FsShell::launch(path.java(USER)?.arg("Driver"))?;
        let local = dir.path().join("local");
        local_files(&local)?;
        Ok(Self {
            driver,
            _server: server,
            namenode,
            local,
            _dir: dir,
        })
    }

    /// Plays a script; the result has this run's answers.
    pub(super) fn play(&mut self, script: &Script) -> Result<Script> {
        let mut played = script.clone();
        for step in &mut played.steps {
            step.answer = self.answer(step).with_context(|| step.command.clone())?;
        }
        Ok(played)
    }

    fn answer(&mut self, step: &Step) -> Result<Vec<String>> {
        let command = script::command(&step.command)?;
        let words: Vec<String> = std::iter::once(command.user)
            .chain(command.words.iter().map(|word| self.fill_in(word)))
            .collect();
        let outcome = self.driver.run(&words)?;
        let is_api = words[1] == "api";
        ensure!(!is_api || outcome.code < 2, "{}", outcome.err);
        let mut lines = Vec::new();
        if !command.only_code {
            lines.extend(self.lines("  ", &outcome.out));
            lines.extend(self.lines("! ", &outcome.err));
        }
        if !is_api {
            lines.push(format!("= {}", outcome.code));
        }
        Ok(lines)
    }

    fn lines(&self, mark: &str, text: &str) -> Vec<String> {
        text.lines()
            .map(|line| format!("{mark}{}", self.without_accidents(line)).trim_end().to_owned())
            .map(|line| if line.is_empty() { mark.to_owned() } else { line })
            .collect()
    }

    fn fill_in(&self, word: &str) -> String {
        word.replace("$LOCAL", &self.local.to_string_lossy())
            .replace("$NAMENODE", &self.namenode.to_string())
    }

    fn without_accidents(&self, line: &str) -> String {
        let line = line
            .replace(&*self.local.to_string_lossy(), "$LOCAL")
            .replace(&format!("localhost:{}", self.namenode.port()), "<namenode>")
            .replace(&format!("localhost/{}", self.namenode), "<namenode>")
            .replace(&self.namenode.to_string(), "<namenode>");
        crate::transcript::mask_times(&line)
    }

    /// The driver's answer to one command, for questions outside of scripts.
    ///
    /// # Errors
    /// The driver died.
    pub fn ask(&mut self, words: &[&str]) -> Result<Outcome> {
        self.driver.run(words)
    }
}

/// The local files that the scripts name.
fn local_files(local: &Path) -> Result<()> {
    fs::create_dir_all(local.join("tree/branch"))?;
    fs::write(local.join("hello.txt"), "Hello, Hadoop.\nSecond line.\n")?;
    fs::write(local.join("more.txt"), "more\n")?;
    fs::write(local.join("empty"), "")?;
    fs::write(local.join("tree/leaf.txt"), "leaf\n")?;
    data::write_noise(&local.join("tree/branch/twig.bin"), 70_000)?;
    Ok(data::write_noise(&local.join("noise.bin"), 3 * (1 << 20) + 12_345)?)
}
