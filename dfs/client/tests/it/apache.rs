//! The same client against a real Apache HDFS 3.5, whose jars `interop/setup oracle` fetches. Without them the test says so aloud and ends;
//! with `QUARRY_INTEROP=required` it fails.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use bytesize::ByteSize;
use quarry_dfs_client::{
    AclEntry, ChecksumCombine, ChecksumType, CreateOptions, DataNodeState, DfsClient, DfsClientConfig, Error,
    FileChecksum, QuotaChange, Trashed, XAttr, XAttrMode,
};
use quarry_dfs_wire::checksum::DataChecksum;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::cluster::{BLOCK, USER, get, payload, put};

/// A JVM on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// The folder of the jars.
fn jars() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let folder = cache
        .or_else(home)
        .unwrap_or_default()
        .join("quarry/interop/oracle-jars");
    if folder.join(".made-from").is_file() {
        return Some(folder);
    }
    let missing = format!("no Apache HDFS in {}: run interop/setup", folder.display());
    assert!(
        std::env::var("QUARRY_INTEROP").as_deref() != Ok("required"),
        "{missing}"
    );
    eprintln!("SKIPPED: {missing}");
    None
}

struct Apache {
    _dir: tempfile::TempDir,
    _process: Child,
    commands: ChildStdin,
    answers: mpsc::Receiver<String>,
    namenode: String,
}

impl Apache {
    async fn start(jars: &Path, datanodes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(&crate_dir()).join("tests/apache/ApacheCluster.java");
        let mut process = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(jars.join("*"))
            .arg(source)
            .arg(dir.path().join("data"))
            .arg(datanodes.to_string())
            .args([
                "dfs.namenode.heartbeat.recheck-interval=1000",
                "dfs.heartbeat.interval=1s",
            ])
            .env("HADOOP_USER_NAME", USER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (found, answers) = mpsc::channel(16);
        // Always read on: Hadoop logs to stdout, and a full pipe would stop it in the middle of a write.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let is_answer = line == "done" || line.starts_with("ready ");
                if is_answer && found.send(line).await.is_err() {
                    return;
                }
            }
        });
        let mut apache = Self {
            _dir: dir,
            _process: process,
            commands,
            answers,
            namenode: String::new(),
        };
        let ready = apache.answer("ready ").await;
        apache.namenode = ready;
        apache
    }

    /// What stands behind the words of the next line that begins with them.
    async fn answer(&mut self, words: &str) -> String {
        let waiting = async {
            loop {
                let line = self.answers.recv().await.expect("the JVM ended");
                if let Some(rest) = line.strip_prefix(words) {
                    return rest.to_owned();
                }
            }
        };
        tokio::time::timeout(START_LIMIT, waiting).await.unwrap()
    }

    async fn command(&mut self, command: &str) {
        self.commands
            .write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        self.answer("done").await;
    }

    fn client(&self) -> DfsClient {
        DfsClient::new(DfsClientConfig {
            user: USER.to_owned(),
            block_size: Some(ByteSize::b(BLOCK)),
            replication: Some(3),
            ..DfsClientConfig::new(self.namenode.clone())
        })
    }
}

/// One cluster for all, for it takes long to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_client_on_apache_hdfs() {
    let Some(jars) = jars() else {
        return;
    };
    let mut apache = Apache::start(&jars, 4).await;
    let client = apache.client();
    files_and_checksums(&client).await;
    appends_and_flushes(&client).await;
    attributes(&client).await;
    tree(&client).await;
    lost_datanode(&mut apache).await;
    restarted_namenode(&mut apache).await;
}

async fn files_and_checksums(client: &DfsClient) {
    let data = payload(1, 2 * BLOCK as usize + 700);
    put(client, "/files/f", data.clone(), 3).await;
    assert_eq!(get(client, "/files/f").await, data);
    assert_eq!(client.block_locations("/files/f").await.unwrap().blocks.len(), 3);
    let composite = client
        .checksum_as("/files/f", ChecksumCombine::Composite, u64::MAX)
        .await
        .unwrap();
    let crc = DataChecksum::default().chunk_checksum(&data);
    assert_eq!(
        composite,
        FileChecksum::Composite {
            kind: ChecksumType::Crc32c,
            crc
        }
    );
    let md5 = client.checksum("/files/f").await.unwrap();
    assert_eq!(md5.algorithm(), format!("MD5-of-{}MD5-of-512CRC32C", BLOCK / 512));
    let other = CreateOptions {
        checksum: Some(DataChecksum::new(ChecksumType::Crc32, 1024).unwrap()),
        ..CreateOptions::default()
    };
    let mut writer = client.create("/files/other", other).await.unwrap();
    writer.write(data.slice(..5000)).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(get(client, "/files/other").await, data.slice(..5000));
    let md5 = client.checksum("/files/other").await.unwrap();
    assert_eq!(md5.algorithm(), "MD5-of-0MD5-of-1024CRC32");
}

