//! How a process is asked to end: SIGTERM or SIGINT once means orderly, twice means now. A role started by
//! `quarry local --processes` also ends when its supervisor does.

use std::io::Read;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status after a second signal, as shells report a death by SIGINT.
const INTERRUPTED: i32 = 130;

/// The process's two ending signals.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns at the next signal. Cancel safe: a signal that came in between is seen by the next call.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// From now on the next signal ends the process at once.
    pub fn second_is_final(mut self) {
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("second signal: ending at once");
            std::process::exit(INTERRUPTED);
        });
    }
}

/// Ends this process as soon as standard input closes: the supervisor holds its other end and the kernel closes it
/// however the supervisor dies, SIGKILL included. What is acknowledged is already durable, so there is nothing to drain.
pub fn end_with_supervisor() {
    std::thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = [0; 64];
        while matches!(stdin.read(&mut buffer), Ok(read) if read > 0) {}
        std::process::exit(0);
    });
}
