//! Ours: the replicas that were found to be damaged, each by name, whether repaired since or not.
//!
//! Repair begins when damage is found and is often over before anybody looks, so that a list of what is damaged now would show nothing of
//! it. HDFS's text has no place for this; it stands behind the summary, and only where there is something to name.

use std::fmt::Write;

use serde::Serialize;

use super::super::clock::date;
use crate::core::command::CorruptReplica;

/// Replicas repaired longer ago are not told any more.
const RECENT_MS: u64 = 24 * 60 * 60 * 1000;

/// A damaged replica, for JSON.
#[derive(Debug, Serialize)]
pub(super) struct Damaged {
    path: String,
    block: String,
    datanode: String,
    storage: String,
    found_unix_ms: u64,
    repaired: bool,
    repaired_unix_ms: Option<u64>,
}

/// What is told of `history`: what is still damaged, and what was found lately.
pub(super) fn recent(history: Vec<CorruptReplica>, now_unix_ms: u64) -> Vec<Damaged> {
    let lately = |replica: &CorruptReplica| replica.is_known || now_unix_ms < replica.found_unix_ms + RECENT_MS;
    let told = history.into_iter().filter(lately).map(|replica| Damaged {
        path: replica.path,
        block: replica.block.to_string(),
        datanode: replica.node,
        storage: replica.storage_id,
        found_unix_ms: replica.found_unix_ms,
        repaired: !replica.is_known,
        repaired_unix_ms: replica.gone_unix_ms,
    });
    told.collect()
}

/// The list as text; empty for none. `unanswered` are DataNodes that did not end their verification in time.
pub(super) fn text(damaged: &[Damaged], unanswered: &[String]) -> String {
    let mut text = String::new();
    if !damaged.is_empty() {
        let repaired = damaged.iter().filter(|replica| replica.repaired).count();
        let _ = writeln!(
            text,
            "\nDamaged replicas found (now or in the last 24 hours):\t{} ({repaired} repaired since)",
            damaged.len()
        );
    }
    for replica in damaged {
        let fate = match (replica.repaired, replica.repaired_unix_ms) {
            (false, _) => "not repaired yet".to_owned(),
            (true, Some(at)) => format!("repaired {}", date(at)),
            (true, None) => "gone".to_owned(),
        };
        let _ = writeln!(
            text,
            " {}: {} on {} ({}) CORRUPT, found {}, {fate}",
            replica.path,
            replica.block,
            replica.datanode,
            replica.storage,
            date(replica.found_unix_ms)
        );
    }
    if !unanswered.is_empty() {
        let _ = writeln!(
            text,
            "\nNot all replicas were verified, these DataNodes are still at it: {}",
            unanswered.join(", ")
        );
    }
    text
}
