//! Looks at the room on the disk of the NameNode's directory. With too little of it the core is told, which then refuses changes: a log that
//! cannot grow would fail them anyway, and reports, reads and the writing of an image go on only while there is some room left.
//!
//! HDFS's resource monitor, for the one directory that there is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use tokio::task;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::driver::{CoreHandle, Input};

/// Says how many bytes may still be written to the disk of a directory.
type AskDisk = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

/// A way to learn that. May block.
#[derive(Clone)]
pub(crate) struct Reading(Arc<AskDisk>);

impl Reading {
    /// What the operating system says.
    pub(crate) fn system() -> Self {
        Self(Arc::new(|dir| {
            let stat = rustix::fs::statvfs(dir)?;
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        }))
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}

/// The disk of one directory.
#[derive(Debug)]
pub(crate) struct FreeSpace {
    dir: PathBuf,
    reserved: ByteSize,
    reading: Reading,
    /// What the last look found.
    was_low: bool,
}

impl FreeSpace {
    /// Expects `reserved` to be free on the disk of `dir`.
    pub(crate) fn new(dir: &Path, reserved: ByteSize, reading: Reading) -> Self {
        Self {
            dir: dir.to_owned(),
            reserved,
            reading,
            was_low: false,
        }
    }

    /// Looks once and tells the core what it does not know.
    pub(crate) async fn look(&mut self, core: &CoreHandle) {
        let (reading, dir) = (self.reading.clone(), self.dir.clone());
        let Ok(found) = task::spawn_blocking(move || (reading.0)(&dir)).await else {
            return; // the runtime is shutting down
        };
        let low = self.is_low(found);
        // As long as it is low it is said again: an operator may have turned safe mode off.
        if (low || self.was_low) && core.send(Input::DiskSpace { low }).await.is_ok() {
            self.was_low = low;
        }
    }

    /// Looks until `stop`.
    pub(crate) async fn watch(mut self, core: CoreHandle, interval: Duration, stop: CancellationToken) {
        let mut looks = tokio::time::interval(interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => self.look(&core).await,
            }
        }
    }

