//! The differential run: Hadoop's client and programs on Quarry and on Apache HDFS.

use std::fs;

use anyhow::{Result, ensure};
use quarry_interop::differential::expected::Expected;
use quarry_interop::differential::stage::Stage;
use quarry_interop::differential::{complaints, document, play, scripts, table};
use quarry_interop::tools::{self, Tool};

#[test]
fn differential_run_finds_only_the_listed_differences() -> Result<()> {
    let Some(jars) = tools::hadoop() else {
        return Ok(());
    };
    let scripts = scripts()?;
    let found = play(&mut Stage::quarry(&jars)?, &scripts)?;
    let wrong = complaints(&scripts, &found, &Expected::read()?);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn differential_scripts_hold_what_apache_hdfs_says_today() -> Result<()> {
    let (Some(_), Some(jars)) = (tools::find(Tool::HdfsOracle), tools::hadoop()) else {
        return Ok(());
    };
    let scripts = scripts()?;
    let found = play(&mut Stage::hdfs(&jars)?, &scripts)?;
    let wrong = complaints(&scripts, &found, &Expected::default());
    ensure!(wrong.is_empty(), "read Quarry as 'today':\n{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn differential_table_is_generated_from_the_list() -> Result<()> {
    let page = table::render(&scripts()?, &Expected::read()?);
    let written = fs::read_to_string(document()).unwrap_or_default();
    ensure!(
        page == written,
        "docs/differences.md: write it anew with `cargo run -p quarry-interop --bin differential -- --document`"
    );
    Ok(())
}
