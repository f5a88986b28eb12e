//! Runs [generated](crate::generator) queries on a cluster and on plain DataFusion, and compares.
//!
//! The tables change every [`QUERIES_PER_WORLD`] queries. On the cluster they are Parquet files of many row groups and blocks, for plain
//! DataFusion batches in memory: what reads the files is not part of the oracle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use quarry_engine::functions::register_functions;
use quarry_engine::grouping_sets::ForgetKeys;
use tokio::task::JoinSet;

use crate::compare::difference;
use crate::engine::{Plain, Session, answer, is_out_of_memory};
use crate::generator::{self, Query, Random, Table, shrink};
use crate::site::{Flight, Site};

/// Queries over the same tables.
pub const QUERIES_PER_WORLD: u64 = 250;
/// Block size of the cluster, in bytes: a table has several blocks.
pub const BLOCK: u64 = 4096;
/// Queries that run at a time.
const LANES: usize = 4;
/// Files of a table, and row groups of a file.
const FILES: usize = 3;
const GROUPS: usize = 3;
/// Queries tried while shrinking one that differs.
const SHRINK_TRIES: usize = 400;
/// Rules of DataFusion, by how their names start, that plain DataFusion does without. One pushes a condition to the wrong side of a join whose sides have
/// columns of one name, the other takes the values of an aggregate for those of one above it with a `FILTER`.
const WRONG_RULES: [&str; 2] = ["FilterPushdown", "aggregate_statistics"];

/// Which queries to run.
#[derive(Debug, Clone)]
pub struct Range {
    /// Seed of everything.
    pub seed: u64,
    /// Number of the first query.
    pub first: u64,
    /// How many.
    pub queries: u64,
    /// Settings of the cluster's sessions, as `key = value`: whatever is set, rows are the same.
    pub settings: Vec<String>,
}

/// What a run did.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Queries run.
    pub queries: u64,
    /// Of those, how many had rows.
    pub with_rows: u64,
    /// How many failed on both sides, as they must if they fail at all.
    pub failed_alike: u64,
    /// How many the cluster refused for want of memory: an answer too, if it has little.
    pub exhausted: u64,
    /// Rows compared.
    pub rows: u64,
    /// What differed, each with how to run it again.
    pub differences: Vec<String>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.queries += other.queries;
        self.with_rows += other.with_rows;
        self.failed_alike += other.failed_alike;
        self.exhausted += other.exhausted;
        self.rows += other.rows;
        self.differences.extend(other.differences);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}\n")?;
        }
        let Self {
            queries,
            with_rows,
            failed_alike,
            exhausted,
            rows,
            differences,
        } = self;
        let differences = differences.len();
        write!(
            f,
            "generated queries: {queries} run, {with_rows} with rows, {rows} rows compared, {failed_alike} refused by both, \
             {exhausted} out of memory, {differences} differences"
        )
    }
}

/// Runs queries on `site`, which is a cluster with blocks of [`BLOCK`] bytes.
///
/// # Errors
/// Tables cannot be made, or the cluster is gone. Queries that fail or differ are in the report.
pub async fn run(site: &Site, range: Range) -> Result<Report> {
    let mut report = Report::default();
    let (mut next, end) = (range.first, range.first + range.queries);
    while next < end {
        let world = next / QUERIES_PER_WORLD;
        let last = end.min((world + 1) * QUERIES_PER_WORLD);
        let world = Arc::new(World::make(site, &range, world).await?);
        report.add(world.run(site, next..last).await?);
        world.drop_tables(site).await?;
        next = last;
    }
    Ok(report)
}

/// Tables on both sides.
struct World {
    seed: u64,
    schema: String,
    tables: Vec<Table>,
    /// Of the whole run, for messages.
    run_seed: u64,
    /// Of the cluster's sessions.
    settings: Vec<String>,
}

impl World {
    async fn make(site: &Site, range: &Range, number: u64) -> Result<Self> {
        let run_seed = range.seed;
        let seed = Random::new(run_seed).fork(number).draw();
        let world = Self {
            seed,
            schema: format!("world_{run_seed}_{number}"),
            tables: generator::tables(seed),
            run_seed,
            settings: range.settings.clone(),
        };
        world.load(site).await.context("making the tables")?;
        Ok(world)
    }

    async fn load(&self, site: &Site) -> Result<()> {
        let mut session = site.session().await?;
        session.run(&format!("CREATE SCHEMA {}", self.schema)).await?;
        for table in &self.tables {
            let directory = format!("{}/{}", self.schema, table.name);
            for (number, rows) in parts(&table.rows, FILES).into_iter().enumerate() {
                let path = Path::from(format!("{directory}/part-{number}.parquet"));
                site.store.put(&path, Bytes::from(parquet(&rows)?).into()).await?;
            }
            let (schema, name, base) = (&self.schema, &table.name, site.base());
            let statement =
                format!("CREATE EXTERNAL TABLE {schema}.{name} STORED AS PARQUET LOCATION '{base}/{directory}/'");
            session.run(&statement).await.with_context(|| statement)?;
        }
        Ok(())
    }

    async fn drop_tables(&self, site: &Site) -> Result<()> {
        let mut session = site.session().await?;
        session.run(&format!("DROP SCHEMA {} CASCADE", self.schema)).await?;
        Ok(())
    }

