//! The differential run by hand.
//!
//! ```text
//! differential              Quarry against the recorded answers of Apache HDFS
//! differential --record     Apache HDFS itself: its answers go into the scripts; then Quarry against them
//! differential --document   docs/differences.md anew, from scripts and expected differences
//! differential --only NAME  only the scripts whose names contain NAME
//! differential --out DIR    and writes each system's transcripts into DIR
//! differential --propose    prints unlisted differences in the form of expected_differences.toml
//! ```

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use quarry_interop::differential::expected::Expected;
use quarry_interop::differential::script::Script;
use quarry_interop::differential::stage::Stage;
use quarry_interop::differential::{complaints, document, folder, play, scripts, table};
use quarry_interop::tools;

#[derive(Default)]
struct Options {
    record: bool,
    document: bool,
    propose: bool,
    only: String,
    out: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let mut wanted = scripts()?;
    if options.document {
        fs::write(document(), table::render(&wanted, &Expected::read()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    wanted.retain(|script| script.name.contains(&options.only));
    let jars = tools::hadoop().context("Hadoop's jars: run interop/setup")?;
    if options.record {
        wanted = play(&mut Stage::hdfs(&jars)?, &wanted)?;
        for script in &wanted {
            fs::write(folder().join(&script.name).with_extension("script"), script.text())?;
        }
    }
    let found = play(&mut Stage::quarry(&jars)?, &wanted)?;
    if let Some(out) = &options.out {
        write(out, "hdfs", &wanted)?;
        write(out, "quarry", &found)?;
    }
    let mut listed = Expected::read()?;
    for difference in &mut listed.differences {
        difference.steps.retain(|step| step.script.contains(&options.only));
    }
    if options.propose {
        propose(&wanted, &found, &listed);
    }
    let wrong = complaints(&wanted, &found, &listed);
    for complaint in &wrong {
        println!("{complaint}\n");
    }
    let steps: usize = wanted.iter().map(|script| script.steps.len()).sum();
    let listed = listed.occurrences().count();
    println!(
        "{steps} operations, {listed} listed differences, {} complaints",
        wrong.len()
    );
    Ok(ExitCode::from(u8::from(!wrong.is_empty())))
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--record" => options.record = true,
            "--document" => options.document = true,
            "--propose" => options.propose = true,
            "--only" => options.only = args.next().context("--only NAME")?,
            "--out" => options.out = Some(args.next().context("--out DIR")?.into()),
            _ => bail!("unknown argument '{arg}': see src/bin/differential.rs"),
        }
    }
    Ok(options)
}

fn write(out: &Path, system: &str, scripts: &[Script]) -> Result<()> {
    for script in scripts {
        let folder = out.join(system);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(&script.name), script.text())?;
    }
    Ok(())
}

fn propose(wanted: &[Script], found: &[Script], listed: &Expected) {
    for (hdfs, quarry) in wanted.iter().zip(found) {
        for (want, got) in hdfs.steps.iter().zip(&quarry.steps) {
            if want.answer == got.answer || listed.quarry_says(&hdfs.name, &want.command, want.nth).is_some() {
                continue;
            }
            println!(
                "[[difference.step]]\nscript = {:?}\nstep = {:?}",
                hdfs.name, want.command
            );
            if want.nth > 1 {
                println!("nth = {}", want.nth);
            }
            println!("quarry = {:?}\n", got.answer);
        }
    }
}
