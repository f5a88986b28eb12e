//! Where new replicas go. Pure choice: nothing is reserved here.
//!
//! 1. Nodes that the writer asks for by name; else its own node, if it is a DataNode and has room, else one on its rack.
//! 2. A node on another rack.
//! 3. Another node on the second one's rack; every further one anywhere but where a rack has too many.
//!
//! Nodes that leave or are in maintenance are never chosen, silent ones only when no others are left.
//!
//! Within a step two candidates are drawn at random and the better one (less busy, then emptier) is taken: that spreads load
//! without herding everybody to the emptiest node. A rule that no node satisfies is relaxed, never the distinctness of nodes.

use super::datanodes::{DataNodes, NodeIx};
use super::replicas::StorageIx;
use super::rng::Rng;

/// What a choice must respect.
#[derive(Debug, Clone)]
pub struct PlacementRequest<'a> {
    /// Number of further replicas wanted.
    pub count: usize,
    /// Bytes that each target must have room for.
    pub block_size: u64,
    /// Address of the writer; its own node comes first when `existing` is empty.
    pub writer_ip: Option<&'a str>,
    /// Nodes that hold the block already, in pipeline order.
    pub existing: &'a [NodeIx],
    /// Nodes that must not be chosen.
    pub excluded: &'a [NodeIx],
    /// Nodes that the writer asks for; taken first while they have room.
    pub favored: &'a [NodeIx],
    /// Only nodes on a rack where `existing` has none will do.
    pub must_spread: bool,
}

/// A node with this many transfers more than twice the average is passed over while others will do. HDFS has the factor 2.
const BUSY_SLACK: u64 = 4;

struct Chooser<'a> {
    nodes: &'a DataNodes,
    request: &'a PlacementRequest<'a>,
    chosen: Vec<NodeIx>,
    busy_limit: u64,
}

/// Chooses up to `request.count` storages on different nodes, in pipeline order. Fewer when the cluster has no more.
pub fn choose_targets(nodes: &DataNodes, rng: &mut Rng, request: &PlacementRequest<'_>) -> Vec<StorageIx> {
    let mut chooser = Chooser {
        nodes,
        request,
        chosen: request.existing.to_vec(),
        busy_limit: busy_limit(nodes),
    };
    let mut targets = Vec::with_capacity(request.count);
    while targets.len() < request.count {
        let Some(node) = chooser.next(rng) else { break };
        targets.extend(chooser.room_on(node));
        chooser.chosen.push(node);
    }
    targets
}

fn busy_limit(nodes: &DataNodes) -> u64 {
    let live = nodes.iter().filter(|(ix, _)| nodes.is_in_service(*ix));
    let (count, load) = live.fold((0, 0), |(count, load), (_, node)| {
        (count + 1, load + u64::from(node.load))
    });
    2 * load / std::cmp::max(count, 1) + BUSY_SLACK
}

