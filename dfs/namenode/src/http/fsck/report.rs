//! Files and directories, one after the other, as HDFS's lines; and their sums. No I/O.

use std::fmt::Write;

use super::block::{Counts, misplacement, replicas_text};
use super::options::Options;
use super::policies::PolicyCounts;
use super::totals::{ClusterFacts, Totals};
use crate::core::command::{FsckBlock, FsckEntry};

/// Files between two dots where files are not shown.
const DOT_EVERY: u64 = 100;
/// Files between two ends of line.
const LINE_EVERY: u64 = 10_000;

/// A check under way.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) options: Options,
    pub(super) cluster: ClusterFacts,
    pub(super) totals: Totals,
    pub(super) policies: PolicyCounts,
    pool: String,
}

/// Findings about one file.
#[derive(Debug, Default)]
struct Findings {
    under: u64,
    misplaced: u64,
    missing: u64,
    missing_bytes: u64,
    corrupt: u64,
    corrupt_bytes: u64,
    /// Its blocks, for `-blocks`.
    report: String,
}

impl Report {
    pub(super) fn new(options: Options, cluster: ClusterFacts, pool: String) -> Self {
        Self {
            options,
            cluster,
            totals: Totals::default(),
            policies: PolicyCounts::default(),
            pool,
        }
    }

    /// A directory's line.
    pub(super) fn directory(&mut self, path: &str, out: &mut String) {
        self.totals.directories += 1;
        if self.options.files {
            let _ = writeln!(out, "{path} <dir>");
        }
    }

    /// A file's lines; whether it lacks bytes for good.
    pub(super) fn file(&mut self, file: &FsckEntry, out: &mut String) -> bool {
        if file.open && !self.options.open_for_write {
            self.totals.open_files += 1;
            self.totals.open_bytes += file.length;
            self.totals.open_blocks += file.blocks.len() as u64;
            return false;
        }
        self.totals.files += 1;
        self.totals.bytes += file.length;
        self.totals.blocks += file.blocks.len() as u64;
        self.head(file, out);
        let mut found = Findings::default();
        for (index, block) in file.blocks.iter().enumerate() {
            if block.committed {
                self.block(file, index, block, &mut found, out);
            } else {
                self.unfinished(index, block, &mut found);
            }
        }
        self.end(file, &found, out);
        found.missing + found.corrupt > 0
    }

    fn head(&self, file: &FsckEntry, out: &mut String) {
        let open = if file.open { ", OPENFORWRITE" } else { "" };
        if self.options.files || (file.open && self.options.open_for_write) {
            let _ = write!(
                out,
                "{} {} bytes, replicated: replication={}, {} block(s){open}: ",
                file.path,
                file.length,
                file.replication,
                file.blocks.len()
            );
        } else if self.totals.files.is_multiple_of(DOT_EVERY) {
            out.push('.');
        }
        if self.totals.files.is_multiple_of(LINE_EVERY) {
            out.push('\n');
        }
    }

    fn block(&mut self, file: &FsckEntry, index: usize, block: &FsckBlock, found: &mut Findings, out: &mut String) {
        let counts = Counts::of(block);
        let bytes = block.block.length;
        self.count(file, &counts);
        if counts.is_corrupt() {
            (found.corrupt, found.corrupt_bytes) = (found.corrupt + 1, found.corrupt_bytes + bytes);
            let _ = writeln!(
                out,
                "\n{}: CORRUPT blockpool {} block blk_{}",
                file.path, self.pool, block.block.id
            );
        }
        if counts.live < u64::from(file.replication) && counts.all() > 0 {
            found.under += 1;
            self.under_replicated(file, block, &counts, out);
        }
        if let Some(why) = misplacement(block, file.replication, self.cluster.racks) {
            self.misplaced(file, block, &why, found, out);
        }
        if self.options.storage_policies {
            self.policies.add(file, block);
        }
        let missing = counts.is_missing();
        if missing {
            (found.missing, found.missing_bytes) = (found.missing + 1, found.missing_bytes + bytes);
        }
        let _ = write!(found.report, "{index}. {} len={bytes}", self.name(block));
        if missing {
            found.report.push_str(" MISSING!");
        } else {
            let _ = write!(found.report, " Live_repl={}", counts.live);
            if self.options.names_replicas() {
                let _ = write!(found.report, "  {}", replicas_text(block, &self.options));
            }
        }
        found.report.push('\n');
    }

