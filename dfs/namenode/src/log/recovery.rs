//! From the files to the state: newest readable image, then every later transaction.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::checkpoint;
use super::segment::{self, SegmentFile, Tail};
use crate::core::state::State;
use crate::error::{Error, Result, io_at};

/// The state and how it was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// Transactions replayed on top of the image.
    pub(crate) replayed: u64,
}

/// Whether a directory holds neither image nor log: it is new, or its formatting was interrupted.
pub(crate) fn is_empty(dir: &Path) -> Result<bool> {
    Ok(checkpoint::list(dir)?.is_empty() && segment::list(dir)?.is_empty())
}

/// Loads a directory's state and makes the log ready to be continued: an unfinished tail is cut off, since no answer depended on it.
///
/// # Errors
/// `Corrupt` or `Replay` for damage; nothing is changed then.
pub(crate) fn load(dir: &Path) -> Result<Recovered> {
    let (state, segments) = base(dir)?;
    let image_txid = state.last_txid;
    let mut state = state;
    for (n, found) in segments.iter().enumerate() {
        let is_last = n + 1 == segments.len();
        let tail = replay(&mut state, found, is_last)?;
        if let Tail::Torn(offset) = tail {
            cut(found, offset)?;
        }
    }
    remove_empty(&segments, state.last_txid)?;
    Ok(Recovered {
        replayed: state.last_txid - image_txid,
        state,
    })
}

/// Loads the state before `first_open_txid`, whose segment is being written.
pub(crate) fn load_closed(dir: &Path, first_open_txid: u64) -> Result<State> {
    let (mut state, segments) = base(dir)?;
    for found in segments.iter().filter(|segment| segment.first_txid < first_open_txid) {
        replay(&mut state, found, false)?;
    }
    Ok(state)
}

/// The newest readable image and the segments that may hold later transactions.
fn base(dir: &Path) -> Result<(State, Vec<SegmentFile>)> {
    let missing = || Error::Foreign {
        dir: dir.to_owned(),
        problem: "it has an edit log but no image".to_owned(),
    };
    let state = newest_image(dir)?.ok_or_else(missing)?;
    let mut segments = segment::list(dir)?;
    // The last segment that begins at or before the next transaction holds it.
    let from = segments
        .partition_point(|segment| segment.first_txid <= state.last_txid + 1)
        .saturating_sub(1);
    segments.drain(..from);
    Ok((state, segments))
}

fn newest_image(dir: &Path) -> Result<Option<State>> {
    let mut problem = None;
    for (txid, path) in checkpoint::list(dir)?.into_iter().rev() {
        match checkpoint::read(&path, txid) {
            Ok(state) => return Ok(Some(state)),
            Err(error) => {
                tracing::error!(%error, "an image is not readable: trying an older one");
                problem.get_or_insert(error);
            }
        }
    }
    problem.map_or(Ok(None), Err)
}

fn replay(state: &mut State, found: &SegmentFile, is_last: bool) -> Result<Tail> {
    segment::read(found, is_last, |record| {
        if record.txid <= state.last_txid {
            return Ok(());
        }
        state.replay(&record).map_err(|source| Error::Replay {
            file: found.path.clone(),
            source,
        })
    })
}

fn cut(found: &SegmentFile, offset: u64) -> Result<()> {
    tracing::info!(file = %found.path.display(), offset, "cutting off what a crash left unfinished");
    let file = OpenOptions::new()
        .write(true)
        .open(&found.path)
        .map_err(io_at("open", &found.path))?;
    file.set_len(offset)
        .and_then(|()| file.sync_all())
        .map_err(io_at("cut", &found.path))
}

/// Removes a last segment without transactions: the next one takes its name.
fn remove_empty(segments: &[SegmentFile], last_txid: u64) -> Result<()> {
    match segments.last() {
        Some(last) if last.first_txid == last_txid + 1 => {
            fs::remove_file(&last.path).map_err(io_at("remove", &last.path))
        }
        _ => Ok(()),
    }
}