async fn appends_and_flushes(client: &DfsClient) {
    let mut expected = BytesMut::new();
    put(client, "/grow", payload(0, 0), 3).await;
    for (i, length) in [100, 10, 402, 512, 3000, BLOCK as usize - 4024, 1, 700_000]
        .into_iter()
        .enumerate()
    {
        let piece = payload(i as u64, length);
        let mut writer = client.append("/grow", i == 4).await.unwrap();
        writer.write(piece.slice(..length / 2)).await.unwrap();
        expected.extend_from_slice(&piece[..length / 2]);
        match i % 3 {
            0 => writer.hflush().await.unwrap(),
            1 => writer.hsync().await.unwrap(),
            _ => writer.hsync_length().await.unwrap(),
        }
        assert_eq!(get(client, "/grow").await, expected, "open, piece {i}");
        writer.write(piece.slice(length / 2..)).await.unwrap();
        expected.extend_from_slice(&piece[length / 2..]);
        writer.hflush().await.unwrap();
        assert_eq!(get(client, "/grow").await, expected, "open, piece {i} whole");
        assert_eq!(writer.close().await.unwrap().length, expected.len() as u64);
        assert_eq!(get(client, "/grow").await, expected, "closed, piece {i}");
    }
    let mut writer = client.create("/dead", CreateOptions::default()).await.unwrap();
    writer.write(payload(3, 99_999)).await.unwrap();
    writer.hflush().await.unwrap();
    drop(writer);
    if !client.recover_lease("/dead").await.unwrap() {
        client.wait_closed("/dead", START_LIMIT).await.unwrap();
    }
    assert_eq!(get(client, "/dead").await, payload(3, 99_999));
    if !client.truncate("/dead", 50_001).await.unwrap() {
        client.wait_closed("/dead", START_LIMIT).await.unwrap();
    }
    assert_eq!(get(client, "/dead").await, payload(3, 99_999).slice(..50_001));
}

async fn attributes(client: &DfsClient) {
    put(client, "/attributes/f", payload(1, 1000), 3).await;
    let acl = AclEntry::parse_list("user:ann:rw-,group::r--,user::rw-,other::---", true).unwrap();
    client.set_acl("/attributes/f", &acl).await.unwrap();
    let status = client.acl_status("/attributes/f").await.unwrap();
    let entries: Vec<_> = status.entries.iter().map(ToString::to_string).collect();
    assert_eq!(entries, ["user:ann:rw-", "group::r--"]);
    assert!(client.status("/attributes/f").await.unwrap().unwrap().has_acl);
    client.remove_acl("/attributes/f").await.unwrap();
    assert!(client.acl_status("/attributes/f").await.unwrap().entries.is_empty());

    client
        .set_xattr("/attributes/f", "user.origin", b"x\0y", XAttrMode::Create)
        .await
        .unwrap();
    let again = client
        .set_xattr("/attributes/f", "user.origin", b"", XAttrMode::Create)
        .await;
    assert!(again.is_err(), "is there already");
    let expected = XAttr {
        name: "user.origin".into(),
        value: b"x\0y".to_vec(),
    };
    assert_eq!(
        client.xattrs("/attributes/f", &[]).await.unwrap(),
        std::slice::from_ref(&expected)
    );
    assert_eq!(
        client.xattrs("/attributes/f", &["user.origin"]).await.unwrap(),
        [expected]
    );
    assert_eq!(client.xattr_names("/attributes/f").await.unwrap(), ["user.origin"]);
    client.remove_xattr("/attributes/f", "user.origin").await.unwrap();

    client
        .set_quota("/attributes", QuotaChange::Set(3), QuotaChange::Keep, None)
        .await
        .unwrap();
    let usage = client.quota_usage("/attributes").await.unwrap();
    assert_eq!(
        (usage.file_and_directory_count, usage.quota, usage.space_quota),
        (2, Some(3), None)
    );
    client.mkdirs("/attributes/d").await.unwrap();
    let refused = client.mkdirs("/attributes/e").await.unwrap_err();
    assert!(matches!(refused, Error::QuotaExceeded { .. }), "{refused}");
    assert_eq!(client.content_summary("/attributes").await.unwrap().quota, Some(3));
    client
        .set_quota("/attributes", QuotaChange::Clear, QuotaChange::Keep, None)
        .await
        .unwrap();
    assert_eq!(client.content_summary("/attributes").await.unwrap().quota, None);

    assert!(
        client
            .storage_policies()
            .await
            .unwrap()
            .iter()
            .any(|policy| policy.name == "HOT")
    );
    client.set_storage_policy("/attributes/d", "COLD").await.unwrap();
    assert_eq!(client.storage_policy("/attributes/d").await.unwrap().name, "COLD");
    client.unset_storage_policy("/attributes/d").await.unwrap();
    assert_eq!(client.storage_policy("/attributes/d").await.unwrap().name, "HOT");
    client.set_times("/attributes/f", Some(5000), None).await.unwrap();
    assert_eq!(
        client
            .status("/attributes/f")
            .await
            .unwrap()
            .unwrap()
            .modification_time_ms,
        5000
    );
    assert!(client.set_replication("/attributes/f", 2).await.unwrap());
    assert_eq!(client.datanode_report(DataNodeState::Live).await.unwrap().len(), 4);
}

