//! `cat`, `text`, `head`, `tail` and `checksum`: what looks at bytes.

use std::io::{Read, Write};
use std::time::Duration;

use async_trait::async_trait;

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::place::{Place, Source};
use super::session::{Session, Visitor};

const CAT: Syntax = Syntax::flags(&["ignoreCrc"], 1);
const HEAD: Syntax = Syntax::flags(&[], 1).at_most(1);
const TAIL: Syntax = Syntax::flags(&["f"], 1).at_most(1).values(&["s"]);
const CHECKSUM: Syntax = Syntax::flags(&["v"], 1);

/// Bytes that `head` and `tail` show.
const END: u64 = 1024;
/// How often `tail -f` looks again unless `-s` says otherwise.
const FOLLOW_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of compressed data that may be unpacked at a time.
const UNPACKED: usize = 1 << 20;

/// Writes files to standard output.
pub(super) async fn cat(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let sources = CAT.parse(words)?.rest;
    print_all(session, &sources).await
}

/// Writes the files that `sources` match to standard output.
pub(super) async fn print_all(session: &mut Session, sources: &[String]) -> Result<(), FsError> {
    session.visit(sources, false, &mut Cat).await;
    Ok(())
}

struct Cat;

#[async_trait]
impl Visitor for Cat {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let mut source = open_file(item).await?;
        print(session, &mut source).await
    }
}

async fn open_file(item: &Item) -> Result<Source, FsError> {
    if item.status()?.is_directory() {
        return Err(FsError::is_directory(&item.shown));
    }
    item.place.open(&item.path).await
}

/// Writes all of `source`; the next bytes are read while the last ones are written.
async fn print(session: &mut Session, source: &mut Source) -> Result<(), FsError> {
    loop {
        let chunk = source.next().await?;
        if chunk.is_empty() {
            return session.flush();
        }
        session.write(&chunk)?;
    }
}

/// Writes files to standard output, unpacking those that are compressed.
pub(super) async fn text(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let sources = CAT.parse(words)?.rest;
    session.visit(&sources, false, &mut Text).await;
    Ok(())
}

struct Text;

/// How a file's bytes are to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zlib,
    Bzip2,
    Unsupported(&'static str),
}

/// Tells the packing by the first bytes, and else by the ending of the name, as HDFS does.
fn packing(first: &[u8], name: &str) -> Packing {
    match first {
        [0x1f, 0x8b, ..] => return Packing::Gzip,
        [b'S', b'E', b'Q', ..] => return Packing::Unsupported("a sequence file"),
        [b'O', b'b', b'j', 1, ..] => return Packing::Unsupported("an Avro file"),
        _ => {}
    }
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("gz") => Packing::Gzip,
        Some("deflate") => Packing::Zlib,
        Some("bz2") => Packing::Bzip2,
        Some("snappy") => Packing::Unsupported("Hadoop's Snappy format"),
        Some("lz4") => Packing::Unsupported("Hadoop's LZ4 format"),
        Some("zst") => Packing::Unsupported("Zstandard"),
        _ => Packing::None,
    }
}

#[async_trait]
impl Visitor for Text {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let mut source = open_file(item).await?;
        let first = source.next().await?;
        let mut unpacker: Box<dyn Unpacker> = match packing(&first, item.name()) {
            Packing::Gzip => Box::new(flate2::write::MultiGzDecoder::new(Vec::new())),
            Packing::Zlib => Box::new(flate2::write::ZlibDecoder::new(Vec::new())),
            Packing::Bzip2 => Box::new(Bunzip2::new()),
            Packing::None => {
                session.write(&first)?;
                return print(session, &mut source).await;
            }
            Packing::Unsupported(what) => {
                return Err(FsError::Other(format!(
                    "`{}': {what} cannot be shown as text",
                    item.shown
                )));
            }
        };
        let damaged = FsError::local(&item.shown);
        let mut chunk = first;
        while !chunk.is_empty() {
            for piece in chunk.chunks(UNPACKED) {
                let unpacked = unpacker.unpack(piece);
                session.write(&unpacked.map_err(FsError::local(&item.shown))?)?;
            }
            chunk = source.next().await?;
        }
        session.write(&unpacker.end().map_err(damaged)?)?;
        session.flush()
    }
}

