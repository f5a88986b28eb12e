//! The differential run: one list of operations, played against Apache HDFS and against Quarry, and the answers compared.
//!
//! The operations are in `differential/*.script`, each with the answer of Apache HDFS ([`script`] has the format). What Quarry answers
//! otherwise must be listed with its reason in `differential/expected_differences.toml` ([`expected`]), from which
//! `docs/differences.md` is generated ([`table`]). An unlisted difference is a failure, and so is a listed one that is gone.

pub mod expected;
pub mod script;
pub mod stage;
pub mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::tools;
use expected::Expected;
use script::Script;
use stage::Stage;

/// The folder of scripts and expected differences.
pub fn folder() -> PathBuf {
    tools::home().join("differential")
}

/// Where the table of differences is for its readers.
pub fn document() -> PathBuf {
    tools::home().join("../docs/differences.md")
}

/// All scripts in the order of their names, with the answers of Apache HDFS.
///
/// # Errors
/// A file is unreadable or malformed.
pub fn scripts() -> Result<Vec<Script>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|kind| kind == "script"));
    files.sort();
    files.iter().map(|file| Script::read(file)).collect()
}

/// Plays every script on `stage`; the result has the answers of this run.
///
/// # Errors
/// The driver died: no answer of the server's is an error.
pub fn play(stage: &mut Stage, scripts: &[Script]) -> Result<Vec<Script>> {
    scripts
        .iter()
        .map(|script| stage.play(script).with_context(|| script.name.clone()))
        .collect()
}

/// What is wrong with `found`, the answers of Quarry to `scripts`: unlisted differences and listed ones that did not occur. Empty when all
/// is as listed.
pub fn complaints(scripts: &[Script], found: &[Script], listed: &Expected) -> Vec<String> {
    let mut complaints = Vec::new();
    for (hdfs, quarry) in scripts.iter().zip(found) {
        for (want, got) in hdfs.steps.iter().zip(&quarry.steps) {
            let place = format!("{}: {}{}", hdfs.name, want.command, nth(want.nth));
            let listed = listed.quarry_says(&hdfs.name, &want.command, want.nth);
            let hdfs_says = want.answer.join("\n    ");
            let quarry_says = got.answer.join("\n    ");
            match listed {
                None if want.answer == got.answer => {}
                None => complaints.push(format!(
                    "{place}\n  HDFS:\n    {hdfs_says}\n  Quarry:\n    {quarry_says}"
                )),
                Some(answer) if answer == got.answer && answer != want.answer => {}
                Some(_) if want.answer == got.answer => {
                    complaints.push(format!("{place}\n  is listed as a difference but is none any more"));
                }
                Some(answer) => complaints.push(format!(
                    "{place}\n  listed:\n    {}\n  Quarry:\n    {quarry_says}\n  HDFS:\n    {hdfs_says}",
                    answer.join("\n    ")
                )),
            }
        }
    }
    complaints.extend(listed.strangers(scripts));
    complaints
}

fn nth(nth: usize) -> String {
    match nth {
        1 => String::new(),
        _ => format!("  (number {nth})"),
    }
}
