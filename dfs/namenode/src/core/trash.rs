//! The trash: what was deleted lies in `/user/NAME/.Trash/Current`, is set aside as a checkpoint now and then, and is gone after the trash
//! interval. Names and times are those of HDFS's TrashPolicyDefault, but for the time zone, which here is UTC.

use std::collections::VecDeque;

use super::Core;
use super::calendar::Moment;
use super::edit::{self, Edit};

/// Where the homes of users are. HDFS's default.
const HOMES: &str = "/user";
const TRASH: &str = ".Trash";
const CURRENT: &str = "Current";
/// Homes looked at in one tick, so that many users do not hold up other calls.
const HOMES_PER_TICK: usize = 16;

/// When the trash is looked at next, and where it is being looked at now.
#[derive(Debug, Default)]
pub struct TrashEmptier {
    due_ms: Option<u64>,
    homes: VecDeque<String>,
}

/// What to do in one trash directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrashStep {
    /// The checkpoint of this name is too old.
    Expire(String),
    /// `Current` becomes the checkpoint of this name.
    SetAside(String),
}

/// `yyMMddHHmmss`.
fn checkpoint_name(now_ms: u64) -> String {
    let at = Moment::of(now_ms);
    format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}",
        at.year % 100,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second
    )
}

/// When a checkpoint was made; `None` for names that are none. What follows the digits tells apart those of one second.
fn checkpoint_time(name: &str) -> Option<u64> {
    let digits = &name[..name.bytes().take_while(u8::is_ascii_digit).count()];
    let two = |at: usize| digits.get(at..at + 2).and_then(|text| text.parse::<u64>().ok());
    // The seconds are absent in names of old versions.
    let second = match digits.len() {
        10 => 0,
        12 => two(10)?,
        _ => return None,
    };
    let year = two(0)?;
    let moment = Moment {
        // Two digits are read as POSIX reads them.
        year: if year < 69 { 2000 + year } else { 1900 + year },
        month: two(2)?,
        day: two(4)?,
        hour: two(6)?,
        minute: two(8)?,
        second,
    };
    moment.unix_ms()
}

/// What to do in a trash directory with these entries: old checkpoints go first, then `Current` becomes one.
pub fn steps<'e>(entries: impl Iterator<Item = &'e str> + Clone, now_ms: u64, interval_ms: u64) -> Vec<TrashStep> {
    let is_old = |name: &&str| checkpoint_time(name).is_some_and(|at| now_ms.saturating_sub(interval_ms) > at);
    let expired = entries
        .clone()
        .filter(is_old)
        .map(|name| TrashStep::Expire(name.to_owned()));
    let mut steps: Vec<TrashStep> = expired.collect();
    if entries.clone().any(|name| name == CURRENT) {
        let base = checkpoint_name(now_ms);
        let numbered = (1..).map(|n| format!("{base}-{n}"));
        let free = std::iter::once(base.clone())
            .chain(numbered)
            .find(|name| !entries.clone().any(|entry| entry == name));
        steps.extend(free.map(TrashStep::SetAside));
    }
    steps
}

impl Core {
    /// Looks after the trash when it is due: at whole multiples of the checkpoint interval, as HDFS does.
    pub(crate) fn check_trash(&mut self) {
        let interval = self.settings.trash_interval_ms;
        if interval == 0 || self.safe_mode.is_on() {
            return;
        }
        let period = match self.settings.trash_checkpoint_ms {
            0 => interval,
            period => period.min(interval),
        };
        let now = self.now.unix_ms;
        let due = *self.trash.due_ms.get_or_insert((now / period + 1) * period);
        if now >= due {
            self.trash.due_ms = Some((now / period + 1) * period);
            self.trash.homes = self.homes();
        }
        for _ in 0..HOMES_PER_TICK {
            let Some(home) = self.trash.homes.pop_front() else {
                return;
            };
            self.empty_trash_of(&home, interval);
        }
    }

    fn homes(&self) -> VecDeque<String> {
        let namespace = &self.state.namespace;
        let homes = namespace.find(HOMES).and_then(|homes| namespace.get(homes).children());
        let homes = homes.into_iter().flat_map(super::children::Children::iter);
        homes.map(|home| namespace.path_of(home)).collect()
    }

    fn empty_trash_of(&mut self, home: &str, interval_ms: u64) {
        let namespace = &self.state.namespace;
        let trash = format!("{home}/{TRASH}");
        let Some(children) = namespace.find(&trash).and_then(|trash| namespace.get(trash).children()) else {
            return;
        };
        let names: Vec<String> = children
            .iter()
            .map(|child| namespace.get(child).name.to_string())
            .collect();
        for step in steps(names.iter().map(String::as_str), self.now.unix_ms, interval_ms) {
            match step {
                TrashStep::Expire(name) => {
                    self.edit(Edit::Delete(edit::Delete {
                        path: format!("{trash}/{name}"),
                    }));
                }
                TrashStep::SetAside(name) => {
                    let destination = format!("{trash}/{name}");
                    self.edit(Edit::Rename(edit::Rename {
                        source: format!("{trash}/{CURRENT}"),
                        destination,
                    }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    /// 2026-11-23 10:00:00.
    const NOW: u64 = 1_795_428_000_000;

    fn plan(entries: &[&str]) -> Vec<TrashStep> {
        steps(entries.iter().copied(), NOW, HOUR)
    }

    fn expire(name: &str) -> TrashStep {
        TrashStep::Expire(name.to_owned())
    }

    fn set_aside(name: &str) -> TrashStep {
        TrashStep::SetAside(name.to_owned())
    }

    #[test]
    fn checkpoints_older_than_the_interval_expire() {
        assert_eq!(
            plan(&["261123085959", "261123090000", "261123095959"]),
            [expire("261123085959")]
        );
        assert_eq!(
            plan(&["2611230859", "261122000000-2"]),
            [expire("2611230859"), expire("261122000000-2")]
        );
        for other in ["notes", "2611", "269999999999", "26112308595", "Current.bak"] {
            assert_eq!(plan(&[other]), [], "{other} is no checkpoint");
        }
    }

    #[test]
    fn what_was_deleted_is_set_aside_under_a_free_name() {
        assert_eq!(plan(&[CURRENT]), [set_aside("261123100000")]);
        let taken = plan(&[CURRENT, "261123100000", "261123100000-1"]);
        assert_eq!(taken, [set_aside("261123100000-2")]);
        assert_eq!(plan(&[]), []);
    }
}
