//! Quotas of directories: names, bytes, bytes by storage type. HDFS's accounting and words.
//!
//! A file uses its bytes times its replication; a block whose length is not final counts as a full block. What is used of a quota is
//! kept with it and changed by [`State::charge`] with every edit, so asking costs nothing; without any quota nothing is counted.

use std::ops::{Add, Neg, Sub};

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::{FileBody, Slot};
use super::state::State;
use super::storage_policy::{STORAGE_TYPES, StorageType, UNSPECIFIED, by_id};

/// "Leave it" in a call of setQuota.
pub const KEEP: i64 = i64::MAX;
/// "Remove it" in a call of setQuota.
pub const RESET: i64 = -1;

/// What is used, or by how much that changes. Bytes but for the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and directories.
    pub names: i64,
    /// Bytes times replication.
    pub space: i64,
    /// Bytes by storage type, of files that have or inherit a storage policy.
    pub types: [i64; 6],
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut sum = self;
        // Real clusters are far from the limits; a damaged log may not be.
        sum.names = sum.names.saturating_add(other.names);
        sum.space = sum.space.saturating_add(other.space);
        for (sum, more) in sum.types.iter_mut().zip(other.types) {
            *sum = sum.saturating_add(more);
        }
        sum
    }
}

impl Neg for Usage {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            names: self.names.saturating_neg(),
            space: self.space.saturating_neg(),
            types: self.types.map(i64::saturating_neg),
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Usage {
    /// One more name.
    pub const NAME: Self = Self {
        names: 1,
        space: 0,
        types: [0; 6],
    };

    /// `bytes` in each of `replication` replicas under a policy.
    pub fn of_bytes(bytes: i64, replication: u16, policy: u8) -> Self {
        let mut usage = Self {
            space: bytes.saturating_mul(i64::from(replication)),
            ..Self::default()
        };
        if let Some(policy) = by_id(policy).filter(|_| policy != UNSPECIFIED) {
            for n in 0..usize::from(replication) {
                let kind = policy.type_of(n);
                if kind.has_quota() {
                    let sum = &mut usage.types[kind.index()];
                    *sum = sum.saturating_add(bytes);
                }
            }
        }
        usage
    }
}

/// A directory's quotas and what is used of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Most files and directories, the directory itself included.
    pub names: Option<i64>,
    /// Most bytes times replication.
    pub space: Option<i64>,
    /// Most bytes by storage type.
    pub types: [Option<i64>; 6],
    /// What is used; derived, not durable.
    pub used: Usage,
}

impl Quota {
    /// As it was logged; `None` when it limits nothing.
    pub(crate) fn from_edit(e: &edit::SetQuota, used: Usage) -> Option<Self> {
        let mut quota = Self {
            names: e.names,
            space: e.space,
            used,
            ..Self::default()
        };
        for limit in &e.types {
            if let Some(kind) = StorageType::from_number(limit.storage_type as i32) {
                quota.types[kind.index()] = Some(limit.bytes);
            }
        }
        quota.limits().then_some(quota)
    }

    fn limits(&self) -> bool {
        self.names.is_some() || self.space.is_some() || self.types.iter().any(Option::is_some)
    }

    /// As it is logged.
    pub(crate) fn to_edit(self, path: &str) -> edit::SetQuota {
        let types = STORAGE_TYPES.into_iter().filter_map(|kind| {
            Some(edit::TypeQuotaEdit {
                storage_type: kind as u32,
                bytes: self.types[kind.index()]?,
            })
        });
        edit::SetQuota {
            path: path.to_owned(),
            names: self.names,
            space: self.space,
            types: types.collect(),
        }
    }

    fn check(&self, delta: &Usage, path: &str) -> Result<(), FsError> {
        let violated = |limit: Option<i64>, used: i64, delta: i64| {
            limit.filter(|limit| delta > 0 && used > limit.saturating_sub(delta))
        };
        if let Some(limit) = violated(self.names, self.used.names, delta.names) {
            return Err(FsError::NamespaceQuota(format!(
                "The NameSpace quota (directories and files) of directory {path} is exceeded: quota={limit} file count={}",
                self.used.names.saturating_add(delta.names)
            )));
        }
        if let Some(limit) = violated(self.space, self.used.space, delta.space) {
            let wanted = self.used.space.saturating_add(delta.space);
            return Err(FsError::SpaceQuota(format!(
                "The DiskSpace quota of {path} is exceeded: quota = {limit} B = {} but diskspace consumed = {wanted} B = {}",
                bytes_text(limit),
                bytes_text(wanted)
            )));
        }
        for kind in STORAGE_TYPES {
            let (used, more) = (self.used.types[kind.index()], delta.types[kind.index()]);
            if let Some(limit) = violated(self.types[kind.index()], used, more) {
                return Err(FsError::TypeQuota(format!(
                    "Quota by storage type : {} on path : {path} is exceeded. quota = {} but space consumed = {}",
                    kind.name(),
                    bytes_text(limit),
                    bytes_text(used.saturating_add(more))
                )));
            }
        }
        Ok(())
    }
}