    async fn run(self: &Arc<Self>, site: &Site, numbers: std::ops::Range<u64>) -> Result<Report> {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            let lane = Arc::clone(self).lane(self.pair(site).await?, Arc::clone(&next), numbers.end);
            lanes.spawn(lane);
        }
        let mut report = Report::default();
        while let Some(lane) = lanes.join_next().await {
            report.add(lane.context("a lane of queries")?);
        }
        Ok(report)
    }

    async fn lane(self: Arc<Self>, mut pair: Pair, next: Arc<AtomicU64>, end: u64) -> Report {
        let mut report = Report::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return report;
            }
            self.one(&mut pair, number, &mut report).await;
        }
    }

    async fn pair(&self, site: &Site) -> Result<Pair> {
        let mut cluster = site.session().await?;
        cluster.run(&format!("USE {}", self.schema)).await?;
        for setting in &self.settings {
            cluster
                .run(&format!("SET {setting}"))
                .await
                .with_context(|| setting.clone())?;
        }
        let config = SessionConfig::new()
            .with_target_partitions(4)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            // Otherwise DataFusion forgets a condition with such a subquery over a relation of one row without columns.
            .set_bool(
                "datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery",
                false,
            );
        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_physical_optimizer_rules(plain_rules())
            .build();
        // Otherwise DataFusion evaluates `lead(..) IGNORE NULLS` backwards beside a window of the opposite order, and finds other rows.
        register_functions(&mut state)?;
        let context = SessionContext::new_with_state(state);
        for table in &self.tables {
            let partitions = parts(&table.rows, 2).into_iter().map(|rows| vec![rows]).collect();
            let memory = MemTable::try_new(table.rows.schema(), partitions)?;
            context.register_table(table.name.as_str(), Arc::new(memory))?;
        }
        Ok(Pair {
            plain: Plain::over(context),
            cluster,
        })
    }

    async fn one(&self, pair: &mut Pair, number: u64, report: &mut Report) {
        let query = generator::query(self.seed, number, &self.tables);
        report.queries += 1;
        match pair.compare(&query).await {
            Outcome::Same(rows) => {
                report.rows += rows;
                report.with_rows += u64::from(rows > 0);
            }
            Outcome::FailAlike => report.failed_alike += 1,
            Outcome::Exhausted => report.exhausted += 1,
            Outcome::Differ(found) => {
                let small = pair.shrink(query.clone()).await;
                let plan = pair.plan(&small.0).await;
                report
                    .differences
                    .push(self.describe(number, &query, &found, &small, &plan));
            }
        }
    }

    fn describe(
        &self,
        number: u64,
        query: &Query,
        found: &str,
        (small, reason): &(Query, String),
        plan: &str,
    ) -> String {
        let seed = self.run_seed;
        format!(
            "query {number} of seed {seed} differs; again: cargo run -p quarry-sql-tests --bin generate -- --seed {seed} --first {number} \
             --queries 1\n{query}\n{found}\nshrunk: {small}\n{reason}\n{plan}"
        )
    }
}

/// A session with each engine over the same tables.
struct Pair {
    plain: Plain,
    cluster: Flight,
}

/// What became of a query.
enum Outcome {
    /// So many equal rows.
    Same(u64),
    /// Neither engine takes it.
    FailAlike,
    /// The cluster has too little memory for it, and says so.
    Exhausted,
    /// What is different.
    Differ(String),
}

impl Pair {
    async fn compare(&mut self, query: &Query) -> Outcome {
        let sql = query.to_string();
        let (expected, found) = futures::join!(answer(&mut self.plain, &sql), answer(&mut self.cluster, &sql));
        match (expected, found) {
            (Ok(expected), Ok(found)) => match difference(&expected, &found, query.is_ordered()) {
                None => Outcome::Same(expected.rows.len() as u64),
                Some(difference) => Outcome::Differ(difference),
            },
            (Err(_), Err(_)) => Outcome::FailAlike,
            (Ok(_), Err(error)) if is_out_of_memory(&format!("{error:#}")) => Outcome::Exhausted,
            (Ok(expected), Err(error)) => Outcome::Differ(format!(
                "{} rows expected, the cluster failed: {error:#}",
                expected.rows.len()
            )),
            (Err(error), Ok(found)) => Outcome::Differ(format!(
                "plain DataFusion failed: {error:#}; the cluster found {} rows",
                found.rows.len()
            )),
        }
    }

    /// How the cluster runs `query`.
    async fn plan(&mut self, query: &Query) -> String {
        let explained = self.cluster.run(&format!("EXPLAIN {query}")).await;
        let text = explained.and_then(|(_, batches)| Ok(pretty_format_batches(&batches)?.to_string()));
        text.unwrap_or_else(|error| format!("it cannot be explained: {error:#}"))
    }

    /// The smallest query near `query` on which the engines still differ, and how.
    async fn shrink(&mut self, mut query: Query) -> (Query, String) {
        let (mut reason, mut tries) = (String::new(), 0);
        'smaller: loop {
            for smaller in shrink::smaller(&query) {
                tries += 1;
                if tries > SHRINK_TRIES {
                    return (query, reason);
                }
                if let Outcome::Differ(found) = self.compare(&smaller).await {
                    (query, reason) = (smaller, found);
                    continue 'smaller;
                }
            }
            return (query, reason);
        }
    }
}

/// DataFusion's rules without those that give other rows.
fn plain_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !WRONG_RULES.iter().any(|wrong| rule.name().starts_with(wrong)));
    // Otherwise DataFusion takes keys of grouping sets for what they were below.
    rules.insert(0, Arc::new(ForgetKeys));
    rules
}

/// Cuts rows into runs of nearly equal length.
fn parts(rows: &RecordBatch, count: usize) -> Vec<RecordBatch> {
    let cut = |number: usize| rows.num_rows() * number / count;
    (0..count)
        .map(|number| rows.slice(cut(number), cut(number + 1) - cut(number)))
        .collect()
}

fn parquet(rows: &RecordBatch) -> Result<Vec<u8>> {
    let group = rows.num_rows().div_ceil(GROUPS).max(1);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}
