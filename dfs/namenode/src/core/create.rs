//! create: a new file, open for writing by the caller.

use super::Core;
use super::command::{Caller, CreateArguments, Reply};
use super::edit::{self, Edit, RetryAnswer};
use super::error::FsError;
use super::namespace::Walk;
use super::permission::WRITE;
use super::small::U48;
use super::storage_policy;
use super::tree::parent_missing;

impl Core {
    /// Creates a file. An existing one is replaced if asked, whoever writes it; its blocks are deleted.
    pub(crate) fn create(&mut self, caller: &Caller, arguments: &CreateArguments) -> Result<Reply, FsError> {
        let path = &arguments.path;
        self.check_writable(|| format!("Cannot create file{path}"))?;
        self.check_create_arguments(arguments)?;
        let whose = format!(", clientName={}", caller.address);
        self.check_replication_bounds(path, arguments.replication, &whose)?;
        let policy = match arguments.storage_policy.as_str() {
            "" if arguments.lazy_persist => Some(storage_policy::lazy_persist()),
            "" => None,
            name => Some(storage_policy::by_name(name)?),
        };
        let walk = self.state.namespace.walk(path);
        self.check_traverse_to_create(caller, &walk)?;
        self.check_create_place(caller, arguments, &walk)?;
        if walk.target().is_some() {
            self.edit(Edit::Delete(edit::Delete { path: path.clone() }));
        } else {
            self.check_new_names(&walk)?;
            self.check_names_quota(walk.last(), walk.missing.len())?;
            self.make_parents(caller, path);
        }
        let inode_id = self.state.next_inode_id;
        self.add_file(caller, arguments, inode_id);
        if let Some(policy) = policy {
            self.edit_policy(path, policy.id);
        }
        self.leases.renew(&arguments.holder, self.now.tick_ms);
        self.remember(caller, RetryAnswer::Created, inode_id);
        self.created_before(inode_id)
    }

    fn check_create_arguments(&self, arguments: &CreateArguments) -> Result<(), FsError> {
        let min = self.settings.min_block_size;
        if arguments.block_size < min {
            return Err(FsError::Io(format!(
                // Word for word HDFS's: scripts match the text. Here the key is `min_block_size`.
                "Specified block size {} is less than configured minimum value dfs.namenode.fs-limits.min-block-size={min}",
                arguments.block_size
            )));
        }
        if arguments.block_size > U48::MAX {
            return Err(FsError::Io(format!(
                "Specified block size {} is not below 2^48",
                arguments.block_size
            )));
        }
        Ok(())
    }

    fn check_create_place(
        &mut self,
        caller: &Caller,
        arguments: &CreateArguments,
        walk: &Walk<'_>,
    ) -> Result<(), FsError> {
        let path = &arguments.path;
        let Some(slot) = walk.target() else {
            self.check_ancestor_write(caller, walk)?;
            if !arguments.create {
                return Err(FsError::FileNotFound(format!("Can't overwrite non-existent {path}")));
            }
            return if walk.missing.len() > 1 && !arguments.create_parent {
                Err(parent_missing(path))
            } else {
                Ok(())
            };
        };
        if self.state.namespace.get(slot).is_directory() {
            return Err(FsError::AlreadyExists(format!("{path} already exists as a directory")));
        }
        self.check_ancestor_write(caller, walk)?;
        if arguments.overwrite {
            return self.check_inode(caller, slot, WRITE);
        }
        self.claim_lease(path, slot, &arguments.holder, "CREATE_FILE", caller)?;
        Err(FsError::AlreadyExists(format!(
            "{path} for client {} already exists",
            caller.address
        )))
    }

    fn add_file(&mut self, caller: &Caller, arguments: &CreateArguments, inode_id: u64) {
        let parent = self.state.namespace.walk(&arguments.path).last();
        let group = self
            .state
            .namespace
            .names
            .get(self.state.namespace.get(parent).group)
            .to_owned();
        let (mode, acl) = self.inherited(parent, arguments.permission, false);
        self.edit(Edit::CreateFile(edit::CreateFile {
            path: arguments.path.clone(),
            inode_id,
            owner: caller.user.clone(),
            group,
            permission: u32::from(mode & 0o1777),
            replication: u32::from(arguments.replication),
            block_size: arguments.block_size,
            holder: arguments.holder.clone(),
            client_machine: caller.address.to_string(),
        }));
        self.give_inherited(&arguments.path, mode, acl);
    }

    /// The status of a file that is still open, as create answers it.
    pub(crate) fn created_before(&self, inode_id: u64) -> Result<Reply, FsError> {
        let open = self.state.open.get(inode_id);
        let open =
            open.ok_or_else(|| FsError::FileNotFound(format!("File of inode {inode_id} is not open any more")))?;
        let status = self.status(open.slot, String::new());
        Ok(Reply::Status(Some(Box::new(status))))
    }
}
