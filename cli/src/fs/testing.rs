//! What the unit tests of the commands share: they run on this machine's files, which need no cluster.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::generic::Generic;
use super::session::Session;

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    /// Exit code.
    pub(super) code: u8,
    /// Standard output.
    pub(super) out: String,
    /// Standard error.
    pub(super) err: String,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// Runs a command that touches no cluster.
pub(super) async fn run(verb: &str, words: &[&str]) -> Ran {
    let (out, err) = (Kept::default(), Kept::default());
    let clusters = Box::new(|_: Option<&str>| anyhow::bail!("this test has no cluster"));
    let mut session = Session::new(
        verb,
        clusters,
        Generic::default(),
        Box::new(out.clone()),
        Box::new(err.clone()),
    );
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let code = super::run_verb(&mut session, verb, words).await;
    Ran {
        code,
        out: out.text(),
        err: err.text(),
    }
}

/// A directory of this machine with a few files.
pub(super) struct Tree(tempfile::TempDir);

/// `a.txt` (6 bytes), `empty`, `sub/b.txt` (4 bytes).
pub(super) fn tree() -> Tree {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("it can be written");
    std::fs::create_dir(dir.path().join("sub")).expect("a directory can be made");
    write("a.txt", "first\n");
    write("empty", "");
    write("sub/b.txt", "two\n");
    Tree(dir)
}

impl Tree {
    /// The local path of an entry.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as an argument; `name` is empty or begins with a slash.
    pub(super) fn url(&self, name: &str) -> String {
        format!("file://{}{name}", self.0.path().display())
    }
}
