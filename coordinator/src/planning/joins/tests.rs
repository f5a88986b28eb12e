//! Orders of TPC-H's joins over tables of known size, and the same rows with and without reordering.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::memory::DataSourceExec;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use quarry_engine::row_numbers::RowNumbersExec;

use super::super::rules::physical_rules;
use super::*;

/// A table of which only the statistics exist.
#[derive(Debug)]
struct Known {
    name: &'static str,
    schema: SchemaRef,
    statistics: Statistics,
}

/// A column: name, type, and its smallest and largest value if they are known.
type ColumnOf = (&'static str, DataType, Option<(i64, i64)>);

fn known(name: &'static str, rows: usize, columns: Vec<ColumnOf>) -> Known {
    let fields = columns
        .iter()
        .map(|(name, data_type, _)| Field::new(*name, data_type.clone(), false));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let value = |data_type: &DataType, value: i64| ScalarValue::Int64(Some(value)).cast_to(data_type).unwrap();
    let column_statistics = columns.iter().map(|(_, data_type, range)| match range {
        None => ColumnStatistics::new_unknown(),
        Some((low, high)) => ColumnStatistics {
            min_value: Precision::Exact(value(data_type, *low)),
            max_value: Precision::Exact(value(data_type, *high)),
            null_count: Precision::Exact(0),
            ..ColumnStatistics::new_unknown()
        },
    });
    let statistics = Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Inexact(rows * columns.len() * 8),
        column_statistics: column_statistics.collect(),
    };
    Known {
        name,
        schema,
        statistics,
    }
}

#[async_trait]
impl TableProvider for Known {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = Arc::new(ParquetSource::new(TableSchema::from(Arc::clone(&self.schema))));
        let file = |part| FileGroup::new(vec![PartitionedFile::new(format!("{}/{part}", self.name), 1 << 30)]);
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::parse("hdfs://known")?, source)
            .with_file_groups(vec![file(0), file(1)])
            .with_statistics(self.statistics.clone())
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

/// The tables of TPC-H at scale factor 1, with the columns that the queries below read.
fn tpch() -> SessionContext {
    let key = |name, most| (name, DataType::Int64, Some((1, most)));
    let text = |name| (name, DataType::Utf8, None);
    let day = |name| (name, DataType::Date32, Some((8035, 10591)));
    let number = |name, most| (name, DataType::Int64, Some((0, most)));
    let tables = [
        known("region", 5, vec![number("r_regionkey", 4), text("r_name")]),
        known(
            "nation",
            25,
            vec![number("n_nationkey", 24), number("n_regionkey", 4), text("n_name")],
        ),
        known(
            "supplier",
            10_000,
            vec![key("s_suppkey", 10_000), number("s_nationkey", 24), text("s_name")],
        ),
        known(
            "customer",
            150_000,
            vec![
                key("c_custkey", 150_000),
                number("c_nationkey", 24),
                text("c_name"),
                text("c_mktsegment"),
            ],
        ),
        known(
            "part",
            200_000,
            vec![
                key("p_partkey", 200_000),
                text("p_brand"),
                text("p_container"),
                number("p_size", 50),
                text("p_name"),
            ],
        ),
        known(
            "partsupp",
            800_000,
            vec![
                key("ps_partkey", 200_000),
                key("ps_suppkey", 10_000),
                number("ps_availqty", 9999),
            ],
        ),
        known(
            "orders",
            1_500_000,
            vec![
                key("o_orderkey", 6_000_000),
                key("o_custkey", 149_999),
                number("o_totalprice", 555_285),
                day("o_orderdate"),
            ],
        ),
        known(
            "lineitem",
            6_001_215,
            vec![
                key("l_orderkey", 6_000_000),
                key("l_partkey", 200_000),
                key("l_suppkey", 10_000),
                number("l_quantity", 50),
                number("l_extendedprice", 104_949),
                day("l_shipdate"),
            ],
        ),
    ];
    let context = context(3, true);
    for table in tables {
        context.register_table(table.name, Arc::new(table)).unwrap();
    }
    context
}

