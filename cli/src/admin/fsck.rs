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
    /// PATH and HDFS's options: -files -blocks -locations -racks -replicaDetails -upgradedomains -openforwrite
    /// -list-corruptfileblocks -storagepolicies -maintenance -includeSnapshots -replicate -move -delete -blockId ID...; ours:
    /// -noverify names only the damage that is known, without having the DataNodes verify their replicas before
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PATH"
    )]
    words: Vec<String>,
}

/// HDFS's options and the parameters that stand for them.
const OPTIONS: [(&str, &str); 15] = [
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
    ("replicate", "replicate"),
    ("noverify", "skipverification"),
];

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    /// Path and query of the request.
    target: String,
    /// The answer is a page of a list, and there may be more.
    is_paged: bool,
    path: String,
}

/// Checks the files below a path.
pub(super) async fn run(link: &mut Link, args: &FsckArgs, json: bool) -> anyhow::Result<ExitCode> {
    let question = question(&args.words, &link.user, json)?;
    let address = match &args.http {
        Some(address) => address.clone(),
        None => {
            let told = report::fetch(link).await?.http_address;
            link.beside(&told)
        }
    };
    ensure!(
        !address.is_empty(),
        "the NameNode has no HTTP service, which fsck needs: see `namenode.http_address`"
    );
    let code = if question.is_paged {
        list_corrupt(&address, &question).await?
    } else if json {
        let mut answer = String::new();
        get(&address, &question.target, |line| answer.push_str(line)).await?;
        print!("{answer}");
        json_exit_code(&answer)
    } else {
        let print = |line: &str| println!("{}", line.trim_end_matches(['\r', '\n']));
        exit_code(&get(&address, &question.target, print).await?)
    };
    Ok(ExitCode::from(code))
}

fn question(words: &[String], user: &str, json: bool) -> anyhow::Result<Question> {
    let mut query = format!("ugi={}", encode(user));
    let mut path = None;
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) else {
            ensure!(path.is_none(), "fsck: can only operate on one path at a time '{word}'");
            path = Some(word);
            continue;
        };
        let option = option.strip_prefix('-').unwrap_or(option);
        if option == "blockId" {
            let mut ids = Vec::new();
            while let Some(id) = words.next_if(|word| !word.starts_with(['-', '/'])) {
                ids.push(id.as_str());
            }
            ensure!(
                !ids.is_empty(),
                "fsck: -blockId needs a block's name, such as blk_1073741825"
            );
            query.push_str(&format!("&blockId={}", encode(&ids.join(" "))));
        } else if option == "showprogress" {
            // Always so, as with HDFS.
        } else {
            let known = OPTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(option));
            let (_, parameter) = known.with_context(|| format!("fsck: Illegal option '{word}'"))?;
            query.push_str(&format!("&{parameter}=1"));
        }
    }
    let is_paged = query.contains("&listcorruptfileblocks=") && !query.contains("&blockId=");
    if json {
        ensure!(
            !is_paged && !query.contains("&blockId="),
            "fsck: --json has the whole check of a path: leave out -list-corruptfileblocks and -blockId"
        );
        query.push_str("&json=1");
    }
    let path = match path.map_or("/", String::as_str) {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/user/{user}/{path}"),
    };
    let target = format!("/fsck?{query}&path={}", encode(&path));
    Ok(Question { target, is_paged, path })
}

/// Prints the list page by page, in the words of HDFS's client; its exit code.
async fn list_corrupt(address: &str, question: &Question) -> anyhow::Result<u8> {
    let (mut cookie, mut count) = ("0".to_owned(), 0_u64);
    loop {
        let target = format!("{}&startblockafter={cookie}", question.target);
        let (mut next, mut found) = (None, 0);
        let take = |line: &str| {
            if let Some(text) = line.strip_prefix("Cookie:") {
                next = Some(text.trim().to_owned());
            } else if line.starts_with("blk_") {
                if count + found == 0 {
                    println!("The list of corrupt blocks under path '{}' are:", question.path);
                }
                println!("{}", line.trim_end());
                found += 1;
            }
        };
        let last = get(address, &target, take).await?;
        ensure!(!last.ends_with("FAILED"), "fsck: {}: {last}", question.path);
        count += found;
        match next {
            Some(next) if found > 0 => cookie = next,
            _ => break,
        }
    }
    println!(
        "The filesystem under path '{}' has {count} CORRUPT blocks",
        question.path
    );
    Ok(if count == 0 { 0 } else { 255 })
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
    ];
    if last.starts_with("Incorrect blockId format:") {
        return 0;
    }
    let known = codes.iter().find(|(end, _)| last.ends_with(end));
    known.map_or(255, |(_, code)| *code)
}

/// The same, of an answer in JSON.
fn json_exit_code(answer: &str) -> u8 {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    match answer["status"].as_str() {
        Some("HEALTHY" | "ABSENT") => 0,
        Some("CORRUPT") => 1,
        _ => 255,
    }
}

/// Asks for `target` and hands the answer's lines over as they come; its last one that is not empty.
async fn get(address: &str, target: &str, take: impl FnMut(&str)) -> anyhow::Result<String> {
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
    read_body(answer, take).await
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

async fn read_body(mut from: BufReader<TcpStream>, mut take: impl FnMut(&str)) -> anyhow::Result<String> {
    let mut last = String::new();
    loop {
        let mut line = Vec::new();
        let read = tokio::time::timeout(SILENCE, from.read_until(b'\n', &mut line)).await;
        if read.context("the NameNode fell silent during the check")?? == 0 {
            return Ok(last);
        }
        let text = String::from_utf8_lossy(&line);
        take(&text);
        if !text.trim().is_empty() {
            last = text.trim_end().to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(words: &[&str]) -> anyhow::Result<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        question(&words, "ann", false).map(|question| question.target)
    }

    #[test]
    fn options_become_parameters() {
        assert_eq!(
            target(&["/a b", "-files", "--blocks", "-list-corruptfileblocks"]).unwrap(),
            "/fsck?ugi=ann&files=1&blocks=1&listcorruptfileblocks=1&path=/a%20b"
        );
        assert_eq!(
            target(&["-blockId", "blk_1", "blk_2"]).unwrap(),
            "/fsck?ugi=ann&blockId=blk_1%20blk_2&path=/"
        );
        assert_eq!(
            target(&["here", "-noverify"]).unwrap(),
            "/fsck?ugi=ann&skipverification=1&path=/user/ann/here"
        );
        assert!(target(&["-blockId"]).is_err());
        assert!(target(&["/", "-sideways"]).is_err());
        assert!(target(&["/a", "/b"]).is_err());
    }

    #[test]
    fn the_last_line_is_the_exit_code() {
        for (line, code) in [
            ("The filesystem under path '/' is HEALTHY\n", 0),
            ("The filesystem under path '/' is CORRUPT\n", 1),
            ("FileSystem is inaccessible due to:", 255),
            ("Path '/absent' does not exist", 0),
            ("Incorrect blockId format: nonsense", 0),
            ("Fsck on path '/' FAILED", 255),
        ] {
            assert_eq!(exit_code(line), code, "{line}");
        }
        assert_eq!(json_exit_code(r#"{ "status": "CORRUPT" }"#), 1);
        assert_eq!(json_exit_code("nothing"), 255);
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
            assert_eq!(get(&address, "/fsck", |_| ()).await.unwrap(), "is HEALTHY");
            let refused = get(&address, "/fsck", |_| ()).await.unwrap_err().to_string();
            assert!(
                refused.contains("403 Forbidden") && refused.ends_with("no"),
                "{refused}"
            );
        };
        tokio::join!(serve, ask);
    }
}
