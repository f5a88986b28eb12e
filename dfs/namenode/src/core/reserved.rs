//! Paths below `/.reserved`: `/.reserved/.inodes/N` names an inode by its id, `/.reserved/raw/x` is `/x` with its raw attributes.
//! HDFS's rules and words. They are resolved once, before an operation begins; nothing else knows of them.

use super::Core;
use super::command::{Caller, FileStatus, Operation};
use super::error::FsError;
use super::inode::Slot;
use super::namespace::parent_path;

const RESERVED: &str = "/.reserved";
const INODES: &str = "/.reserved/.inodes";
const RAW: &str = "/.reserved/raw";
/// The name that nothing may have in the root directory.
pub(crate) const RESERVED_NAME: &str = ".reserved";
/// The name that nothing may have anywhere.
pub(crate) const SNAPSHOT_NAME: &str = ".snapshot";

/// What `path` is below `prefix`; `None` if it is not.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn is_reserved(path: &str) -> bool {
    path.as_bytes().get(1) == Some(&b'.') && below(path, RESERVED).is_some()
}

impl Core {
    /// The operation with plain paths, if any of its paths is a reserved one.
    pub(crate) fn resolve_reserved(
        &self,
        caller: &Caller,
        operation: &Operation,
    ) -> Result<Option<Operation>, FsError> {
        if !operation.paths().any(is_reserved) {
            return Ok(None);
        }
        self.refuse_reserved_names(operation)?;
        let mut resolved = operation.clone();
        let mut raw = false;
        for path in resolved.paths_mut() {
            raw |= below(path, RAW).is_some();
            if let Some(plain) = self.plain_path(path)? {
                *path = plain;
            }
        }
        if raw && !operation.is_read() {
            self.check_superuser_for(caller, operation.method())?;
        }
        if let Some(flag) = resolved.raw_mut() {
            *flag = raw;
        }
        Ok(Some(resolved))
    }

    fn plain_path(&self, path: &str) -> Result<Option<String>, FsError> {
        if let Some(rest) = below(path, RAW) {
            return Ok(Some(if rest.is_empty() {
                "/".to_owned()
            } else {
                rest.to_owned()
            }));
        }
        let Some(rest) = below(path, INODES).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        let rest = &rest[1..];
        let (number, tail) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let id: u64 = number
            .parse()
            .map_err(|_| FsError::FileNotFound(format!("Invalid inode path: {path}")))?;
        let slot = self
            .slot_of_inode(id)
            .ok_or_else(|| FsError::FileNotFound(format!("File for given inode path does not exist: {path}")))?;
        let base = self.state.namespace.path_of(slot);
        if tail == "/.." {
            return Ok(Some(parent_path(&base).unwrap_or("/").to_owned()));
        }
        let plain = format!("{}{tail}", base.trim_end_matches('/'));
        Ok(Some(if plain.is_empty() { "/".to_owned() } else { plain }))
    }

    /// An inode by its id: open files by their table, others by looking at all. Few clients ask this way, and an index would cost every inode.
    fn slot_of_inode(&self, id: u64) -> Option<Slot> {
        if let Some(open) = self.state.open.get(id) {
            return Some(open.slot);
        }
        let namespace = &self.state.namespace;
        let mut found = None;
        namespace.visit_tree(namespace.root(), |slot, inode| {
            if inode.id == id {
                found = Some(slot);
            }
            found.is_none()
        });
        found
    }

    fn refuse_reserved_names(&self, operation: &Operation) -> Result<(), FsError> {
        let unnamed = |path: &str| is_reserved(path) && below(path, RAW).is_none() && below(path, INODES).is_none();
        let invalid = |text: String| Err(FsError::InvalidPath(format!("Invalid path name {text}")));
        match operation {
            Operation::Create(arguments) if unnamed(&arguments.path) => invalid(arguments.path.clone()),
            Operation::Delete { path, .. } if path == RESERVED => invalid(path.clone()),
            Operation::Rename { destination, .. } | Operation::Rename2 { destination, .. }
                if destination == RESERVED =>
            {
                invalid(format!("Cannot rename to or from {RESERVED}"))
            }
            Operation::MakeDirectories { path, .. } if unnamed(path) => Err(reserved_name()),
            _ => Ok(()),
        }
    }

    /// `/.reserved` itself, which has a status though it is in no directory.
    pub(crate) fn reserved_status(&self, path: &str) -> Option<FileStatus> {
        (path == RESERVED).then(|| self.reserved_entry("", 0o1770))
    }

    /// The entries of `/.reserved`.
    pub(crate) fn list_reserved(&self, path: &str) -> Option<Vec<FileStatus>> {
        (path == RESERVED).then(|| vec![self.reserved_entry(".inodes", 0o770), self.reserved_entry("raw", 0o770)])
    }

    fn reserved_entry(&self, name: &str, permission: u16) -> FileStatus {
        FileStatus {
            id: 0,
            name: name.to_owned(),
            is_directory: true,
            permission,
            owner: String::new(),
            group: if name.is_empty() {
                String::new()
            } else {
                self.settings.supergroup.clone()
            },
            modified_ms: 0,
            accessed_ms: 0,
            children: 0,
            length: 0,
            replication: 0,
            block_size: 0,
            has_acl: false,
            storage_policy: 0,
            locations: None,
        }
    }
}

/// The refusal of a new entry of that name.
pub(crate) fn reserved_name() -> FsError {
    FsError::IllegalArgument(format!(
        "File name \"{RESERVED_NAME}\" is reserved and cannot be created. If this is during upgrade change the name of the existing file or directory to another name before upgrading to the new release."
    ))
}
