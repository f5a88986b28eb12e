//! Storage policies: which types of storage a file's replicas should be on. The table is HDFS's, with its ids and names.
//!
//! Quarry's DataNodes have volumes of type `DISK` only, so every policy ends where its fallback ends: on disk. What is kept, inherited and
//! shown is the policy; quotas by storage type count by it, as HDFS's do.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::Slot;
use super::permission::{READ, WRITE};
use super::state::State;

/// Kinds of storage. The numbers are the wire's and the log's: persisted, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorageType {
    /// Spinning disk, and what nobody said more about.
    Disk = 1,
    /// Flash.
    Ssd = 2,
    /// Dense and slow.
    Archive = 3,
    /// Memory.
    RamDisk = 4,
    /// Outside the cluster.
    Provided = 5,
    /// Memory that lasts.
    Nvdimm = 6,
}

/// All kinds, in the order of their numbers.
pub const STORAGE_TYPES: [StorageType; 6] = [
    StorageType::Disk,
    StorageType::Ssd,
    StorageType::Archive,
    StorageType::RamDisk,
    StorageType::Provided,
    StorageType::Nvdimm,
];

impl StorageType {
    /// By its persisted number.
    pub fn from_number(number: i32) -> Option<Self> {
        STORAGE_TYPES.into_iter().find(|kind| *kind as i32 == number)
    }

    /// HDFS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "DISK",
            Self::Ssd => "SSD",
            Self::Archive => "ARCHIVE",
            Self::RamDisk => "RAM_DISK",
            Self::Provided => "PROVIDED",
            Self::Nvdimm => "NVDIMM",
        }
    }

    /// Position in an array of one number per kind.
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// Whether bytes on it count: memory that a restart empties does not.
    pub fn has_quota(self) -> bool {
        self != Self::RamDisk
    }
}

/// One policy.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its number on the wire.
    pub id: u8,
    /// Its name.
    pub name: &'static str,
    /// The type of the n-th replica; the last one goes for all further replicas.
    pub types: &'static [StorageType],
    /// What to take instead when a file is written.
    pub creation_fallbacks: &'static [StorageType],
    /// What to take instead when a copy is made.
    pub replication_fallbacks: &'static [StorageType],
    /// Can be given at creation only.
    pub copy_on_create: bool,
}

use StorageType::{Archive, Disk, Nvdimm, Provided, RamDisk, Ssd};

const fn policy(
    id: u8,
    name: &'static str,
    types: &'static [StorageType],
    creation_fallbacks: &'static [StorageType],
    replication_fallbacks: &'static [StorageType],
) -> Policy {
    Policy {
        id,
        name,
        types,
        creation_fallbacks,
        replication_fallbacks,
        copy_on_create: id == LAZY_PERSIST,
    }
}

const LAZY_PERSIST: u8 = 15;
/// What files without a policy get: HOT.
pub const DEFAULT_POLICY: u8 = 7;
/// "No policy of its own" on the wire.
pub const UNSPECIFIED: u8 = 0;

/// The policies that exist, by id.
pub const POLICIES: [Policy; 8] = [
    policy(1, "PROVIDED", &[Provided, Disk], &[Provided, Disk], &[Provided, Disk]),
    policy(2, "COLD", &[Archive], &[], &[]),
    policy(5, "WARM", &[Disk, Archive], &[Disk, Archive], &[Disk, Archive]),
    policy(DEFAULT_POLICY, "HOT", &[Disk], &[], &[Archive]),
    policy(10, "ONE_SSD", &[Ssd, Disk], &[Ssd, Disk], &[Ssd, Disk]),
    policy(12, "ALL_SSD", &[Ssd], &[Disk], &[Disk]),
    policy(14, "ALL_NVDIMM", &[Nvdimm], &[Disk], &[Disk]),
    policy(LAZY_PERSIST, "LAZY_PERSIST", &[RamDisk, Disk], &[Disk], &[Disk]),
];

/// The policy with this id.
pub fn by_id(id: u8) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.id == id)
}

/// The policy with this name, in any case.
///
/// # Errors
/// When there is none.
pub fn by_name(name: &str) -> Result<&'static Policy, FsError> {
    let found = POLICIES.iter().find(|policy| policy.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| FsError::IllegalArgument(format!("Cannot find a block policy with the name {name}")))
}

/// The id for "lazily persisted", a flag of create.
pub fn lazy_persist() -> &'static Policy {
    &POLICIES[POLICIES.len() - 1]
}

impl Policy {
    /// The type of the `n`-th replica.
    pub fn type_of(&self, n: usize) -> StorageType {
        self.types[n.min(self.types.len() - 1)]
    }

    fn text(&self) -> String {
        let list = |types: &[StorageType]| types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        format!(
            "BlockStoragePolicy{{{}:{}, storageTypes=[{}], creationFallbacks=[{}], replicationFallbacks=[{}]}}",
            self.name,
            self.id,
            list(self.types),
            list(self.creation_fallbacks),
            list(self.replication_fallbacks)
        )
    }
}

impl State {
    /// The policy that an inode has or inherits; [`UNSPECIFIED`] if nobody on its path has one.
    pub fn policy_of(&self, slot: Slot) -> u8 {
        if self.features.policies.is_empty() {
            return UNSPECIFIED;
        }
        let mut at = slot;
        loop {
            let inode = self.namespace.get(at);
            if let Some(policy) = self.features.policies.get(&inode.id) {
                return *policy;
            }
            if at == self.namespace.root() {
                return UNSPECIFIED;
            }
            at = inode.parent;
        }
    }
}

fn missing(path: &str) -> FsError {
    FsError::FileNotFound(format!("File/Directory does not exist: {path}"))
}

impl Core {
    /// Gives a file or directory a policy of its own.
    pub(crate) fn set_storage_policy(&mut self, caller: &Caller, path: &str, name: &str) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set storage policy for {path}"))?;
        let policy = by_name(name)?;
        let slot = self.found(caller, path)?.ok_or_else(|| missing(path))?;
        self.check_inode(caller, slot, WRITE)?;
        if policy.copy_on_create && !self.state.namespace.get(slot).is_directory() {
            return Err(FsError::IllegalArgument(format!(
                "Policy {} cannot be set after file creation.",
                policy.text()
            )));
        }
        self.edit_policy(path, policy.id);
        Ok(Reply::Void)
    }

    /// Takes it back.
    pub(crate) fn unset_storage_policy(&mut self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot unset storage policy for {path}"))?;
        let slot = self.found(caller, path)?.ok_or_else(|| missing(path))?;
        self.check_inode(caller, slot, WRITE)?;
        self.edit_policy(path, UNSPECIFIED);
        Ok(Reply::Void)
    }

    pub(crate) fn edit_policy(&mut self, path: &str, policy: u8) {
        self.edit(Edit::SetStoragePolicy(edit::SetStoragePolicy {
            path: path.to_owned(),
            policy: u32::from(policy),
        }));
    }

    /// The policy that rules a file or directory.
    pub(crate) fn get_storage_policy(&self, caller: &Caller, path: &str) -> Result<Reply, FsError> {
        let slot = self.found(caller, path)?.ok_or_else(|| missing(path))?;
        self.check_inode(caller, slot, READ)?;
        let id = match self.state.policy_of(slot) {
            UNSPECIFIED => DEFAULT_POLICY,
            id => id,
        };
        Ok(Reply::Number(u64::from(id)))
    }
}
