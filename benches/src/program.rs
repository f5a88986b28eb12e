//! What a benchmark of queries does as a process: its log, its runtimes, its end by a signal, its exit code.

use std::process::ExitCode;

use anyhow::bail;
use quarry::config::{LogConfig, LogFormat};
use quarry::shutdown::Signals;
use quarry::telemetry;
use tokio::runtime::Handle;

use crate::conditions::Conditions;
use crate::peer::threads;

/// Runs `benchmark` with the conditions of before it and a runtime for plain DataFusion, until it ends or the process is told to. It says
/// whether all answers were right: only then the exit code is 0.
pub fn run<Benchmark>(name: &str, benchmark: impl FnOnce(Conditions, Handle) -> Benchmark) -> ExitCode
where
    Benchmark: Future<Output = anyhow::Result<bool>>,
{
    match outcome(benchmark) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn outcome<Benchmark>(benchmark: impl FnOnce(Conditions, Handle) -> Benchmark) -> anyhow::Result<bool>
where
    Benchmark: Future<Output = anyhow::Result<bool>>,
{
    let log = LogConfig {
        filter: "warn".into(),
        format: LogFormat::Text,
    };
    telemetry::start(&log)?;
    let conditions = Conditions::now();
    // Runtimes of their own: the cluster's heartbeats shall not run on plain DataFusion's threads.
    let (runtime, plain) = (threads()?, threads()?);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            outcome = Box::pin(benchmark(conditions, plain.handle().clone())) => outcome,
            // The benchmark is dropped: child processes end, and temporary data is deleted.
            () = signals.next() => bail!("interrupted"),
        }
    })
}
