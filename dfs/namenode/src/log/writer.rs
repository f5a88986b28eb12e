//! The thread that makes transactions durable, many with one fsync.
//!
//! 1. The owner thread hands over a transaction and what may happen once it is on disk (its release).
//! 2. This thread takes all that is waiting, writes it, syncs once.
//! 3. It runs the releases in order.
//!
//! A release without a transaction waits for those before it: an answer that depends on a change never overtakes the change. After a
//! failed write or sync nothing is durable any more: that release and all later ones hear the failure, and no retry is made, because
//! after a failed fsync nobody knows what is on disk.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use super::frame;
use super::segment::{HEADER_SIZE, LogFile};
use crate::core::edit::EditRecord;

/// Transactions that may wait for the disk; more make the owner thread wait.
const QUEUE: usize = 16_384;
/// Transactions in one batch.
const BATCH: usize = 4096;

/// Why the log cannot be written. Kept for the life of the process.
pub(crate) type LogFailure = Arc<str>;

/// Runs when everything before it is on disk, or cannot be.
pub(crate) type Release = Box<dyn FnOnce(Result<(), LogFailure>) + Send>;

/// Makes the file for the segment that begins with a transaction.
pub(crate) type OpenSegment = Box<dyn FnMut(u64) -> io::Result<Box<dyn LogFile>> + Send>;

/// Hears the first transaction of each new segment: everything before it is closed.
pub(crate) type OnRoll = Box<dyn FnMut(u64) + Send>;

enum Item {
    Entry {
        record: Option<EditRecord>,
        release: Release,
    },
    /// Begin a new segment even if the current one is short.
    Roll,
}

/// The owner thread's end.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: Option<SyncSender<Item>>,
    durable_txid: Arc<AtomicU64>,
    failure: Arc<OnceLock<LogFailure>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Item")
    }
}

struct Thread {
    queue: Receiver<Item>,
    open: OpenSegment,
    on_roll: OnRoll,
    file: Box<dyn LogFile>,
    /// Size of the current segment.
    size: u64,
    first_txid: u64,
    last_txid: u64,
    roll_after: u64,
    durable_txid: Arc<AtomicU64>,
    failure: Arc<OnceLock<LogFailure>>,
}

impl LogWriter {
    /// Starts a new segment after `last_txid` and the thread that writes it. A segment is closed after `roll_after` transactions.
    ///
    /// # Errors
    /// When the segment cannot be created.
    pub(crate) fn start(last_txid: u64, roll_after: u64, mut open: OpenSegment, on_roll: OnRoll) -> io::Result<Self> {
        let first_txid = last_txid + 1;
        let file = open(first_txid)?;
        let (sender, queue) = sync_channel(QUEUE);
        let durable_txid = Arc::new(AtomicU64::new(last_txid));
        let failure = Arc::new(OnceLock::new());
        let thread = Thread {
            queue,
            open,
            on_roll,
            file,
            size: HEADER_SIZE as u64,
            first_txid,
            last_txid,
            roll_after,
            durable_txid: Arc::clone(&durable_txid),
            failure: Arc::clone(&failure),
        };
        let thread = std::thread::Builder::new()
            .name("namenode-log".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self {
            queue: Some(sender),
            durable_txid,
            failure,
            thread: Some(thread),
        })
    }

    /// Whether everything up to `txid` is on disk.
    pub(crate) fn is_durable(&self, txid: u64) -> bool {
        self.durable_txid.load(Ordering::Acquire) >= txid
    }

    /// Why the log cannot be written, if it cannot.
    pub(crate) fn failure(&self) -> Option<LogFailure> {
        self.failure.get().cloned()
    }

    /// Hands over a transaction, if there is one, and what waits for it. Blocks while too many wait.
    pub(crate) fn append(&self, record: Option<EditRecord>, release: Release) {
        self.put(Item::Entry { record, release });
    }

    /// Closes the current segment, so that a checkpoint can cover it.
    pub(crate) fn roll(&self) {
        self.put(Item::Roll);
    }

    fn put(&self, item: Item) {
        let queue = self
            .queue
            .as_ref()
            .expect("the queue is open until the writer is dropped");
        if let Err(refused) = queue.send(item)
            && let Item::Entry { release, .. } = refused.0
        {
            release(Err(self.failure().unwrap_or_else(|| "the log thread has ended".into())));
        }
    }
}

impl Drop for LogWriter {
    /// Writes what is waiting, then ends the thread.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log thread panicked");
        }
    }
}

impl Thread {
    fn run(mut self) {
        let mut batch = VecDeque::new();
        while let Ok(first) = self.queue.recv() {
            batch.push_back(first);
            while batch.len() < BATCH {
                let Ok(next) = self.queue.try_recv() else { break };
                batch.push_back(next);
            }
            self.write_batch(&mut batch);
        }
        if self.failure.get().is_none()
            && let Err(problem) = self.file.close()
        {
            tracing::warn!(%problem, "the edit log could not be closed in order: its tail is cut at the next start");
        }
    }

