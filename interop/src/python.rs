//! Python clients: a file of tests, run by the interpreter that has them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::tools;

/// Runs the `unittest` file `python/NAME` with the given environment; `environment` is the folder that `interop/setup` made.
///
/// # Errors
/// A test of the file failed; with the whole output.
pub fn run_tests(environment: &Path, name: &str, variables: &[(&str, String)]) -> Result<()> {
    let mut command = Command::new(environment.join("bin/python"));
    // -B: the checkout stays as it is.
    command.arg("-B").arg(tools::home().join("python").join(name)).arg("-v");
    command.envs(variables.iter().map(|(key, value)| (*key, value)));
    let output = command.output()?;
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
