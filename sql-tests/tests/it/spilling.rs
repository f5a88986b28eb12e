//! Joins whose build side is larger than all memory: the rows of a cluster that has enough, and data that was spilled.

use anyhow::{Context, Result, ensure};
use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use quarry_sql_tests::compare::Answer;
use quarry_sql_tests::engine::{Session, answer, is_out_of_memory};
use quarry_sql_tests::site::{Flight, Site};

/// Memory of each worker of the cluster that has little.
pub(crate) const LIMIT_MIB: u64 = 6;
/// Workers that share a build side.
const WORKERS: u64 = 3;
/// How often a statement is asked until its sorts have the memory that they need.
const TRIES: usize = 5;
/// Rows of `nums`.
const ROWS: u64 = 10_000;
/// Bytes of one, as the planner estimates it.
const ESTIMATED: u64 = 32;
/// Bytes of one whose `pad` is doubled.
const DOUBLED: u64 = 216;
/// Less than either, for loops: 3 MB that look like some hundred KB.
const LOOPED: &str = "(SELECT n, repeat(pad, 3) AS pad FROM nums)";

/// `nums` so many times, with numbers that go on.
fn nums(times: u64) -> String {
    let branches: Vec<String> = (0..times)
        .map(|branch| format!("SELECT n + {} AS n, pad FROM nums", branch * ROWS))
        .collect();
    branches.join(" UNION ALL ")
}

/// A build side that is known to be larger than the half of a query's memory that it may have.
fn known() -> String {
    let limit = (LIMIT_MIB << 20) / 5 * 4 / 2;
    // Tables over the rows take half as much again.
    let times = limit * WORKERS * 2 / 3 / (ROWS * ESTIMATED) + 1;
    format!("({})", nums(times))
}

/// A build side that is larger than all of a query's memory, and looks as if it took a fraction.
fn unknown() -> String {
    let limit = (LIMIT_MIB << 20) / 5 * 4;
    let times = limit * WORKERS / (ROWS * DOUBLED) + 1;
    format!("(SELECT n, repeat(pad, 2) AS pad FROM ({}) numbers)", nums(times))
}

/// Joins over two of these inputs, both of which are needed whole.
const JOINS: [&str; 4] = [
    "SELECT count(*), sum(a.n), max(a.pad || b.pad) FROM $T a JOIN $T b ON a.n = b.n + 7",
    "SELECT count(*), count(b.n), max(a.pad || b.pad) FROM $T a LEFT JOIN $T b ON a.n = b.n + 7",
    "SELECT count(*), max(a.pad) FROM $T a WHERE EXISTS (SELECT 1 FROM $T b WHERE a.n = b.n + 7 AND a.pad <> b.pad)",
    "SELECT count(*), max(a.pad) FROM $T a WHERE NOT EXISTS (SELECT 1 FROM $T b WHERE a.n = b.n + 7 AND a.pad <> b.pad)",
];

/// Joins without keys.
const LOOPS: [&str; 2] = [
    "SELECT count(*), sum(a.n), max(a.pad || b.pad) FROM $T a JOIN $T b ON a.n > b.n + 9990",
    "SELECT count(*), count(b.n), max(a.pad || b.pad) FROM $T a LEFT JOIN $T b ON a.n > b.n + 9990 AND a.pad <> b.pad",
];

/// Runs all of them on `tiny` and compares with `ample`.
pub(crate) async fn check(tiny: &Site, ample: &Site) -> Result<()> {
    let (mut tiny, mut ample) = (tiny.session().await?, ample.session().await?);
    let mut problems = Vec::new();
    let sorted_at_once = JOINS.map(|join| (join.replace("$T", &known()), 1));
    let sorted_when_it_failed = (JOINS[0].replace("$T", &unknown()), 2);
    for (sql, attempts) in sorted_at_once.into_iter().chain([sorted_when_it_failed]) {
        if let Err(problem) = equi_join(&mut tiny, &mut ample, &sql, attempts).await {
            problems.push(format!("{sql}: {problem:#}"));
        }
    }
    for join in LOOPS {
        let sql = join.replace("$T", LOOPED);
        if let Err(problem) = loop_join(&mut tiny, &mut ample, &sql).await {
            problems.push(format!("{sql}: {problem:#}"));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n\n"));
    Ok(())
}

/// A nested-loop join spills its left side, which its exchanges give once; where DataFusion would give rows twice, it is refused.
async fn loop_join(tiny: &mut Flight, ample: &mut Flight, sql: &str) -> Result<()> {
    let expected = answer(ample, sql).await?;
    match answer(tiny, sql).await {
        Ok(found) => ensure!(
            found.rows == expected.rows,
            "{:?}, expected {:?}",
            found.rows,
            expected.rows
        ),
        Err(error) => ensure!(is_out_of_memory(&format!("{error:#}")), "{error:#}"),
    }
    Ok(())
}

/// The answer with little memory. Merges of sorted runs cannot spill, and what two of them have at a time depends on who comes first: a statement that
/// was refused for that is asked again.
async fn answer_in_the_end(tiny: &mut Flight, sql: &str) -> Result<Answer> {
    for _ in 1..TRIES {
        match answer(tiny, sql).await {
            Err(error) if is_out_of_memory(&format!("{error:#}")) => println!("asked again: {error:#}"),
            other => return other,
        }
    }
    answer(tiny, sql).await
}

async fn equi_join(tiny: &mut Flight, ample: &mut Flight, sql: &str, attempts: u32) -> Result<()> {
    let (found, expected) = (answer_in_the_end(tiny, sql).await?, answer(ample, sql).await?);
    ensure!(
        found.rows == expected.rows,
        "{:?}, expected {:?}",
        found.rows,
        expected.rows
    );
    let plan = answer_in_the_end(tiny, &format!("EXPLAIN ANALYZE {sql}")).await?;
    let plan = plan.rows.concat().join("\n");
    ensure!(
        plan.contains("SortMergeJoin") && !plan.contains("HashJoin"),
        "not sorted:\n{plan}"
    );
    ensure!(spills(&plan) > 0, "nothing was spilled:\n{plan}");
    let quoted = sql.replace('\'', "''");
    let (_, record) = tiny
        .run(&format!(
            "SELECT attempts, retry_reason FROM system.queries WHERE sql = '{quoted}' AND state = 'finished'"
        ))
        .await?;
    let record = record.first().context("the query is remembered")?;
    let begun = record.column(0).as_primitive::<UInt32Type>().value(0);
    let reason = record.column(1).as_string::<i32>();
    ensure!(begun == attempts, "{begun} attempts, expected {attempts}:\n{plan}");
    let said = begun == 1 || reason.value(0).contains("joins are sorted instead");
    ensure!(said, "retried because of {:?}", reason.value(0));
    Ok(())
}

/// How often operators of an analyzed plan spilled.
fn spills(plan: &str) -> u64 {
    let counts = plan.split("spill_count=").skip(1);
    let digits = counts.map(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or(""));
    digits.filter_map(|count| count.parse::<u64>().ok()).sum()
}
