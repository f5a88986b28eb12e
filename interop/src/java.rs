//! Java programs: where their classes are, and one that runs to its end.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Finished, Group, quiet};
use crate::tools;

/// Start fast rather than run fast: one compiler, one collector.
pub(crate) const JVM_FLAGS: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// A configuration folder in front of jars: what a JVM of these tests loads.
#[derive(Debug, Clone)]
pub struct ClassPath(Vec<PathBuf>);

impl ClassPath {
    /// `folder`, which may hold classes and `*-site.xml`, then all jars of each of `jars`.
    pub fn new(folder: &Path, jars: &[&Path]) -> Self {
        let jars = jars.iter().map(|folder| folder.join("*"));
        Self(std::iter::once(folder.to_owned()).chain(jars).collect())
    }

    fn join(&self) -> Result<std::ffi::OsString> {
        env::join_paths(&self.0).context("a class path")
    }

    /// Compiles the sources of `java/FOLDER` into this path's own folder.
    ///
    /// # Errors
    /// `javac` is missing or does not like them.
    pub fn compile(&self, folder: &str) -> Result<()> {
        let sources = tools::home().join("java").join(folder);
        let mut command = Command::new("javac");
        command
            .arg("-nowarn")
            .arg("-cp")
            .arg(self.join()?)
            .arg("-d")
            .arg(&self.0[0]);
        for entry in std::fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
            command.arg(entry?.path());
        }
        let output = command.output().context("run javac")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "javac {}: {said}", sources.display());
        Ok(())
    }

    /// A JVM on this path, in the name of `user`; its arguments are still to come.
    ///
    /// # Errors
    /// A folder of the path has a ':' in its name.
    pub fn java(&self, user: &str) -> Result<Command> {
        let mut command = quiet("java");
        command.args(JVM_FLAGS).arg("-cp").arg(self.join()?);
        command
            .env("HADOOP_USER_NAME", user)
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8");
        Ok(command)
    }

    /// Runs `main` with `args` and waits for its end.
    ///
    /// # Errors
    /// It did not start, or took longer than `limit`.
    pub fn run(&self, user: &str, main: &str, args: &[&str], limit: Duration) -> Result<Finished> {
        let mut command = self.java(user)?;
        command.arg(main).args(args);
        Group::run(&mut command, limit).with_context(|| format!("java {main} {}", args.join(" ")))
    }
}

/// Writes `core-site.xml` and `hdfs-site.xml` into `folder`: `namenode` is the default file system, `further` are more settings.
///
/// # Errors
/// Those of the files.
pub fn write_configuration(folder: &Path, namenode: SocketAddr, further: &[(&str, &str)]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let default = format!("hdfs://{namenode}");
    std::fs::write(
        folder.join("core-site.xml"),
        configuration(&[("fs.defaultFS", &default)]),
    )?;
    // Both files must be there, though all else may be the client's default.
    std::fs::write(folder.join("hdfs-site.xml"), configuration(further))?;
    Ok(())
}

fn configuration(settings: &[(&str, &str)]) -> String {
    let properties: String = settings
        .iter()
        .map(|(name, value)| format!("<property><name>{name}</name><value>{value}</value></property>\n"))
        .collect();
    format!("<configuration>\n{properties}</configuration>\n")
}
