//! Starting the binary apart from the machine's own configuration, and waiting for what it does.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use quarry::local::Endpoints;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest wait for anything: generous, since tests share few cores.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A user with a home of their own.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `quarry` with these arguments, ready to run.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarry"));
        for (name, _) in std::env::vars_os() {
            let ours = name.as_encoded_bytes();
            if ours.starts_with(b"QUARRY") || ours.starts_with(b"XDG_") {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.dir.path()).env("HADOOP_USER_NAME", "tester");
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs `quarry` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }

    /// Runs `quarry` with something on its standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        Ran(output)
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran(pub Output);

impl Ran {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Standard output of a command that must have worked.
    pub fn ok(self) -> String {
        assert_eq!(self.code(), 0, "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self.stdout()
    }
}

/// A running `quarry local`; killed when dropped, and its children with it.
pub struct Local {
    pub child: Child,
    pub dir: PathBuf,
}

impl Local {
    /// Starts a cluster and waits for its `ready`.
    pub fn start(home: &Home, dir: &Path, more: &[&str]) -> Self {
        let mut args = vec!["local", "--supervised", "--dir", dir.to_str().unwrap()];
        args.extend(more);
        let mut child = home
            .command(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(told.send(line)))
        });
        let log = std::thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .collect::<Vec<_>>()
                .join("\n")
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("ready") => {
                    return Self {
                        child,
                        dir: dir.to_owned(),
                    };
                }
                Ok(_) => {}
                Err(_) => {
                    let _ = child.kill();
                    let status = child.wait().unwrap();
                    panic!("`quarry local` was not ready ({status}): {}", log.join().unwrap());
                }
            }
        }
    }

    pub fn endpoints(&self) -> Endpoints {
        Endpoints::read(&self.dir).unwrap()
    }

    /// All processes of the cluster.
    pub fn pids(&self) -> Vec<u32> {
        let endpoints = self.endpoints();
        let mut pids = vec![self.child.id(), endpoints.namenode.pid, endpoints.coordinator.pid];
        pids.extend(endpoints.datanodes.iter().map(|node| node.pid));
        pids.extend(endpoints.workers.iter().map(|worker| worker.pid));
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Ends the cluster with SIGTERM and returns its exit status.
    pub fn terminate(mut self) -> Option<i32> {
        signal(self.child.id(), Signal::TERM);
        let child = &mut self.child;
        eventually("the cluster ends", || child.try_wait().unwrap()).code()
    }

    /// Kills every process of the cluster with SIGKILL, the NameNode first.
    pub fn kill_everything(mut self) {
        let pids = self.pids();
        pids.iter().for_each(|pid| signal(*pid, Signal::KILL));
        self.child.wait().unwrap();
        pids.iter()
            .for_each(|pid| eventually("a killed process is gone", || (!is_alive(*pid)).then_some(())));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that the test started; it may be gone.
pub fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

/// Whether a process runs: neither gone nor dead and waiting for its parent.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Repeats `look` until it finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
