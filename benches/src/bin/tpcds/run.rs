//! The race: each text on both engines in turn, once to warm up and then for the clock. Every answer of every run is compared.

use std::time::Instant;

use anyhow::Result;
use arrow::array::RecordBatch;
use quarry::sql::{SqlClient, Tag};
use quarry_benches::limit::in_time;
use quarry_benches::peer::Peer;
use quarry_benches::samples::milliseconds;

use crate::answers::{Shape, Verdict};
use crate::report::{Line, Outcome};
use crate::texts::Text;

/// The engines, ready to run.
pub(crate) struct Race {
    /// A session of the cluster, in the benchmark's schema.
    pub(crate) quarry: SqlClient,
    /// Plain DataFusion, which gives the right answer.
    pub(crate) peer: Peer,
    /// Timed runs.
    pub(crate) runs: u32,
}

/// Quarry's answer to one run.
struct Measured {
    ms: f64,
    batches: Vec<RecordBatch>,
    local_bytes: u64,
    remote_bytes: u64,
}

impl Race {
    /// Runs a text on both engines; what goes wrong is told in the line.
    pub(crate) async fn text(&mut self, text: &Text) -> Line {
        let mut line = Line::new(&text.name);
        for run in 0..=self.runs {
            match self.round(text, run, &mut line).await {
                Ok(Verdict::Same) => {}
                Ok(Verdict::SameUpToTies) => line.outcome = Outcome::SameUpToTies,
                Ok(Verdict::Different(difference)) => {
                    line.outcome = Outcome::Different(difference);
                    break;
                }
                Err(failed) => {
                    line.outcome = failed;
                    break;
                }
            }
        }
        line
    }

    /// One run on each engine; another one begins each time.
    async fn round(&mut self, text: &Text, run: u32, line: &mut Line) -> Result<Verdict, Outcome> {
        let plain_first = run.is_multiple_of(2);
        let early = if plain_first {
            Some(self.plain(text).await?)
        } else {
            None
        };
        let quarry = self.measure(text).await?;
        let (plain_ms, expected) = match early {
            Some(plain) => plain,
            None => self.plain(text).await?,
        };
        if run > 0 {
            line.quarry_ms.add(quarry.ms);
            line.plain_ms.add(plain_ms);
        }
        line.rows = expected.iter().map(RecordBatch::num_rows).sum();
        (line.local_bytes, line.remote_bytes) = (quarry.local_bytes, quarry.remote_bytes);
        let judged = async {
            let shape = Shape::of(self.peer.plan(&text.sql).await?);
            shape.judge(&self.peer, &expected, &quarry.batches).await
        };
        judged.await.map_err(|error| Outcome::PlainFailed(format!("{error:#}")))
    }

    async fn plain(&self, text: &Text) -> Result<(f64, Vec<RecordBatch>), Outcome> {
        let answer = in_time(self.peer.run(text.sql.clone())).await;
        answer.map_err(|error| Outcome::PlainFailed(format!("{error:#}")))
    }

    async fn measure(&mut self, text: &Text) -> Result<Measured, Outcome> {
        let answer = in_time(Box::pin(measure(&mut self.quarry, &text.sql))).await;
        answer.map_err(|error| Outcome::QuarryFailed(format!("{error:#}")))
    }
}

async fn measure(quarry: &mut SqlClient, sql: &str) -> Result<Measured> {
    let tag = Tag::new();
    let statement = tag.mark(sql);
    let begin = Instant::now();
    let batches = quarry.execute(&statement).await?.collect().await?;
    let ms = milliseconds(begin.elapsed());
    let figures = quarry.figures(&tag).await?;
    Ok(Measured {
        ms,
        batches,
        local_bytes: figures.local_bytes,
        remote_bytes: figures.remote_bytes,
    })
}
