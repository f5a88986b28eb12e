//! Placing a table of a million blocks on a thousand nodes: the coordinator's own function, on made-up blocks.
//!
//! Replicas lie as HDFS puts them: the first anywhere, the second on another rack, the third beside the second.

use std::time::Instant;

use anyhow::ensure;
use quarry_benches::report::Section;
use quarry_benches::samples::{Samples, milliseconds};
use quarry_benches::table::Table;
use quarry_coordinator::planning::placement::{Candidate, Locality, PlacedSplit, assign};
use quarry_engine::split::ReplicaHost;
use serde::Serialize;

use crate::args::{CommonArgs, PlacementArgs};
use crate::report::Finding;

/// Timed runs, unless asked for otherwise.
const RUNS: u32 = 5;
/// Bytes of a whole block.
const BLOCK: u64 = 128 << 20;
/// Blocks of a file; the last one is not whole.
const BLOCKS_PER_FILE: u32 = 8;
/// Partitions of each node.
const WEIGHT: usize = 8;

/// All figures.
#[derive(Debug, Serialize)]
struct Figures {
    blocks: u32,
    nodes: u16,
    racks: u16,
    ms: Samples,
    target_ms: f64,
    /// Part of the bytes that a holder reads, from 0 to 1.
    local_share: f64,
    /// Bytes of the node with most of them, divided by the mean.
    largest: f64,
    /// Bytes of the node with fewest of them, divided by the mean.
    smallest: f64,
}

/// Measures placement.
///
/// # Errors
/// A block was not placed exactly once.
pub(crate) fn measure(args: &CommonArgs, shape: &PlacementArgs) -> anyhow::Result<Finding> {
    let nodes: Vec<ReplicaHost> = (0..shape.places).map(|number| node(number, shape.racks)).collect();
    let splits = blocks(&nodes, shape);
    let workers: Vec<Candidate> = nodes.iter().map(worker).collect();
    let mut ms = Samples::default();
    let mut lists = Vec::new();
    for _ in 0..args.runs(RUNS) {
        let begin = Instant::now();
        lists = assign(&splits, &workers);
        ms.add(milliseconds(begin.elapsed()));
    }
    let figures = figures(shape, ms, &splits, &workers, &lists)?;
    let section = Section {
        title: "Placement",
        method: format!(
            "The coordinator's placement function alone, on blocks of {} MiB with three replicas, laid out as HDFS does; the last of each {BLOCKS_PER_FILE} blocks is \
             shorter. All nodes are workers of equal weight. The fastest of {} runs counts.",
            BLOCK >> 20,
            args.runs(RUNS)
        ),
        tables: vec![table(&figures)],
        results: serde_json::to_value(&figures)?,
    };
    Ok(Finding {
        section,
        problems: Vec::new(),
    })
}

fn node(number: u16, racks: u16) -> ReplicaHost {
    ReplicaHost {
        // As long as a real one, since names are compared.
        datanode_uuid: format!("{number:08x}-0000-4000-8000-{number:012x}"),
        ip: format!("10.0.{}.{}", number / 250, number % 250 + 1),
        rack: format!("/rack{}", number % racks),
    }
}

fn worker(node: &ReplicaHost) -> Candidate {
    Candidate {
        datanode_uuid: Some(node.datanode_uuid.clone()),
        host: node.ip.clone(),
        rack: node.rack.clone(),
        weight: WEIGHT,
    }
}

fn blocks(nodes: &[ReplicaHost], shape: &PlacementArgs) -> Vec<PlacedSplit> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let block = |number: u32| {
        let (file, place) = (number / BLOCKS_PER_FILE, number % BLOCKS_PER_FILE);
        let last = place == BLOCKS_PER_FILE - 1;
        PlacedSplit {
            path: format!("/quarry/warehouse/sales/part-{file:08}.parquet"),
            offset: u64::from(place) * BLOCK,
            bytes: if last { 1 + random.below(BLOCK) } else { BLOCK },
            hosts: replicas(nodes, usize::from(shape.racks), &mut random).into(),
        }
    };
    (0..shape.blocks).map(block).collect()
}

