//! A bar for long copies, on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Copies of fewer bytes are done before a bar would help.
const WORTH_A_BAR: u64 = 16 << 20;
/// As many files take long even if they are small.
const MANY_FILES: usize = 200;

/// How far a copy is. Hidden unless standard error is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    files: usize,
    done: std::sync::atomic::AtomicUsize,
}

impl Progress {
    /// For so many files with so many bytes together.
    pub(super) fn of_files(files: usize, bytes: u64) -> Self {
        let worth = bytes >= WORTH_A_BAR || files >= MANY_FILES;
        let bar = match worth && std::io::stderr().is_terminal() {
            true => ProgressBar::new(bytes),
            false => ProgressBar::hidden(),
        };
        styled(
            &bar,
            "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
        );
        let progress = Self {
            bar,
            files,
            done: 0.into(),
        };
        progress.show_files(0);
        progress
    }

    /// For a stream whose length nobody knows.
    pub(super) fn of_stream(name: &str) -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::no_length(),
            false => ProgressBar::hidden(),
        };
        styled(&bar, "{msg} {bytes} {binary_bytes_per_sec}");
        bar.set_message(name.to_owned());
        Self {
            bar,
            files: 1,
            done: 0.into(),
        }
    }

    /// So many more bytes are copied.
    pub(super) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// One more file is copied.
    pub(super) fn file_done(&self) {
        let done = self.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.show_files(done);
    }

    fn show_files(&self, done: usize) {
        if self.files > 1 {
            self.bar.set_message(format!("{done}/{} files", self.files));
        }
    }

    /// Makes room for a line of text; the next step draws the bar again.
    pub(super) fn pause(&self) {
        self.bar.suspend(|| {});
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn styled(bar: &ProgressBar, form: &str) {
    bar.set_style(ProgressStyle::with_template(form).expect("the template is valid"));
}
