//! Child processes that do not outlive the benchmark.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A child; killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command` with pipes for standard input and output; standard error goes to the file `log`. `name` is for messages.
    ///
    /// # Errors
    /// The log or the process cannot be made.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child prints a line that starts with `prefix`, and returns the rest of that line. Later output is dropped.
    ///
    /// # Errors
    /// The child ended, or `limit` passed.
    pub fn wait_for_line(&mut self, prefix: &str, limit: Duration) -> Result<String> {
        let lines = forward_lines(self.child.stdout.take().context("its output was already taken")?);
        let deadline = Instant::now() + limit;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("{} printed no line '{prefix}..' within {limit:?}", self.name)
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("{} ended ({status}) before the line '{prefix}..'", self.name)
                }
            }
        }
    }

    /// Fails if the child has ended.
    ///
    /// # Errors
    /// It has, with its status.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Waits for the end of a child that ends by itself.
    ///
    /// # Errors
    /// It did not succeed.
    pub fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended: {status}", self.name);
        }
        Ok(())
    }

    /// Asks the child to end by closing its standard input, and waits for it up to `limit`; then kills it.
    pub fn end(mut self, limit: Duration) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processor time of all its threads so far, in microseconds, to the hundredth of a second; 0 once it has ended.
    pub fn cpu_micros(&self) -> u64 {
        // Linux counts in USER_HZ, which is 100 for programs whatever the kernel's own clock.
        const MICROS_PER_TICK: u64 = 10_000;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The name, in parentheses, may hold anything. Behind it the state is field 3; user and system time are 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        ticks * MICROS_PER_TICK
    }

    /// Resident memory in bytes; 0 once it has ended.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: u64 = line
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .unwrap_or_default();
        kibibytes << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A child that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that ends by itself, and returns what it printed on standard output. Standard error goes to the file `log`.
///
/// # Errors
/// It does not start, fails, or takes longer than `limit`; then it is killed.
pub async fn run(name: &str, command: &mut Command, log: &Path, limit: Duration) -> Result<String> {
    let errors = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
    command.stdin(Stdio::null()).stderr(errors);
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output());
    let output = output
        .await
        .with_context(|| format!("{name} took longer than {limit:?}"))?;
    let output = output.with_context(|| format!("start {name}: {command:?}"))?;
    if !output.status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        bail!("{name} ended: {}; it said: {said}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed no text"))
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