/// Three nodes: any one, one of another rack, another one of that rack if it has any.
fn replicas(nodes: &[ReplicaHost], racks: usize, random: &mut Random) -> Vec<ReplicaHost> {
    let first = random.below_index(nodes.len());
    let mut second = first;
    // There are at least two racks, and at least as many nodes.
    while second % racks == first % racks {
        second = random.below_index(nodes.len());
    }
    // A rack's nodes are `racks` apart.
    let rack = second % racks;
    let beside = (nodes.len() - rack).div_ceil(racks);
    let mut chosen = vec![first, second];
    if beside > 1 {
        let mut third = second;
        while third == second {
            third = rack + racks * random.below_index(beside);
        }
        chosen.push(third);
    }
    chosen.into_iter().map(|index| nodes[index].clone()).collect()
}

/// Marsaglia's xorshift: the same blocks in each run, on each machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn below_index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }
}

fn figures(
    shape: &PlacementArgs,
    ms: Samples,
    splits: &[PlacedSplit],
    workers: &[Candidate],
    lists: &[Vec<usize>],
) -> anyhow::Result<Figures> {
    let mut placed: Vec<usize> = lists.concat();
    placed.sort_unstable();
    ensure!(
        placed.into_iter().eq(0..splits.len()),
        "a block was not placed exactly once"
    );
    let bytes = |list: &Vec<usize>| list.iter().map(|&index| splits[index].bytes).sum::<u64>();
    let loads: Vec<u64> = lists.iter().map(bytes).collect();
    let total: u64 = loads.iter().sum();
    let mean = total as f64 / loads.len() as f64;
    let local: u64 = lists
        .iter()
        .zip(workers)
        .map(|(list, worker)| held(splits, worker, list))
        .sum();
    Ok(Figures {
        blocks: shape.blocks,
        nodes: shape.places,
        racks: shape.racks,
        ms,
        target_ms: 1000.0,
        local_share: local as f64 / total as f64,
        largest: loads.iter().max().map_or(0.0, |most| *most as f64 / mean),
        smallest: loads.iter().min().map_or(0.0, |fewest| *fewest as f64 / mean),
    })
}

/// Bytes of a worker's splits that it holds itself.
fn held(splits: &[PlacedSplit], worker: &Candidate, list: &[usize]) -> u64 {
    let own = list.iter().map(|&index| &splits[index]);
    own.filter(|split| worker.locality(&split.hosts) == Locality::SameHost)
        .map(|split| split.bytes)
        .sum()
}

fn table(figures: &Figures) -> Table {
    let mut table = Table::of_numbers([
        "blocks",
        "nodes",
        "racks",
        "target ms",
        "fastest ms",
        "median ms",
        "local %",
        "largest node / mean",
        "smallest / mean",
    ]);
    let number = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    table.row([
        figures.blocks.to_string(),
        figures.nodes.to_string(),
        figures.racks.to_string(),
        format!("{:.0}", figures.target_ms),
        number(figures.ms.min()),
        number(figures.ms.median()),
        format!("{:.2}", figures.local_share * 100.0),
        format!("{:.3}", figures.largest),
        format!("{:.3}", figures.smallest),
    ]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_on_two_racks_and_three_nodes() {
        let nodes: Vec<_> = (0..12).map(|number| node(number, 3)).collect();
        let shape = PlacementArgs {
            blocks: 100,
            places: 12,
            racks: 3,
        };
        for block in blocks(&nodes, &shape) {
            let [first, second, third] = &*block.hosts else {
                panic!("{block:?}")
            };
            assert_ne!(first.rack, second.rack);
            assert_eq!(second.rack, third.rack);
            assert_ne!(second, third);
        }
    }
}
