//! sqlline, a shell for any JDBC driver, as a person uses it: by two versions of the Arrow Flight SQL driver.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use quarry_interop::cluster::Cluster;
use quarry_interop::jdbc::{Driver, SqlLine};
use quarry_interop::python;
use quarry_interop::tools::{self, Tool};

use crate::jdbc::{LIMIT, cluster, drivers, queries};

/// Who logs in; a server without a list of users believes it.
const LOGIN: (&str, &str) = ("ada", "secret");
/// Runs until somebody stops it.
const ENDLESS: &str = "SELECT sum(a.l_quantity * b.l_quantity * c.l_quantity) FROM lineitem a, lineitem b, lineitem c";

/// Rows of text.
type Rows = Vec<Vec<String>>;

#[test]
fn sqlline_as_a_person_uses_it() -> Result<()> {
    let drivers = drivers();
    let (false, Some(python)) = (drivers.is_empty(), tools::find(Tool::Python)) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let (folder, texts) = queries(dir.path())?;
    let cluster = cluster(dir.path())?;
    let answers = answers(&python, &cluster, &folder)?;
    for (tool, jars) in drivers {
        let mark = format!("{tool:?}");
        let driver = Driver::new(&jars, &dir.path().join(&mark))?;
        run(&driver, &cluster, &mark, &texts, &answers).context(mark)?;
    }
    Ok(())
}

fn run(
    driver: &Driver,
    cluster: &Cluster,
    mark: &str,
    texts: &[String],
    answers: &BTreeMap<String, Rows>,
) -> Result<()> {
    let address = cluster.endpoints().coordinator.flight_sql;
    anonymous(driver, cluster)?;
    let mut session = Session::new(driver.sqlline(address, LOGIN, "&schema=tpch")?);
    look_around(&mut session)?;
    run_queries(&mut session, texts, answers)?;
    // sqlline itself offers no statement with parameters.
    let prepared = driver.run("Prepared", &[&address.to_string(), LOGIN.0, LOGIN.1], LIMIT)?;
    prepared.success("Prepared")?;
    cancel(driver, cluster, mark)
}

/// DuckDB's answers over the same rows, by query.
fn answers(python: &Path, cluster: &Cluster, folder: &Path) -> Result<BTreeMap<String, Rows>> {
    let variables = [
        (
            "QUARRY_FLIGHT_SQL",
            cluster.endpoints().coordinator.flight_sql.to_string(),
        ),
        ("QUARRY_TPCH_QUERIES", folder.display().to_string()),
    ];
    let text = python::run(python, "tpch_answers.py", &variables)?;
    Ok(serde_json::from_str(&text)?)
}

/// A silent sqlline gives no sign that a command is done: a query with a word of its own says that what came before it is.
struct Session {
    shell: SqlLine,
    marks: u32,
}

impl Session {
    fn new(shell: SqlLine) -> Self {
        Self { shell, marks: 0 }
    }

    /// Types something and returns all that was said to it.
    fn ask(&mut self, text: &str) -> Result<String> {
        self.shell.say(text)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        self.marks += 1;
        // In two parts, so that an echo of the question is not taken for the answer.
        let mark = format!("'done{}'", self.marks);
        self.shell.say(&format!("SELECT 'done' || '{}' AS mark;", self.marks))?;
        let said = self.shell.wait_for(&mark, LIMIT)?;
        Ok(said.trim_end().trim_end_matches("'mark'").to_owned())
    }
}

/// Enter at the questions for user and password: nobody, whom a server on the loopback address takes.
fn anonymous(driver: &Driver, cluster: &Cluster) -> Result<()> {
    let address = cluster.endpoints().coordinator.flight_sql;
    let mut session = Session::new(driver.sqlline(address, ("", ""), "")?);
    let said = session.ask("SELECT \"user\" FROM system.queries ORDER BY started DESC LIMIT 1;")?;
    ensure!(said.contains("'anonymous'"), "without a name:\n{said}");
    Ok(())
}