fn context(workers: usize, reorders: bool) -> SessionContext {
    let mut config: SessionConfig =
        quarry_engine::session::session_config(2).with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    options.optimizer.join_reordering = reorders;
    options.extensions.insert(PlanningOptions {
        workers,
        build_limit: 0,
        always_sort: false,
    });
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_physical_optimizer_rules(physical_rules())
        .build();
    SessionContext::new_with_state(state)
}

/// Joins as `build * probe`, semi joins as `<`, anti joins as `!`, with the side that stays on the left; `+` where the build side is
/// repartitioned rather than broadcast. Aggregates are brackets, numbered rows have a `#`.
fn drawing(plan: &Arc<dyn ExecutionPlan>) -> String {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        use datafusion::common::JoinType::{Inner, LeftAnti, LeftSemi, RightAnti, RightSemi};
        let (build, probe) = (drawing(join.left()), drawing(join.right()));
        let mark = if *join.partition_mode() == PartitionMode::Partitioned {
            "+"
        } else {
            ""
        };
        return match join.join_type() {
            Inner => format!("({build} *{mark} {probe})"),
            LeftSemi => format!("({build} <{mark} {probe})"),
            RightSemi => format!("({probe} <{mark} {build})"),
            LeftAnti => format!("({build} !{mark} {probe})"),
            RightAnti => format!("({probe} !{mark} {build})"),
            other => format!("({build} {other}{mark} {probe})"),
        };
    }
    let inputs: Vec<String> = plan.children().into_iter().map(drawing).collect();
    if plan.is::<RowNumbersExec>() {
        return format!("#{}", inputs.join(", "));
    }
    if plan.name() == "AggregateExec" && !inputs[0].starts_with('[') {
        return format!("[{}]", inputs.join(", "));
    }
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let scan = scan.data_source().downcast_ref::<FileScanConfig>();
        return scan.map_or("memory".to_owned(), |scan| {
            crate::planning::splits::scan_name(scan)
                .trim_start_matches('/')
                .to_owned()
        });
    }
    inputs.join(", ")
}

async fn drawn(context: &SessionContext, sql: &str) -> String {
    drawing(&context.sql(sql).await.unwrap().create_physical_plan().await.unwrap())
}

