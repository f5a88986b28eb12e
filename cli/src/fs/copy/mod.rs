//! Commands that move bytes: `put`, `get`, `cp`, `mv` and their relatives.
//!
//! A file is written under a temporary name that ends in `._COPYING_`, as with HDFS, and renamed when it is whole: a broken copy never
//! looks like a file.

mod append;
mod crc_file;
mod merge;
mod rename;
mod transfer;
mod tree;

pub(super) use append::append_to_file;
pub(super) use merge::getmerge;
pub(super) use rename::mv;

use super::failure::FsError;
use super::format::{Given, Syntax};
use super::item::{Item, join};
use super::session::Session;
use transfer::{Attributes, How};
use tree::Destination;

/// Copies at the same time unless `-t` says otherwise.
const DEFAULT_THREADS: usize = 4;
/// Most copies at the same time.
const MOST_THREADS: usize = 256;

const PUT: Syntax = Syntax::flags(&["f", "p", "l", "d"], 1).values(&["t", "q"]);
const GET: Syntax = Syntax::flags(&["crc", "ignoreCrc", "p", "f"], 1).values(&["t", "q"]);
const CP: Syntax = Syntax::flags(&["f", "d"], 2).values(&["t", "q"]);

/// How many copies may run at the same time: `-t`. The length of the queue, `-q`, is not needed here.
fn threads(given: &Given) -> usize {
    let asked = given.value("t").and_then(|threads| threads.parse::<usize>().ok());
    asked.unwrap_or(DEFAULT_THREADS).clamp(1, MOST_THREADS)
}

/// Copies local files into the file system.
pub(super) async fn put(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    upload(session, words, false).await
}

/// The same, deleting the local files that arrived.
pub(super) async fn move_from_local(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    if super::format::take_flag(&mut words, "-t") {
        return Err(FsError::Usage("Illegal option -t".to_owned()));
    }
    upload(session, words, true).await
}

async fn upload(session: &mut Session, words: Vec<String>, remove_source: bool) -> Result<(), FsError> {
    let given = PUT.parse(words)?;
    let how = How {
        overwrite: given.has("f"),
        direct: given.has("d"),
        attributes: if given.has("p") {
            Attributes::usual()
        } else {
            Attributes::none()
        },
        // Quarry keeps no blocks in memory only: HDFS falls back to the disk as well.
        remove_source,
        threads: threads(&given),
        ..How::default()
    };
    let mut sources = given.rest;
    let target = Destination::remote(session, take_target(&mut sources)).await?;
    if sources == ["-"] {
        return transfer::from_stdin(session, &target.for_source("-"), &how).await;
    }
    let mut items = Vec::new();
    for source in &sources {
        let item = session.local_item(source).await;
        items.extend(session.note(item));
    }
    tree::copy(session, items, target, &how).await
}

/// Copies files out of the file system; a `-` as destination is standard output, which HDFS's shell does not have.
pub(super) async fn get(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = GET.parse(words)?;
    let how = How {
        overwrite: given.has("f"),
        write_crc: given.has("crc"),
        attributes: if given.has("p") {
            Attributes::usual()
        } else {
            Attributes::none()
        },
        threads: threads(&given),
        ..How::default()
    };
    let mut sources = given.rest;
    let target = take_target(&mut sources);
    if target.as_deref() == Some("-") {
        return super::display::print_all(session, &sources).await;
    }
    let target = Destination::local(session, target).await?;
    let items = session.expand_all(&sources).await;
    tree::copy(session, items, target, &how).await
}

/// Copies files within the file system, or between two.
pub(super) async fn cp(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let attributes = take_attributes(&mut words)?;
    let given = CP.parse(words)?;
    let how = How {
        overwrite: given.has("f"),
        direct: given.has("d"),
        attributes,
        threads: threads(&given),
        ..How::default()
    };
    let mut sources = given.rest;
    let target = Destination::remote(session, take_target(&mut sources)).await?;
    let items = session.expand_all(&sources).await;
    tree::copy(session, items, target, &how).await
}

/// Takes `-p` or `-ptopax` out of the words.
fn take_attributes(words: &mut Vec<String>) -> Result<Attributes, FsError> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    match words[..end].iter().position(|word| word.starts_with("-p")) {
        None => Ok(Attributes::none()),
        Some(at) => Attributes::parse(&words.remove(at)[2..]),
    }
}

/// The last argument is the destination; a single one is the source, and goes to the directory at which relative paths begin.
fn take_target(arguments: &mut Vec<String>) -> Option<String> {
    if arguments.len() < 2 { None } else { arguments.pop() }
}

/// The name under which a file is written until it is whole.
fn temporary(path: &str) -> String {
    format!("{path}._COPYING_")
}

/// The path of `name` beside `item`.
fn beside(item: &Item, name: &str) -> String {
    join(item.parent(), name)
}
