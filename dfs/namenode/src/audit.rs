//! The audit log: one line per call in HDFS's format, to a file of its own. Writing is another thread's work and never makes a call wait: when
//! it cannot keep up, lines are dropped and counted.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::core::calendar::Moment;

/// Lines that may wait to be written.
const QUEUE: usize = 8192;

/// A running audit log. Dropping it writes what is waiting.
#[derive(Debug)]
pub(crate) struct AuditLog {
    lines: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens the file at its end. When it has `limit` bytes it becomes `<name>.1`, in place of an older one, and a new one begins.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn start(path: &Path, limit: u64) -> io::Result<Self> {
        let file = AuditFile::open(path, limit)?;
        let (lines, waiting) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("audit-log".to_owned());
        let writer = thread.spawn(move || write_all(file, &waiting, &counted))?;
        Ok(Self {
            lines: Some(lines),
            dropped,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Hands a line over, without its end and its time.
    pub(crate) fn write(&self, line: String) {
        let sent = self.lines.as_ref().map(|lines| lines.try_send(line));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.lines = None;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit log's thread panicked");
        }
    }
}

fn write_all(mut file: AuditFile, waiting: &Receiver<String>, dropped: &AtomicU64) {
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            file.write(&line);
            next = waiting.try_recv().ok();
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            file.write(&format!("{lost} lines were dropped: the audit log could not keep up"));
            tracing::warn!(lost, "audit lines were dropped");
        }
        file.flush();
    }
}

struct AuditFile {
    path: PathBuf,
    limit: u64,
    length: u64,
    out: BufWriter<File>,
    /// A failure is told once until a write works again.
    failed: bool,
}

impl AuditFile {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            limit,
            length: file.metadata()?.len(),
            out: BufWriter::new(file),
            failed: false,
        })
    }

    fn write(&mut self, line: &str) {
        let text = format!(
            "{} INFO FSNamesystem.audit: {line}\n",
            time_text(crate::driver::unix_ms())
        );
        if self.length > 0 && self.length + text.len() as u64 > self.limit {
            let rolled = self.roll();
            self.tell(rolled);
        }
        self.length += text.len() as u64;
        let written = self.out.write_all(text.as_bytes());
        self.tell(written);
    }

    fn roll(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        let failed = self.failed;
        *self = Self::open(&self.path, self.limit)?;
        self.failed = failed;
        Ok(())
    }

    fn flush(&mut self) {
        let flushed = self.out.flush();
        self.tell(flushed);
    }

    fn tell(&mut self, result: io::Result<()>) {
        match result {
            Err(problem) if !self.failed => {
                self.failed = true;
                tracing::error!(file = %self.path.display(), %problem, "the audit log cannot be written");
            }
            Err(_) => {}
            Ok(()) => self.failed = false,
        }
    }
}

/// `2026-11-23 10:05:23,098`, in UTC.
fn time_text(unix_ms: u64) -> String {
    let Moment {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Moment::of(unix_ms);
    format!(
        "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{:03}",
        unix_ms % 1000
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00,000"),
            (951_782_400_000, "2000-02-29 00:00:00,000"),
            (1_795_428_323_098, "2026-11-23 10:05:23,098"),
            (4_107_542_399_999, "2100-02-28 23:59:59,999"),
        ] {
            assert_eq!(time_text(ms), text);
        }
    }

    #[test]
    fn a_full_file_makes_way_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::start(&path, 200).unwrap();
        for n in 0..6 {
            log.write(format!("line {n}"));
        }
        drop(log);
        let (old, new) = (dir.path().join("audit.log.1"), std::fs::read_to_string(&path).unwrap());
        assert!(new.ends_with("line 5\n") && new.len() <= 200, "{new}");
        assert!(std::fs::read_to_string(old).unwrap().len() <= 200);
    }

    #[test]
    fn a_slow_disk_costs_lines_not_time() {
        let (lines, waiting) = sync_channel(1);
        let log = AuditLog {
            lines: Some(lines),
            dropped: Arc::default(),
            writer: Mutex::new(None),
        };
        (0..5).for_each(|n| log.write(n.to_string()));
        assert_eq!(log.dropped.load(Ordering::Relaxed), 4);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let dropped = Arc::clone(&log.dropped);
        drop(log);
        write_all(AuditFile::open(&path, 1 << 20).unwrap(), &waiting, &dropped);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.contains(": 0\n") && text.contains("4 lines were dropped"),
            "{text}"
        );
    }
}