/// Every order of a FROM list, up to a number.
fn orders_of(tables: &[&str], most: usize) -> Vec<String> {
    let mut orders = vec![Vec::new()];
    for _ in tables {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<&str>| {
                let rest = tables.iter().filter(|table| !order.contains(table));
                rest.map(|table| [order.as_slice(), &[*table]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    let step = (orders.len() / most).max(1);
    orders.iter().step_by(step).map(|order| order.join(", ")).collect()
}

async fn same_in_every_order(tables: &[&str], sql: &str) -> String {
    let context = tpch();
    let mut drawings = Vec::new();
    for from in orders_of(tables, 24) {
        drawings.push(drawn(&context, &sql.replace("$from", &from)).await);
    }
    drawings.dedup();
    assert_eq!(drawings.len(), 1, "{drawings:#?}");
    drawings.remove(0)
}

#[tokio::test]
async fn q18_reduces_orders_before_anything_is_joined() {
    let sql = "select c_name, o_orderkey, o_totalprice, sum(l_quantity) from $from \
        where o_orderkey in (select l_orderkey from lineitem group by l_orderkey having sum(l_quantity) > 300) \
        and c_custkey = o_custkey and o_orderkey = l_orderkey group by c_name, o_orderkey, o_totalprice";
    let drawn = same_in_every_order(&["customer", "orders", "lineitem"], sql).await;
    assert_eq!(drawn, "[((customer * (orders < [lineitem])) * lineitem)]");
}

#[tokio::test]
async fn q5_starts_from_the_region_in_every_order() {
    let sql = "select n_name, sum(l_extendedprice) from $from where c_custkey = o_custkey and l_orderkey = o_orderkey \
        and l_suppkey = s_suppkey and c_nationkey = s_nationkey and s_nationkey = n_nationkey and n_regionkey = r_regionkey \
        and r_name = 'ASIA' and o_orderdate >= date '1994-01-01' and o_orderdate < date '1995-01-01' group by n_name";
    let tables = ["customer", "orders", "lineitem", "supplier", "nation", "region"];
    let drawn = same_in_every_order(&tables, sql).await;
    assert!(drawn.contains("(region * nation)"), "{drawn}");
    assert!(!drawn.contains("lineitem *"), "lineitem is never built: {drawn}");
}

#[tokio::test]
async fn q17_aggregates_only_the_parts_that_are_asked_for() {
    let sql = "select sum(l_extendedprice) from $from where p_partkey = l_partkey and p_brand = 'Brand#23' \
        and p_container = 'MED BOX' and l_quantity < (select avg(l_quantity) from lineitem where l_partkey = p_partkey)";
    let drawn = same_in_every_order(&["lineitem", "part"], sql).await;
    assert!(drawn.contains("[(lineitem < part)]"), "{drawn}");
}

#[tokio::test]
async fn q20_sends_the_subquerys_parts_below_the_other_aggregate() {
    let sql = "select s_name from $from where s_suppkey in (select ps_suppkey from partsupp where ps_partkey in \
        (select p_partkey from part where p_name like 'forest%') and ps_availqty > (select sum(l_quantity) from lineitem \
        where l_partkey = ps_partkey and l_suppkey = ps_suppkey and l_shipdate >= date '1994-01-01' and l_shipdate < date '1995-01-01')) \
        and s_nationkey = n_nationkey and n_name = 'CANADA'";
    let drawn = same_in_every_order(&["supplier", "nation"], sql).await;
    assert!(drawn.contains("[(lineitem < part)]"), "{drawn}");
    assert!(drawn.contains("(partsupp < part)"), "{drawn}");
}

#[tokio::test]
async fn large_subqueries_of_exists_are_not_built() {
    let sql = "select count(*) from orders where o_orderdate >= date '1993-07-01' and o_orderdate < date '1993-10-01' \
        and exists (select 1 from lineitem where l_orderkey = o_orderkey and l_quantity < l_extendedprice)";
    assert_eq!(drawn(&tpch(), sql).await, "[(#orders * lineitem)]", "as in TPC-H Q4");
    let sql = "select count(*) from customer where c_mktsegment = 'BUILDING' \
        and not exists (select 1 from orders where o_custkey = c_custkey)";
    assert_eq!(
        drawn(&tpch(), sql).await,
        "[(customer !+ (orders < customer))]",
        "as in TPC-H Q22"
    );
}

#[tokio::test]
async fn groups_of_an_outer_joins_key_are_where_the_join_put_them() {
    // TPC-H Q13.
    let sql = "select c_custkey, count(o_orderkey) from customer left join orders on c_custkey = o_custkey group by c_custkey";
    let context = tpch();
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let mut repartitions = 0;
    plan.apply(|node| {
        repartitions += usize::from(node.name() == "RepartitionExec");
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    assert_eq!(drawn(&context, sql).await, "[(customer Left+ orders)]");
    assert_eq!(repartitions, 2, "one of each side of the join");
}

#[tokio::test]
async fn keys_that_go_first_are_read_without_other_columns() {
    let sql = "select o_totalprice, count(*) from orders where o_orderdate >= date '1993-07-01' and o_orderdate < date '1993-10-01' \
        and not exists (select 1 from lineitem where l_orderkey = o_orderkey and l_quantity < l_extendedprice) group by o_totalprice";
    let context = tpch();
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let mut read = Vec::new();
    plan.apply(|node| {
        if node.is::<DataSourceExec>() {
            read.push(
                node.schema()
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect::<Vec<_>>(),
            );
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    read.retain(|columns| columns[0].starts_with("o_"));
    assert_eq!(
        read,
        [
            vec!["o_orderkey", "o_totalprice", "o_orderdate"],
            vec!["o_orderkey", "o_orderdate"]
        ],
    );
}

#[tokio::test]
async fn keys_of_two_columns_and_equal_columns_of_equal_ones() {
    // TPC-H Q9: the small part decides first, and what joins partsupp has two columns.
    let sql = "select n_name, sum(l_extendedprice) from $from where s_suppkey = l_suppkey and ps_suppkey = l_suppkey \
        and ps_partkey = l_partkey and p_partkey = l_partkey and o_orderkey = l_orderkey and s_nationkey = n_nationkey \
        and p_name like '%green%' group by n_name";
    let tables = ["part", "supplier", "lineitem", "partsupp", "orders", "nation"];
    let drawn = same_in_every_order(&tables, sql).await;
    assert!(
        drawn.contains("(part * lineitem)") || drawn.contains("(part * partsupp)"),
        "{drawn}"
    );
}

/// The shapes of further queries of TPC-H: tables, and what follows FROM.
const SHUFFLED: &[(&str, &[&str], &str)] = &[
    (
        "Q2",
        &["part", "supplier", "partsupp", "nation", "region"],
        "where p_partkey = ps_partkey and s_suppkey = ps_suppkey and p_size = 15 and s_nationkey = n_nationkey \
         and n_regionkey = r_regionkey and r_name = 'EUROPE' and ps_availqty = (select min(ps_availqty) from partsupp, supplier, \
         nation, region where p_partkey = ps_partkey and s_suppkey = ps_suppkey and s_nationkey = n_nationkey \
         and n_regionkey = r_regionkey and r_name = 'EUROPE')",
    ),
    (
        "Q3",
        &["customer", "orders", "lineitem"],
        "where c_mktsegment = 'BUILDING' and c_custkey = o_custkey and l_orderkey = o_orderkey \
         and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'",
    ),
    (
        "Q7",
        &["supplier", "lineitem", "orders", "customer", "nation n1", "nation n2"],
        "where s_suppkey = l_suppkey and o_orderkey = l_orderkey and c_custkey = o_custkey and s_nationkey = n1.n_nationkey \
         and c_nationkey = n2.n_nationkey and ((n1.n_name = 'FRANCE' and n2.n_name = 'GERMANY') \
         or (n1.n_name = 'GERMANY' and n2.n_name = 'FRANCE')) and l_shipdate between date '1995-01-01' and date '1996-12-31'",
    ),
    (
        "Q8",
        &[
            "part",
            "supplier",
            "lineitem",
            "orders",
            "customer",
            "nation n1",
            "nation n2",
            "region",
        ],
        "where p_partkey = l_partkey and s_suppkey = l_suppkey and l_orderkey = o_orderkey and o_custkey = c_custkey \
         and c_nationkey = n1.n_nationkey and n1.n_regionkey = r_regionkey and r_name = 'AMERICA' \
         and s_nationkey = n2.n_nationkey and o_orderdate between date '1995-01-01' and date '1996-12-31' and p_name = 'STEEL'",
    ),
    (
        "Q21",
        &["supplier", "lineitem l1", "orders", "nation"],
        "where s_suppkey = l1.l_suppkey and o_orderkey = l1.l_orderkey and l1.l_quantity > 10 \
         and exists (select 1 from lineitem l2 where l2.l_orderkey = l1.l_orderkey and l2.l_suppkey <> l1.l_suppkey) \
         and not exists (select 1 from lineitem l3 where l3.l_orderkey = l1.l_orderkey and l3.l_suppkey <> l1.l_suppkey \
         and l3.l_quantity > 10) and s_nationkey = n_nationkey and n_name = 'SAUDI ARABIA'",
    ),
];

#[tokio::test]
async fn the_order_of_a_from_list_does_not_matter() {
    for (name, tables, rest) in SHUFFLED {
        let drawn = same_in_every_order(tables, &format!("select count(*) from $from {rest}")).await;
        assert!(
            !drawn.contains("lineitem *"),
            "{name}: the largest table is never built: {drawn}"
        );
    }
}

#[tokio::test]
async fn tables_of_unknown_size_are_joined_as_written() {
    let context = tpch();
    let unknown = Known {
        statistics: Statistics::new_unknown(&tpch_part()),
        name: "unknown",
        schema: tpch_part(),
    };
    context.register_table("unknown", Arc::new(unknown)).unwrap();
    let sql = "select count(*) from lineitem, orders, unknown where l_orderkey = o_orderkey and l_partkey = p_partkey";
    let reordered = drawn(&context, sql).await;
    let state = context.state_ref();
    state
        .write()
        .config_mut()
        .options_mut()
        .extensions
        .insert(PlanningOptions {
            workers: 1,
            ..PlanningOptions::default()
        });
    assert_eq!(reordered, drawn(&context, sql).await, "nothing of ours decided");
}

fn tpch_part() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("p_partkey", DataType::Int64, false)]))
}

#[tokio::test]
async fn a_build_side_that_does_not_fit_is_sorted() {
    let context = tpch();
    let state = context.state_ref();
    state
        .write()
        .config_mut()
        .options_mut()
        .extensions
        .insert(PlanningOptions {
            workers: 3,
            build_limit: 1 << 20,
            always_sort: false,
        });
    let sql = "select count(*) from lineitem, orders where l_orderkey = o_orderkey";
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let text = datafusion::physical_plan::displayable(plan.as_ref())
        .indent(true)
        .to_string();
    assert!(text.contains("SortMergeJoin") && !text.contains("HashJoin"), "{text}");
}

/// The plan of a query with so much memory for a build side.
async fn with_memory(build_limit: usize, always_sort: bool, sql: &str) -> String {
    let context = tpch();
    tables(&context, 1);
    let state = context.state_ref();
    state
        .write()
        .config_mut()
        .options_mut()
        .extensions
        .insert(PlanningOptions {
            workers: 3,
            build_limit,
            always_sort,
        });
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let plan = datafusion::physical_plan::displayable(plan.as_ref());
    plan.indent(true).to_string()
}

#[tokio::test]
async fn outer_joins_mind_memory_too() {
    let full = "select count(*) from lineitem full join orders on l_orderkey = o_orderkey";
    let text = with_memory(1 << 30, false, full).await;
    assert!(text.contains("HashJoin"), "{text}");
    let text = with_memory(1 << 20, false, full).await;
    assert!(text.contains("SortMergeJoin") && !text.contains("HashJoin"), "{text}");
    // Above a join that is sorted, sizes are known all the same.
    let above = "select count(*) from lineitem join orders on l_orderkey = o_orderkey left join lineitem b on o_orderkey = b.l_partkey";
    let text = with_memory(1 << 20, false, above).await;
    assert!(text.matches("SortMergeJoin").count() == 2, "{text}");
    // A side that fits is the one to build.
    let small = "select count(*) from lineitem left join nation on l_partkey = n_nationkey";
    let text = with_memory(1 << 20, false, small).await;
    assert!(text.contains("HashJoin") && !text.contains("SortMergeJoin"), "{text}");
    let text = with_memory(1 << 40, true, small).await;
    assert!(text.contains("SortMergeJoin") && !text.contains("HashJoin"), "{text}");
}

#[tokio::test]
async fn a_join_without_another_way_stays() {
    let text = with_memory(1, true, "select count(*) from a, b where [a_x] = [b_x]").await;
    assert!(text.contains("HashJoin"), "{text}");
}

/// Three small tables with nulls and duplicates.
fn tables(context: &SessionContext, seed: u64) {
    let mut state = seed | 1;
    let mut draw = move |most: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    for (name, rows) in [("a", 60), ("b", 40), ("c", 25), ("d", 8)] {
        let mut column =
            |most: u64| -> Int64Array { (0..rows).map(|_| (draw(9) > 0).then(|| draw(most) as i64)).collect() };
        let (x, y, z) = (column(12), column(6), column(40));
        let text: StringArray = z
            .iter()
            .map(|value| value.map(|value| format!("t{}", value % 5)))
            .collect();
        let fields = ["x", "y", "z"].map(|column| Field::new(format!("{name}_{column}"), DataType::Int64, true));
        let mut fields: Vec<Field> = fields.into();
        fields.push(Field::new(format!("{name}_t"), DataType::Utf8, true));
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![Arc::new(x), Arc::new(y), Arc::new(z), Arc::new(text)],
        );
        context.register_batch(name, batch.unwrap()).unwrap();
    }
}

const SHAPES: &[&str] = &[
    "select * from a, b, c where a_x = b_x and b_y = c_y",
    "select * from a, b, c, d where a_x = b_x and b_x = c_x and c_y = d_y and a_z < c_z",
    "select a_z, d_t, b_z from a, b, c, d where a_x = b_x and a_y = b_y and b_y = c_y and c_x = d_x and a_t = c_t",
    "select * from a, b where a_x in (select c_x from c where c_y > 1) and a_x = b_x",
    "select * from a, b where a_x not in (select c_x from c where c_x is not null) and a_y = b_y",
    "select * from a, b where not exists (select 1 from c where c_x = a_x and c_z > b_z) and a_y = b_y",
    "select * from a, b where exists (select 1 from c where c_x = a_x and c_y <> b_y) and a_y = b_y",
    "select * from a, b, d where a_x = b_x and a_z > (select avg(c_z) from c where c_x = a_x) and d_x = a_x and d_y < 3",
    "select * from a, b where a_x = b_x and b_z > (select sum(a_z) / 9 from a where a_x = b_x and a_y = b_y) and b_y = 2",
    "select * from a left join b on a_x = b_x, c, d where c_y = a_y and d_x = c_x and coalesce(b_z, 0) >= 0",
    "select * from a, b, c where a_x + 1 = b_x and b_y = c_y + a_y",
    "select * from a, d, b where a_z < d_z and a_x = b_x",
    "select * from a, b, c where a_x = b_x and a_y = b_x and b_y = c_y",
    "select count(*), sum(a_z), max(b_t) from a, b, c, d where a_x = b_x and b_x = c_x and c_x = d_x",
    "select x, count(*) from (select a_x as x, b_y from a, b where a_x = b_x) s, c where s.x = c_x and s.b_y = c_y group by x",
    "select * from a join (select b_x, sum(b_z) s from b group by b_x having sum(b_z) > 3) g on a_x = b_x, d where d_x = a_x and d_t = 't1'",
    "select p.a_x, q.a_z from a p, a q, b where p.a_x = q.a_y and q.a_x = b_x and p.a_t = 't2'",
    // These are not taken apart.
    "select a_z, b_t, c_z from a left join b on a_x = b_x and a_z < b_z + 9 right join c on b_y = c_y and coalesce(a_z, 0) <> c_z",
    "select * from a full join b on a_x = b_x and a_t = b_t and a_z > b_z full join d on b_y = d_y",
    "select * from a where a_x in (select b_x from b where b_y < a_y) or a_z < 5 or exists (select 1 from c where c_x = a_x and c_z > a_z)",
    "select * from a where a_x not in (select b_x from b where b_y = 2)",
    "select * from a where not exists (select 1 from b where (b_x is not distinct from a_x) and b_z > a_z)",
    "select a_x, b_x, a_z from a join b on (a_x is not distinct from b_x) and (a_t is not distinct from b_t) where a_y < b_y",
    // Between joins, columns go by other names.
    "select * from (select a_x as k, b_y as m from a, b where a_x = b_x) s, c where s.k + 1 = c_x and s.m = c_y",
    "select * from (select a_x as k, b_y as m from a, b where a_x = b_x) s where s.k + s.m in (select c_x from c)",
    "select * from (select b_y as m, a_x as k from a, b where a_x = b_x) s, c, d where s.k = c_x and s.m < d_y and c_y + s.k = d_x",
    "select * from (select a_z as k, a_x as a_z from a, b where a_x = b_x) s where not exists (select 1 from c where c_x + 1 = s.k and c_y < s.a_z)",
];

#[tokio::test]
async fn rows_that_match_in_several_places_are_there_once_and_their_twins_too() {
    let columns = |name: &str, x: Int64Array, y: Int64Array| {
        let fields = ["x", "y"].map(|column| Field::new(format!("{name}_{column}"), DataType::Int64, true));
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![Arc::new(x), Arc::new(y)]).unwrap()
    };
    // Of each ten rows of e that are left two are alike; each matches twenty of f, nulls none.
    let e_x: Int64Array = (0..2000i64).map(|n| (n % 7 > 0).then_some(n / 20)).collect();
    let e_y: Int64Array = (0..2000i64).map(|n| Some(n % 10)).collect();
    let f_x: Int64Array = (0..40_000i64).map(|n| (n % 3 > 0).then_some(n % 1000)).collect();
    let f_y: Int64Array = (0..40_000i64).map(Some).collect();
    let (plain, numbered) = (context(3, false), context(3, true));
    for context in [&plain, &numbered] {
        context
            .register_batch("e", columns("e", e_x.clone(), e_y.clone()))
            .unwrap();
        context
            .register_batch("f", columns("f", f_x.clone(), f_y.clone()))
            .unwrap();
    }
    for sql in [
        "select e_x, e_y from e where e_y = 1 and exists (select 1 from f where f_x = e_x)",
        "select e_y from e where e_y = 1 and e_x in (select f_x from f where f_y > 9)",
        "select e_x from e where e_y = 1 and exists (select 1 from f where f_x = e_x and f_y > e_x + 30000)",
    ] {
        let drawn = drawn(&numbered, sql).await;
        assert!(drawn.contains("(#memory * memory)"), "{sql}: {drawn}");
        assert_eq!(rows(&numbered, sql).await, rows(&plain, sql).await, "{sql}");
    }
}

/// A plan as it is before the physical optimizer.
async fn as_written(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let state = SessionStateBuilder::new_from_existing(context.state())
        .with_physical_optimizer_rules(Vec::new())
        .build();
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.create_physical_plan(&plan).await.unwrap()
}

#[tokio::test]
async fn every_graph_can_be_put_together_again() {
    let context = context(2, true);
    tables(&context, 7);
    let sizes = Sizes::of(context.state().config_options());
    for sql in SHAPES {
        let plan = as_written(&context, sql).await;
        ordered(plan, sizes).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let batches = context.sql(sql).await.unwrap().collect().await;
    let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = datafusion::arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_rows_with_and_without(seed in any::<u64>(), workers in 0usize..4, limited in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let (plain, reordered) = (context(workers, false), context(workers, true));
            if limited {
                // Every build side that is repartitioned is too large.
                let always_sort = seed % 2 == 0;
                let options = PlanningOptions { workers, build_limit: 1, always_sort };
                reordered.state_ref().write().config_mut().options_mut().extensions.insert(options);
            }
            tables(&plain, seed);
            tables(&reordered, seed);
            for sql in SHAPES {
                assert_eq!(rows(&reordered, sql).await, rows(&plain, sql).await, "{sql}");
            }
        });
    }
}
