//! Child processes that do not outlive their test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

/// A child that leads its own process group; the whole group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    name: &'static str,
}

/// A program that ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

impl Finished {
    /// Itself, if the program ended well.
    ///
    /// # Errors
    /// It did not: with its last words.
    pub fn success(self, what: &str) -> Result<Self> {
        let said = format!("{}\n{}", self.out, self.err);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        ensure!(self.status.success(), "{what} ended with {}:\n{last}", self.status);
        Ok(self)
    }
}

impl Group {
    /// Starts `command` as the leader of a new process group. `name` is for messages.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self { child, name })
    }

    /// Runs `command` to its end and returns all that it said.
    ///
    /// # Errors
    /// It did not start, or did not end within `limit`: then it and its children are killed.
    pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
        let mut group = Self::start("a program", command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let deadline = Instant::now() + limit;
        let out = collect(group.child.stdout.take().context("stdout is piped")?);
        let err = collect(group.child.stderr.take().context("stderr is piped")?);
        let mut texts = Vec::new();
        for pipe in [out, err] {
            // The end of its output is the end of the program and of all its children.
            match pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(text) => texts.push(text),
                Err(_) => bail!("it did not end within {limit:?}"),
            }
        }
        let status = group.child.wait()?;
        let err = texts.pop().unwrap_or_default();
        let out = texts.pop().unwrap_or_default();
        Ok(Finished { status, out, err })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the child prints a line that starts with `prefix`, and returns the rest of that line. Later output is read and dropped,
    /// so that the child never blocks on a full pipe.
    ///
    /// # Errors
    /// The child ended, or `limit` passed; either way with what was printed so far.
    pub(crate) fn wait_for_line(&mut self, prefix: &str, limit: Duration) -> Result<String> {
        let lines = forward_lines(self.child.stdout.take().context("its output was already taken")?);
        let deadline = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(prefix) {
                    Some(rest) => return Ok(rest.trim().to_owned()),
                    None => seen.push(line),
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} printed no line '{prefix}..' within {limit:?}; so far:\n{}",
                        self.name,
                        seen.join("\n")
                    )
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!(
                        "{} ended ({status}) before the line '{prefix}..'; it said:\n{}",
                        self.name,
                        seen.join("\n")
                    )
                }
            }
        }
    }

    /// Sends `signal` to every process of the group. A group that is gone is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

fn forward_lines(out: ChildStdout) -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Nobody listens any more once the line was found: keep reading, so that the child can go on.
            let _ = tx.send(line);
        }
    });
    rx
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = tx.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    rx
}

/// A command with nothing on stdin and its stdout piped to us.
pub(crate) fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
