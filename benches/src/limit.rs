//! The longest that one run of one query may take.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

/// Far more than any run should take, so that a hang ends with a name.
pub const LONGEST_RUN: Duration = Duration::from_secs(600);

/// What `run` gives, if it ends within [`LONGEST_RUN`].
///
/// # Errors
/// It failed, or did not end.
///
/// # Cancel safety
/// That of `run`.
pub async fn in_time<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let answer = timeout(LONGEST_RUN, run).await;
    answer.with_context(|| format!("no answer within {LONGEST_RUN:?}"))?
}