/// A number of bytes as HDFS's messages write it: exact multiples without, others with two decimals.
pub(crate) fn bytes_text(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes.unsigned_abs() < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes.unsigned_abs() >> (10 * (unit + 2)) > 0 {
        unit += 1;
    }
    let size = 1_i64 << (10 * (unit + 1));
    if bytes % size == 0 {
        return format!("{} {}", bytes / size, UNITS[unit]);
    }
    let text = format!("{:.2}", bytes as f64 / size as f64);
    if text.starts_with("1024") && unit + 1 < UNITS.len() {
        return format!("{:.2} {}", bytes as f64 / (size as f64 * 1024.0), UNITS[unit + 1]);
    }
    format!("{text} {}", UNITS[unit])
}

impl State {
    /// Bytes that a block counts for: its length once that is final, a full block before.
    pub(crate) fn counted_bytes(&self, file: &FileBody, block: u32) -> i64 {
        let block = self.blocks.get(block);
        let bytes = if block.is_committed() {
            block.length
        } else {
            file.block_size.get()
        };
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// What a file's blocks use.
    pub(crate) fn usage_of_file(&self, slot: Slot) -> Usage {
        let Some(file) = self.namespace.get(slot).file() else {
            return Usage::default();
        };
        let bytes = file
            .blocks
            .as_slice()
            .iter()
            .map(|block| self.counted_bytes(file, *block));
        let bytes = bytes.fold(0, i64::saturating_add);
        Usage::of_bytes(bytes, file.replication, self.policy_of(slot))
    }

    /// What a tree uses.
    pub(crate) fn usage_of(&self, slot: Slot) -> Usage {
        let mut usage = Usage::default();
        self.namespace.visit_tree(slot, |slot, _| {
            usage = usage + Usage::NAME + self.usage_of_file(slot);
            true
        });
        usage
    }

    /// Counts a change of what `slot` uses at all quotas from it up to the root.
    pub(crate) fn charge(&mut self, slot: Slot, delta: Usage) {
        if self.features.quotas.is_empty() || delta == Usage::default() {
            return;
        }
        let mut at = slot;
        loop {
            let inode = self.namespace.get(at);
            if let Some(quota) = self.features.quotas.get_mut(&inode.id) {
                quota.used = quota.used + delta;
            }
            if at == self.namespace.root() {
                return;
            }
            at = inode.parent;
        }
    }

    /// Makes a change that affects one file's bytes and counts by how much.
    pub(crate) fn charging<T>(&mut self, file: Slot, change: impl FnOnce(&mut Self) -> T) -> T {
        if self.features.quotas.is_empty() {
            return change(self);
        }
        let before = self.usage_of_file(file);
        let result = change(self);
        let delta = self.usage_of_file(file) - before;
        self.charge(file, delta);
        result
    }

    /// Counts everything anew: after an image was loaded.
    pub(crate) fn recount_quotas(&mut self) {
        self.recount_below(self.namespace.root());
    }

    /// Counts the quotas of `slot` and below anew: after the policies that rule there changed.
    pub(crate) fn recount_below(&mut self, slot: Slot) {
        if self.features.quotas.is_empty() {
            return;
        }
        let mut directories = Vec::new();
        self.namespace.visit_tree(slot, |slot, inode| {
            if inode.is_directory() && self.features.quotas.contains_key(&inode.id) {
                directories.push((slot, inode.id));
            }
            true
        });
        for (slot, id) in directories {
            let used = self.usage_of(slot);
            if let Some(quota) = self.features.quotas.get_mut(&id) {
                quota.used = used;
            }
        }
    }
}

impl Core {
    /// Refuses a change that would break a quota of `from` or of a directory above it, but for those from `until` on.
    pub(crate) fn check_quota(&self, from: Slot, delta: Usage, until: Option<Slot>) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() || delta == Usage::default() {
            return Ok(());
        }
        let mut at = from;
        while Some(at) != until {
            let inode = self.state.namespace.get(at);
            if let Some(quota) = self.state.features.quotas.get(&inode.id) {
                quota.check(&delta, &self.state.namespace.path_of(at))?;
            }
            if at == self.state.namespace.root() {
                break;
            }
            at = inode.parent;
        }
        Ok(())
    }

