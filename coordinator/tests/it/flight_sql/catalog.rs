//! Tables, views and schemas by SQL.

use bytes::Bytes;
use tonic::Code;

use super::*;

async fn refused(client: &mut Client, sql: &str) -> (Code, String) {
    let status = status(&update(client, sql).await.expect_err(sql));
    (status.code(), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_survive_a_restart_and_are_shared_by_coordinators() {
    let first = Server::start().await;
    first.load_tables().await;
    let mut client = first.client().await;
    update(&mut client, "create schema s").await.unwrap();
    update(
        &mut client,
        "create view s.big as select * from lines where l_quantity > 25",
    )
    .await
    .unwrap();
    let expected = rows(&mut client, "select count(*) from s.big").await;
    first.handle.shutdown().await;
    let second = Server::over(first.files.clone(), Arc::clone(&first.store), |_| {}).await;
    let third = Server::over(first.files.clone(), Arc::clone(&first.store), |_| {}).await;
    for server in [&second, &third] {
        assert_eq!(
            rows(&mut server.client().await, "select count(*) from s.big").await,
            expected
        );
    }
    update(&mut second.client().await, "create view later as select 1 as x")
        .await
        .unwrap();
    assert_eq!(rows(&mut third.client().await, "select x from later").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_tables_with_options_and_declared_columns() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.files.put("/csv/a.csv", b"1|x\n2|\n".to_vec()).await;
    let sql = "create external table t (a bigint not null, b varchar) stored as csv location 'hdfs:///csv' \
               options ('format.delimiter' '|', 'format.has_header' 'false')";
    update(&mut client, sql).await.unwrap();
    assert_eq!(
        rows(&mut client, "select a + 1, b from t order by a").await,
        [["2", "x"], ["3", "NULL"]]
    );
    let described = rows(&mut client, "describe t").await;
    assert_eq!(described, [["a", "Int64", "NO"], ["b", "Utf8", "YES"]]);
    let shown = rows(&mut client, "show create table t").await;
    update(&mut client, "drop table t").await.unwrap();
    update(&mut client, &shown[0][3]).await.unwrap();
    assert_eq!(rows(&mut client, "describe t").await, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_partitioned_table_makes_it_again() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (key, id) in [("2023", "1"), ("2024", "2")] {
        let path = format!("/parts/Year={key}/k=7/a.csv");
        server.files.put(&path, format!("id\n{id}\n").into_bytes()).await;
    }
    let sql = "create external table t (id bigint, \"Year\" int, k int) stored as csv \
               partitioned by (\"Year\", K) location 'hdfs:///parts'";
    update(&mut client, sql).await.unwrap();
    let query = "select id, \"Year\", k from t where \"Year\" = 2024";
    assert_eq!(rows(&mut client, query).await, [["2", "2024", "7"]]);
    let shown = rows(&mut client, "show create table t").await;
    update(&mut client, "drop table t").await.unwrap();
    update(&mut client, &shown[0][3]).await.unwrap();
    assert_eq!(rows(&mut client, query).await, [["2", "2024", "7"]]);
    assert_eq!(rows(&mut client, "show create table t").await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_missing_and_replaced_objects() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let create = |clause: &str, name: &str| {
        format!("create external table {clause} {name} stored as parquet location 'hdfs:///data/lines'")
    };
    assert_eq!(refused(&mut client, &create("", "lines")).await.0, Code::AlreadyExists);
    update(&mut client, &create("if not exists", "lines")).await.unwrap();
    let replace = create("", "lines").replace("create external", "create or replace external");
    update(&mut client, &replace).await.unwrap();
    assert_eq!(refused(&mut client, &create("", "nowhere.t")).await.0, Code::NotFound);
    assert_eq!(refused(&mut client, "drop table nothing").await.0, Code::NotFound);
    update(&mut client, "drop table if exists nothing").await.unwrap();
    assert_eq!(refused(&mut client, "drop view lines").await.0, Code::InvalidArgument);
    update(&mut client, "create schema if not exists \"Mixed\"")
        .await
        .unwrap();
    assert_eq!(
        refused(&mut client, "create schema \"Mixed\"").await.0,
        Code::AlreadyExists
    );
    update(&mut client, "create view \"Mixed\".v as select 1")
        .await
        .unwrap();
    assert_eq!(
        refused(&mut client, "drop schema \"Mixed\"").await.0,
        Code::InvalidArgument
    );
    update(&mut client, "drop schema \"Mixed\" cascade").await.unwrap();
    assert_eq!(refused(&mut client, "drop schema \"Mixed\"").await.0, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reaches_the_servers_disk() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let disk = tempfile::tempdir().unwrap();
    let file = disk.path().join("t.csv");
    std::fs::write(&file, "secret\n1\n").unwrap();
    for location in [
        file.display().to_string(),
        format!("file://{}", file.display()),
        "s3://b/x".into(),
        "http://h/x".into(),
    ] {
        let sql = format!("create external table t stored as csv location '{location}'");
        let (code, message) = refused(&mut client, &sql).await;
        assert_eq!(code, Code::InvalidArgument, "{location}: {message}");
    }
    for sql in [
        format!("select * from '{}'", file.display()),
        format!("select * from 'file://{}'", file.display()),
    ] {
        assert_eq!(failure(&mut client, &sql).await.0, Code::NotFound);
    }
    let target = disk.path().join("out.csv");
    assert!(
        query(
            &mut client,
            &format!("copy (select 1) to 'file://{}'", target.display())
        )
        .await
        .is_err()
    );
    // A path without a scheme is one of the distributed file system.
    update(&mut client, &format!("copy (select 1 as a) to '{}'", target.display()))
        .await
        .unwrap();
    assert_eq!(server.files.paths(target.to_str().unwrap()).await.len(), 1);
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn views_mean_what_they_meant_when_they_were_made() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    update(&mut client, "create view v (total) as select count(*) from lines")
        .await
        .unwrap();
    update(&mut client, "create view w as select total * 2 as twice from v")
        .await
        .unwrap();
    update(&mut client, "create schema s").await.unwrap();
    update(&mut client, "use s").await.unwrap();
    assert_eq!(rows(&mut client, "select twice from default.w").await, [["80000"]]);
    assert_eq!(
        refused(&mut client, "create view x as select * from nothing").await.0,
        Code::NotFound
    );
    assert_eq!(
        refused(&mut client, "create view x as select ?").await.0,
        Code::InvalidArgument
    );
    update(&mut client, "use default").await.unwrap();
    update(&mut client, "create view a as select 1 as x").await.unwrap();
    update(&mut client, "create view b as select x from a").await.unwrap();
    let circle = refused(&mut client, "create or replace view a as select x from b").await;
    assert!(circle.1.contains("would contain itself"), "{circle:?}");
    assert_eq!(rows(&mut client, "select x from b").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_catalog_file_is_named_and_harms_no_other_table() {
    let server = Server::start().await;
    server.load_tables().await;
    server
        .store
        .create("default/broken.json", Bytes::from_static(b"{]"))
        .await
        .unwrap();
    let other = Server::over(server.files.clone(), Arc::clone(&server.store), |_| {}).await;
    let mut client = other.client().await;
    let (code, message) = failure(&mut client, "select * from broken").await;
    assert!(
        code == Code::Internal && message.contains("default/broken.json"),
        "{code:?} {message}"
    );
    assert_eq!(rows(&mut client, "select count(*) from orders").await, [["10000"]]);
    let listed = rows(
        &mut client,
        "select table_name from information_schema.tables where table_schema = 'default' order by 1",
    )
    .await;
    assert_eq!(listed, [["customers"], ["lines"], ["orders"]]);
    update(&mut client, "drop table broken").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn show_and_information_schema_agree() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    update(&mut client, "create view v as select 1 as x").await.unwrap();
    let shown = rows(&mut client, "show tables").await;
    let sql = "select table_catalog, table_schema, table_name, table_type from information_schema.tables \
               where table_schema not in ('information_schema', 'system') order by table_name";
    assert_eq!(shown, rows(&mut client, sql).await);
    assert_eq!(
        rows(&mut client, "show tables from default like 'l%'").await,
        [["quarry", "default", "lines", "BASE TABLE"]]
    );
    assert_eq!(rows(&mut client, "show columns from customers").await.len(), 4);
    assert_eq!(
        rows(&mut client, "show databases").await,
        rows(&mut client, "show schemas").await
    );
    assert_eq!(failure(&mut client, "show tables from nowhere").await.0, Code::NotFound);
    assert!(!rows(&mut client, "show functions like 'abs'").await.is_empty());
    assert_eq!(
        rows(
            &mut client,
            "select column_name from information_schema.columns where table_name = 'v'"
        )
        .await,
        [["x"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_run_in_order() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let sql = "create schema s; use s; create view v as select 7 as x; select x from v";
    assert_eq!(rows(&mut client, sql).await, [["7"]]);
    let (_, message) = refused(&mut client, "create schema t; create schema t").await;
    assert!(message.contains("already exists"), "{message}");
    assert_eq!(rows(&mut client, "show schemas like 't'").await.len(), 1);
    let (code, message) = failure(&mut client, "select 1; select 2").await;
    assert!(
        code == Code::Unimplemented && message.contains("statement 1 of 2"),
        "{message}"
    );
}
