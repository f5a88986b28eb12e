//! Hadoop's FsShell: many commands in one JVM.

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use crate::java::{ClassPath, write_configuration};
use crate::process::Group;
use crate::tools;

/// What one command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

/// A JVM with Hadoop's client, waiting for commands (see `java/FsShellServer.java` for the framing); ends when dropped.
#[derive(Debug)]
pub struct FsShell {
    _process: Group,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl FsShell {
    /// Starts a JVM whose default file system is the NameNode at `namenode`, and whose user is `user`. `dir` is an empty folder
    /// for its configuration and log.
    ///
    /// # Errors
    /// The JVM could not be started.
    pub fn start(jars: &Path, dir: &Path, namenode: SocketAddr, user: &str) -> Result<Self> {
        write_configuration(dir, namenode, &[])?;
        let mut command = ClassPath::new(dir, &[jars]).java(user)?;
        command.arg(format!(
            "-Dorg.slf4j.simpleLogger.logFile={}",
            dir.join("client.log").display()
        ));
        command.arg(tools::home().join("java/FsShellServer.java"));
        Self::launch(&mut command)
    }

    /// Starts `command`, a JVM whose program speaks the framing of `java/FsShellServer.java`.
    ///
    /// # Errors
    /// It could not be started.
    pub(crate) fn launch(command: &mut Command) -> Result<Self> {
        let mut process = Group::start("Hadoop's FsShell", command.stdin(Stdio::piped()))?;
        let requests = process.child().stdin.take().context("stdin is piped")?;
        let answers = BufReader::new(process.child().stdout.take().context("stdout is piped")?);
        Ok(Self {
            _process: process,
            requests,
            answers,
        })
    }

    /// Runs one command, such as `["-ls", "/"]`, and waits for its end.
    ///
    /// # Errors
    /// The JVM died. A command that fails is no error: see [`Outcome::code`].
    pub fn run<S: AsRef<str>>(&mut self, args: &[S]) -> Result<Outcome> {
        self.requests
            .write_all(&request(args))
            .context("Hadoop's FsShell died")?;
        self.requests.flush()?;
        let code = self.read_int().context("Hadoop's FsShell died during the command")?;
        Ok(Outcome {
            code,
            out: self.read_text()?,
            err: self.read_text()?,
        })
    }

    fn read_int(&mut self) -> Result<i32> {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes)?;
        Ok(i32::from_be_bytes(bytes))
    }

    fn read_text(&mut self) -> Result<String> {
        let mut text = vec![0; usize::try_from(self.read_int()?)?];
        self.answers.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn request<S: AsRef<str>>(args: &[S]) -> Vec<u8> {
    let mut frame = (args.len() as u32).to_be_bytes().to_vec();
    for arg in args {
        let arg = arg.as_ref().as_bytes();
        frame.extend_from_slice(&(arg.len() as u32).to_be_bytes());
        frame.extend_from_slice(arg);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_count_and_length_prefixed_arguments() {
        assert_eq!(request(&["-ls", "/é"]), b"\0\0\0\x02\0\0\0\x03-ls\0\0\0\x03/\xc3\xa9");
    }
}
