//! Disks that fill up or fail under a running DataNode.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use quarry_dfs_datanode::{DataNode, DataNodeConfig, DataNodeHandle, Disk, DiskSpace, Error, SystemDisk};
use quarry_dfs_wire::proto::hadoop::hdfs::Status;
use tokio::time::Instant;

use crate::client::{Flags, Writer, assert_holds, block, bytes, timely, write_block, write_request};
use crate::nodes::{Nodes, config};

const ID: u64 = 1_073_741_860;

const HEALTHY: u8 = 0;
/// Writes fail as on a full disk.
const FULL: u8 = 1;
/// Everything that writes fails as on a broken disk.
const BROKEN: u8 = 2;

/// The system's disk until told otherwise.
#[derive(Debug, Default)]
struct Faulty(AtomicU8);

impl Faulty {
    fn set(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }

    fn fault(&self) -> io::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            FULL => Err(io::ErrorKind::StorageFull.into()),
            BROKEN => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.fault().and_then(|()| SystemDisk.create(path))
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        self.fault()
            .and_then(|()| SystemDisk.write_all_at(file, bytes, position))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.fault().and_then(|()| SystemDisk.sync(file))
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let space = SystemDisk.space(dir)?;
        Ok(match self.0.load(Ordering::SeqCst) {
            FULL => DiskSpace { available: 0, ..space },
            _ => space,
        })
    }

    fn probe(&self, dir: &Path) -> io::Result<()> {
        self.fault().and_then(|()| SystemDisk.probe(dir))
    }
}

/// One DataNode with a faulty disk under each of its directories.
struct Faults {
    nodes: Nodes,
    disks: Vec<Arc<Faulty>>,
}

impl Faults {
    async fn start(volumes: usize, tolerated: usize) -> Self {
        let mut nodes = Nodes::start(0).await;
        let dirs: Vec<PathBuf> = (0..volumes).map(|index| nodes.dir(index)).collect();
        let disks: Vec<Arc<Faulty>> = dirs.iter().map(|_| Arc::default()).collect();
        let config = DataNodeConfig {
            dirs: dirs.clone(),
            failed_volumes_tolerated: tolerated,
            ..config(&nodes.namenode, &dirs[0])
        };
        let under = disks.clone();
        let disk = move |dir: &Path| -> Arc<dyn Disk> {
            let index = dirs.iter().position(|known| known == dir).unwrap();
            Arc::clone(&under[index]) as Arc<dyn Disk>
        };
        let node = DataNode::start_on(config, disk).await.unwrap();
        node.wait_registered(Instant::now() + std::time::Duration::from_secs(20))
            .await
            .unwrap();
        nodes.nodes.push(node);
        Self { nodes, disks }
    }

