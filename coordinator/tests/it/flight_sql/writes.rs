//! Statements that write: what is in the tables and in the file system afterwards, also after a failure.

use std::time::Duration;

use bytesize::ByteSize;
use quarry_worker::{Worker, WorkerConfig, WorkerHandle};
use tonic::Code;

use super::*;
use crate::cluster::PATIENCE;
use crate::memory_files::node_uuid;

async fn done(client: &mut Client, sql: &str) -> i64 {
    update(client, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn refused(client: &mut Client, sql: &str) -> (Code, String) {
    let status = status(&update(client, sql).await.expect_err(sql));
    (status.code(), status.message().to_owned())
}

async fn cell(client: &mut Client, sql: &str) -> String {
    rows(client, sql).await[0][0].clone()
}

/// Files of managed tables, without versions and claims, by their table's directory's name up to the dash.
async fn data_files(server: &Server) -> Vec<String> {
    let paths = server.files.paths("/quarry/warehouse").await;
    let data = paths.into_iter().filter(|path| path.contains("/data/"));
    data.map(|path| path.trim_start_matches("/quarry/warehouse/").to_owned())
        .collect()
}

/// All files but the coordinators' signs of life.
async fn own_files(server: &Server) -> Vec<String> {
    let mut paths = server.files.paths("").await;
    paths.retain(|path| !path.contains("/_writes/"));
    paths
}

/// Nothing is staged and no intent is open.
async fn assert_clean(server: &Server) {
    for path in server.files.paths("").await {
        let stray = path.contains("/_staging/")
            || path.contains(".removed-")
            || path.contains("/_writes/") && path.ends_with(".json") && !path.contains("/retired-");
        assert!(!stray, "{path} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_table_takes_rows_and_gives_them_back() {
    let server = Server::start().await;
    let mut client = server.client().await;
    done(&mut client, "create table t (a bigint not null, b varchar)").await;
    assert_eq!(cell(&mut client, "select count(*) from t").await, "0");
    assert_eq!(done(&mut client, "insert into t values (1, 'x'), (2, null)").await, 2);
    assert_eq!(done(&mut client, "insert into t (b, a) select 'y', 3").await, 1);
    assert_eq!(done(&mut client, "insert into t (a) values (4)").await, 1);
    assert_eq!(
        done(&mut client, "insert into t select * from t where a > 100").await,
        0
    );
    // Columns go by their places: two may have one name.
    assert_eq!(done(&mut client, "insert into t select 5, 5").await, 1);
    let expected = [["1", "x"], ["2", "NULL"], ["3", "y"], ["4", "NULL"], ["5", "5"]];
    assert_eq!(rows(&mut client, "select a, b from t order by a").await, expected);
    assert_eq!(done(&mut client, "insert overwrite t values (9, 'z')").await, 1);
    assert_eq!(rows(&mut client, "select * from t").await, [["9", "z"]]);
    done(&mut client, "truncate table t").await;
    assert_eq!(cell(&mut client, "select count(*) from t").await, "0");
    assert_clean(&server).await;
    done(&mut client, "drop table t").await;
    assert!(data_files(&server).await.is_empty(), "{:?}", data_files(&server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_table_as_in_all_its_forms() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let expected = rows(&mut client, "select count(*), sum(l_quantity) from lines").await;
    let created = done(&mut client, "create table copy as select * from lines").await;
    assert_eq!(created.to_string(), expected[0][0]);
    assert_eq!(
        rows(&mut client, "select count(*), sum(l_quantity) from copy").await,
        expected
    );
    assert_eq!(
        refused(&mut client, "create table copy as select 1 as a").await.0,
        Code::AlreadyExists
    );
    assert_eq!(
        done(&mut client, "create table if not exists copy as select 1 as a").await,
        0
    );
    let before = data_files(&server).await;
    assert_eq!(
        done(
            &mut client,
            "create or replace table copy stored as csv as select 1 as a, 'x' as b"
        )
        .await,
        1
    );
    assert_eq!(rows(&mut client, "select * from copy").await, [["1", "x"]]);
    let after = data_files(&server).await;
    assert!(
        after.len() == 1 && before.iter().all(|path| !after.contains(path)),
        "{before:?} {after:?}"
    );
    assert_eq!(
        refused(&mut client, "create table d as select 1 as a, 2 as a").await.0,
        Code::InvalidArgument
    );
    done(&mut client, "create table typed (a double, b varchar) as select 1, 2").await;
    assert_eq!(rows(&mut client, "select * from typed").await, [["1.0", "2"]]);
    assert_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_written_and_overwritten_one_by_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    done(&mut client, "create table p partitioned by (k) as select 1 as k, 'a' as v union all select 2, 'b' union all select null, 'n'").await;
    let files = data_files(&server).await;
    for directory in ["k=1/", "k=2/", "k=__HIVE_DEFAULT_PARTITION__/"] {
        assert!(
            files.iter().any(|path| path.contains(directory)),
            "{directory}: {files:?}"
        );
    }
    let manifest = server.files.paths("/quarry/warehouse").await;
    assert_eq!(manifest.iter().filter(|path| path.contains("/_versions/")).count(), 1);
    assert_eq!(
        done(&mut client, "insert into p partition (k = 3) values ('c')").await,
        1
    );
    assert_eq!(
        done(&mut client, "insert overwrite p partition (k = 1) select 'A'").await,
        1
    );
    assert_eq!(
        done(&mut client, "insert overwrite p partition (k) select 'B', 2").await,
        1
    );
    let (code, text) = refused(&mut client, "insert into p partition (v = 1) values (2)").await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("not a partition column"), "{text}");
    assert_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_tables_take_rows_and_keep_their_files() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let before: i64 = cell(&mut client, "select count(*) from lines").await.parse().unwrap();
    assert_eq!(
        done(&mut client, "insert into lines select * from lines limit 10").await,
        10
    );
    assert_eq!(
        cell(&mut client, "select count(*) from lines").await,
        (before + 10).to_string()
    );
    assert_eq!(
        done(&mut client, "insert overwrite lines select * from lines limit 7").await,
        7
    );
    assert_eq!(cell(&mut client, "select count(*) from lines").await, "7");
    done(&mut client, "drop table lines").await;
    assert!(!server.files.paths("/data/lines").await.is_empty());
    assert_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_writes_files_that_can_be_read_again() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let count: i64 = cell(&mut client, "select count(*) from lines").await.parse().unwrap();
    assert_eq!(
        done(&mut client, "copy lines to 'hdfs:///out/lines.parquet'").await,
        count
    );
    assert_eq!(server.files.paths("/out").await, ["/out/lines.parquet"]);
    assert_eq!(
        done(&mut client, "copy lines to 'hdfs:///out/whole/' stored as parquet").await,
        count
    );
    assert_eq!(
        done(
            &mut client,
            "copy (select 1 as a, 'x' as b) to 'hdfs:///out/csv' stored as csv"
        )
        .await,
        1
    );
    done(&mut client, "copy (select 1 as a) to 'hdfs:///out/a.json'").await;
    done(
        &mut client,
        "copy (select 1 as a) to 'hdfs:///out/a.arrow' stored as arrow",
    )
    .await;
    done(
        &mut client,
        "copy (select 1 as a where false) to 'hdfs:///out/none.csv'",
    )
    .await;
    for (table, format, path, rows_there) in [("back", "parquet", "/out/whole", count), ("csv", "csv", "/out/csv", 1)] {
        done(
            &mut client,
            &format!("create external table {table} stored as {format} location 'hdfs://{path}'"),
        )
        .await;
        assert_eq!(
            cell(&mut client, &format!("select count(*) from {table}")).await,
            rows_there.to_string()
        );
    }
    let sql = "copy (select 1 as a, 'p q' as k) to 'hdfs:///out/parts' stored as parquet partitioned by (k)";
    done(&mut client, sql).await;
    assert!(server.files.paths("/out/parts").await[0].starts_with("/out/parts/k=p q/"));
    assert_eq!(refused(&mut client, sql).await.0, Code::AlreadyExists);
    assert_eq!(
        refused(&mut client, "copy lines to 'hdfs:///out/lines.parquet'")
            .await
            .0,
        Code::AlreadyExists
    );
    assert_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_said_and_leaves_nothing() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    done(&mut client, "create table t (a bigint not null, b varchar)").await;
    done(&mut client, "create view v as select * from t").await;
    server.files.put("/full/x", b"1".to_vec()).await;
    let before = own_files(&server).await;
    let mut wrong = Vec::new();
    for (sql, code, part) in [
        ("insert into v values (1, 'x')", Code::InvalidArgument, "is a view"),
        (
            "insert into system.queries values (1)",
            Code::InvalidArgument,
            "server itself",
        ),
        ("insert into nothing values (1)", Code::NotFound, "nothing"),
        ("insert into t values (1)", Code::InvalidArgument, "expected 2"),
        ("insert into t (a, c) values (1, 2)", Code::NotFound, "c"),
        ("insert into t (b) values ('x')", Code::InvalidArgument, "NOT NULL"),
        ("insert into t values ('x', 'y')", Code::InvalidArgument, "x"),
        (
            "insert into t select a / 0, 'x' from (select 1 as a) q",
            Code::InvalidArgument,
            "ivide",
        ),
        (
            "create table c location 'hdfs:///full' as select 1 as a",
            Code::InvalidArgument,
            "not empty",
        ),
        (
            "create table c location 'hdfs:///quarry/catalog/c' as select 1 as a",
            Code::InvalidArgument,
            "own files",
        ),
        (
            "create table c stored as orc as select 1 as a",
            Code::Unimplemented,
            "orc",
        ),
        ("create table c", Code::InvalidArgument, "columns"),
        (
            "create table c (a int) partitioned by (a)",
            Code::InvalidArgument,
            "partition column",
        ),
        ("copy t to 'file:///etc/x.csv'", Code::InvalidArgument, "hdfs"),
        ("copy t to 'hdfs:///out' stored as avro", Code::Unimplemented, "avro"),
        ("truncate table lines", Code::InvalidArgument, "external"),
        ("truncate table v", Code::InvalidArgument, "view"),
    ] {
        let (found, text) = refused(&mut client, sql).await;
        if found != code || !text.to_lowercase().contains(&part.to_lowercase()) {
            wrong.push(format!("{sql}: {found:?} {text}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cell(&mut client, "select count(*) from t").await, "0");
    assert_clean(&server).await;
    assert_eq!(own_files(&server).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_nothing() {
    let server = Server::start().await;
    let other = Server::over(server.files.clone(), Arc::clone(&server.store), |_| {}).await;
    done(&mut server.client().await, "create table t (a bigint)").await;
    let mut writers = Vec::new();
    for writer in 0..6 {
        let mut client = if writer % 2 == 0 {
            server.client().await
        } else {
            other.client().await
        };
        writers.push(tokio::spawn(async move {
            for round in 0..5 {
                done(&mut client, &format!("insert into t values ({})", writer * 100 + round)).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let count = rows(&mut other.client().await, "select count(*), count(distinct a) from t").await;
    assert_eq!(count, [["30", "30"]]);
    assert_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_in_one_text_and_rows_of_parameters() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let text = "create table t (a bigint, b varchar); insert into t values (1, 'x'); insert into t select a + 1, b from t; select count(*) from t";
    assert_eq!(rows(&mut client, text).await, [["2"]]);
    let mut insert = client
        .prepare("insert into t values (?, ?)".to_owned(), None)
        .await
        .unwrap();
    let values = RecordBatch::try_from_iter([
        (
            "0",
            Arc::new(datafusion::arrow::array::Int64Array::from(vec![7, 8, 9]))
                as Arc<dyn datafusion::arrow::array::Array>,
        ),
        (
            "1",
            Arc::new(datafusion::arrow::array::StringArray::from(vec![
                Some("p"),
                None,
                Some("q"),
            ])) as _,
        ),
    ]);
    insert.set_parameters(values.unwrap()).unwrap();
    let before = data_files(&server).await.len();
    assert_eq!(insert.execute_update().await.unwrap(), 3);
    assert_eq!(
        data_files(&server).await.len(),
        before + 1,
        "one file for all rows of parameters"
    );
    assert_eq!(
        rows(&mut client, "select b from t where a >= 7 order by a").await,
        [["p"], ["NULL"], ["q"]]
    );
    let info = client
        .execute("insert into t values (0, 'i')".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(info.total_records, 1);
    assert_eq!(cell(&mut client, "select count(*) from t").await, "6");
}

fn start_workers(
    server: &Server,
    count: usize,
    scratch: &std::path::Path,
) -> Vec<tokio::task::JoinHandle<WorkerHandle>> {
    let workers = (0..count).map(|node| {
        let config = WorkerConfig {
            coordinator: server.handle.addr().to_string(),
            memory_limit: ByteSize::mib(256),
            spill_dir: scratch.join(format!("w{node}")),
            threads: Some(2),
            ..WorkerConfig::default()
        };
        let own: Arc<dyn FileSystem> = Arc::new(server.files.seen_by(node));
        let same = Arc::clone(&own);
        let files = FileSystems::new(own, "127.0.0.1:8020", move |_| Arc::clone(&same));
        tokio::spawn(async move { Worker::start_on(config, files, Some(node_uuid(node))).await.unwrap() })
    });
    workers.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_write_and_a_failed_or_cancelled_statement_leaves_nothing() {
    let files = MemoryFiles::new(64 << 10, 3, 1);
    let server = Server::over(files, Arc::default(), |config| {
        config.local_below = ByteSize(0);
        config.task_bytes = ByteSize(0);
    })
    .await;
    let scratch = tempfile::tempdir().unwrap();
    let mut workers = Vec::new();
    for worker in start_workers(&server, 3, scratch.path()) {
        workers.push(worker.await.unwrap());
    }
    server.load_tables().await;
    let mut client = server.client().await;
    let live = async {
        while cell(&mut client, "select count(*) from system.workers where state = 'live'").await != "3" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, live).await.unwrap();
    let expected = rows(&mut client, "select count(*), sum(l_quantity) from lines").await;
    let join = "select l.*, o.o_date as day from lines l join orders o on l.l_order = o.o_key";
    let joined = cell(&mut client, &format!("select count(*) from ({join})")).await;
    assert_eq!(
        done(&mut client, "create table w as select * from lines")
            .await
            .to_string(),
        expected[0][0]
    );
    assert_eq!(
        rows(&mut client, "select count(*), sum(l_quantity) from w").await,
        expected
    );
    assert!(
        data_files(&server).await.len() >= 3,
        "each worker wrote: {:?}",
        data_files(&server).await
    );
    assert_eq!(
        done(&mut client, &format!("create table j as {join}"))
            .await
            .to_string(),
        joined
    );
    let (code, text) = refused(
        &mut client,
        "create table f as select l_quantity / (l_order - l_order) as x from lines",
    )
    .await;
    assert_eq!(code, Code::InvalidArgument, "{text}");
    assert_clean(&server).await;
    assert_eq!(refused(&mut client, "select * from f").await.0, Code::NotFound);
}
