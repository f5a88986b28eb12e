//! Same rows as plain DataFusion, whatever the number of workers, partitions and rows per batch.

use bytesize::ByteSize;

use crate::cluster::{Cluster, Options, oracle, text};

const QUERIES: &[&str] = &[
    "select count(*) from lines",
    "select count(*), sum(l_price), min(l_ship), max(l_comment) from lines where l_quantity < 10",
    "select l_flag, count(*), sum(l_quantity), sum(l_price * (1 - l_discount)), avg(l_discount) from lines \
     where l_ship <= date '1998-01-01' group by l_flag",
    "select l_part, count(*) from lines group by l_part having count(*) > 25",
    "select c_segment, count(*), sum(l_price) from customers, orders, lines \
     where c_key = o_customer and o_key = l_order and c_nation < 5 group by c_segment",
    "select o_priority, count(*) from orders where exists (select 1 from lines where l_order = o_key and l_discount > 0.05) \
     group by o_priority",
    "select count(*) from orders where not exists (select 1 from lines where l_order = o_key)",
    "select c_key, count(o_key) from customers left join orders on c_key = o_customer group by c_key having count(o_key) = 0",
    "select count(*), sum(c_key), sum(o_key) from customers full join orders on c_key = o_customer and o_total > 400000",
    "select count(*) from customers where c_key not in (select o_customer from orders where o_total > 499000)",
    "select o_key, o_total from orders order by o_total desc, o_key limit 10",
    "select o_key from orders order by o_key limit 5 offset 9000",
    "select c_segment as s, count(*) from customers group by c_segment union all select l_flag, count(*) from lines group by l_flag",
    "select o_key from orders where o_total > 499000 union select l_order from lines where l_price > 99990",
    "select count(*) from (select o_customer from orders intersect select c_key from customers where c_nation = 3)",
    "select l_part, sum(l_price) from lines group by l_part having sum(l_price) > (select sum(l_price) * 0.001 from lines)",
    "select count(*) from lines a where l_price > (select avg(l_price) from lines b where a.l_part = b.l_part)",
    "select (select max(o_total) from orders) - c_key from customers where c_key < 5",
    "select distinct l_flag, l_discount from lines",
    "select count(distinct l_part), count(distinct l_comment) from lines",
    "select o_customer, o_key, rank() over (partition by o_customer order by o_total desc) from orders where o_customer < 30",
    "select sum(o_total) over (order by o_key rows between 2 preceding and current row) from orders where o_key < 4000",
    "select c_segment, l_flag, count(*) from customers, orders, lines where c_key = o_customer and o_key = l_order \
     group by rollup (c_segment, l_flag)",
    "select count(*), sum(l_quantity), max(l_comment) from lines_csv where l_flag = 'R'",
    "select count(*) from lines_csv a join orders on l_order = o_key where o_priority is null",
    "select 1 as one, 'x' as two",
    "select count(*) from lines where l_part = -1",
    "select l_flag from lines where l_part = -1",
    "select max(l_price) from lines where l_part = -1",
    "with big as (select l_order, sum(l_quantity) q from lines group by l_order having sum(l_quantity) > 250) \
     select c_name, o_key, q from customers, orders, big where c_key = o_customer and o_key = l_order",
];

async fn compare(options: Options) {
    let cluster = Cluster::start(options).await;
    let oracle = oracle();
    for sql in QUERIES {
        let expected = oracle.sql(sql).await.unwrap().collect().await.unwrap();
        let rows = cluster.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(text(&rows), text(&expected), "{sql}");
    }
}

/// All partitions of a task shared a connection's buffer, and a merge that wanted rows of one of them waited for ever behind the others'.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_as_they_lie_do_not_wait_for_each_other() {
    let cluster = Cluster::start(Options {
        exchange_buffer: ByteSize::kib(16),
        ..Options::default()
    })
    .await;
    for sql in [
        "select * from orders order by o_key",
        "select * from lines order by l_order, l_part, l_price, l_comment",
        "select o_key, rank() over (order by o_key) from orders",
    ] {
        let expected = oracle().sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(text(&cluster.run(sql).await.unwrap()), text(&expected), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_give_the_same_rows() {
    compare(Options::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_gives_the_same_rows() {
    compare(Options {
        workers: 1,
        ..Options::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_gives_the_same_rows() {
    compare(Options {
        workers: 0,
        ..Options::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_with_small_batches_give_the_same_rows() {
    compare(Options {
        workers: 8,
        replication: 3,
        partitions: 3,
        batch_size: Some(37),
        ..Options::default()
    })
    .await;
}

/// With one partition per task, aggregates without an exchange would be computed per worker.
#[tokio::test(flavor = "multi_thread")]
async fn asking_for_one_partition_gives_the_same_rows() {
    compare(Options {
        workers: 2,
        partitions: 1,
        ..Options::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_gives_the_same_rows() {
    compare(Options {
        worker_memory: ByteSize::mib(48),
        ..Options::default()
    })
    .await;
}

/// A plan that was made once is run again by planning again, as a prepared statement does.
#[tokio::test(flavor = "multi_thread")]
async fn a_logical_plan_can_be_used_again() {
    let cluster = Cluster::start(Options::default()).await;
    let sql = "select l_flag, count(*) from lines, orders where l_order = o_key group by l_flag";
    let logical = cluster.logical(sql).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let attempt = cluster.plan_logical(logical.clone()).await.unwrap();
        seen.push(text(&crate::cluster::finish(attempt.as_ref()).await.unwrap()));
        assert!(attempt.execute().is_err(), "an attempt executes once");
    }
    assert!(
        seen[0].len() == 4 && seen.iter().all(|rows| *rows == seen[0]),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_seen_and_removed_ones_are_not() {
    let cluster = Cluster::start(Options::default()).await;
    let count = async || text(&cluster.run("select count(*) from customers").await.unwrap());
    let before = count().await;
    let tables = crate::data::tables();
    let extra = crate::data::parquet_files(&tables[0].batch, 1, 500).remove(0);
    cluster.files.put("w/customers/extra.parquet", extra).await;
    assert!(count().await.concat().contains("2000"));
    cluster.files.remove("w/customers/extra.parquet").await;
    assert_eq!(count().await, before);
}

/// The rewrite of subqueries to joins would not notice that there is more than one row.
#[tokio::test(flavor = "multi_thread")]
async fn a_scalar_subquery_of_several_rows_is_an_error() {
    let cluster = Cluster::start(Options::default()).await;
    let sql = "select count(*) from orders where o_customer = (select c_key from customers where c_nation = 3)";
    let error = cluster.run(sql).await.unwrap_err();
    assert!(error.to_string().contains("more than one row"), "{error}");
}
