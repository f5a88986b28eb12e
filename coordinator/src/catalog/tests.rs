//! The catalog on a store in memory: races, restarts, foreign files.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::memory::MemoryStore;
use super::*;
use crate::error::ErrorKind;

const LONG: Duration = Duration::from_secs(3600);

fn view(sql: &str) -> CatalogObject {
    CatalogObject::View(View {
        sql: sql.to_owned(),
        default_schema: DEFAULT_SCHEMA.to_owned(),
    })
}

fn pair() -> (Arc<MemoryStore>, Catalog, Catalog) {
    let store = Arc::new(MemoryStore::default());
    let one = Catalog::new(Arc::clone(&store) as Arc<dyn CatalogStore>, LONG);
    let other = Catalog::new(Arc::clone(&store) as Arc<dyn CatalogStore>, Duration::ZERO);
    (store, one, other)
}

async fn names(catalog: &Catalog, schema: &str) -> Vec<String> {
    let snapshot = catalog.snapshot().await.unwrap();
    snapshot.objects(schema).map(str::to_owned).collect()
}

#[tokio::test]
async fn one_of_two_creators_wins_and_the_other_is_told() {
    let (_, one, other) = pair();
    let (a, b) = (view("a"), view("b"));
    let results = tokio::join!(
        one.create_object("default", "t", &a, IfExists::Fail, "me"),
        other.create_object("default", "t", &b, IfExists::Fail, "you"),
    );
    let kinds = [results.0, results.1].map(|result| result.map_err(|error| error.kind()));
    assert!(
        kinds.contains(&Ok(())) && kinds.contains(&Err(ErrorKind::AlreadyExists)),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn own_changes_are_seen_at_once_and_others_after_the_refresh() {
    let (_, one, other) = pair();
    assert!(names(&one, "default").await.is_empty());
    other
        .create_object("default", "theirs", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    assert!(names(&one, "default").await.is_empty());
    one.create_object("default", "own", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    assert_eq!(names(&one, "default").await, ["own", "theirs"]);
    assert_eq!(names(&other, "default").await, ["own", "theirs"]);
}

#[tokio::test]
async fn a_replaced_object_is_read_again() {
    let (_, one, other) = pair();
    for sql in ["first", "second"] {
        one.create_object("default", "v", &view(sql), IfExists::Replace, "me")
            .await
            .unwrap();
        let snapshot = other.snapshot().await.unwrap();
        let found = other.object(&snapshot, "default", "v").await.unwrap().unwrap();
        assert_eq!(*found, view(sql));
    }
}

#[tokio::test]
async fn schemas_are_created_once_and_dropped_when_empty() {
    let (_, one, other) = pair();
    one.create_schema("s", false, "me").await.unwrap();
    assert_eq!(
        other.create_schema("s", false, "me").await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    other.create_schema("s", true, "me").await.unwrap();
    other
        .create_object("s", "v", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    let error = one.drop_schema("s", false, false).await.unwrap_err();
    assert!(error.to_string().contains("CASCADE"), "{error}");
    assert_eq!(names(&one, "s").await, ["v"]);
    one.drop_schema("s", false, true).await.unwrap();
    assert_eq!(
        one.drop_schema("s", false, true).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    one.drop_schema("s", true, false).await.unwrap();
    let error = other
        .create_object("s", "v", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_half_made_schema_is_none_and_can_be_made() {
    let (store, one, _) = pair();
    store.make_directory("half").await.unwrap();
    assert!(!one.snapshot().await.unwrap().has_schema("half"));
    one.create_schema("half", false, "me").await.unwrap();
    assert!(one.snapshot().await.unwrap().has_schema("half"));
}

#[tokio::test]
async fn built_in_schemas_cannot_be_made_dropped_or_filled() {
    let (_, one, _) = pair();
    for schema in ["default", "system", "information_schema"] {
        assert_eq!(
            one.create_schema(schema, false, "me").await.unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            one.drop_schema(schema, true, true).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    let error = one
        .create_object("system", "t", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_broken_file_is_named_and_the_others_still_work() {
    let (store, one, _) = pair();
    one.create_object("default", "good", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    store
        .create("default/bad.json", Bytes::from_static(b"garbage"))
        .await
        .unwrap();
    store
        .create("default/notes.txt", Bytes::from_static(b"foreign"))
        .await
        .unwrap();
    let snapshot = one.fresh_snapshot().await.unwrap();
    let error = one.object(&snapshot, "default", "bad").await.unwrap_err();
    assert!(error.to_string().contains("default/bad.json"), "{error}");
    let found = one.objects(&snapshot, "default").await.unwrap();
    assert_eq!(
        found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["good"]
    );
    one.create_object("default", "bad", &view("v"), IfExists::Replace, "me")
        .await
        .unwrap();
    let snapshot = one.fresh_snapshot().await.unwrap();
    assert!(one.object(&snapshot, "default", "bad").await.unwrap().is_some());
}

#[tokio::test]
async fn drop_looks_at_the_kind() {
    let (store, one, _) = pair();
    one.create_object("default", "v", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    let error = one
        .drop_object("default", "v", ObjectKind::Table, false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("DROP VIEW"), "{error}");
    one.drop_object("default", "v", ObjectKind::View, false).await.unwrap();
    one.drop_object("default", "v", ObjectKind::View, true).await.unwrap();
    let error = one
        .drop_object("default", "v", ObjectKind::View, false)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    store
        .create("default/bad.json", Bytes::from_static(b"garbage"))
        .await
        .unwrap();
    one.drop_object("default", "bad", ObjectKind::Table, false)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_coordinator_finds_everything_after_a_restart() {
    let (store, one, _) = pair();
    one.create_schema("Odd name/ü", false, "me").await.unwrap();
    one.create_object("Odd name/ü", "..", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    drop(one);
    let later = Catalog::new(store, LONG);
    let snapshot = later.snapshot().await.unwrap();
    assert_eq!(snapshot.schemas().collect::<Vec<_>>(), ["Odd name/ü", "default"]);
    assert_eq!(
        *later.object(&snapshot, "Odd name/ü", "..").await.unwrap().unwrap(),
        view("v")
    );
}

#[tokio::test]
async fn a_view_does_not_replace_a_table() {
    let (_, one, _) = pair();
    let table = CatalogObject::Table {
        table: quarry_engine::formats::TableDefinition::new(
            quarry_engine::formats::TableFormat::Csv,
            "hdfs:///t",
            Arc::new(datafusion::arrow::datatypes::Schema::empty()),
        ),
    };
    one.create_object("default", "t", &table, IfExists::Fail, "me")
        .await
        .unwrap();
    let error = one
        .create_object("default", "t", &view("v"), IfExists::Replace, "me")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot replace"), "{error}");
}

#[tokio::test]
async fn statistics_follow_their_table_and_go_with_it() {
    let (_, one, other) = pair();
    let statistics = TableStatistics {
        files: quarry_engine::formats::FilesState::of(&[]),
        rows: 7,
        analyzed_ms: 1,
        columns: Default::default(),
    };
    let known = async |catalog: &Catalog, table: &str| {
        let snapshot = catalog.fresh_snapshot().await.unwrap();
        let known = catalog.statistics(&snapshot, "default", table).await.unwrap();
        known.map(|known| known.rows)
    };
    one.create_object("default", "t", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    one.store_statistics("default", "t", &statistics).await.unwrap();
    assert_eq!(known(&other, "t").await, Some(7));
    assert_eq!(names(&other, "default").await, ["t"]);
    other
        .rename_object(("default", "t"), ("default", "u"), ObjectKind::View)
        .await
        .unwrap();
    assert_eq!((known(&one, "t").await, known(&one, "u").await), (None, Some(7)));
    one.drop_object("default", "u", ObjectKind::View, false).await.unwrap();
    assert_eq!(known(&one, "u").await, None);
}

#[tokio::test]
async fn broken_statistics_are_none() {
    let (store, one, _) = pair();
    one.create_object("default", "t", &view("v"), IfExists::Fail, "me")
        .await
        .unwrap();
    for content in ["garbage", "{}", r#"{"quarry_catalog_version": 9}"#] {
        let content = Bytes::copy_from_slice(content.as_bytes());
        store.replace("default/.stats-t.json", content).await.unwrap();
        let snapshot = one.fresh_snapshot().await.unwrap();
        assert_eq!(one.statistics(&snapshot, "default", "t").await.unwrap(), None);
    }
}