impl Chooser<'_> {
    fn next(&self, rng: &mut Rng) -> Option<NodeIx> {
        if let Some(favored) = self.request.favored.iter().copied().find(|ix| self.is_usable(*ix)) {
            return Some(favored);
        }
        if self.chosen.is_empty()
            && let Some(own) = self.writers_node(rng)
        {
            return Some(own);
        }
        let calm = |ix| !self.is_busy(ix) && !self.nodes.node(ix).stale;
        let rules: [&dyn Fn(NodeIx) -> bool; 4] = [
            &|ix| self.fits_rack(ix) && calm(ix),
            &calm,
            &|ix| !self.nodes.node(ix).stale,
            &|_| true,
        ];
        rules.iter().find_map(|rule| self.draw(rng, rule))
    }

    /// A usable DataNode at the writer's address, else one on its rack. Several share one address in a cluster on one machine: then
    /// any of them.
    fn writers_node(&self, rng: &mut Rng) -> Option<NodeIx> {
        let ip = self.request.writer_ip?;
        let here = |ix: NodeIx| self.nodes.node(ix).descriptor.ip == ip;
        let calm = |ix: NodeIx| !self.nodes.node(ix).stale;
        let own = self.draw(rng, &|ix| here(ix) && calm(ix));
        own.or_else(|| {
            let (known, _) = self.nodes.iter().find(|(ix, _)| here(*ix))?;
            self.draw(rng, &|ix| {
                self.rack(ix) == self.rack(known) && calm(ix) && !self.is_busy(ix)
            })
        })
    }

    fn draw(&self, rng: &mut Rng, rule: &dyn Fn(NodeIx) -> bool) -> Option<NodeIx> {
        let fit: Vec<NodeIx> = self
            .nodes
            .iter()
            .map(|(ix, _)| ix)
            .filter(|ix| self.is_usable(*ix) && rule(*ix))
            .collect();
        if fit.is_empty() {
            return None;
        }
        let (one, other) = (fit[rng.below(fit.len())], fit[rng.below(fit.len())]);
        Some(if self.cost(other) < self.cost(one) { other } else { one })
    }

    fn is_usable(&self, ix: NodeIx) -> bool {
        self.nodes.is_in_service(ix)
            && (!self.request.must_spread || self.chosen.iter().all(|other| self.rack(*other) != self.rack(ix)))
            && !self.chosen.contains(&ix)
            && !self.request.excluded.contains(&ix)
            && self.room_on(ix).is_some()
    }

    /// The emptiest volume of a node that has room for the block.
    fn room_on(&self, ix: NodeIx) -> Option<StorageIx> {
        let free = |storage: &StorageIx| {
            let storage = self.nodes.storage(*storage);
            storage.report.remaining.saturating_sub(storage.scheduled)
        };
        let usable = self.nodes.node(ix).storages.iter().copied();
        usable
            .filter(|storage| {
                !self.nodes.storage(*storage).report.failed && free(storage) >= self.request.block_size.max(1)
            })
            .max_by_key(|storage| (free(storage), std::cmp::Reverse(*storage)))
    }

    fn is_busy(&self, ix: NodeIx) -> bool {
        u64::from(self.nodes.node(ix).load) > self.busy_limit
    }

    fn rack(&self, ix: NodeIx) -> &str {
        &self.nodes.node(ix).descriptor.rack
    }

    /// Rule 2 for the second replica, rule 3 for the third, none for the others.
    fn fits_rack(&self, ix: NodeIx) -> bool {
        match self.chosen[..] {
            [first] => self.rack(ix) != self.rack(first),
            [first, second] if self.rack(first) != self.rack(second) => self.rack(ix) == self.rack(second),
            [first, _] => self.rack(ix) != self.rack(first),
            [] => true,
            [first, ..] if self.chosen.iter().all(|other| self.rack(*other) == self.rack(first)) => {
                self.rack(ix) != self.rack(first)
            }
            _ => {
                self.chosen
                    .iter()
                    .filter(|other| self.rack(**other) == self.rack(ix))
                    .count()
                    < self.max_per_rack()
            }
        }
    }

    /// HDFS's limit, which leaves no rack with almost all replicas.
    fn max_per_rack(&self) -> usize {
        let total = self.request.existing.len() + self.request.count;
        (total.max(1) - 1) / self.nodes.live_racks().max(1) + 2
    }

    /// Less is better: load first, then fullness in sixteenths so that small differences do not decide.
    fn cost(&self, ix: NodeIx) -> (u32, u64) {
        let node = self.nodes.node(ix);
        let reports = || node.storages.iter().map(|storage| &self.nodes.storage(*storage).report);
        let capacity: u64 = reports().map(|report| report.capacity).sum();
        let remaining: u64 = reports().map(|report| report.remaining).sum();
        let used_sixteenths = 16 - (u128::from(remaining) * 16 / u128::from(capacity.max(1))).min(16) as u64;
        (node.load, used_sixteenths)
    }
}

/// Which of `holders` to give up when there is one too many: one that leaves the racks as they are, on the fullest volume; equal
/// ones by uuid, so that a restarted NameNode picks the same replica again rather than a second one.
pub fn choose_excess(nodes: &DataNodes, holders: &[StorageIx]) -> Option<StorageIx> {
    let rack = |ix: &StorageIx| nodes.node(nodes.storage(*ix).node).descriptor.rack.as_str();
    let same_node = |ix: &StorageIx| {
        let node = nodes.storage(*ix).node;
        holders
            .iter()
            .filter(|other| nodes.storage(**other).node == node)
            .count()
            > 1
    };
    let shares_rack = |ix: &StorageIx| holders.iter().filter(|other| rack(other) == rack(ix)).count() > 1;
    holders.iter().copied().max_by_key(|ix| {
        let uuid = &nodes.node(nodes.storage(*ix).node).descriptor.uuid;
        (
            same_node(ix),
            shares_rack(ix),
            std::cmp::Reverse(nodes.storage(*ix).report.remaining >> 30),
            uuid,
        )
    })
}