/// Something that takes packed bytes and gives what they stand for.
trait Unpacker: Send {
    fn unpack(&mut self, packed: &[u8]) -> std::io::Result<Vec<u8>>;
    fn end(self: Box<Self>) -> std::io::Result<Vec<u8>>;
}

macro_rules! unpacker {
    ($type:ty) => {
        impl Unpacker for $type {
            fn unpack(&mut self, packed: &[u8]) -> std::io::Result<Vec<u8>> {
                self.write_all(packed)?;
                Ok(std::mem::take(self.get_mut()))
            }

            fn end(self: Box<Self>) -> std::io::Result<Vec<u8>> {
                let mut inner = *self;
                inner.try_finish()?;
                Ok(std::mem::take(inner.get_mut()))
            }
        }
    };
}

unpacker!(flate2::write::MultiGzDecoder<Vec<u8>>);
unpacker!(flate2::write::ZlibDecoder<Vec<u8>>);

/// Bzip2 streams, one after the other.
struct Bunzip2(bzip2::write::BzDecoder<Vec<u8>>);

impl Bunzip2 {
    fn new() -> Self {
        Self(bzip2::write::BzDecoder::new(Vec::new()))
    }
}

impl Unpacker for Bunzip2 {
    fn unpack(&mut self, mut packed: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        while !packed.is_empty() {
            match self.0.write(packed)? {
                // A stream has ended, and the next begins.
                0 => unpacked.append(&mut std::mem::replace(self, Self::new()).0.finish()?),
                taken => packed = &packed[taken..],
            }
        }
        unpacked.append(self.0.get_mut());
        Ok(unpacked)
    }

