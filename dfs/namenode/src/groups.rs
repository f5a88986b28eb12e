//! Groups of users by the operating system, as HDFS's ShellBasedUnixGroupsMapping: asked of `id`, remembered for some minutes.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How long an answer is believed. HDFS's value (`hadoop.security.groups.cache.secs`).
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long the operating system may take; some ask a directory server.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions to the operating system at a time: names cost a client nothing.
const AT_A_TIME: usize = 4;
/// Users remembered; when there are more, all are forgotten.
const MAX_USERS: usize = 10_000;
/// Longest user name that is asked for. Linux allows 32 bytes, directory servers somewhat more.
const MAX_NAME: usize = 128;

/// A user's groups, the primary one first.
type Groups = Arc<[String]>;

/// The answers remembered.
#[derive(Debug)]
pub(crate) struct OsGroups {
    known: RwLock<HashMap<String, (Instant, Groups)>>,
    asking: Semaphore,
}

impl Default for OsGroups {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            asking: Semaphore::new(AT_A_TIME),
        }
    }
}

impl OsGroups {
    /// Groups of `user`; none for a user that the system does not know or cannot be asked about now.
    pub(crate) async fn of(&self, user: &str) -> Groups {
        if let Some(groups) = self.remembered(user) {
            return groups;
        }
        if !is_plain(user) {
            return Groups::default();
        }
        let Ok(_turn) = self.asking.acquire().await else {
            return Groups::default();
        };
        // While this call waited for its turn another one may have asked.
        if let Some(groups) = self.remembered(user) {
            return groups;
        }
        let name = user.to_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&name));
        let groups = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(groups)) => groups,
            _ => {
                tracing::warn!(user, "the operating system did not say the user's groups in time");
                Groups::default()
            }
        };
        self.remember(user, Arc::clone(&groups));
        groups
    }

    fn remembered(&self, user: &str) -> Option<Groups> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (at, groups) = known.get(user)?;
        (at.elapsed() < REMEMBERED).then(|| Arc::clone(groups))
    }

    fn remember(&self, user: &str, groups: Groups) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_USERS {
            known.clear();
        }
        known.insert(user.to_owned(), (Instant::now(), groups));
    }
}

/// Whether a name may be handed to a program: it is no option and nothing but a name.
fn is_plain(user: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '$' | '+');
    !user.is_empty() && user.len() <= MAX_NAME && !user.starts_with('-') && user.chars().all(legal)
}

fn ask(user: &str) -> Groups {
    let mut id = Command::new("id");
    id.args(["-Gn", "--", user]).stdin(Stdio::null()).stderr(Stdio::null());
    match id.output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split_whitespace().map(str::to_owned).collect()
        }
        // Unknown to the system: in no group.
        Ok(_) => Groups::default(),
        Err(problem) => {
            tracing::warn!(%problem, "the groups of users cannot be asked for: the program `id` does not run");
            Groups::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_is_asked_once() {
        let groups = OsGroups::default();
        let root = groups.of("root").await;
        assert_eq!(root.first().map(String::as_str), Some("root"));
        assert!(
            Arc::ptr_eq(&root, &groups.of("root").await),
            "the second answer is remembered"
        );
        assert!(groups.of("no-such-user-of-this-machine").await.is_empty());
    }

    #[test]
    fn only_names_are_handed_to_a_program() {
        for name in ["", "-u", "a b", "a;b", "a\nb", "$(x)", &"x".repeat(129)] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(is_plain("ann") && is_plain("host$") && is_plain("ann@example.org"));
    }
}
