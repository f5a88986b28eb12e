//! What a query of one's own did, from the coordinator's `system.queries`.

use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt64Type;

use super::client::{Error, SqlClient};

/// How long the figures of a finished query may take to gather from its workers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A mark by which a statement is found again: a comment that no other statement begins with.
#[derive(Debug, Clone)]
pub struct Tag(String);

impl Tag {
    /// A mark that was never used.
    pub fn new() -> Self {
        Self(format!("/* {} */", uuid::Uuid::new_v4()))
    }

    /// The statement with the mark.
    pub fn mark(&self, statement: &str) -> String {
        format!("{} {statement}", self.0)
    }
}

impl Default for Tag {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a query's scans read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes from replicas beside the worker.
    pub local_bytes: u64,
    /// Bytes over a socket.
    pub remote_bytes: u64,
}

impl SqlClient {
    /// The figures of a marked query that has been read to its end.
    ///
    /// # Errors
    /// The coordinator does not answer, or has no figures of that query.
    pub async fn figures(&mut self, tag: &Tag) -> Result<Figures, Error> {
        let statement = format!(
            "select local_bytes, remote_bytes from system.queries where starts_with(sql, '{}')",
            tag.0
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            for batch in self.query(&statement).await? {
                let number = |column: usize| {
                    batch
                        .column(column)
                        .as_primitive_opt::<UInt64Type>()
                        .filter(|cells| cells.is_valid(0))
                };
                if let (Some(local), Some(remote)) = (number(0), number(1)) {
                    return Ok(Figures {
                        local_bytes: local.value(0),
                        remote_bytes: remote.value(0),
                    });
                }
            }
            if Instant::now() > deadline {
                return Err(Error::Protocol(format!(
                    "no figures of the query in system.queries after {PATIENCE:?}"
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