    fn end(mut self: Box<Self>) -> std::io::Result<Vec<u8>> {
        self.0.try_finish()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

/// Writes the first kilobyte of a file.
pub(super) async fn head(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let item = only(session, &HEAD.parse(words)?.rest[0]).await?;
    let end = length_of_file(&item)?.min(END);
    let bytes = read(&item, 0, end).await?;
    session.write(&bytes)
}

/// Writes the last kilobyte of a file, and with `-f` what is appended from then on.
pub(super) async fn tail(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = TAIL.parse(words)?;
    let pause = match given.value("s").map(str::parse::<u64>) {
        None => FOLLOW_PAUSE,
        Some(Ok(milliseconds)) => Duration::from_millis(milliseconds),
        Some(Err(_)) => {
            return Err(FsError::Usage(
                "the interval of -s is a number of milliseconds".to_owned(),
            ));
        }
    };
    let mut item = only(session, &given.rest[0]).await?;
    let mut at = length_of_file(&item)?.saturating_sub(END);
    loop {
        let end = length_now(&item).await?;
        if end > at {
            let bytes = read(&item, at, end).await?;
            session.write(&bytes)?;
            session.flush()?;
            at = end;
        }
        if !given.has("f") {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        item.status = item.place.status(&item.path).await?;
        // Cut to a shorter length: go on at its new end.
        at = at.min(item.status()?.length.max(length_now(&item).await?));
    }
}

/// The one path that an argument matches.
async fn only(session: &mut Session, argument: &str) -> Result<Item, FsError> {
    let mut found = session.expand(argument).await?;
    match found.pop() {
        Some(one) if found.is_empty() => Ok(one),
        _ => Err(FsError::wrong(argument, "Too many matches")),
    }
}

fn length_of_file(item: &Item) -> Result<u64, FsError> {
    let status = item.status()?;
    match status.is_directory() {
        true => Err(FsError::is_directory(&item.shown)),
        false => Ok(status.length),
    }
}

/// The length that can be read now, which grows while a file is written.
async fn length_now(item: &Item) -> Result<u64, FsError> {
    Ok(item.place.open(&item.path).await?.length().await.unwrap_or(0))
}

async fn read(item: &Item, start: u64, end: u64) -> Result<Vec<u8>, FsError> {
    match &item.place {
        Place::Dfs(dfs) => {
            let reader = dfs.client.open(&item.path).await?;
            let end = end.min(reader.len());
            Ok(reader.read_range(start.min(end)..end).await?.to_vec())
        }
        Place::Local => read_local(&item.path, start, end).map_err(FsError::local(&item.shown)),
    }
}

fn read_local(path: &str, start: u64, end: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Shows files' checksums, which the DataNodes make from what they store.
pub(super) async fn checksum(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = CHECKSUM.parse(words)?;
    let mut checksum = Checksum {
        block_size: given.has("v"),
    };
    session.visit(&given.rest, false, &mut checksum).await;
    Ok(())
}

struct Checksum {
    block_size: bool,
}

#[async_trait]
impl Visitor for Checksum {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        if status.is_directory() {
            return Err(FsError::is_directory(&item.shown));
        }
        let Place::Dfs(dfs) = &item.place else {
            return session.print(format_args!("{}\tNONE\t", item.shown));
        };
        let sum = dfs.client.checksum(&item.path).await?;
        let block_size = match self.block_size {
            true => format!("\tBlockSize={}", status.block_size),
            false => String::new(),
        };
        session.print(format_args!(
            "{}\t{}\t{}{block_size}",
            item.shown,
            sum.algorithm(),
            sum.hex()
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::super::testing;
    use super::*;

    #[tokio::test]
    async fn files_are_written_one_after_the_other() {
        let dir = testing::tree();
        let (absent, sub) = (dir.url("/absent"), dir.url("/sub"));
        let ran = testing::run("cat", &[&dir.url("/a.txt"), &absent, &sub, &dir.url("/sub/b.txt")]).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, "first\ntwo\n"));
        let expected = format!("cat: `{absent}': No such file or directory\ncat: `{sub}': Is a directory\n");
        assert_eq!(ran.err, expected);
    }

    #[tokio::test]
    async fn packed_files_are_shown_unpacked() {
        let dir = testing::tree();
        let text = "line\n".repeat(500_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        // The bytes tell, whatever the name.
        std::fs::write(dir.path("gzipped"), gzip.finish().unwrap()).unwrap();
        let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip.write_all(text.as_bytes()).unwrap();
        std::fs::write(dir.path("f.bz2"), bzip.finish().unwrap()).unwrap();
        for name in ["/gzipped", "/f.bz2"] {
            let ran = testing::run("text", &[&dir.url(name)]).await;
            assert_eq!((ran.code, ran.out == text), (0, true), "{name}: {}", ran.err);
        }
        assert_eq!(testing::run("text", &[&dir.url("/a.txt")]).await.out, "first\n");
        std::fs::write(dir.path("seq"), b"SEQ\x06").unwrap();
        let ran = testing::run("text", &[&dir.url("/seq")]).await;
        assert!(ran.code == 1 && ran.err.contains("a sequence file"), "{}", ran.err);
    }

    #[tokio::test]
    async fn a_damaged_packed_file_is_an_error() {
        let dir = testing::tree();
        std::fs::write(dir.path("bad.gz"), b"\x1f\x8b\x08\x00garbage garbage").unwrap();
        assert_eq!(testing::run("text", &[&dir.url("/bad.gz")]).await.code, 1);
    }

    #[tokio::test]
    async fn head_and_tail_show_a_kilobyte() {
        let dir = testing::tree();
        let bytes: String = (0..3000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        std::fs::write(dir.path("long"), &bytes).unwrap();
        assert_eq!(testing::run("head", &[&dir.url("/long")]).await.out, bytes[..1024]);
        assert_eq!(
            testing::run("tail", &[&dir.url("/long")]).await.out,
            bytes[3000 - 1024..]
        );
        assert_eq!(testing::run("tail", &[&dir.url("/a.txt")]).await.out, "first\n");
        let ran = testing::run("head", &[&dir.url("/sub")]).await;
        assert_eq!(ran.err, format!("head: `{}': Is a directory\n", dir.url("/sub")));
    }

    #[test]
    fn first_bytes_tell_before_the_name() {
        assert_eq!(packing(&[0x1f, 0x8b, 8], "x"), Packing::Gzip);
        assert_eq!(packing(b"plain", "x.bz2"), Packing::Bzip2);
        assert_eq!(packing(b"", "x"), Packing::None);
    }
}
