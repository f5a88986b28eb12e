//! `-storagepolicies`: how many blocks are where their policy wants them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::block::storage_type;
use crate::core::command::{FsckBlock, FsckEntry};
use crate::core::storage_policy::{DEFAULT_POLICY, POLICIES, Policy, UNSPECIFIED, by_id};

/// Blocks by the kinds of storage that they are on and the policy that they should follow.
#[derive(Debug, Default)]
pub(super) struct PolicyCounts {
    counts: BTreeMap<(String, &'static str, bool), u64>,
    blocks: u64,
}

impl PolicyCounts {
    /// Counts a block.
    pub(super) fn add(&mut self, file: &FsckEntry, block: &FsckBlock) {
        let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
        for replica in &block.replicas {
            *kinds.entry(storage_type(replica.storage_type)).or_default() += 1;
        }
        let policy = match file.storage_policy {
            UNSPECIFIED => by_id(DEFAULT_POLICY),
            id => by_id(id),
        };
        let Some(policy) = policy else { return };
        let satisfied = is_satisfied(policy, &kinds);
        let places: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind}:{count}")).collect();
        let mut places = places.join(",");
        // As HDFS does, what is not as it should be is called by the policy that it would be right for.
        if !satisfied && let Some(other) = POLICIES.iter().rev().find(|policy| is_satisfied(policy, &kinds)) {
            let _ = write!(places, "({})", other.name);
        }
        *self.counts.entry((places, policy.name, satisfied)).or_default() += 1;
        self.blocks += 1;
    }

    /// HDFS's tables.
    pub(super) fn text(&self) -> String {
        let (satisfied, others): (Vec<_>, Vec<_>) = self.counts.iter().partition(|((_, _, satisfied), _)| *satisfied);
        let mut text = String::from(
            "\nBlocks satisfying the specified storage policy:\nStorage Policy                  # of blocks       % of blocks\n",
        );
        for ((places, policy, _), blocks) in by_count(satisfied) {
            let name = format!("{places}({policy})");
            let _ = writeln!(text, "{name:<35}{blocks:<14}{}", self.share(*blocks));
        }
        if others.is_empty() {
            text.push_str("\nAll blocks satisfy specified storage policy.\n");
            return text;
        }
        text.push_str(
            "\nBlocks NOT satisfying the specified storage policy:\nStorage Policy                  Specified Storage Policy      \
             # of blocks       % of blocks\n",
        );
        for ((places, policy, _), blocks) in by_count(others) {
            let _ = writeln!(text, "{places:<36}{policy:<30}{blocks:<14}{}", self.share(*blocks));
        }
        text
    }

    fn share(&self, blocks: u64) -> String {
        format!("{:>8.4}%", blocks as f64 * 100.0 / self.blocks as f64)
    }
}

type Row<'a> = (&'a (String, &'static str, bool), &'a u64);

fn by_count(mut rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    rows.sort_by(|a, b| b.1.cmp(a.1));
    rows
}

/// Whether as many replicas as there are lie where the policy's first ones should.
fn is_satisfied(policy: &Policy, kinds: &BTreeMap<&'static str, usize>) -> bool {
    let mut left = kinds.clone();
    let replicas: usize = kinds.values().sum();
    (0..replicas).all(|n| match left.get_mut(policy.type_of(n).name()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    })
}
