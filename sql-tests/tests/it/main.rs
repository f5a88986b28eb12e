//! Runs every `slt/<topic>/*.slt` on every engine; one libtest-style trial per file and engine, named `engine::topic/file`.
//!
//! `QUARRY_SLT_RECORD=1` instead lets plain DataFusion write the expected values; look at the difference before you commit it.

mod clusters;
mod files;
mod record;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use clusters::Clusters;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::var_os("QUARRY_SLT_RECORD").is_some() {
        record::all()?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    let clusters = Arc::new(Clusters::new()?);
    let files = files::all()?;
    let trials = clusters::ENGINES
        .into_iter()
        .flat_map(|engine| files.iter().map(move |file| (engine, file.clone())));
    let trials = trials.map(|(engine, file)| {
        let clusters = Arc::clone(&clusters);
        Trial::test(format!("{}::{}", engine.name(), file.name), move || {
            Ok(clusters.run(engine, &file)?)
        })
    });
    let whole = Arc::clone(&clusters);
    let every_worker = Trial::test("every_worker_takes_part", move || Ok(whole.every_worker_takes_part()?));
    let conclusion = libtest_mimic::run(&arguments, trials.chain([every_worker]).collect());
    // Before the process ends: the clusters' data lies in temporary directories, and their roles want to say goodbye.
    clusters.shutdown()?;
    Ok(conclusion.exit_code())
}
