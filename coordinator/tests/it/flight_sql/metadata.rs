//! Metadata commands, as strictly as ADBC compares them.

use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::ipc::convert::try_schema_from_ipc_buffer;

use super::*;

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn any_tables() -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema: false,
    }
}

async fn tables(client: &mut Client, request: CommandGetTables) -> Vec<Vec<String>> {
    let info = client.get_tables(request).await.unwrap();
    text_rows(&fetch(client, info).await.unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogs_schemas_and_types_have_exactly_the_formats_schemas() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let info = client.get_catalogs().await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(*schema, Schema::new(vec![text("catalog_name", false)]));
    assert_eq!(text_rows(&batches), [["quarry"]]);
    let request = CommandGetDbSchemas {
        catalog: None,
        db_schema_filter_pattern: None,
    };
    let info = client.get_db_schemas(request).await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(
        *schema,
        Schema::new(vec![text("catalog_name", true), text("db_schema_name", false)])
    );
    assert_eq!(
        text_rows(&batches),
        [
            ["quarry", "default"],
            ["quarry", "information_schema"],
            ["quarry", "system"]
        ]
    );
    let info = client.get_table_types().await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(*schema, Schema::new(vec![text("table_type", false)]));
    assert_eq!(text_rows(&batches), [["SYSTEM TABLE"], ["TABLE"], ["VIEW"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_filtered_and_carry_their_schemas() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    update(&mut client, "create view v as select 1 as x").await.unwrap();
    let types = vec!["TABLE".to_owned(), "VIEW".to_owned()];
    let found = tables(
        &mut client,
        CommandGetTables {
            table_types: types,
            ..any_tables()
        },
    )
    .await;
    let names: Vec<&str> = found.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(names, ["customers", "lines", "orders", "v"]);
    for (catalog, count) in [(Some(""), 0), (Some("other"), 0), (Some("quarry"), 2)] {
        let request = CommandGetTables {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: Some("def%".into()),
            table_name_filter_pattern: Some("%e_s".into()),
            ..any_tables()
        };
        assert_eq!(tables(&mut client, request).await.len(), count, "{catalog:?}");
    }
    let request = CommandGetTables {
        table_name_filter_pattern: Some("lines".into()),
        include_schema: true,
        ..any_tables()
    };
    let info = client.get_tables(request).await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(schema.field(4), &Field::new("table_schema", DataType::Binary, false));
    assert_eq!(batches.len(), 1);
    let encoded = batches[0].column(4).as_binary::<i32>();
    assert_eq!(encoded.len(), 1);
    let described = try_schema_from_ipc_buffer(encoded.value(0)).unwrap();
    assert_eq!(described.field(0).name(), "l_order");
    let metadata = described.field(0).metadata();
    for (key, value) in [
        ("TYPE_NAME", "BIGINT"),
        ("TABLE_NAME", "lines"),
        ("SCHEMA_NAME", "default"),
    ] {
        assert_eq!(metadata[&format!("ARROW:FLIGHT:SQL:{key}")], value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tables_of_one_name_the_sessions_own_comes_first() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for schema in ["a", "z"] {
        update(
            &mut client,
            &format!("create schema {schema}; create view {schema}.v as select '{schema}' as {schema}"),
        )
        .await
        .unwrap();
    }
    let request = || CommandGetTables {
        table_name_filter_pattern: Some("v".into()),
        ..any_tables()
    };
    for schema in ["z", "a"] {
        update(&mut client, &format!("use {schema}")).await.unwrap();
        assert_eq!(tables(&mut client, request()).await[0][1], schema);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_another_case_are_found_if_there_are_none_in_this_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let made = "create schema shop; create view shop.items as select 1 as x; create view shop.\"ITEMS\" as select 2 as y;\
                create view shop.orders as select 3 as z";
    update(&mut client, made).await.unwrap();
    for (schema, name, expected) in [
        (None, "ORDERS", vec!["orders"]),
        (Some("SHOP"), "ORD%", vec!["orders"]),
        (Some("shop"), "ITEMS", vec!["ITEMS"]),
        (Some("shop"), "items", vec!["items"]),
        (Some("shop"), "Items", vec!["ITEMS", "items"]),
        (Some("shop"), "nothing", vec![]),
    ] {
        let request = CommandGetTables {
            db_schema_filter_pattern: schema.map(str::to_owned),
            table_name_filter_pattern: Some(name.into()),
            include_schema: true,
            ..any_tables()
        };
        let info = client.get_tables(request).await.unwrap();
        let (_, batches) = fetch(&mut client, info).await.unwrap();
        let found = text_rows(&batches);
        let found: Vec<&str> = found.iter().map(|row| row[2].as_str()).collect();
        assert_eq!(found, expected, "{schema:?} {name}");
    }
    let request = CommandGetDbSchemas {
        db_schema_filter_pattern: Some("SHOP".into()),
        ..CommandGetDbSchemas::default()
    };
    let info = client.get_db_schemas(request).await.unwrap();
    let (_, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(text_rows(&batches), [["quarry", "shop"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_empty_and_information_is_complete() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = CommandGetPrimaryKeys {
        catalog: None,
        db_schema: None,
        table: "t".into(),
    };
    let info = client.get_primary_keys(request).await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(schema.fields().len(), 6);
    assert_eq!(schema.field(4), &Field::new("key_sequence", DataType::Int32, false));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    let info = client.get_sql_info(Vec::new()).await.unwrap();
    let (_, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 91);
    let info = client
        .get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: Some(12) })
        .await
        .unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(schema.fields().len(), 19);
    assert_eq!(batches[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_every_command_can_be_asked_for() {
    use arrow_flight::FlightDescriptor;
    use arrow_flight::sql::*;
    use prost::Message;
    let server = Server::start().await;
    let mut client = server.client().await;
    let sql = |query: &str| CommandStatementQuery {
        query: query.into(),
        transaction_id: None,
    };
    let change = CommandStatementUpdate {
        query: "create schema s".into(),
        transaction_id: None,
    };
    let table = || (Some("quarry".to_owned()), Some("s".to_owned()), "t".to_owned());
    let (catalog, db_schema, name) = table();
    let primary = CommandGetPrimaryKeys {
        catalog,
        db_schema,
        table: name,
    };
    let (catalog, db_schema, name) = table();
    let imported = CommandGetImportedKeys {
        catalog,
        db_schema,
        table: name,
    };
    let commands = [
        (sql("select 1 as a, 'x' as b").as_any(), 2),
        (sql("show schemas").as_any(), 2),
        (sql("explain select 1").as_any(), 2),
        (change.as_any(), 0),
        (CommandGetCatalogs {}.as_any(), 1),
        (CommandGetTableTypes {}.as_any(), 1),
        (CommandGetDbSchemas::default().as_any(), 2),
        (any_tables().as_any(), 4),
        (CommandGetSqlInfo::default().as_any(), 2),
        (CommandGetXdbcTypeInfo::default().as_any(), 19),
        (primary.as_any(), 6),
        (imported.as_any(), 13),
    ];
    for (command, columns) in commands {
        let url = command.type_url.clone();
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        let answer = client.inner_mut().get_schema(descriptor).await;
        let schema = Schema::try_from(&answer.unwrap_or_else(|error| panic!("{url}: {error}")).into_inner()).unwrap();
        if columns > 0 || url.ends_with("Update") {
            assert_eq!(schema.fields().len(), columns, "{url}");
        }
    }
    assert!(
        rows(&mut client, "show schemas like 's'").await.is_empty(),
        "nothing was executed"
    );
}
