//! The race: each query on all engines in turn, once to warm up and then for the clock. Every answer of every run is
//! compared, so that no engine gains by a wrong one.

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use quarry::demo::compare;
use quarry::sql::SqlClient;
use quarry::tpch::{self, Query};
use quarry_benches::limit::in_time;
use quarry_benches::peer::Peer;
use quarry_benches::samples::Samples;

use crate::foreign::Foreign;
use crate::report::{Line, Plain, Trouble};

/// The engines, ready to run.
pub(crate) struct Race {
    /// A session of the cluster, in the benchmark's schema.
    pub(crate) quarry: SqlClient,
    /// Plain DataFusion, once for each number of partitions; the first gives the right answer.
    pub(crate) peers: Vec<Peer>,
    /// Engines by others that take part.
    pub(crate) foreign: Vec<Foreign>,
    /// Scale factor of the data.
    pub(crate) scale: f64,
    /// Timed runs.
    pub(crate) runs: u32,
}

/// An engine's answer to one run.
struct Answer {
    ms: f64,
    batches: Vec<RecordBatch>,
    local_bytes: u64,
    remote_bytes: u64,
}

impl Race {
    /// Runs a query on all engines; what goes wrong is told in the line.
    pub(crate) async fn query(&mut self, query: &Query) -> Line {
        let mut line = Line::new(
            query.id,
            self.peers.iter().map(Peer::partitions),
            self.foreign.iter().map(Foreign::name),
        );
        let mut right = None;
        for run in 0..=self.runs {
            if let Err(problem) = self.round(query, run, &mut right, &mut line).await {
                line.problem = Some(format!("{problem:#}"));
                break;
            }
        }
        line
    }

    /// One run on each engine. Another one begins each time, so that none always follows the same one.
    async fn round(
        &mut self,
        query: &Query,
        run: u32,
        right: &mut Option<Vec<RecordBatch>>,
        line: &mut Line,
    ) -> anyhow::Result<()> {
        let engines = self.peers.len() + 1;
        let mut answers = Vec::with_capacity(engines);
        for place in 0..engines {
            let engine = (place + run as usize) % engines;
            answers.push((engine, self.answer(query, engine).await?));
        }
        answers.sort_by_key(|(engine, _)| *engine);
        let right = right.get_or_insert_with(|| answers[1].1.batches.clone());
        for (engine, answer) in &answers {
            if let Some(difference) = compare(right, &answer.batches, query.order_by)? {
                bail!("{} answered wrong in run {run}: {difference}", self.name(*engine));
            }
        }
        let rows = right.iter().map(RecordBatch::num_rows).sum();
        self.foreign_round(query, run, rows, line).await;
        if run > 0 {
            answers
                .iter()
                .for_each(|(engine, answer)| record(line, *engine, answer));
        }
        Ok(())
    }

    /// One run on each engine by others. One that had trouble with this query is not asked again.
    async fn foreign_round(&mut self, query: &Query, run: u32, expected: usize, line: &mut Line) {
        let sql = query.sql(self.scale);
        let pairs = self.foreign.iter_mut().zip(&mut line.foreign);
        for (engine, runs) in pairs.filter(|(_, runs)| runs.trouble.is_none()) {
            match engine.run(&sql).await {
                Err(error) => runs.trouble = Some(Trouble::Failed(format!("{error:#}"))),
                Ok(answer) if answer.rows != expected => {
                    let rows = answer.rows;
                    runs.trouble = Some(Trouble::Different { rows, expected });
                }
                Ok(answer) if run > 0 => runs.ms.add(answer.ms),
                Ok(_) => {}
            }
        }
    }

    /// Runs a query on Quarry (engine 0) or on a peer (from 1).
    async fn answer(&mut self, query: &Query, engine: usize) -> anyhow::Result<Answer> {
        let name = self.name(engine);
        let answer = in_time(Box::pin(self.answer_without_limit(query, engine))).await;
        answer.with_context(|| format!("{name} failed"))
    }

    async fn answer_without_limit(&mut self, query: &Query, engine: usize) -> anyhow::Result<Answer> {
        if engine == 0 {
            let measured = tpch::measure(&mut self.quarry, query, self.scale).await?;
            return Ok(Answer {
                ms: measured.ms,
                batches: measured.batches,
                local_bytes: measured.local_bytes,
                remote_bytes: measured.remote_bytes,
            });
        }
        let (ms, batches) = self.peers[engine - 1].run(query.sql(self.scale)).await?;
        Ok(Answer {
            ms,
            batches,
            local_bytes: 0,
            remote_bytes: 0,
        })
    }

    fn name(&self, engine: usize) -> String {
        match engine {
            0 => "Quarry".to_owned(),
            peer => format!("DataFusion with {} partitions", self.peers[peer - 1].partitions()),
        }
    }
}

fn record(line: &mut Line, engine: usize, answer: &Answer) {
    let samples: &mut Samples = match engine {
        0 => {
            line.rows = answer.batches.iter().map(RecordBatch::num_rows).sum();
            (line.local_bytes, line.remote_bytes) = (answer.local_bytes, answer.remote_bytes);
            &mut line.quarry_ms
        }
        peer => {
            let Plain { ms, .. } = &mut line.plain[peer - 1];
            ms
        }
    };
    samples.add(answer.ms);
}