    fn count(&mut self, file: &FsckEntry, counts: &Counts) {
        let (totals, wanted) = (&mut self.totals, u64::from(file.replication));
        totals.replicas += counts.all();
        totals.expected_replicas += wanted;
        totals.decommissioned_replicas += counts.decommissioned;
        totals.decommissioning_replicas += counts.decommissioning;
        totals.entering_maintenance_replicas += counts.entering_maintenance;
        totals.in_maintenance_replicas += counts.in_maintenance;
        totals.over_replicated += u64::from(counts.live > wanted);
        let enough = counts.all() >= self.cluster.min_replication;
        totals.minimally_replicated += u64::from(enough);
        totals.under_minimum += u64::from(!enough);
        if counts.live < wanted && counts.all() > 0 {
            totals.under_replicated += 1;
            totals.missing_replicas += wanted - counts.live;
        }
    }

    fn under_replicated(&self, file: &FsckEntry, block: &FsckBlock, counts: &Counts, out: &mut String) {
        if !self.options.files {
            let _ = write!(out, "\n{}: ", file.path);
        }
        let _ = write!(
            out,
            " Under replicated {}. Target Replicas is {} but found {} live replica(s), {} decommissioned replica(s), {} \
             decommissioning replica(s)",
            self.name(block),
            file.replication,
            counts.live,
            counts.decommissioned,
            counts.decommissioning
        );
        if self.options.maintenance {
            let (entering, inside) = (counts.entering_maintenance, counts.in_maintenance);
            let _ = write!(
                out,
                "{entering}, entering maintenance replica(s) and {inside} in maintenance replica(s)"
            );
        }
        out.push_str(".\n");
    }

    fn misplaced(&mut self, file: &FsckEntry, block: &FsckBlock, why: &str, found: &mut Findings, out: &mut String) {
        found.misplaced += 1;
        self.totals.mis_replicated += 1;
        self.totals.queued_blocks += u64::from(self.options.replicate && block.is_queued);
        if !self.options.files {
            if found.under == 0 {
                out.push('\n');
            }
            let _ = write!(out, "{}: ", file.path);
        }
        let name = self.name(block);
        let _ = writeln!(out, " Replica placement policy is violated for {name}. {why}");
    }

    fn unfinished(&self, index: usize, block: &FsckBlock, found: &mut Findings) {
        let name = self.name(block);
        let _ = write!(
            found.report,
            "\nUnder Construction Block:\n{index}. {name} len={} Expected_repl={}",
            block.block.length,
            block.replicas.len()
        );
        if self.options.names_replicas() {
            let _ = write!(found.report, "  {}", replicas_text(block, &self.options));
        }
    }

    fn end(&mut self, file: &FsckEntry, found: &Findings, out: &mut String) {
        let totals = &mut self.totals;
        totals.missing_blocks += found.missing;
        totals.missing_bytes += found.missing_bytes;
        totals.corrupt_blocks += found.corrupt;
        totals.corrupt_bytes += found.corrupt_bytes;
        let lacking = [
            ("MISSING", found.missing, found.missing_bytes),
            ("CORRUPT", found.corrupt, found.corrupt_bytes),
        ];
        let lacking = lacking.into_iter().filter(|(_, blocks, _)| *blocks > 0);
        totals.corrupt_files += u64::from(found.missing + found.corrupt > 0);
        if !self.options.files {
            for (what, blocks, bytes) in lacking {
                let _ = write!(out, "\n{}: {what} {blocks} blocks of total size {bytes} B.", file.path);
            }
            return;
        }
        for (what, blocks, bytes) in lacking {
            let _ = writeln!(out, " {what} {blocks} blocks of total size {bytes} B");
        }
        if found.missing + found.corrupt + found.under + found.misplaced == 0 {
            out.push_str(" OK\n");
        }
        if self.options.blocks {
            let _ = writeln!(out, "{}", found.report);
        }
    }

    fn name(&self, block: &FsckBlock) -> String {
        format!("{}:{}", self.pool, block.block)
    }
}
