//! What an administrator's request needs beyond a decision of the core: files of tables, checkpoints, the metasave file.
//!
//! RPC, gRPC and HTTP all come here, so that they do the same.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::NameNodeConfig;
use crate::core::command::{AdminOperation, AdminReply, Caller, ClusterStatus, Operation, Reply};
use crate::core::error::FsError;
use crate::driver::{CoreHandle, Input};
use crate::groups::OsGroups;
use crate::hosts;
use crate::log::checkpoint;
use crate::log::directory::Identity;

/// Time that a caller waits for a checkpoint.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(600);
/// Time between two looks for the new image.
const LOOK: Duration = Duration::from_millis(20);

/// The cluster as an administrator may change it.
#[derive(Debug)]
pub(crate) struct Administration {
    pub(crate) core: CoreHandle,
    pub(crate) config: Arc<NameNodeConfig>,
    pub(crate) identity: Identity,
    pub(crate) superuser: String,
    /// Groups of users by the operating system.
    pub(crate) groups: OsGroups,
    /// Where fsck is served, once it is.
    pub(crate) http: OnceLock<SocketAddr>,
}

/// A caller known by name only.
pub(crate) fn caller(user: &str, address: IpAddr) -> Caller {
    Caller {
        user: user.to_owned(),
        groups: [].into(),
        address,
        call: None,
    }
}

impl Administration {
    /// Groups of a caller, where the core does not know better: superusers need none, and configured users have those configured.
    pub(crate) async fn groups_of(&self, user: &str) -> Arc<[String]> {
        let config = &self.config;
        if !config.os_groups || user == self.superuser || config.user_groups.contains_key(user) {
            return Arc::default();
        }
        self.groups.of(user).await
    }

    /// Has the core execute an administrator's operation.
    pub(crate) async fn run(&self, caller: Caller, operation: AdminOperation) -> Result<Reply, FsError> {
        self.core.call(caller, Operation::Admin(operation)).await
    }

    /// Refuses callers that are not superusers.
    pub(crate) async fn check_superuser(&self, caller: &Caller, operation: &'static str) -> Result<(), FsError> {
        let checked = self.run(caller.clone(), AdminOperation::CheckSuperuser(operation));
        checked.await.map(drop)
    }

    /// The cluster's figures.
    pub(crate) async fn report(&self, caller: Caller) -> Result<Box<ClusterStatus>, FsError> {
        match self.run(caller, AdminOperation::Report).await? {
            Reply::Admin(AdminReply::Cluster(status)) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads the tables of hosts and racks again.
    pub(crate) async fn refresh_nodes(&self, caller: Caller) -> Result<(), FsError> {
        self.check_superuser(&caller, "refreshNodes").await?;
        let config = Arc::clone(&self.config);
        let read = tokio::task::spawn_blocking(move || hosts::read(&config)).await;
        let hosts = read.map_err(|_| FsError::Io("reading the tables of hosts was interrupted".to_owned()))?;
        let hosts = hosts.map_err(FsError::Io)?;
        self.run(caller, AdminOperation::RefreshNodes { hosts }).await.map(drop)
    }

    /// Closes the segment of the log, so that the next one begins with the returned transaction.
    pub(crate) async fn roll_log(&self, caller: Caller) -> Result<u64, FsError> {
        let last = self.run(caller, AdminOperation::MarkLog).await?;
        let Reply::Number(last) = last else {
            return Err(unexpected(&last));
        };
        let stopped = |()| FsError::Retriable("the NameNode is shutting down".to_owned());
        self.core.send(Input::Checkpoint).await.map_err(stopped)?;
        Ok(last + 1)
    }

    /// Folds the log into a new image and waits until that is on disk; the last transaction in it.
    pub(crate) async fn checkpoint(&self, caller: Caller) -> Result<u64, FsError> {
        let wanted = self.roll_log(caller).await? - 1;
        let deadline = Instant::now() + CHECKPOINT_WAIT;
        loop {
            let dir = self.config.dir.clone();
            let newest = tokio::task::spawn_blocking(move || newest_image(dir)).await;
            match newest.unwrap_or_else(|_| Err("looking for the image was interrupted".to_owned())) {
                Ok(newest) if newest >= wanted => return Ok(newest),
                Ok(_) if Instant::now() < deadline => sleep(LOOK).await,
                Ok(newest) => {
                    return Err(FsError::Io(format!(
                        "the image up to transaction {wanted} is not on disk after {CHECKPOINT_WAIT:?}, the newest ends with {newest}: \
                         the NameNode's log says why"
                    )));
                }
                Err(problem) => return Err(FsError::Io(problem)),
            }
        }
    }

    /// Writes what the NameNode knows of blocks into a file beside its log; its name is one component.
    pub(crate) async fn meta_save(&self, caller: Caller, name: &str) -> Result<(), FsError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(FsError::IllegalArgument(format!(
                "metasave: {name:?}: expected the name of a file without directories"
            )));
        }
        let Reply::Admin(AdminReply::Text(text)) = self.run(caller, AdminOperation::MetaSave).await? else {
            return Err(FsError::Io(
                "internal error: the answer does not fit the call".to_owned(),
            ));
        };
        let path = self.config.dir.join("metasave").join(name);
        let written = tokio::task::spawn_blocking(move || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, text)
        });
        let written = written
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()));
        written.map_err(|problem| FsError::Io(format!("metasave {name}: {problem}")))
    }
}

fn newest_image(dir: PathBuf) -> Result<u64, String> {
    let images = checkpoint::list(&dir).map_err(|problem| problem.to_string())?;
    Ok(images.last().map_or(0, |(txid, _)| *txid))
}

/// The core answered something else than the operation has: a defect, told rather than hidden.
pub(crate) fn unexpected(reply: &Reply) -> FsError {
    tracing::error!(?reply, "the core's answer does not fit the call");
    FsError::Io("internal error: the answer does not fit the call".to_owned())
}
