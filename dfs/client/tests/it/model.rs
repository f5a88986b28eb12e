//! Random writes and reads against a vector of bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use quarry_dfs_client::CreateOptions;

use crate::cluster::{Cluster, payload};

/// Blocks so small that a few kilobytes are many.
const TINY_BLOCK: u64 = 4096;

#[test]
fn any_pieces_written_read_back_in_any_ranges() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let cluster = runtime.block_on(Cluster::start(2));
    let (remote, beside) = (cluster.client(), cluster.client_beside(0));
    let cases = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let index = any::<prop::sample::Index>;
    let pieces = vec(0usize..9000, 0..8);
    let ranges = vec((index(), index()), 1..12);
    TestRunner::new(cases)
        .run(&(pieces, ranges, any::<u64>()), |(pieces, ranges, seed)| {
            runtime.block_on(async {
                let data = payload(seed, pieces.iter().sum());
                let options = CreateOptions {
                    overwrite: true,
                    replication: Some(2),
                    block_size: Some(TINY_BLOCK),
                    ..CreateOptions::default()
                };
                let mut writer = remote.create("/model", options).await.unwrap();
                let mut rest = data.clone();
                for piece in pieces {
                    writer.write(rest.split_to(piece)).await.unwrap();
                }
                prop_assert_eq!(writer.close().await.unwrap().length, data.len() as u64);
                for client in [&remote, &beside] {
                    let reader = client.open("/model").await.unwrap();
                    for (a, b) in &ranges {
                        let (a, b) = (a.index(data.len() + 1), b.index(data.len() + 1));
                        let (start, end) = (a.min(b), a.max(b));
                        let read = reader.read_range(start as u64..end as u64).await.unwrap();
                        prop_assert_eq!(read, data.slice(start..end));
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}
