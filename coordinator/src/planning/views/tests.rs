//! The same rows with and without views, and which columns become views.
#![allow(clippy::unwrap_used)]

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use tempfile::TempDir;

use super::*;

struct Table {
    dir: TempDir,
}

impl Table {
    async fn written() -> Self {
        let table = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let copy = format!(
            "copy (select v as id, v % 7 as n, \
               case when v % 5 = 0 then null else 'mode ' || (v % 4) end as mode, \
               case when v % 11 = 0 then '' else repeat('long text ', 1 + v % 3) || v end as comment \
             from (select unnest(range(0, 5000)) as v)) to '{}' stored as parquet",
            table.path()
        );
        SessionContext::new().sql(&copy).await.unwrap().collect().await.unwrap();
        table
    }

    fn path(&self) -> String {
        self.dir.path().join("t.parquet").display().to_string()
    }

    async fn context(&self, views: bool) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(2)
            // As in the engine, whose scans come cut already: nothing stands between a filter and its scan.
            .with_round_robin_repartition(false)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        let mut state = SessionStateBuilder::new().with_default_features().with_config(config);
        if views {
            state = state.with_physical_optimizer_rule(Arc::new(ReadViews));
        }
        let context = SessionContext::new_with_state(state.build());
        let path = self.path();
        context.register_parquet("t", path, Default::default()).await.unwrap();
        context
    }

    async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        let context = self.context(true).await;
        context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
    }
}

/// The columns that scans of `plan` give as views.
fn read_as_views(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    if plan.is::<DataSourceExec>() {
        return views_of(&plan.schema());
    }
    plan.children().into_iter().flat_map(read_as_views).collect()
}

fn views_of(schema: &Schema) -> Vec<String> {
    let views = schema
        .fields()
        .iter()
        .filter(|field| *field.data_type() == DataType::Utf8View);
    views.map(|field| field.name().clone()).collect()
}

fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

#[tokio::test]
async fn views_change_no_row_and_no_type() {
    let table = Table::written().await;
    let (plain, views) = (table.context(false).await, table.context(true).await);
    for sql in [
        "select id, mode, comment from t where mode = 'mode 1' and n = 3 order by id",
        "select id from t where mode in ('mode 1', 'mode 3', 'no such mode') and comment like '%text 4%' order by id",
        "select id, comment from t where mode is null and comment <> '' order by id",
        "select id from t where not (mode < 'mode 2' or comment = '') order by id",
        "select id, upper(mode) from t where substr(comment, 1, 4) = 'long' and mode >= 'mode 3' order by id",
        "select mode, count(*), sum(id) from t group by mode order by mode",
        "select mode, n, max(comment), count(distinct comment) from t where id > 2500 group by mode, n order by mode, n",
        "select mode || '!', count(*) from t where comment <> '' group by mode || '!' order by 1",
        "select a.id, b.mode from t a join t b on a.mode = b.mode and a.id = b.id where a.comment = 'long text 10' order by 1",
        "select * from t where comment > 'long text 4990' order by comment desc limit 5",
        "select id, row_number() over (partition by mode order by id) from t where mode <> 'mode 0' order by id limit 20",
        "select distinct mode from t where n = 1 order by mode",
        "select id from t where mode = case when n = 1 then 'mode 1' else 'mode 2' end order by id",
        "select count(*) from t where mode is distinct from 'mode 1'",
        "select grouping(mode), mode, count(*) from t where n < 3 group by rollup (mode) order by 1, 2",
    ] {
        let expected = plain.sql(sql).await.unwrap();
        let schema = expected.schema().as_arrow().clone();
        let rows = views.sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(text(&rows), text(&expected.collect().await.unwrap()), "{sql}");
        for batch in rows {
            assert_eq!(views_of(&batch.schema()), Vec::<String>::new(), "{sql}");
            assert_eq!(batch.schema().fields().len(), schema.fields().len(), "{sql}");
        }
    }
}

#[tokio::test]
async fn what_a_filter_takes_is_read_as_a_view() {
    let table = Table::written().await;
    let plan = table.plan("select id from t where mode = 'mode 1' and n > 2").await;
    assert_eq!(read_as_views(&plan), ["mode"]);
}

#[tokio::test]
async fn the_keys_of_a_partial_aggregate_are_views() {
    let table = Table::written().await;
    let plan = table.plan("select mode, max(comment) from t group by mode").await;
    assert_eq!(read_as_views(&plan), ["mode"], "the function takes strings");
}

#[tokio::test]
async fn what_a_function_takes_stays_a_string() {
    let table = Table::written().await;
    let plan = table.plan("select id from t where upper(mode) = 'MODE 1'").await;
    assert_eq!(read_as_views(&plan), Vec::<String>::new());
    let plan = table.plan("select id, comment from t").await;
    assert_eq!(read_as_views(&plan), Vec::<String>::new(), "nothing takes it");
}
