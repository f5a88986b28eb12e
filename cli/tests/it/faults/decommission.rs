//! A DataNode taken out of service while files are read and written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::disks::finalized;
use super::oracle::{Progress, check, client, write_files};
use crate::support::{Home, Local, eventually};

const READERS: usize = 4;

#[test]
fn a_decommissioned_node_ends_empty_and_no_read_fails() {
    let home = Home::new();
    let local = Local::start(&home, &home.path("cluster"), &["--nodes", "4", "--processes"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoints = local.endpoints();
    let namenode = endpoints.namenode.rpc;
    // Files to read: written before, complete.
    let before = Arc::new(Progress::of(1));
    let writer = runtime.spawn(write_files(client(namenode), 0, Arc::clone(&before)));
    before.wait_for_more(20 << 20);
    before.stop.store(true, Ordering::SeqCst);
    let (files, errors) = runtime.block_on(writer).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!finalized(&local, 0).is_empty(), "the node holds something before");

    // The load: readers of those files, and a writer of more.
    let progress = Arc::new(Progress::of(2));
    let writer = runtime.spawn(write_files(client(namenode), 1, Arc::clone(&progress)));
    let (files, reads) = (Arc::new(files), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (files, reads, progress) = (Arc::clone(&files), Arc::clone(&reads), Arc::clone(&progress));
            runtime.spawn(async move {
                let client = client(namenode);
                while !progress.stop.load(Ordering::SeqCst) {
                    for file in files.iter() {
                        check(&client, file).await;
                        reads.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();

    let node = endpoints.datanodes[0].xfer.to_string();
    home.run(&["admin", "decommission", &node, "--wait"]).ok();
    eventually("the decommissioned node is empty", || {
        finalized(&local, 0).is_empty().then_some(())
    });
    let seen = reads.load(Ordering::SeqCst);
    eventually("reads go on after it", || {
        (reads.load(Ordering::SeqCst) > seen + 10).then_some(())
    });
    progress.stop.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        for reader in readers {
            reader.await.expect("no read failed");
        }
        let (written, errors) = writer.await.unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        let client = client(namenode);
        for file in &written {
            check(&client, file).await;
        }
    });
    let report = home.run(&["admin", "report"]).ok();
    assert!(report.contains("Decommissioned"), "{report}");
    runtime.shutdown_timeout(Duration::from_secs(5));
}
