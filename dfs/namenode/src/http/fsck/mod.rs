//! `GET /fsck`: HDFS's check of a path, in HDFS's words, so that `hdfs fsck` works on it.
//!
//! 1. every DataNode verifies what it holds for some seconds, so that damage which nobody has read is found and named (a superuser's checks
//!    only; see `namenode.fsck_verify_time`)
//! 2. the namespace is walked, a page of a directory at a time: between two pages the NameNode serves others, and the check sees their changes
//! 3. findings are sent as they are made; the sums, the damaged replicas and the verdict come last
//!
//! | file | duty |
//! |---|---|
//! | `options` | the parameters |
//! | `report`, `block` | lines and sums of files and their blocks |
//! | `totals`, `policies`, `damage` | what stands at the end |
//! | `one_block` | `-blockId` |

mod block;
mod damage;
mod one_block;
mod options;
mod policies;
mod report;
mod totals;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Response, StatusCode};
use tokio::time::{sleep, timeout};

use super::clock::date;
use super::out::{Body, Gone, Out};
use super::query::Query;
use super::{Connection, Shared, response, text};
use crate::admin::{Administration, unexpected};
use crate::core::acl_calls::Modes;
use crate::core::command::{AdminOperation, AdminReply, Caller, CorruptReplica, FsckEntry, Operation, Reply};
use crate::core::error::FsError;
use crate::driver::unix_ms;
use options::Options;
use report::Report;
use totals::ClusterFacts;

/// Files that lack bytes named in an answer in JSON.
const MAX_NAMED: usize = 10_000;
/// Entries in a page of files with a block that has no good replica. HDFS's value.
const MAX_CORRUPT: usize = 100;
/// What a DataNode may take for its verification beyond the time that it was given: changed files are all read, whatever it takes.
const VERIFY_GRACE: Duration = Duration::from_secs(20);
/// HDFS's words for an option that has no effect.
const OBSOLETE: &str =
    "The fsck switch -showprogress is deprecated and no longer has any effect. Progress is now shown by default.\n";
/// Time between two looks whether they are done.
const LOOK: Duration = Duration::from_millis(20);

/// Why a check ended early.
#[derive(Debug)]
enum Stop {
    /// Nobody reads the answer.
    Gone,
    /// The core refused.
    Failed(FsError),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Self::Failed(error)
    }
}

/// Answers `/fsck`.
pub(super) async fn serve(shared: Shared, connection: Connection, query: &Query) -> Response<Body> {
    let Ok(turn) = Arc::clone(&shared.checks).try_acquire_owned() else {
        let busy = "fsck: as many checks as may run at a time are running: try again later";
        return text(StatusCode::SERVICE_UNAVAILABLE, busy);
    };
    let options = Options::of(query);
    let caller = Caller {
        groups: shared.admin.groups_of(&options.user).await,
        ..crate::admin::caller(&options.user, connection.peer)
    };
    let kind = if options.json {
        "application/json"
    } else {
        "text/plain;charset=utf-8"
    };
    let (out, body) = Out::new(connection.cut);
    let check = Check {
        admin: Arc::clone(&shared.admin),
        caller,
        out,
        started: Instant::now(),
    };
    shared.tasks.spawn(async move {
        check.run(options).await;
        drop(turn);
    });
    response(StatusCode::OK, kind, body)
}

/// A check under way.
struct Check {
    admin: Arc<Administration>,
    caller: Caller,
    out: Out,
    started: Instant,
}

impl Check {
    async fn run(mut self, options: Options) {
        let path = options.path.clone();
        let json = options.json;
        let result = if !options.block_ids.is_empty() {
            self.check_blocks(&options).await
        } else if options.list_corrupt {
            self.list_corrupt(&options).await
        } else {
            self.check_path(options).await
        };
        let told = match result {
            Ok(()) | Err(Stop::Gone) => Ok(()),
            Err(Stop::Failed(problem)) if json => {
                let answer = serde_json::json!({ "path": path, "status": "FAILED", "error": problem.to_string() });
                self.out.write(&format!("{answer:#}\n")).await
            }
            Err(Stop::Failed(problem)) => {
                let end = self.end_line();
                let text = format!("{end}{problem}\n\n\nFsck on path '{path}' FAILED");
                self.out.write(&text).await
            }
        };
        if told.is_err() || self.out.flush().await.is_err() {
            tracing::debug!(path, "the client of a check went away");
        }
    }