fn look_around(session: &mut Session) -> Result<()> {
    let said = session.ask("!tables")?;
    for table in ["customer", "lineitem", "supplier"] {
        ensure!(said.contains(&format!("'{table}'")), "!tables without {table}:\n{said}");
    }
    // The driver says that names are kept in upper case, so that sqlline asks for LINEITEM.
    for command in ["!columns lineitem", "!columns tpch lineitem", "!columns \"lineitem\""] {
        let said = session.ask(command)?;
        ensure!(
            rows(&said).len() == 1 + 16,
            "{command}, a line for each column:\n{said}"
        );
        for words in [
            "'l_orderkey','-5','BIGINT'",
            "'l_extendedprice','3','DECIMAL'",
            "'l_comment','12','VARCHAR'",
        ] {
            ensure!(said.contains(words), "{command} without {words}:\n{said}");
        }
    }
    let said = session.ask("!dbinfo")?;
    ensure!(said.contains("Quarry"), "!dbinfo:\n{said}");
    let said = session.ask("!primarykeys lineitem")?;
    ensure!(!said.contains("Error"), "!primarykeys:\n{said}");
    let said = session.ask("SELECT n_name\nFROM nation WHERE n_nationkey = 6;")?;
    ensure!(
        rows(&said) == [["n_name"], ["FRANCE"]],
        "a statement of two lines:\n{said}"
    );
    let said = session.ask("SELECT * FROM no_such_table;")?;
    ensure!(
        said.contains("no_such_table") && said.contains("Error"),
        "an error:\n{said}"
    );
    let view = "CREATE VIEW few AS SELECT * FROM nation WHERE n_nationkey < 3;\nSELECT count(*) AS n FROM few;\nDROP VIEW few;";
    let said = session.ask(view)?;
    ensure!(said.contains("'n'\n'3'") && !said.contains("Error"), "a view:\n{said}");
    Ok(())
}

fn run_queries(session: &mut Session, texts: &[String], answers: &BTreeMap<String, Rows>) -> Result<()> {
    ensure!(
        texts.len() == 22 && answers.len() == 22,
        "22 queries, and as many answers"
    );
    for (text, (name, expected)) in texts.iter().zip(answers) {
        let said = session.ask(&format!("{};", text.trim_end().trim_end_matches(';')))?;
        let found = rows(&said);
        let same = found.len() == expected.len() + 1 && found[1..].iter().zip(expected).all(|(a, b)| is_same(a, b));
        ensure!(same, "{name}: expected {expected:?}, found:\n{said}");
    }
    Ok(())
}

/// Lines of values between single quotes; a quote within is written twice.
fn rows(said: &str) -> Rows {
    let lines = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix('\'')?.strip_suffix('\''));
    lines
        .map(|line| line.split("','").map(|value| value.replace("''", "'")).collect())
        .collect()
}

/// Engines differ in the digits of an average, not in its value.
fn is_same(found: &[String], expected: &[String]) -> bool {
    let same = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 0.01_f64.max(1e-6 * b.abs()),
        // sqlline writes a missing number as a word.
        _ => a == b || (a == "null" && b.is_empty()),
    };
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same(a, b))
}

/// Ctrl-C while a query runs ends it, on the server too, and not the shell.
fn cancel(driver: &Driver, cluster: &Cluster, mark: &str) -> Result<()> {
    let address = cluster.endpoints().coordinator.flight_sql;
    let mut session = Session::new(driver.sqlline_at_a_terminal(address, LOGIN, "&schema=tpch")?);
    session.shell.say(&format!("{ENDLESS} /* {mark} */;"))?;
    wait_for_state(cluster, mark, "running")?;
    session.shell.interrupt()?;
    wait_for_state(cluster, mark, "cancelled")?;
    let said = session.answer()?;
    ensure!(
        said.contains("Error while executing"),
        "a cancelled query has no result:\n{said}"
    );
    let said = session.ask("SELECT 6 * 7 AS n;")?;
    ensure!(said.contains("'42'"), "the shell goes on:\n{said}");
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
