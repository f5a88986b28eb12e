//! Cutting files into splits along their blocks.
//!
//! A split is a byte range that one task reads, with the nodes that hold it. Ranges of one file tile it: none overlap, none
//! is left out. A reader takes a Parquet row group if the group's first page begins inside the range, and a text line if the
//! line begins inside it, so tiling ranges read each row exactly once.
//!
//! Pure: no I/O, no clock, no randomness.

use std::sync::Arc;

/// A node that holds a replica of a block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaHost {
    /// UUID of the DataNode.
    pub datanode_uuid: String,
    /// IP address of the DataNode.
    pub ip: String,
    /// Network location, such as `/default-rack`.
    pub rack: String,
}

/// The nodes that hold a range.
pub type Hosts = Arc<[ReplicaHost]>;

/// One block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSpan {
    /// First byte of the block in the file.
    pub offset: u64,
    /// Length of the block in bytes.
    pub length: u64,
    /// Who holds it.
    pub hosts: Hosts,
}

/// A row group of a Parquet file as placement sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroupSpan {
    /// Offset of its first page: the one that decides which range reads it.
    pub start: u64,
    /// Bytes that the query will read of it.
    pub projected_bytes: u64,
}

/// A byte range of a file for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// Bytes that the query is expected to read.
    pub bytes: u64,
    /// Who holds (most of) it.
    pub hosts: Hosts,
}

/// Travels with a scan's file range inside the coordinator, so that placement finds the hosts again in the physical plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPlacement {
    /// Bytes that the query is expected to read.
    pub bytes: u64,
    /// Who holds the range.
    pub hosts: Hosts,
}

/// Cuts a file of lines at block borders and, within a block, into pieces of about `target` bytes.
///
/// `projected` of `size` bytes are expected to be read: for text that is all of it.
#[must_use]
pub fn cut_evenly(size: u64, blocks: &[BlockSpan], target: u64) -> Vec<Split> {
    let mut splits = Vec::new();
    for block in whole_file(size, blocks) {
        let pieces = block.length.div_ceil(target.max(1)).max(1);
        for piece in 0..pieces {
            let start = block.offset + block.length * piece / pieces;
            let end = block.offset + block.length * (piece + 1) / pieces;
            splits.push(Split {
                start,
                end,
                bytes: end - start,
                hosts: Arc::clone(&block.hosts),
            });
        }
    }
    splits
}

/// One split for the whole file: for text that cannot be read from the middle.
#[must_use]
pub fn uncut(size: u64, blocks: &[BlockSpan]) -> Vec<Split> {
    if size == 0 {
        return Vec::new();
    }
    let hosts = main_hosts(0, size, &whole_file(size, blocks));
    vec![Split {
        start: 0,
        end: size,
        bytes: size,
        hosts,
    }]
}

/// Cuts a Parquet file before row groups: neighbours that lie mostly in the same block stay together up to about `target`
/// bytes to be read.
#[must_use]
pub fn cut_at_row_groups(size: u64, blocks: &[BlockSpan], row_groups: &[RowGroupSpan], target: u64) -> Vec<Split> {
    let blocks = whole_file(size, blocks);
    let mut groups = row_groups.to_vec();
    groups.sort_by_key(|group| group.start);
    let mut splits: Vec<Split> = Vec::new();
    let mut last_block = None;
    for (index, group) in groups.iter().enumerate() {
        // The first range also covers the magic number, the last one the footer.
        let start = if index == 0 { 0 } else { group.start };
        let end = groups.get(index + 1).map_or(size, |next| next.start);
        let block = main_block(group.start, end, &blocks);
        match splits.last_mut() {
            Some(split) if block == last_block && split.bytes + group.projected_bytes <= target => {
                split.end = end;
                split.bytes += group.projected_bytes;
            }
            _ => splits.push(Split {
                start,
                end,
                bytes: group.projected_bytes,
                hosts: block.map_or_else(Hosts::default, |block| Arc::clone(&blocks[block].hosts)),
            }),
        }
        last_block = block;
    }
    splits
}

/// Distributes items over exactly `count` groups so that their bytes are about equal: largest first, each to the group that
/// has least. The order inside a group is that of the input.
#[must_use]
pub fn pack<T>(items: Vec<T>, count: usize, bytes: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    assert!(count > 0, "a scan has at least one group");
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(bytes(&items[index])), index));
    let mut load = vec![(0u64, 0usize); count];
    let mut group_of = vec![0; items.len()];
    for index in order {
        let lightest = (0..count).min_by_key(|&group| (load[group], group)).unwrap_or(0);
        group_of[index] = lightest;
        load[lightest].0 += bytes(&items[index]);
        load[lightest].1 += 1;
    }
    let mut groups: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for (index, item) in items.into_iter().enumerate() {
        groups[group_of[index]].push(item);
    }
    groups
}

/// The blocks if they tile the file, else the file as one block of unknown hosts: locations are hints, never the truth about a
/// file's length.
fn whole_file(size: u64, blocks: &[BlockSpan]) -> Vec<BlockSpan> {
    if size == 0 {
        return Vec::new();
    }
    let mut sorted: Vec<BlockSpan> = blocks.iter().filter(|block| block.length > 0).cloned().collect();
    sorted.sort_by_key(|block| block.offset);
    let end = sorted
        .iter()
        .try_fold(0, |end, block| (block.offset == end).then_some(end + block.length));
    if end == Some(size) {
        sorted
    } else {
        vec![BlockSpan {
            offset: 0,
            length: size,
            hosts: Hosts::default(),
        }]
    }
}

