//! Many sessions at a time: each runs the 22 queries of TPC-H, beginning with another one, and all answers must be those of a session alone.
//!
//! 1. One stream, not timed: its answers are what the others are compared with.
//! 2. One stream, some times, for the clock.
//! 3. All streams at the same time. Answers are kept and compared after the clock has stopped.

use std::time::{Duration, Instant};

use anyhow::Context;
use arrow::array::RecordBatch;
use quarry::demo::compare;
use quarry::local::LocalCluster;
use quarry::sql::SqlClient;
use quarry::tpch::QUERIES;
use quarry_benches::limit::in_time;
use quarry_benches::report::{Latencies, Section};
use quarry_benches::table::Table;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::{CommonArgs, StreamsArgs};
use crate::bed::Bed;
use crate::memory::{peak_bytes, reset_peaks};
use crate::report::Finding;

/// Timed runs of one stream, unless asked for otherwise.
const RUNS: u32 = 3;
/// One query of one stream.
struct Answer {
    /// Its place in [`QUERIES`].
    query: usize,
    elapsed: Duration,
    rows: anyhow::Result<Vec<RecordBatch>>,
}

/// A number of streams at the same time.
#[derive(Debug, Clone, Serialize)]
struct Throughput {
    streams: u16,
    /// Queries that were answered, of all runs.
    answered: usize,
    /// From the first statement to the last row, of all runs.
    elapsed_s: f64,
    queries_per_hour: f64,
    /// Of single queries.
    latencies: Latencies,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Figures {
    one: Throughput,
    many: Throughput,
    /// Throughput of many streams divided by that of one.
    ratio: f64,
    /// Most memory of the cluster's processes while many streams ran; 0 if the system does not say.
    peak_bytes: u64,
    /// What the operators of all workers and of the coordinator may reserve together.
    limit_bytes: u64,
}

/// Measures one stream and many.
///
/// # Errors
/// The cluster does not start, or one stream alone fails.
pub(crate) async fn measure(bed: &Bed, args: &CommonArgs, streams: &StreamsArgs) -> anyhow::Result<Finding> {
    let cluster = bed.start().await?;
    let measured = Box::pin(measure_on(&cluster, bed, args, streams.streams)).await;
    let described = bed.describe(&cluster);
    cluster.shutdown().await;
    let (figures, problems) = measured?;
    let runs = args.runs(RUNS);
    let section = Section {
        title: "Many sessions",
        method: format!(
            "Each session runs the 22 queries of TPC-H once over Flight SQL on loopback, beginning with another one. First one session to warm up, whose \
             answers all others must give; then one session {runs} times; then {} at the same time. Answers are compared after the clock has stopped. \
             The peak of memory is that of the resident set of the cluster's processes while all sessions ran, the load included if it is in the \
             same process. {described}",
            streams.streams
        ),
        tables: vec![table(&figures), memory_table(&figures)],
        results: serde_json::to_value(&figures)?,
    };
    Ok(Finding { section, problems })
}

async fn measure_on(
    cluster: &LocalCluster,
    bed: &Bed,
    args: &CommonArgs,
    streams: u16,
) -> anyhow::Result<(Figures, Vec<String>)> {
    let scale = bed.data.scale;
    let (_, first) = run(cluster, bed, 1).await?;
    let right = right_answers(first.into_iter().flatten())?;
    let mut problems = Vec::new();
    let mut one = Tally::default();
    for _ in 0..args.runs(RUNS) {
        let (elapsed, answers) = run(cluster, bed, 1).await?;
        one.add(elapsed, &answers);
        problems.extend(wrong(&right, &answers));
    }
    reset_peaks(cluster);
    let (elapsed, answers) = run(cluster, bed, streams).await?;
    let peak_bytes = peak_bytes(cluster);
    let mut many = Tally::default();
    many.add(elapsed, &answers);
    problems.extend(wrong(&right, &answers));
    eprintln!(
        "{streams} streams at scale {scale} in {elapsed:.1?}, {} problems",
        problems.len()
    );
    let (one, many) = (one.throughput(1), many.throughput(streams));
    let figures = Figures {
        ratio: many.queries_per_hour / one.queries_per_hour,
        one,
        many,
        peak_bytes,
        limit_bytes: args.memory.as_u64() * (u64::from(args.cluster.nodes) + 1),
    };
    Ok((figures, problems))
}

/// Runs so many streams at the same time; how long they took together, and each one's answers.
async fn run(cluster: &LocalCluster, bed: &Bed, streams: u16) -> anyhow::Result<(Duration, Vec<Vec<Answer>>)> {
    let mut sessions = Vec::new();
    for _ in 0..streams {
        sessions.push(bed.session(cluster).await?);
    }
    let begin = Instant::now();
    // Dropping the set ends all streams, and with them their queries.
    let mut running = JoinSet::new();
    for (number, session) in sessions.into_iter().enumerate() {
        running.spawn(stream(session, number % QUERIES.len(), bed.data.scale));
    }
    let mut answers = Vec::new();
    while let Some(stream) = running.join_next().await {
        answers.push(stream?);
    }
    Ok((begin.elapsed(), answers))
}

/// All queries once, beginning with the one at `first`. A failed one does not end the stream.
async fn stream(mut session: SqlClient, first: usize, scale: f64) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(QUERIES.len());
    for place in 0..QUERIES.len() {
        let query = (first + place) % QUERIES.len();
        let sql = QUERIES[query].sql(scale);
        let begin = Instant::now();
        let run = async { Ok(session.query(&sql).await?) };
        let rows = Box::pin(in_time(run)).await;
        let elapsed = begin.elapsed();
        answers.push(Answer { query, elapsed, rows });
    }
    answers
}