async fn tree(client: &DfsClient) {
    for path in ["/tree/a/1", "/tree/a/2", "/tree/b/1"] {
        put(client, path, payload(7, BLOCK as usize), 1).await;
    }
    let found = client.glob("/tree/{a,c}/[^2]").await.unwrap().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "/tree/a/1");
    client.concat("/tree/a/1", &["/tree/a/2"]).await.unwrap();
    assert_eq!(get(client, "/tree/a/1").await.len(), 2 * BLOCK as usize);
    let moved = client.move_to_trash("/tree/a").await.unwrap();
    assert_eq!(moved, Trashed::Moved(format!("/user/{USER}/.Trash/Current/tree/a")));
    assert_eq!(client.empty_trash().await.unwrap(), 1);
    assert_eq!(client.list_located("/files", true).await.unwrap().len(), 2);
}

/// The DataNode addresses of the block that is being written.
async fn pipeline(client: &DfsClient, path: &str) -> Vec<String> {
    let blocks = client.block_locations(path).await.unwrap();
    blocks
        .unfinished
        .unwrap()
        .datanodes
        .iter()
        .map(|node| node.xfer_address())
        .collect()
}

async fn lost_datanode(apache: &mut Apache) {
    let client = apache.client();
    let data = payload(8, 900_000);
    let mut writer = client.create("/lost", CreateOptions::default()).await.unwrap();
    writer.write(data.slice(..100_003)).await.unwrap();
    writer.hflush().await.unwrap();
    let before = pipeline(&client, "/lost").await;
    apache.command(&format!("stop {}", before[1])).await;
    writer.write(data.slice(100_003..)).await.unwrap();
    writer.hsync().await.unwrap();
    let after = pipeline(&client, "/lost").await;
    assert_eq!(after.len(), 3, "another DataNode joined: {after:?}");
    assert!(!after.contains(&before[1]), "{after:?}");
    assert_eq!(get(&client, "/lost").await, data);
    writer.close().await.unwrap();
    assert_eq!(get(&apache.client(), "/lost").await, data);
    assert_eq!(client.figures().pipeline_recoveries, 1);
}

async fn restarted_namenode(apache: &mut Apache) {
    let client = apache.client();
    let data = payload(9, 2 * BLOCK as usize);
    let mut writer = client.create("/restarted", CreateOptions::default()).await.unwrap();
    writer.write(data.slice(..100_000)).await.unwrap();
    writer.hsync().await.unwrap();
    let restart = apache.command("restart-namenode");
    let write = async {
        writer.write(data.slice(100_000..)).await.unwrap();
        writer.hflush().await.unwrap();
    };
    tokio::join!(restart, write);
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/restarted").await, data);
}

/// This crate's folder in the clone that runs the tests. The one that compiled them may have been another: build output is shared.
fn crate_dir() -> std::ffi::OsString {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
}
