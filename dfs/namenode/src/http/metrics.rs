//! `GET /metrics`: figures for Prometheus, in its text format.

use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr};

use hyper::{Response, StatusCode};

use super::out::Body;
use super::{Shared, response};
use crate::admin::caller;
use crate::core::command::{ClusterStatus, DataNodeStatus};
use crate::core::datanodes::Liveness;

/// Answers `/metrics`.
pub(super) async fn serve(shared: &Shared) -> Response<Body> {
    let nobody = caller("", IpAddr::V4(Ipv4Addr::LOCALHOST));
    match shared.admin.report(nobody).await {
        Ok(status) => response(StatusCode::OK, "text/plain; version=0.0.4", Body::of(text(&status))),
        Err(problem) => super::text(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
    }
}

/// Writes metrics one after the other.
#[derive(Default)]
struct Text(String);

impl Text {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn labelled<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        self.begin(name, kind, help);
        for (of, value) in values {
            let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}

fn text(status: &ClusterStatus) -> String {
    let (stats, mut text) = (&status.stats, Text::default());
    text.single(
        "quarry_dfs_capacity_bytes",
        "Bytes on the volumes of live DataNodes.",
        stats.capacity,
    );
    text.single("quarry_dfs_used_bytes", "Bytes used by blocks.", stats.used);
    text.single(
        "quarry_dfs_non_dfs_used_bytes",
        "Bytes used by anything else.",
        status.non_dfs_used,
    );
    text.single("quarry_dfs_remaining_bytes", "Bytes left.", stats.remaining);
    text.single("quarry_dfs_inodes", "Files and directories.", status.inodes);
    text.single("quarry_dfs_open_files", "Files being written.", status.open_files);
    let blocks = [
        ("all", status.blocks),
        ("under_replicated", stats.under_replicated),
        ("highest_priority", stats.highest_priority),
        ("badly_distributed", stats.badly_distributed),
        ("corrupt", stats.corrupt),
        ("missing", stats.missing),
        ("missing_replication_one", stats.missing_one),
        ("pending_copy", stats.pending_copies),
        ("pending_deletion", stats.pending_deletion),
    ];
    let blocks = blocks.map(|(state, count)| (state.to_owned(), count));
    text.labelled("quarry_dfs_blocks", "Blocks by what they are or need.", "state", blocks);
    let states = ["live", "stale", "lost", "dead"];
    let nodes = states.map(|state| {
        let count = status.nodes.iter().filter(|node| liveness(node) == state).count();
        (state.to_owned(), count)
    });
    text.labelled("quarry_dfs_datanodes", "DataNodes by liveness.", "state", nodes);
    let safe_mode = u8::from(status.safe_mode.is_some());
    text.single("quarry_dfs_safe_mode", "1 while nothing can be changed.", safe_mode);
    text.begin(
        "quarry_dfs_transactions_total",
        "counter",
        "Transactions of the edit log.",
    );
    let _ = writeln!(text.0, "quarry_dfs_transactions_total {}", status.last_txid);
    let uptime = status.uptime_ms as f64 / 1000.0;
    text.single("quarry_dfs_uptime_seconds", "Time since the NameNode started.", uptime);
    each_datanode(&mut text, &status.nodes);
    text.0
}

fn liveness(node: &DataNodeStatus) -> &'static str {
    match node.liveness {
        Liveness::Live(_) if node.stale => "stale",
        Liveness::Live(_) => "live",
        Liveness::Lost { .. } => "lost",
        Liveness::Dead => "dead",
    }
}

/// One figure of a DataNode: its name, what it means, where it comes from.
type Figure = (&'static str, &'static str, fn(&DataNodeStatus) -> u64);

fn each_datanode(text: &mut Text, nodes: &[DataNodeStatus]) {
    const FIGURES: [Figure; 7] = [
        ("quarry_datanode_capacity_bytes", "Bytes on its volumes.", |node| {
            node.capacity
        }),
        ("quarry_datanode_used_bytes", "Bytes used by blocks.", |node| node.used),
        ("quarry_datanode_remaining_bytes", "Bytes left.", |node| node.remaining),
        ("quarry_datanode_blocks", "Good replicas.", |node| node.blocks),
        ("quarry_datanode_transfers", "Transfers under way.", |node| {
            node.active_transfers.into()
        }),
        ("quarry_datanode_failed_volumes", "Volumes that failed.", |node| {
            node.health.failed_volumes.into()
        }),
        (
            "quarry_datanode_corrupt_replicas_total",
            "Corrupt replicas that its scanners found.",
            |node| node.health.corrupt_found,
        ),
    ];
    for (name, help, figure) in FIGURES {
        let values = nodes.iter().map(|node| {
            let address = format!("{}:{}", node.node.ip, node.node.xfer_port);
            (address, figure(node))
        });
        text.labelled(name, help, "datanode", values);
    }
}
