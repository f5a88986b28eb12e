//! `quarry sql`: results, formats and exit codes.

use crate::cluster::shared;
use crate::support::{Home, Ran};

fn sql(args: &[&str]) -> Ran {
    shared().run(&[&["sql"], args].concat())
}

#[test]
fn a_statement_prints_its_result_in_each_format() {
    let statement = "select 1 as a, 'x,y' as b, cast(null as int) as c";
    assert_eq!(sql(&["-c", statement]).ok(), "a,b,c\n1,\"x,y\",\n");
    assert_eq!(
        sql(&["-c", statement, "--format", "json"]).ok(),
        "[{\"a\":1,\"b\":\"x,y\",\"c\":null}]\n"
    );
    let table = sql(&["-c", statement, "--format", "table"]).ok();
    assert!(
        table.contains("x,y") && table.contains("NULL") && table.ends_with("1 row\n"),
        "{table}"
    );
}

#[test]
fn statements_come_from_flags_files_and_standard_input() {
    assert_eq!(
        sql(&["-c", "select 1 as a; select 2 as a", "-c", "select 3 as a"]).ok(),
        "a\n1\na\n2\na\n3\n"
    );
    // SQL may begin with a comment, which looks like a flag.
    assert_eq!(sql(&["-c", "-- one\nselect 1 as a"]).ok(), "a\n1\n");
    let file = shared().path("script.sql");
    std::fs::write(&file, "-- two\nselect ';' as s;\nselect 2 as a").unwrap();
    assert_eq!(sql(&["-f", file.to_str().unwrap()]).ok(), "s\n;\na\n2\n");
    assert_eq!(shared().run_with_input(&["sql"], b"select 4 as a;").ok(), "a\n4\n");
}

#[test]
fn a_wrong_statement_is_exit_1_and_stops_the_rest() {
    let ran = sql(&["-c", "select 1 as a;\nselect nonsense;\nselect 3 as a"]);
    assert_eq!((ran.code(), ran.stdout().as_str()), (1, "a\n1\n"));
    assert!(
        ran.stderr().contains("line 2") && ran.stderr().contains("nonsense"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn a_query_that_fails_on_its_way_is_exit_1() {
    let ran = sql(&["-c", "select 1 / (value - 5) from generate_series(1, 10)"]);
    assert_eq!(ran.code(), 1, "{}", ran.stdout());
    assert!(
        ran.stderr().to_lowercase().contains("divide by zero"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn usage_and_connection_have_codes_of_their_own() {
    assert_eq!(sql(&["--format", "xml", "-c", "select 1"]).code(), 2);
    assert_eq!(sql(&["-f", "/nonexistent.sql"]).code(), 2);
    let ran = sql(&["--url", "127.0.0.1:1", "-c", "select 1"]);
    assert_eq!(ran.code(), 3);
    assert!(ran.stderr().contains("127.0.0.1:1"), "{}", ran.stderr());
    let nowhere = Home::new().run(&["sql", "-c", "select 1"]);
    assert_eq!(nowhere.code(), 3);
    assert!(nowhere.stderr().contains("quarry local"), "{}", nowhere.stderr());
}

#[test]
fn tables_are_created_listed_and_described() {
    shared().run(&["fs", "mkdir", "-p", "/csv"]).ok();
    shared()
        .run_with_input(&["fs", "put", "-", "/csv/t.csv"], b"id,name\n1,a\n2,b\n")
        .ok();
    let create = "create external table words (id bigint not null, name varchar) stored as csv location 'hdfs:///csv/' options ('format.has_header' 'true')";
    assert_eq!(sql(&["-c", create]).ok(), "");
    assert_eq!(
        sql(&["-c", "select count(*) as n, sum(id) as s from words"]).ok(),
        "n,s\n2,3\n"
    );
    let tables = sql(&["-c", "\\dt"]).ok();
    assert!(tables.contains("words"), "{tables}");
    let columns = sql(&["-c", "\\d words"]).ok();
    assert!(columns.contains("id,Int64") && columns.contains("name,"), "{columns}");
    let absent = sql(&["-c", "\\d nothere"]);
    assert_eq!(absent.code(), 1);
    assert!(absent.stderr().contains("nothere"), "{}", absent.stderr());
}

#[test]
fn an_empty_result_keeps_its_header() {
    assert_eq!(sql(&["-c", "select 1 as a where false"]).ok(), "a\n");
}
