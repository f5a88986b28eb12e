//! Attempts as text: where stages run, and what their scans read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytesize::ByteSize;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::DistributedLeafExec;
use quarry_engine::figures::{QueryFigures, ScanFigures, StageFigures};
use quarry_engine::formats::Pruning;
use quarry_engine::formats::reading::file_scan;

use crate::planning::splits::{scan_files, scan_name};

/// How the coordinator is named among workers.
pub(super) const COORDINATOR: &str = "coordinator";

/// The workers of each stage.
pub(super) fn stages_text(stages: &[StageFigures]) -> String {
    let mut text = String::new();
    for stage in stages {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "stage {}: {} on {}",
            stage.stage,
            tasks(stage.workers.len()),
            workers(stage)
        );
    }
    text
}

fn workers(stage: &StageFigures) -> String {
    let mut by_worker: BTreeMap<&str, usize> = BTreeMap::new();
    for worker in &stage.workers {
        *by_worker.entry(worker).or_default() += 1;
    }
    let count = |(worker, count): (&str, usize)| match count {
        1 => worker.to_owned(),
        count => format!("{worker} ({count} tasks)"),
    };
    by_worker.into_iter().map(count).collect::<Vec<_>>().join(", ")
}

fn tasks(count: usize) -> String {
    if count == 1 {
        "1 task".to_owned()
    } else {
        format!("{count} tasks")
    }
}

/// How many partitions the scans of a plan read and leave out.
pub(super) fn partitions_text(plan: &Arc<dyn ExecutionPlan>) -> String {
    let mut text = String::new();
    // The visitor never fails: it only looks.
    let _ = plan.apply(|node| {
        if let Some(scan) = scan_of(node)
            && let Some(pruning) = scan_files(scan).find_map(|file| file.extension::<Pruning>())
        {
            let (name, total) = (scan_name(scan), pruning.read + pruning.pruned);
            let _ = writeln!(
                text,
                "partitions of {name}: {} of {total} read, {} pruned; {} splits",
                pruning.read,
                pruning.pruned,
                scan_files(scan).count()
            );
        }
        Ok(TreeNodeRecursion::Continue)
    });
    text
}

/// The scan that a node is, also if it has been cut into one for each task.
fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let leaf = node.downcast_ref::<DistributedLeafExec>();
    file_scan(leaf.map_or(node, DistributedLeafExec::original))
}

/// What the scans read and how much of it was local.
pub(super) fn figures_text(figures: &QueryFigures) -> String {
    let mut text = String::new();
    for scan in &figures.scans {
        text.push_str(&scan_text(scan));
    }
    let share = percent(figures.local_share());
    let read = ByteSize(figures.local_bytes() + figures.remote_bytes());
    let _ = writeln!(
        text,
        "total: {} rows, {:.1} ms, {read} read, local share {share}",
        figures.rows,
        figures.elapsed.as_secs_f64() * 1000.0
    );
    if !figures.complete {
        text.push_str("(figures of some tasks did not arrive: the sums are too small)\n");
    }
    text
}

fn scan_text(scan: &ScanFigures) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "scan {}: {}, {} rows, {} local, {} remote, local share {}",
        scan.table,
        tasks(scan.tasks.len()),
        scan.rows,
        ByteSize(scan.local_bytes),
        ByteSize(scan.remote_bytes),
        percent(scan.local_share()),
    );
    for task in &scan.tasks {
        let _ = writeln!(
            text,
            "  {}: {} splits, {} rows, {} local, {} remote",
            task.worker,
            task.splits,
            task.rows,
            ByteSize(task.local_bytes),
            ByteSize(task.remote_bytes),
        );
    }
    text
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use quarry_engine::figures::ScanTaskFigures;

    use super::*;

    #[test]
    fn a_stage_names_its_workers() {
        let stages = [
            StageFigures {
                stage: 1,
                workers: vec!["a:1".into(), "b:2".into()],
            },
            StageFigures {
                stage: 2,
                workers: vec!["a:1".into(), "a:1".into()],
            },
            StageFigures {
                stage: 3,
                workers: vec!["b:2".into()],
            },
        ];
        let text = stages_text(&stages);
        assert_eq!(
            text,
            "stage 1: 2 tasks on a:1, b:2\nstage 2: 2 tasks on a:1 (2 tasks)\nstage 3: 1 task on b:2\n"
        );
    }

    #[test]
    fn a_scan_says_what_was_local() {
        let task = ScanTaskFigures {
            worker: "a:1".into(),
            splits: 2,
            rows: 7,
            local_bytes: 3072,
            remote_bytes: 1024,
        };
        let scan = ScanFigures {
            table: "/t".into(),
            rows: 7,
            local_bytes: 3072,
            remote_bytes: 1024,
            tasks: vec![task],
            ..ScanFigures::default()
        };
        let figures = QueryFigures {
            scans: vec![scan],
            complete: false,
            ..QueryFigures::default()
        };
        let text = figures_text(&figures);
        assert!(text.contains("scan /t: 1 task, 7 rows"), "{text}");
        assert!(text.contains("local share 75.0 %"), "{text}");
        assert!(text.contains("did not arrive"), "{text}");
    }
}
