//! The Arrow Flight SQL JDBC driver, two versions of it, by programs of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use quarry_interop::USER;
use quarry_interop::cluster::Cluster;
use quarry_interop::jdbc::Driver;
use quarry_interop::tools::{self, Tool};

/// Small: what is tested is the talk, not the engine.
pub(crate) const SCALE: &str = "0.01";
/// The whole suite takes a minute on an idle machine.
const SUITE_LIMIT: Duration = Duration::from_secs(500);
/// One answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The drivers that are there; those that are missing are said aloud, and fail if they are required.
pub(crate) fn drivers() -> Vec<(Tool, PathBuf)> {
    let tools = [Tool::Jdbc17, Tool::Jdbc18];
    tools
        .into_iter()
        .filter_map(|tool| Some((tool, tools::find(tool)?)))
        .collect()
}

pub(crate) fn cluster(dir: &Path) -> Result<Cluster> {
    let cluster = Cluster::start(&dir.join("cluster"), 3)?;
    cluster.quarry(&["tpch", "load", "--scale", SCALE, "--schema", "tpch"])?;
    Ok(cluster)
}

/// The 22 queries with this scale's fraction put in: their folder, and their texts in order.
pub(crate) fn queries(dir: &Path) -> Result<(PathBuf, Vec<String>)> {
    let folder = dir.join("queries");
    fs::create_dir_all(&folder)?;
    let mut texts = Vec::new();
    for number in 1..=22 {
        let name = format!("q{number:02}.sql");
        let text = fs::read_to_string(tools::home().join("../cli/src/tpch/queries").join(&name))?;
        let fraction = 0.0001 / SCALE.parse::<f64>()?;
        let text = text.replace(":fraction", &format!("{fraction:.10}"));
        fs::write(folder.join(&name), &text)?;
        texts.push(text);
    }
    Ok((folder, texts))
}

#[test]
fn a_program_that_asks_the_driver_for_everything() -> Result<()> {
    let drivers = drivers();
    if drivers.is_empty() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (folder, _) = queries(dir.path())?;
    let cluster = cluster(dir.path())?;
    let address = cluster.endpoints().coordinator.flight_sql.to_string();
    for (tool, jars) in drivers {
        let driver = Driver::new(&jars, &dir.path().join(format!("{tool:?}")))?;
        let args = [address.as_str(), &folder.display().to_string()];
        let finished = driver
            .run("JdbcSuite", &args, SUITE_LIMIT)?
            .success(&format!("{tool:?}"))?;
        let last = finished.out.lines().last().unwrap_or_default();
        eprintln!("{tool:?}: {last}");
        ensure!(last.ends_with("passed, 0 failed"), "{tool:?}: {}", finished.out);
    }
    Ok(())
}

#[test]
fn a_server_with_a_list_of_users() -> Result<()> {
    let drivers = drivers();
    if drivers.is_empty() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let users = dir.path().join("users.toml");
    // The one who starts the cluster asks it whether it is ready.
    fs::write(
        &users,
        format!("[users.ada]\npassword = \"right\"\n[users.{USER}]\npassword = \"own\"\n"),
    )?;
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600))?;
    let configuration = format!("[coordinator]\nusers_file = \"{}\"\n", users.display());
    let cluster = Cluster::start_in(
        &dir.path().join("cluster"),
        1,
        &configuration,
        &[("QUARRY_PASSWORD", "own")],
    )?;
    let address = cluster.endpoints().coordinator.flight_sql.to_string();
    for (tool, jars) in drivers {
        let driver = Driver::new(&jars, &dir.path().join(format!("{tool:?}")))?;
        let finished = driver.run("Login", &[&address, "ada", "right"], LIMIT)?;
        finished.success(&format!("{tool:?}"))?;
    }
    Ok(())
}
