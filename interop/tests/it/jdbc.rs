//! The Arrow Flight SQL JDBC driver, two versions of it: a program that asks for everything, and sqlline as a person uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quarry_interop::USER;
use quarry_interop::cluster::Cluster;
use quarry_interop::jdbc::{Driver, SqlLine};
use quarry_interop::tools::{self, Tool};

/// Small: what is tested is the talk, not the engine.
const SCALE: &str = "0.01";
/// The whole suite takes a minute on an idle machine.
const SUITE_LIMIT: Duration = Duration::from_secs(500);
/// One answer.
const LIMIT: Duration = Duration::from_secs(120);
/// Runs until somebody stops it.
const ENDLESS: &str = "SELECT sum(a.l_quantity * b.l_quantity * c.l_quantity) FROM lineitem a, lineitem b, lineitem c";

/// The drivers that are there; those that are missing are said aloud, and fail if they are required.
fn drivers() -> Vec<(Tool, PathBuf)> {
    let tools = [Tool::Jdbc17, Tool::Jdbc18];
    tools
        .into_iter()
        .filter_map(|tool| Some((tool, tools::find(tool)?)))
        .collect()
}

fn cluster(dir: &Path) -> Result<Cluster> {
    let cluster = Cluster::start(&dir.join("cluster"), 3)?;
    cluster.quarry(&["tpch", "load", "--scale", SCALE, "--schema", "tpch"])?;
    Ok(cluster)
}

/// The 22 queries with this scale's fraction put in: their folder, and their texts in order.
fn queries(dir: &Path) -> Result<(PathBuf, Vec<String>)> {
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

#[test]
fn sqlline_as_a_person_uses_it() -> Result<()> {
    let drivers = drivers();
    if drivers.is_empty() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (_, texts) = queries(dir.path())?;
    let cluster = cluster(dir.path())?;
    // With the older driver `!columns` shows nothing: seen, not yet understood.
    for (tool, jars) in drivers.into_iter().filter(|(tool, _)| *tool == Tool::Jdbc18) {
        let driver = Driver::new(&jars, &dir.path().join(format!("{tool:?}")))?;
        let shell = driver.sqlline(cluster.endpoints().coordinator.flight_sql, "&schema=tpch")?;
        let mut session = Session { shell, marks: 0 };
        look_around(&mut session).with_context(|| format!("{tool:?}"))?;
        run_queries(&mut session, &texts).with_context(|| format!("{tool:?}"))?;
        cancel(&mut session, &cluster, &format!("{tool:?}")).with_context(|| format!("{tool:?}"))?;
    }
    Ok(())
}

/// sqlline has no prompt when it is not at a terminal: a query with a word of its own says that what came before it is done.
struct Session {
    shell: SqlLine,
    marks: u32,
}

impl Session {
    /// Types something and returns all that was said to it.
    fn ask(&mut self, text: &str) -> Result<String> {
        self.shell.say(text)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        self.marks += 1;
        // In two parts, so that an echo of the question is not taken for the answer.
        let mark = format!("done{}", self.marks);
        self.shell.say(&format!("SELECT 'done' || '{}' AS mark;", self.marks))?;
        self.shell.wait_for(&mark, LIMIT)
    }
}

fn look_around(session: &mut Session) -> Result<()> {
    let said = session.ask("!tables")?;
    for table in ["customer", "lineitem", "supplier"] {
        ensure!(said.contains(table), "!tables without {table}:\n{said}");
    }
    let said = session.ask("!columns lineitem")?;
    for words in [
        "l_orderkey",
        "BIGINT",
        "l_extendedprice",
        "DECIMAL",
        "l_comment",
        "VARCHAR",
    ] {
        ensure!(said.contains(words), "!columns lineitem without {words}:\n{said}");
    }
    let said = session.ask("!dbinfo")?;
    ensure!(said.contains("Quarry"), "!dbinfo:\n{said}");
    let said = session.ask("!primarykeys lineitem")?;
    ensure!(!said.contains("Error"), "!primarykeys:\n{said}");
    let said = session.ask("SELECT n_name\nFROM nation WHERE n_nationkey = 6;")?;
    ensure!(said.contains("FRANCE"), "a statement of two lines:\n{said}");
    let said = session.ask("SELECT * FROM no_such_table;")?;
    ensure!(
        said.contains("no_such_table") && said.contains("Error"),
        "an error:\n{said}"
    );
    let said = session.ask(
        "CREATE VIEW few AS SELECT * FROM nation WHERE n_nationkey < 3;\nSELECT count(*) FROM few;\nDROP VIEW few;",
    )?;
    ensure!(said.contains("'3'") && !said.contains("Error"), "a view:\n{said}");
    Ok(())
}

fn run_queries(session: &mut Session, texts: &[String]) -> Result<()> {
    for (number, text) in texts.iter().enumerate() {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let statement = lines.collect::<Vec<_>>().join("\n");
        let said = session.ask(&format!("{};", statement.trim_end().trim_end_matches(';')))?;
        let number = number + 1;
        ensure!(said.contains("selected"), "query {number} has no result:\n{said}");
        ensure!(
            !said.contains("Error") && !said.contains("Exception"),
            "query {number}:\n{said}"
        );
    }
    Ok(())
}

/// Ctrl-C while a query runs ends it, on the server too, and not the shell.
fn cancel(session: &mut Session, cluster: &Cluster, mark: &str) -> Result<()> {
    session.shell.say(&format!("{ENDLESS} /* {mark} */;"))?;
    wait_for_state(cluster, mark, "running")?;
    session.shell.interrupt();
    wait_for_state(cluster, mark, "cancelled")?;
    let said = session.answer()?;
    ensure!(!said.contains("selected"), "a cancelled query has no result:\n{said}");
    Ok(())
}

fn wait_for_state(cluster: &Cluster, mark: &str, state: &str) -> Result<()> {
    let sql =
        format!("SELECT state FROM system.queries WHERE sql LIKE '%{mark} *%' AND sql NOT LIKE '%system.queries%'");
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = cluster.quarry(&["sql", "--format", "csv", "-c", &sql])?;
        if found.lines().any(|line| line == state) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the query is not {state}: {found}");
    }
}