    /// Refuses `count` new names below `from`, one after the other as HDFS makes them: the first that breaks a quota is what is told.
    pub(crate) fn check_names_quota(&self, from: Slot, count: usize) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() {
            return Ok(());
        }
        (1..=count as i64).try_for_each(|names| {
            let delta = Usage {
                names,
                ..Usage::default()
            };
            self.check_quota(from, delta, None)
        })
    }

    /// What `bytes` more in a file would use.
    pub(crate) fn usage_of_bytes(&self, file: Slot, bytes: i64) -> Usage {
        let replication = self.file(file).replication;
        Usage::of_bytes(bytes, replication, self.state.policy_of(file))
    }

    /// Refuses a move that would break a quota above the new place; what it replaces there is given back.
    pub(crate) fn check_rename_quota(
        &self,
        moved: Slot,
        new_parent: Slot,
        replaced: Option<Slot>,
    ) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() {
            return Ok(());
        }
        let mut delta = self.state.usage_of(moved);
        if let Some(replaced) = replaced {
            delta = delta - self.state.usage_of(replaced);
        }
        let common = self.common_ancestor(self.state.namespace.get(moved).parent, new_parent);
        self.check_quota(new_parent, delta, Some(common))
    }

    fn common_ancestor(&self, a: Slot, b: Slot) -> Slot {
        let chain = |slot: Slot| {
            let mut chain = vec![slot];
            let mut at = slot;
            while at != self.state.namespace.root() {
                at = self.state.namespace.get(at).parent;
                chain.push(at);
            }
            chain.reverse();
            chain
        };
        let (a, b) = (chain(a), chain(b));
        let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).last();
        shared.map_or(self.state.namespace.root(), |(slot, _)| *slot)
    }

    /// Sets or removes quotas of a directory. [`KEEP`] leaves one as it is, [`RESET`] removes it.
    pub(crate) fn set_quota(
        &mut self,
        caller: &Caller,
        path: &str,
        names: i64,
        space: i64,
        kind: Option<StorageType>,
    ) -> Result<Reply, FsError> {
        let operation = match (names, space) {
            (RESET, KEEP) => "clearQuota",
            (_, KEEP) => "setQuota",
            (KEEP, RESET) => "clearSpaceQuota",
            _ => "setSpaceQuota",
        };
        self.check_superuser_for(caller, operation)?;
        self.check_writable(|| format!("Cannot set quota on {path}"))?;
        let legal = |value: i64| value >= 0 || value == RESET;
        if !legal(names) || !legal(space) {
            let text = format!("Illegal value for nsQuota or ssQuota : {names} and {space}");
            return Err(FsError::JavaIllegalArgument(text));
        }
        if kind.is_some() && names != KEEP {
            return Err(FsError::UnsupportedAction(format!(
                // Word for word HDFS's.
                "Failed to set quota by storage type because eitherdfs.quota.by.storage.type.enabled is set to true or nsQuota value is illegal {names}"
            )));
        }
        let missing = || FsError::FileNotFound(format!("Directory does not exist: {path}"));
        let slot = self.found(caller, path)?.ok_or_else(missing)?;
        let inode = self.state.namespace.get(slot);
        if !inode.is_directory() {
            return Err(FsError::NotDirectory(format!("`{path}': Is not a directory")));
        }
        let old = self.state.features.quotas.get(&inode.id).copied().unwrap_or_default();
        let new = changed(old, names, space, kind);
        if new != old {
            self.edit(Edit::SetQuota(new.to_edit(path)));
        }
        Ok(Reply::Void)
    }
}

fn changed(old: Quota, names: i64, space: i64, kind: Option<StorageType>) -> Quota {
    let value = |wanted: i64, old: Option<i64>| match wanted {
        KEEP => old,
        RESET => None,
        limit => Some(limit),
    };
    let mut new = old;
    match kind {
        Some(kind) if kind.has_quota() => new.types[kind.index()] = value(space, old.types[kind.index()]),
        // HDFS takes the call for memory, and keeps nothing of it.
        Some(_) => {}
        None => {
            new.names = value(names, old.names);
            new.space = value(space, old.space);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_hdfs_writes_them() {
        for (bytes, text) in [
            (100, "100 B"),
            (4096, "4 KB"),
            (4099, "4.00 KB"),
            (3078, "3.01 KB"),
            (1_051_653, "1.00 MB"),
            (3000, "2.93 KB"),
            ((1 << 20) - 1, "1.00 MB"),
            (1 << 40, "1 TB"),
            (i64::MAX, "8.00 EB"),
            (0, "0 B"),
        ] {
            assert_eq!(bytes_text(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn bytes_by_type_follow_the_policy() {
        let one_ssd = Usage::of_bytes(10, 3, 10);
        assert_eq!((one_ssd.space, one_ssd.types), (30, [20, 10, 0, 0, 0, 0]));
        assert_eq!(
            Usage::of_bytes(10, 3, 15).types,
            [20, 0, 0, 0, 0, 0],
            "memory does not count"
        );
        assert_eq!(Usage::of_bytes(10, 3, UNSPECIFIED).types, [0; 6]);
    }
}
