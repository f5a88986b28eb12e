//! Partitions: what is looked up, what is read, what `EXPLAIN` says, and that new ones are seen.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::catalog::{
    CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use quarry_engine::formats::{TableDefinition, TableFormat};

use crate::cluster::{Cluster, Options, finish, text};
use crate::data::parquet_files;

async fn put(cluster: &Cluster, year: i64, month: i64) {
    let ids = Int64Array::from_iter_values((0..1000).map(|id| year * 10_000 + month * 1000 + id));
    let rows = RecordBatch::try_from_iter([("id", Arc::new(ids) as _)]).unwrap();
    for (index, file) in parquet_files(&rows, 2, 100).into_iter().enumerate() {
        let path = format!("p/year={year}/month={month}/part-{index}.parquet");
        cluster.files.put(&path, file).await;
    }
}

/// A cluster with the table `p`, of two years with three months each.
async fn partitioned() -> Cluster {
    let mut cluster = Cluster::start(Options::default()).await;
    for year in [2023, 2024] {
        for month in [1, 2, 12] {
            put(&cluster, year, month).await;
        }
    }
    let column = |name, data_type| Field::new(name, data_type, true);
    let columns = Schema::new(vec![
        column("id", DataType::Int64),
        column("year", DataType::Int32),
        column("month", DataType::Int32),
    ]);
    let definition = TableDefinition {
        partition_columns: vec!["year".to_owned(), "month".to_owned()],
        ..TableDefinition::new(TableFormat::Parquet, "hdfs:///p", Arc::new(columns))
    };
    let schema = MemorySchemaProvider::new();
    let table = cluster.execution.tables().open(&definition).unwrap();
    schema.register_table("p".to_owned(), table).unwrap();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(schema)).unwrap();
    let catalogs = Arc::new(MemoryCatalogProviderList::new());
    catalogs.register_catalog("datafusion".to_owned(), Arc::new(catalog));
    cluster.state = cluster.execution.session_state(catalogs);
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_excluded_partitions_are_not_even_located() {
    let cluster = partitioned().await;
    cluster.files.take_located();
    let attempt = cluster
        .plan("select count(*), sum(id) from p where year = 2024 and month > 1 and id >= 0")
        .await;
    assert_eq!(
        cluster.files.take_located(),
        ["/p/year=2024/month=12", "/p/year=2024/month=2"]
    );
    let plan = attempt.explain();
    assert!(plan.contains("2 of 4 read, 2 pruned"), "{plan}");
    let rows = text(&finish(attempt.as_ref()).await.unwrap());
    let sum: i64 = [2, 12]
        .iter()
        .map(|month| 1000 * (20_240_000 + month * 1000) + 499_500)
        .sum();
    assert!(
        rows.iter().any(|row| row.contains(&format!("| 2000     | {sum}"))),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_filter_everything_is_located_at_once() {
    let cluster = partitioned().await;
    cluster.files.take_located();
    let attempt = cluster.plan("select max(id) from p where id > 7").await;
    assert_eq!(cluster.files.take_located(), ["/p"]);
    assert!(!attempt.explain().contains("pruned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_came_later_is_seen_by_the_next_statement() {
    let cluster = partitioned().await;
    let count = "select count(*) as n from p where month = 2";
    let before = text(&cluster.run(count).await.unwrap());
    put(&cluster, 2025, 2).await;
    let after = text(&cluster.run(count).await.unwrap());
    assert!(before.contains(&"| 2000 |".to_owned()), "{before:?}");
    assert!(after.contains(&"| 3000 |".to_owned()), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_excludes_all_gives_no_rows() {
    let cluster = partitioned().await;
    cluster.files.take_located();
    let rows = text(
        &cluster
            .run("select count(*) as n from p where year = 1999")
            .await
            .unwrap(),
    );
    assert!(rows.contains(&"| 0 |".to_owned()), "{rows:?}");
    assert!(cluster.files.take_located().is_empty());
}
