//! How far the block scanner got on a volume, kept over restarts: `BP-../scanner.cursor`, lines of `key=value`.
//!
//! The file is replaced as a whole but not fsynced: a lost one costs a repeated round and nothing else.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quarry_dfs_wire::block::BlockId;

use crate::error::{DiskContext, Result};

/// The place in a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// All replicas with ids up to this one have been verified in this round.
    pub(crate) last: BlockId,
    /// When the round began, milliseconds since the epoch.
    pub(crate) began_unix_ms: u64,
    /// Whether the round is over, and the next waits for its time.
    pub(crate) done: bool,
}

impl Cursor {
    /// Reads the file; one that is absent or makes no sense begins a new round.
    pub(crate) fn load(path: &Path) -> Self {
        match fs::read_to_string(path) {
            Ok(text) => parse(&text).unwrap_or_default(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "scanner begins a new round");
                }
                Self::default()
            }
        }
    }

    /// Writes the file.
    pub(crate) fn store(&self, path: &Path) -> Result<()> {
        let text = format!("last={}\nbegan={}\ndone={}\n", self.last, self.began_unix_ms, self.done);
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, text).disk("write", &temporary)?;
        fs::rename(&temporary, path).disk("rename into place", path)
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Some(Cursor {
        last: BlockId(value("last")?.parse().ok()?),
        began_unix_ms: value("began")?.parse().ok()?,
        done: value("done")?.parse().ok()?,
    })
}

/// Milliseconds since the epoch.
pub(crate) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cursor_reads_back_and_nonsense_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scanner.cursor");
        assert_eq!(Cursor::load(&path), Cursor::default());
        let cursor = Cursor {
            last: BlockId(1_073_741_830),
            began_unix_ms: 1_763_877_600_000,
            done: true,
        };
        cursor.store(&path).unwrap();
        assert_eq!(Cursor::load(&path), cursor);
        for nonsense in ["", "last=x\nbegan=1\ndone=true\n", "last=1\nbegan=1\n", "\0\0\0"] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(Cursor::load(&path), Cursor::default(), "{nonsense:?}");
        }
    }
}