    fn start_line(&self, rest: &str) -> String {
        let (user, address) = (&self.caller.user, self.caller.address);
        format!(
            "FSCK started by {user} (auth:SIMPLE) from /{address}{rest} at {}\n",
            date(unix_ms())
        )
    }

    fn end_line(&self) -> String {
        let took = self.started.elapsed().as_millis();
        format!("FSCK ended at {} in {took} milliseconds\n", date(unix_ms()))
    }

    async fn ask(&self, operation: AdminOperation) -> Result<AdminReply, FsError> {
        match self.admin.run(self.caller.clone(), operation).await? {
            Reply::Admin(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// A page of entries and whether there is more; `None` where there is nothing.
    async fn entries(&self, operation: AdminOperation) -> Result<(Option<Vec<FsckEntry>>, bool), FsError> {
        match self.ask(operation).await? {
            AdminReply::Fsck(entries, more) => Ok((entries, more)),
            other => Err(unexpected(&Reply::Admin(other))),
        }
    }

    async fn cluster(&self) -> Result<ClusterFacts, FsError> {
        let status = self.admin.report(self.caller.clone()).await?;
        let live = || status.nodes.iter().filter(|node| node.live);
        let racks: BTreeSet<&str> = live().map(|node| node.node.rack.as_str()).collect();
        Ok(ClusterFacts {
            datanodes: live().count(),
            racks: racks.len(),
            default_replication: self.admin.config.default_replication,
            min_replication: self.admin.config.min_replication.into(),
        })
    }

    async fn check_path(&mut self, options: Options) -> Result<(), Stop> {
        let (path, json) = (options.path.clone(), options.json);
        if !json {
            let obsolete = if options.show_progress { OBSOLETE } else { "" };
            let head = obsolete.to_owned() + &self.start_line(&format!(" for path {path}"));
            self.out.write(&format!("{head}\n")).await?;
            self.out.flush().await?;
        }
        let Some(first) = self.first_entry(&path).await? else {
            let text = match json {
                true => format!("{:#}\n", serde_json::json!({ "path": path, "status": "ABSENT" })),
                false => format!("\nPath '{path}' does not exist"),
            };
            return Ok(self.out.write(&text).await?);
        };
        let is_superuser = self.admin.check_superuser(&self.caller, "fsck").await.is_ok();
        let unanswered = match is_superuser && !options.skip_verification {
            true => self.verify().await?,
            false => Vec::new(),
        };
        let pool = self.admin.identity.block_pool_id.clone();
        let report = Report::new(options, self.cluster().await?, pool);
        let (report, lacking) = self.walk(report, first).await?;
        let history = match is_superuser {
            true => self.history(&path).await?,
            false => Vec::new(),
        };
        let damaged = damage::recent(history, unix_ms());
        let verdict = if report.totals.is_healthy() {
            "HEALTHY"
        } else {
            "CORRUPT"
        };
        if json {
            let answer = serde_json::json!({
                "path": path,
                "status": verdict,
                "cluster": report.cluster,
                "totals": report.totals,
                "corrupt_files": lacking,
                "damaged_replicas": damaged,
                "unverified_datanodes": unanswered,
            });
            return Ok(self.out.write(&format!("{answer:#}\n")).await?);
        }
        let mut end = report.totals.text(&report.cluster);
        if report.options.storage_policies {
            end.push_str(&report.policies.text());
        }
        end.push_str(&damage::text(&damaged, &unanswered));
        end.push_str(&self.end_line());
        end.push_str(&format!("\n\nThe filesystem under path '{path}' is {verdict}"));
        Ok(self.out.write(&end).await?)
    }

    /// The path itself.
    async fn first_entry(&self, path: &str) -> Result<Option<FsckEntry>, FsError> {
        let path = normal(path)?;
        let (found, _) = self
            .entries(AdminOperation::FsckList {
                path,
                entries_after: None,
            })
            .await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Has the DataNodes verify what they hold; those that are not done in time.
    async fn verify(&self) -> Result<Vec<String>, FsError> {
        let budget = self.admin.config.fsck_verify_time;
        if budget.is_zero() {
            return Ok(Vec::new());
        }
        let budget_ms = u32::try_from(budget.as_millis()).unwrap_or(u32::MAX);
        self.ask(AdminOperation::CheckVolumes { budget_ms }).await?;
        let done = async {
            while !self.pending().await?.is_empty() {
                sleep(LOOK).await;
            }
            Ok(Vec::new())
        };
        match timeout(budget + VERIFY_GRACE, done).await {
            Ok(done) => done,
            Err(_) => self.pending().await,
        }
    }

    async fn pending(&self) -> Result<Vec<String>, FsError> {
        match self.ask(AdminOperation::ChecksPending).await? {
            AdminReply::Names(names) => Ok(names),
            other => Err(unexpected(&Reply::Admin(other))),
        }
    }

    async fn history(&self, path: &str) -> Result<Vec<CorruptReplica>, FsError> {
        let path = normal(path)?;
        match self.ask(AdminOperation::CorruptHistory { path }).await? {
            AdminReply::CorruptReplicas(found) => Ok(found),
            other => Err(unexpected(&Reply::Admin(other))),
        }
    }

    async fn check_blocks(&mut self, options: &Options) -> Result<(), Stop> {
        self.admin.check_superuser(&self.caller, "fsck").await?;
        let head = self.start_line("");
        self.out.write(&head).await?;
        for name in &options.block_ids {
            let Some(id) = one_block::id_of(name) else {
                let text = format!("Incorrect blockId format: {name}\n");
                self.out.write(&text).await?;
                continue;
            };
            let (found, _) = self.entries(AdminOperation::FsckBlock { id }).await?;
            let found = found.into_iter().flatten().next();
            let text = found.map_or_else(
                || format!("Block {name} does not exist\n"),
                |file| one_block::text(name, &file),
            );
            self.out.write(&format!("\n{text}")).await?;
        }
        Ok(())
    }

    /// A page of the files that have a block without a good replica, as HDFS's client asks for them.
    async fn list_corrupt(&mut self, options: &Options) -> Result<(), Stop> {
        let head = self.start_line(&format!(" for path {}", options.path));
        self.out.write(&head).await?;
        let from = options.start_block_after;
        let operation = AdminOperation::ListCorruptFileBlocks {
            path: normal(&options.path)?,
            from,
            limit: MAX_CORRUPT,
        };
        let AdminReply::CorruptFiles(found, next) = self.ask(operation).await? else {
            return Err(Stop::Failed(FsError::Io("internal error: no list of files".to_owned())));
        };
        let mut text = format!("Cookie:\t{next}\n");
        for (id, path) in &found {
            let (entries, _) = self.entries(AdminOperation::FsckBlock { id: *id }).await?;
            let replication = entries.into_iter().flatten().next().map_or(0, |file| file.replication);
            text.push_str(&format!("blk_{id}\t{replication}\t{path}\n"));
        }
        let count = match (found.len(), from) {
            (0, 0) => "no".to_owned(),
            (0, _) => "no more".to_owned(),
            (count, _) => count.to_string(),
        };
        let path = &options.path;
        text.push_str(&format!(
            "\n\nThe filesystem under path '{path}' has {count} CORRUPT files\n\n"
        ));
        Ok(self.out.write(&text).await?)
    }

    /// What `-move` and `-delete` do with a file that lacks bytes, with the caller's rights.
    async fn repair(&self, report: &Report, file: &FsckEntry) -> Result<(), FsError> {
        if file.open {
            return Ok(());
        }
        if report.options.move_corrupt {
            self.move_away(&file.path).await?;
        } else if report.options.delete_corrupt {
            let (path, recursive) = (file.path.clone(), false);
            self.change(Operation::Delete { path, recursive }).await?;
        }
        Ok(())
    }

    /// Moves a file as it is to the same path below `/lost+found`: what is left of it can still be read there.
    async fn move_away(&self, path: &str) -> Result<(), FsError> {
        let destination = format!("/lost+found{path}");
        let directory = destination
            .rsplit_once('/')
            .map_or("/lost+found", |(directory, _)| directory);
        self.change(Operation::MakeDirectories {
            path: directory.to_owned(),
            permission: Modes::plain(0o755),
            create_parent: true,
        })
        .await?;
        self.change(Operation::Rename2 {
            source: path.to_owned(),
            destination,
            overwrite: false,
            to_trash: false,
        })
        .await
    }

    async fn change(&self, operation: Operation) -> Result<(), FsError> {
        self.admin.core.call(self.caller.clone(), operation).await.map(drop)
    }
}

/// The normal form of a path.
fn normal(path: &str) -> Result<String, FsError> {
    if !path.starts_with('/') {
        return Err(FsError::IllegalArgument(format!(
            "Absolute path required, but got '{path}'"
        )));
    }
    let components = path.split('/').filter(|component| !component.is_empty());
    let joined: String = components.flat_map(|component| ["/", component]).collect();
    Ok(if joined.is_empty() { "/".to_owned() } else { joined })
}
