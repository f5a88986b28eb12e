//! Mode, owner, times and replication of existing files and directories.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::permission::WRITE;

impl Core {
    /// Sets the mode bits. Only the owner may.
    pub(crate) fn set_permission(&mut self, caller: &Caller, path: &str, permission: u16) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set permission for {path}"))?;
        let slot = self.existing(caller, path)?;
        self.check_owner(caller, slot)?;
        self.edit(Edit::SetPermission(edit::SetPermission {
            path: path.to_owned(),
            permission: u32::from(permission & 0o1777),
        }));
        Ok(Reply::Void)
    }

    /// Sets owner (superuser only) and group (owner only, and only to one of the owner's). Empty leaves it.
    pub(crate) fn set_owner(
        &mut self,
        caller: &Caller,
        path: &str,
        owner: &str,
        group: &str,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set owner for {path}"))?;
        let slot = self.existing(caller, path)?;
        self.check_owner(caller, slot)?;
        if !self.is_superuser(caller) {
            let current = self.state.namespace.names.get(self.state.namespace.get(slot).owner);
            if !owner.is_empty() && owner != current {
                let text = format!(
                    "User {} is not a super user (non-super user cannot change owner).",
                    caller.user
                );
                return Err(FsError::AccessControl(text));
            }
            if !group.is_empty() && !self.is_member(&caller.user, group) {
                return Err(FsError::AccessControl(format!(
                    "User {} does not belong to {group}",
                    caller.user
                )));
            }
        }
        self.edit(Edit::SetOwner(edit::SetOwner {
            path: path.to_owned(),
            owner: owner.to_owned(),
            group: group.to_owned(),
        }));
        Ok(Reply::Void)
    }

    /// Sets modification and access time; absent leaves it.
    pub(crate) fn set_times(
        &mut self,
        caller: &Caller,
        path: &str,
        modified_ms: Option<u64>,
        accessed_ms: Option<u64>,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set times {path}"))?;
        let slot = self.existing(caller, path)?;
        self.check_inode(caller, slot, WRITE)?;
        self.edit(Edit::SetTimes(edit::SetTimes {
            path: path.to_owned(),
            modified_ms,
            accessed_ms,
        }));
        Ok(Reply::Void)
    }

    /// Sets the wanted number of replicas of a file; false for a directory. Copying and deleting follow in the background.
    pub(crate) fn set_replication(&mut self, caller: &Caller, path: &str, replication: u16) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set replication for {path}"))?;
        self.check_replication_bounds(path, replication)?;
        let slot = self.existing(caller, path)?;
        self.check_inode(caller, slot, WRITE)?;
        let Some(file) = self.state.namespace.get(slot).file() else {
            return Ok(Reply::Bool(false));
        };
        let blocks: Vec<u32> = file.blocks.as_slice().to_vec();
        let replication = u32::from(replication);
        self.edit(Edit::SetReplication(edit::SetReplication {
            path: path.to_owned(),
            replication,
        }));
        for slot in blocks {
            self.queue_block(self.state.blocks.get(slot).id);
        }
        Ok(Reply::Bool(true))
    }

    /// Refuses a number of replicas that no file may have.
    pub(crate) fn check_replication_bounds(&self, path: &str, replication: u16) -> Result<(), FsError> {
        let (min, max) = (self.settings.min_replication, self.settings.max_replication);
        if replication > max {
            return Err(FsError::Io(format!(
                "Requested replication factor of {replication} exceeds maximum of {max} for {path}"
            )));
        }
        if usize::from(replication) < min {
            return Err(FsError::Io(format!(
                "Requested replication factor of {replication} is less than the required minimum of {min} for {path}"
            )));
        }
        Ok(())
    }
}