    fn write_batch(&mut self, batch: &mut VecDeque<Item>) {
        let mut releases = Vec::with_capacity(batch.len());
        let (mut buffer, mut roll) = (Vec::new(), false);
        for item in batch.drain(..) {
            match item {
                Item::Roll => roll = true,
                Item::Entry { record, release } => {
                    releases.push(release);
                    if let Some(record) = record {
                        frame::put(&mut buffer, self.size, &record);
                        self.last_txid = record.txid;
                    }
                }
            }
        }
        let result = self.write(&buffer);
        for release in releases {
            release(result.clone());
        }
        if result.is_ok() && self.is_roll_due(roll) {
            self.roll();
        }
    }

    fn write(&mut self, buffer: &[u8]) -> Result<(), LogFailure> {
        if let Some(failure) = self.failure.get() {
            return Err(Arc::clone(failure));
        }
        if buffer.is_empty() {
            return Ok(());
        }
        match self.file.append(buffer).and_then(|()| self.file.sync()) {
            Ok(()) => {
                self.size += buffer.len() as u64;
                self.durable_txid.store(self.last_txid, Ordering::Release);
                Ok(())
            }
            Err(problem) => Err(self.fail("write", &problem)),
        }
    }

    fn fail(&self, what: &str, problem: &io::Error) -> LogFailure {
        let text = format!(
            "the NameNode cannot {what} its edit log ({problem}): it accepts no changes until it is restarted with a working disk"
        );
        tracing::error!("{text}");
        Arc::clone(self.failure.get_or_init(|| text.into()))
    }

    fn is_roll_due(&self, asked: bool) -> bool {
        let count = self.last_txid + 1 - self.first_txid;
        count >= self.roll_after || asked && count > 0
    }

    fn roll(&mut self) {
        let first_txid = self.last_txid + 1;
        match self.file.close().and_then(|()| (self.open)(first_txid)) {
            Ok(file) => {
                self.file = file;
                self.size = HEADER_SIZE as u64;
                self.first_txid = first_txid;
                (self.on_roll)(first_txid);
            }
            Err(problem) => {
                self.fail("begin a new segment of", &problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    /// Counts syncs, and fails from the n-th on.
    #[derive(Clone, Default)]
    struct Disk {
        bytes: Arc<Mutex<Vec<u8>>>,
        syncs: Arc<AtomicU64>,
        fail_from: u64,
    }

    impl LogFile for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.bytes.lock().unwrap().extend(bytes);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            let n = self.syncs.fetch_add(1, Ordering::SeqCst) + 1;
            if n >= self.fail_from {
                Err(io::Error::other("disk full"))
            } else {
                Ok(())
            }
        }
    }

    fn start(disk: &Disk, roll_after: u64, on_roll: OnRoll) -> LogWriter {
        let disk = disk.clone();
        LogWriter::start(0, roll_after, Box::new(move |_| Ok(Box::new(disk.clone()))), on_roll).unwrap()
    }

    fn record(txid: u64) -> Option<EditRecord> {
        Some(EditRecord {
            txid,
            ..EditRecord::default()
        })
    }

    #[test]
    fn releases_run_in_order_after_the_sync_that_covers_them() {
        let disk = Disk {
            fail_from: u64::MAX,
            ..Disk::default()
        };
        let log = start(&disk, u64::MAX, Box::new(|_| {}));
        let (sender, released) = channel();
        for txid in 1..=500 {
            let (sender, disk) = (sender.clone(), disk.clone());
            let release: Release = Box::new(move |result| {
                assert!(result.is_ok() && disk.syncs.load(Ordering::SeqCst) > 0);
                sender.send(txid).unwrap();
            });
            log.append(record(txid), release);
        }
        let order: Vec<u64> = released.iter().take(500).collect();
        assert!(order.is_sorted() && log.is_durable(500));
        assert!(disk.syncs.load(Ordering::SeqCst) <= 500);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
        let disk = Disk {
            fail_from: 2,
            ..Disk::default()
        };
        let log = start(&disk, u64::MAX, Box::new(|_| {}));
        let results: Vec<bool> = (1..=3)
            .map(|txid| {
                let (sender, released) = channel();
                log.append(record(txid), Box::new(move |result| sender.send(result).unwrap()));
                released.recv().unwrap().is_ok()
            })
            .collect();
        assert_eq!(results, [true, false, false]);
        assert!(log.failure().unwrap().contains("disk full") && !log.is_durable(2));
        assert_eq!(disk.syncs.load(Ordering::SeqCst), 2, "a failed fsync is not repeated");
        let (sender, released) = channel();
        log.append(None, Box::new(move |result| sender.send(result).unwrap()));
        assert!(
            released.recv().unwrap().is_err(),
            "what only waits for earlier changes fails with them"
        );
    }

    #[test]
    fn rolls_after_enough_transactions_or_when_asked_but_never_an_empty_segment() {
        let disk = Disk {
            fail_from: u64::MAX,
            ..Disk::default()
        };
        let (sender, rolled) = channel();
        let log = start(&disk, 3, Box::new(move |first| sender.send(first).unwrap()));
        let append = |txid| {
            let (sender, released) = channel();
            log.append(record(txid), Box::new(move |_| sender.send(()).unwrap()));
            released.recv().unwrap();
        };
        (1..=3).for_each(append);
        assert_eq!(rolled.recv().unwrap(), 4);
        log.roll();
        append(4);
        log.roll();
        assert_eq!(rolled.recv().unwrap(), 5);
        assert!(rolled.try_recv().is_err());
    }
}
