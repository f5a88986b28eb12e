//! Child processes that do not outlive their test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// A child that leads its own process group; the whole group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    name: &'static str,
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

/// A command with nothing on stdin and its stdout piped to us.
pub(crate) fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
