//! `fsck`: the check that the NameNode serves over HTTP, for this command and for `hdfs fsck` alike.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::link::Link;
use super::report;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence of the NameNode while it checks.
const SILENCE: Duration = Duration::from_secs(300);
/// Longest line of a response's head.
const LONGEST_LINE: u64 = 16 << 10;

/// Flags of `fsck`.
#[derive(Debug, Clone, Args)]
pub struct FsckArgs {
    /// The NameNode's HTTP address [default: as the NameNode says]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// PATH and HDFS's options: -files -blocks -locations -racks -replicaDetails -openforwrite -list-corruptfileblocks
    /// -storagepolicies -includeSnapshots -move -delete -blockId ID
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PATH"
    )]
    words: Vec<String>,
}

/// HDFS's options and the parameters that stand for them.
const OPTIONS: [(&str, &str); 13] = [
    ("files", "files"),
    ("blocks", "blocks"),
    ("locations", "locations"),
    ("racks", "racks"),
    ("replicaDetails", "replicadetails"),
    ("openforwrite", "openforwrite"),
    ("list-corruptfileblocks", "listcorruptfileblocks"),
    ("storagepolicies", "storagepolicies"),
    ("includeSnapshots", "includeSnapshots"),
    ("maintenance", "maintenance"),
    ("upgradedomains", "upgradedomains"),
    ("move", "move"),
    ("delete", "delete"),
];

/// Checks the files below a path.
pub(super) async fn run(link: &mut Link, args: &FsckArgs) -> anyhow::Result<ExitCode> {
    let target = request_target(&args.words, &link.user)?;
    let address = match &args.http {
        Some(address) => address.clone(),
        None => report::fetch(link).await?.http_address,
    };
    ensure!(
        !address.is_empty(),
        "the NameNode has no HTTP service, which fsck needs: see `namenode.http_address`"
    );
    let last = get(&address, &target).await?;
    Ok(ExitCode::from(exit_code(&last)))
}

/// The path and query of the request.
fn request_target(words: &[String], user: &str) -> anyhow::Result<String> {
    let mut query = format!("ugi={}", encode(user));
    let mut path = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) else {
            ensure!(path.is_none(), "fsck: can only operate on one path at a time '{word}'");
            path = Some(word);
            continue;
        };
        let option = option.strip_prefix('-').unwrap_or(option);
        if option == "blockId" {
            let id = words
                .next()
                .context("fsck: -blockId needs a block's name, such as blk_1073741825")?;
            query.push_str(&format!("&blockId={}", encode(id)));
        } else if option == "showprogress" {
            // Always so, as with HDFS.
        } else {
            let known = OPTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(option));
            let (_, parameter) = known.with_context(|| format!("fsck: Illegal option '{word}'"))?;
            query.push_str(&format!("&{parameter}=1"));
        }
    }
    let path = path.map_or("/", String::as_str);
    Ok(format!("/fsck?{query}&path={}", encode(path)))
}

/// Text as it may stand in a query.
fn encode(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// HDFS's exit codes: the last line tells.
fn exit_code(last: &str) -> u8 {
    let last = last.trim_end();
    let codes = [
        ("is HEALTHY", 0),
        ("is CORRUPT", 1),
        ("does not exist", 0),
        ("is DECOMMISSIONED", 2),
        ("is DECOMMISSIONING", 3),
        ("is IN MAINTENANCE", 4),
        ("is ENTERING MAINTENANCE", 5),
        ("is STALE", 6),
        ("has no CORRUPT files", 0),
        ("has 0 CORRUPT files", 0),
        ("CORRUPT files", 1),
    ];
    let known = codes
        .iter()
        .find(|(end, _)| last.ends_with(end) || last.ends_with(&format!("{end}.")));
    known.map_or(255, |(_, code)| *code)
}

/// Asks for `target` and copies the answer to standard output as it comes; its last line.
async fn get(address: &str, target: &str) -> anyhow::Result<String> {
    let connect = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    let unreachable = || format!("NameNode's HTTP service {address} cannot be reached");
    let mut stream = connect
        .context("timed out")
        .with_context(unreachable)?
        .with_context(unreachable)?;
    stream.set_nodelay(true)?;
    // Version 1.0: the body ends with the connection and comes unpacked.
    let request = format!("GET {target} HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = BufReader::new(stream);
    let status = read_line(&mut answer).await?;
    while !read_line(&mut answer).await?.is_empty() {}
    if status.split(' ').nth(1) != Some("200") {
        let mut body = String::new();
        answer.take(LONGEST_LINE).read_to_string(&mut body).await?;
        bail!("fsck: {address} answered `{status}`: {}", body.trim());
    }
    print_body(answer).await
}

async fn read_line(from: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    let read = tokio::time::timeout(SILENCE, from.take(LONGEST_LINE).read_line(&mut line)).await;
    ensure!(
        read.context("the NameNode is silent")?? > 0,
        "the answer ended in its head"
    );
    Ok(line.trim_end().to_owned())
}

async fn print_body(mut from: BufReader<TcpStream>) -> anyhow::Result<String> {
    use std::io::Write;
    let mut last = String::new();
    loop {
        let mut line = Vec::new();
        let read = tokio::time::timeout(SILENCE, from.read_until(b'\n', &mut line)).await;
        if read.context("the NameNode fell silent during the check")?? == 0 {
            return Ok(last);
        }
        std::io::stdout().write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(words: &[&str]) -> anyhow::Result<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        request_target(&words, "ann")
    }

    #[test]
    fn options_become_parameters() {
        assert_eq!(
            target(&["/a b", "-files", "--blocks", "-list-corruptfileblocks"]).unwrap(),
            "/fsck?ugi=ann&files=1&blocks=1&listcorruptfileblocks=1&path=/a%20b"
        );
        assert_eq!(
            target(&["-blockId", "blk_1"]).unwrap(),
            "/fsck?ugi=ann&blockId=blk_1&path=/"
        );
        assert!(target(&["/", "-sideways"]).is_err());
        assert!(target(&["/a", "/b"]).is_err());
    }

    #[test]
    fn the_last_line_is_the_exit_code() {
        for (line, code) in [
            ("The filesystem under path '/' is HEALTHY\n", 0),
            ("The filesystem under path '/' is CORRUPT\n", 1),
            ("FileSystem is inaccessible due to:", 255),
            ("The filesystem under path '/' has 0 CORRUPT files", 0),
            ("The filesystem under path '/' has 2 CORRUPT files", 1),
        ] {
            assert_eq!(exit_code(line), code, "{line}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end_and_an_error_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            for answer in [
                "HTTP/1.0 200 OK\r\nX: y\r\n\r\nStatus\nis HEALTHY\n\n",
                "HTTP/1.0 403 Forbidden\r\n\r\nno\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let ask = async {
            assert_eq!(get(&address, "/fsck").await.unwrap(), "is HEALTHY\n");
            let refused = get(&address, "/fsck").await.unwrap_err().to_string();
            assert!(
                refused.contains("403 Forbidden") && refused.ends_with("no"),
                "{refused}"
            );
        };
        tokio::join!(serve, ask);
    }
}