/// The answers of the first stream, by the query's place.
fn right_answers(answers: impl Iterator<Item = Answer>) -> anyhow::Result<Vec<Vec<RecordBatch>>> {
    let mut right = vec![Vec::new(); QUERIES.len()];
    for answer in answers {
        let rows = answer
            .rows
            .with_context(|| format!("Q{} alone", QUERIES[answer.query].id))?;
        right[answer.query] = rows;
    }
    Ok(right)
}

/// What failed, and what was answered otherwise than alone.
fn wrong(right: &[Vec<RecordBatch>], streams: &[Vec<Answer>]) -> Vec<String> {
    let together = streams.len();
    let problem = |answer: &Answer| {
        let query = &QUERIES[answer.query];
        let difference = match &answer.rows {
            Ok(rows) => match compare(&right[answer.query], rows, query.order_by) {
                Ok(difference) => format!("answered wrong: {}", difference?),
                Err(error) => format!("answer that cannot be compared: {error}"),
            },
            Err(error) => format!("failed: {error:#}"),
        };
        Some(format!("Q{}, {together} streams at a time: {difference}", query.id))
    };
    streams.iter().flatten().filter_map(problem).collect()
}

/// Adds up runs.
#[derive(Default)]
struct Tally {
    elapsed: Duration,
    micros: Vec<u32>,
}

impl Tally {
    fn add(&mut self, elapsed: Duration, streams: &[Vec<Answer>]) {
        self.elapsed += elapsed;
        let answered = streams.iter().flatten().filter(|answer| answer.rows.is_ok());
        self.micros
            .extend(answered.map(|answer| u32::try_from(answer.elapsed.as_micros()).unwrap_or(u32::MAX)));
    }

    fn throughput(self, streams: u16) -> Throughput {
        let elapsed_s = self.elapsed.as_secs_f64();
        Throughput {
            streams,
            answered: self.micros.len(),
            elapsed_s,
            queries_per_hour: self.micros.len() as f64 / elapsed_s * 3600.0,
            latencies: Latencies::of(self.micros),
        }
    }
}

fn table(figures: &Figures) -> Table {
    let mut table = Table::of_numbers([
        "streams",
        "queries answered",
        "seconds",
        "queries per hour",
        "ratio",
        "p50 ms",
        "p99 ms",
        "max ms",
    ]);
    for throughput in [&figures.one, &figures.many] {
        table.row([
            throughput.streams.to_string(),
            throughput.answered.to_string(),
            format!("{:.1}", throughput.elapsed_s),
            format!("{:.0}", throughput.queries_per_hour),
            format!("{:.2}", throughput.queries_per_hour / figures.one.queries_per_hour),
            format!("{:.1}", throughput.latencies.p50_ms),
            format!("{:.1}", throughput.latencies.p99_ms),
            format!("{:.1}", throughput.latencies.max_ms),
        ]);
    }
    table
}

fn memory_table(figures: &Figures) -> Table {
    let gibibytes = |bytes: u64| format!("{:.2}", bytes as f64 / f64::from(1 << 30));
    let mut table = Table::of_numbers(["memory", "GiB"]);
    table.row(["peak of the resident set".into(), gibibytes(figures.peak_bytes)]);
    table.row([
        "limit of all workers and the coordinator".into(),
        gibibytes(figures.limit_bytes),
    ]);
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn answer(query: usize, value: i64) -> Answer {
        let column: Arc<Int64Array> = Arc::new([value].into_iter().collect());
        // As many columns as any query is ordered by.
        let columns = ["a", "b", "c", "d", "e"].map(|name| (name, Arc::clone(&column) as _));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        Answer {
            query,
            elapsed: Duration::from_millis(500),
            rows: Ok(vec![batch]),
        }
    }

    #[test]
    fn a_wrong_answer_and_a_failure_are_named_with_their_query() {
        let all = || (0..QUERIES.len()).map(|query| answer(query, 7));
        let right = right_answers(all()).unwrap();
        assert_eq!(wrong(&right, &[all().collect()]), Vec::<String>::new());
        let failed = Answer {
            rows: Err(anyhow::anyhow!("no memory")),
            ..answer(5, 7)
        };
        let problems = wrong(&right, &[vec![answer(3, 8)], vec![failed]]);
        assert!(
            problems[0].starts_with("Q4, 2 streams at a time: answered wrong"),
            "{problems:?}"
        );
        assert_eq!(problems[1], "Q6, 2 streams at a time: failed: no memory");
    }

    #[test]
    fn only_answers_count() {
        let failed = Answer {
            rows: Err(anyhow::anyhow!("no memory")),
            ..answer(5, 7)
        };
        let mut tally = Tally::default();
        tally.add(
            Duration::from_secs(2),
            &[vec![answer(0, 1), failed], vec![answer(1, 1)]],
        );
        let throughput = tally.throughput(2);
        assert_eq!((throughput.answered, throughput.queries_per_hour), (2, 3600.0));
    }
}