fn main_block(start: u64, end: u64, blocks: &[BlockSpan]) -> Option<usize> {
    let overlap = |block: &BlockSpan| {
        end.min(block.offset + block.length)
            .saturating_sub(start.max(block.offset))
    };
    let best = |a: &usize, b: &usize| overlap(&blocks[*a]).cmp(&overlap(&blocks[*b])).then(b.cmp(a));
    (0..blocks.len()).max_by(best)
}

fn main_hosts(start: u64, end: u64, blocks: &[BlockSpan]) -> Hosts {
    main_block(start, end, blocks).map_or_else(Hosts::default, |block| Arc::clone(&blocks[block].hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(name: &str) -> Hosts {
        Arc::from([ReplicaHost {
            datanode_uuid: name.into(),
            ip: "10.0.0.1".into(),
            rack: "/r".into(),
        }])
    }

    fn blocks(size: u64, block: u64) -> Vec<BlockSpan> {
        (0..size.div_ceil(block))
            .map(|index| BlockSpan {
                offset: index * block,
                length: block.min(size - index * block),
                hosts: host(&format!("node{index}")),
            })
            .collect()
    }

    fn assert_tiles(splits: &[Split], size: u64) {
        let mut end = 0;
        for split in splits {
            assert_eq!(split.start, end, "gap or overlap");
            assert!(split.end > split.start, "empty range");
            end = split.end;
        }
        assert_eq!(end, size);
    }

    fn readers_of(splits: &[Split], offset: u64) -> usize {
        splits
            .iter()
            .filter(|split| split.start <= offset && offset < split.end)
            .count()
    }

    proptest! {
        #[test]
        fn even_cuts_tile_the_file_and_stay_inside_blocks(size in 1u64..5000, block in 1u64..700, target in 1u64..900) {
            let splits = cut_evenly(size, &blocks(size, block), target);
            assert_tiles(&splits, size);
            for split in &splits {
                prop_assert_eq!(split.start / block, (split.end - 1) / block);
                let name = format!("node{}", split.start / block);
                prop_assert_eq!(&split.hosts[0].datanode_uuid, &name);
            }
        }

        #[test]
        fn each_row_group_is_read_once(
            lengths in proptest::collection::vec(1u64..400, 1..40), block in 1u64..900, target in 1u64..2000, footer in 8u64..200,
        ) {
            let mut start = 4;
            let mut groups = Vec::new();
            for length in &lengths {
                groups.push(RowGroupSpan { start, projected_bytes: length / 2 });
                start += length;
            }
            let size = start + footer;
            let splits = cut_at_row_groups(size, &blocks(size, block), &groups, target);
            assert_tiles(&splits, size);
            for group in &groups {
                prop_assert_eq!(readers_of(&splits, group.start), 1);
            }
            let read: u64 = splits.iter().map(|split| split.bytes).sum();
            prop_assert_eq!(read, groups.iter().map(|group| group.projected_bytes).sum::<u64>());
        }

        #[test]
        fn packing_keeps_every_item_and_balances(sizes in proptest::collection::vec(1u64..100, 0..60), count in 1usize..9) {
            let items: Vec<(usize, u64)> = sizes.iter().copied().enumerate().collect();
            let groups = pack(items.clone(), count, |item| item.1);
            prop_assert_eq!(groups.len(), count);
            let mut seen: Vec<(usize, u64)> = groups.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(&seen, &items);
            let loads: Vec<u64> = groups.iter().map(|group| group.iter().map(|item| item.1).sum()).collect();
            let largest = sizes.iter().max().copied().unwrap_or(0);
            let spread = loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0);
            prop_assert!(spread <= largest);
        }
    }

    #[test]
    fn a_row_group_across_a_border_goes_to_the_block_with_most_of_it() {
        let groups = [
            RowGroupSpan {
                start: 4,
                projected_bytes: 10,
            },
            RowGroupSpan {
                start: 90,
                projected_bytes: 10,
            },
        ];
        let splits = cut_at_row_groups(200, &blocks(200, 100), &groups, 1);
        let owners: Vec<&str> = splits
            .iter()
            .map(|split| split.hosts[0].datanode_uuid.as_str())
            .collect();
        assert_eq!(owners, ["node0", "node1"]);
    }

    #[test]
    fn small_row_groups_of_one_block_are_merged() {
        let groups: Vec<_> = (0..10)
            .map(|index| RowGroupSpan {
                start: 4 + index * 10,
                projected_bytes: 5,
            })
            .collect();
        assert_eq!(cut_at_row_groups(200, &blocks(200, 200), &groups, 25).len(), 2);
    }

    #[test]
    fn locations_that_do_not_tile_are_not_trusted() {
        let lost = vec![BlockSpan {
            offset: 0,
            length: 50,
            hosts: host("a"),
        }];
        let splits = cut_evenly(100, &lost, 1000);
        assert_tiles(&splits, 100);
        assert!(splits[0].hosts.is_empty());
    }

    #[test]
    fn an_empty_file_has_no_split() {
        assert!(cut_evenly(0, &[], 10).is_empty());
        assert!(uncut(0, &[]).is_empty());
    }
}
