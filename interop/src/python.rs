//! Python clients: files of tests and programs, run by the interpreter that has them.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Result, ensure};

use crate::tools;

/// Runs the `unittest` file `python/NAME` with the given environment; `environment` is the folder that `interop/setup` made.
///
/// # Errors
/// A test of the file failed; with the whole output.
pub fn run_tests(environment: &Path, name: &str, variables: &[(&str, String)]) -> Result<()> {
    let output = run_file(environment, name, &["-v"], variables)?;
    let said = [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    ensure!(output.status.success(), "{name}: {}\n{said}", output.status);
    // A file whose tests were all lost to a typo would pass without this.
    ensure!(
        !said.contains("Ran 0 tests") && !said.contains("skipped"),
        "{name} skipped tests:\n{said}"
    );
    Ok(())
}

/// Runs the program `python/NAME` and returns what it printed; otherwise as [`run_tests`].
///
/// # Errors
/// It failed; with what it said.
pub fn run(environment: &Path, name: &str, variables: &[(&str, String)]) -> Result<String> {
    let output = run_file(environment, name, &[], variables)?;
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{err}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn run_file(environment: &Path, name: &str, args: &[&str], variables: &[(&str, String)]) -> Result<Output> {
    let mut command = Command::new(environment.join("bin/python"));
    // -B: the checkout stays as it is.
    command
        .arg("-B")
        .arg(tools::home().join("python").join(name))
        .args(args);
    command.envs(variables.iter().map(|(key, value)| (*key, value)));
    Ok(command.output()?)
}
