//! Cleans up after coordinators that died, and shows that this one lives.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::error::Result;
use quarry_engine::files::FileSystem;
use tokio_util::sync::CancellationToken;

use super::Writes;
use super::clean::clean;
use super::journal::{ALIVE, intents_in};
use crate::error::Error;

/// Between signs of life.
const BEAT: Duration = Duration::from_secs(3);
/// A coordinator without a sign of life for so long, on the file system's clock, is dead.
const DEAD_AFTER: TimeDelta = TimeDelta::seconds(20);

/// Gives signs of life and sweeps, until `stop`.
pub(crate) async fn run(writes: Arc<Writes>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let round = async {
            let journal = &writes.journal;
            // Nobody has written yet: there is nothing to find, and no directory is made to say so.
            if journal.files().entries(journal.all()).await?.is_none() {
                return Ok(());
            }
            journal.beat().await?;
            sweep(&writes).await
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "cannot look for remains of dead coordinators; trying again");
        }
    }
}

/// Carries out the intents of dead coordinators.
pub(crate) async fn sweep(writes: &Writes) -> Result<(), Error> {
    let (files, all) = (writes.journal.files(), writes.journal.all());
    let own = format!("{all}/{}", writes.journal.owner());
    let Some(now) = last_sign(files.as_ref(), &own).await? else {
        return Ok(());
    };
    for entry in files.entries(all).await?.into_iter().flatten() {
        let directory = format!("{all}/{}", entry.name);
        if !entry.is_directory || directory == own {
            continue;
        }
        let sign = last_sign(files.as_ref(), &directory).await?.unwrap_or(entry.modified);
        if now - sign >= DEAD_AFTER {
            clean_up_after(writes, &directory).await?;
        }
    }
    Ok(())
}

async fn last_sign(files: &dyn FileSystem, directory: &str) -> Result<Option<DateTime<Utc>>> {
    let entries = files.entries(directory).await?;
    let alive = entries.into_iter().flatten().find(|entry| entry.name == ALIVE);
    Ok(alive.map(|entry| entry.modified))
}

async fn clean_up_after(writes: &Writes, directory: &str) -> Result<(), Error> {
    let files = writes.journal.files();
    for (path, intent) in intents_in(files.as_ref(), directory).await? {
        clean(&intent, &writes.files, &writes.catalog, true).await?;
        files.delete(&path).await?;
        tracing::info!(
            statement = intent.statement,
            "removed what a statement of a dead coordinator left"
        );
    }
    files.delete(directory).await?;
    Ok(())
}
