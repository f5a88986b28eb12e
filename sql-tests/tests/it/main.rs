//! Runs every `slt/<topic>/*.slt` on every engine; one libtest-style trial per file and engine, named `engine::topic/file`.
//!
//! `QUARRY_SLT_RECORD=1` instead lets plain DataFusion write the expected values; look at the difference before you commit it.

mod clusters;
mod files;
mod record;
mod spilling;
mod tiny_memory;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Trial};
use quarry_sql_tests::generated::Range;

use clusters::{Clusters, Engine};
use files::SltFile;

/// A test of all clusters together.
type Check = fn(&Clusters) -> anyhow::Result<()>;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::var_os("QUARRY_SLT_RECORD").is_some() {
        record::all()?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    let clusters = Arc::new(Clusters::new()?);
    let files = files::all()?;
    let on_tiny_memory = files.iter().filter(|file| tiny_memory::takes(file));
    let on_tiny_memory = on_tiny_memory.map(|file| (Engine::TinyMemory, file.clone()));
    let trials = clusters::ENGINES
        .into_iter()
        .flat_map(|engine| files.iter().map(move |file| (engine, file.clone())))
        .chain(on_tiny_memory);
    let trials = trials.map(|(engine, file)| {
        let clusters = Arc::clone(&clusters);
        Trial::test(format!("{}::{}", engine.name(), file.name), move || {
            Ok(clusters.run(engine, &file)?)
        })
    });
    let checks: [(&str, Check); 4] = [
        ("every_worker_takes_part", Clusters::every_worker_takes_part),
        ("generated_queries", |clusters| {
            clusters.generated(range_from_environment(2_000))
        }),
        ("tiny_memory::joins_spill", Clusters::joins_spill),
        ("tiny_memory::generated_queries", |clusters| {
            let queries = if tiny_memory::runs_all() { 2_000 } else { 300 };
            clusters.generated_on_tiny_memory(range_from_environment(queries))
        }),
    ];
    let checks = checks.map(|(name, check)| {
        let clusters = Arc::clone(&clusters);
        Trial::test(name, move || {
            let checked = check(&clusters);
            Ok(checked.map_err(|error| anyhow::anyhow!("{error:#}"))?)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.chain(checks).collect());
    println!("{}", summary(&files, &conclusion)?);
    println!("{}", clusters.tally.summary());
    let few_refused = clusters.tally.is_good();
    // Before the process ends: the clusters' data lies in temporary directories, and their roles want to say goodbye.
    clusters.shutdown()?;
    anyhow::ensure!(few_refused, "too many records are refused on tiny memory");
    Ok(conclusion.exit_code())
}

/// What ran, in numbers.
fn summary(files: &[SltFile], conclusion: &Conclusion) -> anyhow::Result<String> {
    let records = files.iter().map(files::records).sum::<anyhow::Result<usize>>()?;
    Ok(format!(
        "sql-tests: {} files with {records} records, each on {} engines; {} trials run, {} with differences",
        files.len(),
        clusters::ENGINES.len(),
        conclusion.num_passed + conclusion.num_failed,
        conclusion.num_failed
    ))
}

/// So many queries of one seed, or what `QUARRY_GENERATED` says: `queries` or `queries@seed`.
fn range_from_environment(usual: u64) -> Range {
    let wanted = std::env::var("QUARRY_GENERATED").unwrap_or_default();
    let (queries, seed) = wanted.split_once('@').unwrap_or((&wanted, ""));
    Range {
        seed: seed.parse().unwrap_or(1),
        first: 0,
        queries: queries.parse().unwrap_or(usual),
        settings: Vec::new(),
    }
}
