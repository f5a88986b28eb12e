//! The corpus through every target, and each of its files damaged in every simple way: cut off, bits flipped, bytes set to their extremes.
//!
//! A crash that a longer fuzzing run finds is kept as one more file of the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use quarry_dfs_fuzz::{TARGETS, Target};

/// Damaged variants of one file where a run costs microseconds, and where it opens sockets or files.
const CHEAP_VARIANTS: usize = 4000;
const COSTLY_VARIANTS: usize = 60;

fn main() {
    let trials = TARGETS.iter().flat_map(|target| {
        let files = corpus(target);
        let files = Arc::new(files);
        let damaged = Arc::clone(&files);
        [
            Trial::test(format!("{}::corpus", target.name), move || {
                if files.is_empty() {
                    return Err("it has no corpus".into());
                }
                (target.run)(b"");
                files.iter().for_each(|(_, bytes)| (target.run)(bytes));
                Ok(())
            }),
            Trial::test(format!("{}::damaged", target.name), move || {
                damaged.iter().for_each(|(_, bytes)| damage(target, bytes));
                Ok(())
            }),
        ]
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// The committed inputs of a target.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(&crate_dir()).join("corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort_unstable();
    files
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
            (path, bytes)
        })
        .collect()
}

/// Runs the damaged variants of one input, evenly spread over it if there are more than a target's share.
fn damage(target: &Target, bytes: &[u8]) {
    let limit = if target.is_cheap {
        CHEAP_VARIANTS
    } else {
        COSTLY_VARIANTS
    };
    let kinds = 5;
    let step = (bytes.len() * kinds).div_ceil(limit).max(1);
    for n in (0..bytes.len() * kinds).step_by(step) {
        let (at, kind) = (n / kinds, n % kinds);
        let mut bad = bytes.to_vec();
        match kind {
            0 => bad.truncate(at),
            1 => bad[at] ^= 1 << (at % 8),
            2 => bad[at] = 0xff,
            3 => bad[at] = 0x7f,
            _ => bad.insert(at, 0x80),
        }
        (target.run)(&bad);
    }
}

/// This crate's folder in the clone that runs the tests. The one that compiled them may have been another: build output is shared.
fn crate_dir() -> std::ffi::OsString {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
}