    /// A disk that cannot be asked is no disk to write a log to. News is logged, not every look.
    fn is_low(&self, found: io::Result<u64>) -> bool {
        let (dir, reserved) = (self.dir.display(), self.reserved);
        let low = !found.as_ref().is_ok_and(|room| *room >= reserved.as_u64());
        match (low && reserved.as_u64() > 0, self.was_low, found) {
            (true, false, Ok(room)) => {
                let room = ByteSize::b(room);
                tracing::warn!(%dir, %room, %reserved, "NameNode low on available disk space. Entering safe mode.");
            }
            (true, false, Err(error)) => {
                tracing::warn!(%dir, %error, "room on the NameNode's disk is not known. Entering safe mode.");
            }
            (false, true, _) => {
                tracing::info!(%dir, "NameNode has sufficient available resources, exiting safe mode.");
            }
            _ => {}
        }
        low && reserved.as_u64() > 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::admin::caller;
    use crate::config::NameNodeConfig;
    use crate::core::acl_calls::Modes;
    use crate::core::command::{Operation, Reply, SafeModeAction};
    use crate::core::error::FsError;
    use crate::node::{NameNode, NameNodeHandle};

    const MIB: u64 = 1 << 20;
    /// What a reading of this says is that there is no reading.
    const BROKEN: u64 = u64::MAX;

    /// A disk whose room the test sets.
    struct Disk {
        room: Arc<AtomicU64>,
        dir: tempfile::TempDir,
    }

    impl Disk {
        fn with(room: u64) -> Self {
            Self {
                room: Arc::new(AtomicU64::new(room)),
                dir: tempfile::tempdir().unwrap(),
            }
        }

        fn set(&self, room: u64) {
            self.room.store(room, Ordering::Relaxed);
        }

        async fn start(&self, reserved: ByteSize) -> NameNodeHandle {
            let any = (Ipv4Addr::LOCALHOST, 0).into();
            let config = NameNodeConfig {
                dir: self.dir.path().to_owned(),
                rpc_address: any,
                link_address: any,
                http_address: any,
                superuser: "hdfs".to_owned(),
                reserved,
                space_check_interval: Duration::from_millis(10),
                ..NameNodeConfig::default()
            };
            let room = Arc::clone(&self.room);
            let reading = Reading(Arc::new(move |_| match room.load(Ordering::Relaxed) {
                BROKEN => Err(io::Error::other("disk on fire")),
                room => Ok(room),
            }));
            NameNode::start_on(config, reading).await.unwrap()
        }
    }

    async fn call(namenode: &NameNodeHandle, operation: Operation) -> Result<Reply, FsError> {
        let who = caller("hdfs", IpAddr::V4(Ipv4Addr::LOCALHOST));
        namenode.core.call(who, operation).await
    }

    async fn mkdirs(namenode: &NameNodeHandle) -> Result<Reply, FsError> {
        let operation = Operation::MakeDirectories {
            path: "/d".to_owned(),
            permission: Modes::plain(0o755),
            create_parent: true,
        };
        call(namenode, operation).await
    }

    async fn safe_mode(namenode: &NameNodeHandle, action: SafeModeAction) -> bool {
        match call(namenode, Operation::SetSafeMode { action }).await {
            Ok(Reply::Bool(on)) => on,
            other => panic!("{other:?}"),
        }
    }

    async fn until(namenode: &NameNodeHandle, on: bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while safe_mode(namenode, SafeModeAction::Get).await != on {
            assert!(Instant::now() < deadline, "safe mode is not {on}");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_nearly_full_disk_is_no_reason_to_stop_but_to_change_nothing() {
        let disk = Disk::with(100 * MIB);
        let namenode = disk.start(ByteSize::mib(100)).await;
        mkdirs(&namenode).await.unwrap();
        disk.set(100 * MIB - 1);
        until(&namenode, true).await;
        let refused = mkdirs(&namenode).await.unwrap_err();
        let FsError::SafeMode(text) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            text,
            "Cannot create directory /d. Name node is in safe mode.\nResources are low on NN. Please add or free up more \
             resources. NOTE:  If you turn off safe mode before adding resources, the NN will immediately return to safe mode. "
        );
        let read = Operation::GetFileInfo {
            path: "/d".to_owned(),
            need_locations: false,
        };
        assert!(matches!(call(&namenode, read).await, Ok(Reply::Status(Some(_)))));
        // Turned off, it is back at the next look.
        safe_mode(&namenode, SafeModeAction::Leave).await;
        until(&namenode, true).await;
        disk.set(100 * MIB);
        until(&namenode, false).await;
        mkdirs(&namenode).await.unwrap();
        disk.set(BROKEN);
        until(&namenode, true).await;
        namenode.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_operators_safe_mode_does_not_end_with_that_of_the_disk() {
        let disk = Disk::with(0);
        let namenode = disk.start(ByteSize::mib(100)).await;
        assert!(
            safe_mode(&namenode, SafeModeAction::Get).await,
            "the disk is looked at before anybody can change anything"
        );
        safe_mode(&namenode, SafeModeAction::Enter).await;
        disk.set(1 << 40);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match mkdirs(&namenode).await {
                Err(FsError::SafeMode(text)) if text.contains("turned on manually") => break,
                other => assert!(Instant::now() < deadline, "{other:?}"),
            }
        }
        assert!(!safe_mode(&namenode, SafeModeAction::Leave).await);
        mkdirs(&namenode).await.unwrap();
        namenode.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_reserve_is_no_reason_for_safe_mode() {
        let disk = Disk::with(0);
        let namenode = disk.start(ByteSize::b(0)).await;
        mkdirs(&namenode).await.unwrap();
        namenode.shutdown().await;
    }

    #[test]
    fn the_system_knows_the_room_of_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        (Reading::system().0)(dir.path()).unwrap();
        assert!((Reading::system().0)(&dir.path().join("absent")).is_err());
    }
}