    fn node(&self) -> &DataNodeHandle {
        &self.nodes.nodes[0]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_refuses_writes_and_serves_reads() {
    let faults = Faults::start(1, 0).await;
    let address = faults.node().xfer_addr();
    let data = bytes(100_000);
    write_block(address, &[], ID, &data).await;
    let mut writer = Writer::start(address, write_request(block(ID + 1, 1001), &[])).await;
    writer.write(&data[..1024], 64_512, 1).await;
    faults.disks[0].set(FULL);
    writer.packet(&data[1024..], Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Error]);
    let (_, reply) = Writer::try_start(address, write_request(block(ID + 2, 1001), &[])).await;
    assert_eq!(reply.status(), Status::Error);
    assert!(reply.message().contains("no volume has room"), "{reply:?}");
    assert_holds(address, ID, 1001, &data).await;
    // The acknowledged bytes of the block that did not fit are there, too.
    assert_holds(address, ID + 1, 1001, &data[..1024]).await;
    faults.disks[0].set(HEALTHY);
    write_block(address, &[], ID + 2, &data).await;
    let said = faults.nodes.namenode.said(&faults.nodes.uuid(0));
    assert!(
        said.last_heartbeat
            .is_none_or(|heartbeat| heartbeat.volume_failures.is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pipeline_goes_on_without_the_node_whose_disk_is_full() {
    let faults = Faults::start(1, 0).await;
    let other = Nodes::start(1).await;
    let target = crate::nodes::info(faults.node());
    // The healthy node belongs to a cluster of its own with the same pool: all that a pipeline looks at.
    let first = other.nodes[0].xfer_addr();
    let data = bytes(10_000);
    let mut writer = Writer::start(first, write_request(block(ID, 1001), &[target])).await;
    writer.write(&data[..5120], 64_512, 2).await;
    faults.disks[0].set(FULL);
    writer.packet(&data[5120..], Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success, Status::Error]);
    assert_holds(first, ID, 1001, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_volume_is_given_up_and_the_others_go_on() {
    let faults = Faults::start(2, 1).await;
    let (address, uuid) = (faults.node().xfer_addr(), faults.nodes.uuid(0));
    let data = bytes(1000);
    for id in ID..ID + 4 {
        write_block(address, &[], id, &data).await;
    }
    let of_volume = |volume: usize, id: u64| {
        let dir = faults.nodes.pool_dir(volume).join("current/finalized/subdir0/subdir0");
        dir.join(format!("blk_{id}")).exists()
    };
    faults.disks[0].set(BROKEN);
    // Writers on the broken disk get errors, until the volume is given up; those on the other one do not.
    let mut last = ID + 4;
    let failed = |said: &crate::fake_namenode::Said| {
        let heartbeat = said.last_heartbeat.clone().unwrap_or_default();
        heartbeat.volume_failures.is_some_and(|failures| failures.count == 1)
            && heartbeat.storages.iter().filter(|storage| storage.failed).count() == 1
    };
    while !failed(&faults.nodes.namenode.said(&uuid)) {
        let _ = Writer::try_start(address, write_request(block(last, 1001), &[])).await;
        last += 1;
    }
    let said = faults.nodes.namenode.said(&uuid);
    let failures = said.last_heartbeat.unwrap().volume_failures.unwrap();
    assert_eq!(failures.failed_locations, [faults.nodes.dir(0).display().to_string()]);
    for id in ID..ID + 4 {
        let mut conn = crate::client::Conn::open(address).await;
        let read = crate::client::read(&mut conn, crate::client::read_request(id, 1001, 0, 1000)).await;
        assert_eq!(read.is_ok(), of_volume(1, id), "{id}");
    }
    for id in last..last + 3 {
        write_block(address, &[], id, &data).await;
        assert!(of_volume(1, id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_too_many_stops_the_datanode_with_a_reason() {
    let faults = Faults::start(2, 0).await;
    faults.disks[1].set(BROKEN);
    let address = faults.node().xfer_addr();
    for id in ID..ID + 2 {
        let _ = Writer::try_start(address, write_request(block(id, 1001), &[])).await;
    }
    let reason = timely(faults.node().failed()).await;
    assert!(reason.contains(&faults.nodes.dir(1).display().to_string()), "{reason}");
    assert!(reason.contains("`failed_volumes_tolerated` is 0"), "{reason}");
    faults.node().shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_directory_at_the_start_counts_as_failed() {
    let nodes = Nodes::start(0).await;
    fs::write(nodes.dir(1), "not a directory").unwrap();
    let two = |tolerated| DataNodeConfig {
        dirs: vec![nodes.dir(0), nodes.dir(1)],
        failed_volumes_tolerated: tolerated,
        ..config(&nodes.namenode, &nodes.dir(0))
    };
    let refused = DataNode::start(two(0)).await;
    let Err(Error::TooManyFailedVolumes { detail, .. }) = refused else {
        panic!("must not start")
    };
    assert!(detail.contains(&nodes.dir(1).display().to_string()), "{detail}");
    let node = crate::nodes::start_node(two(1)).await;
    write_block(node.xfer_addr(), &[], ID, &bytes(100)).await;
    let heard = |said: &crate::fake_namenode::Said| {
        let heartbeat = said.last_heartbeat.clone().unwrap_or_default();
        heartbeat.volume_failures.is_some_and(|failures| failures.count == 1)
    };
    nodes.namenode.until(node.datanode_uuid(), "the failure", heard).await;
}
