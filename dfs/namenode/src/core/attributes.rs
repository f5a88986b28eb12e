//! Mode, owner, times and replication of existing files and directories.

use super::Core;
use super::command::{Caller, Reply};
use super::edit::{self, Edit};
use super::error::FsError;
use super::inode::Slot;
use super::permission::WRITE;
use super::quota::Usage;

impl Core {
    /// Sets the mode bits. Only the owner may.
    pub(crate) fn set_permission(&mut self, caller: &Caller, path: &str, permission: u16) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set permission for {path}"))?;
        let slot = self.existing_for_change(caller, path)?;
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
        let slot = self.existing_for_change(caller, path)?;
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
            if !group.is_empty() && !self.is_member(caller, group) {
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
        let missing = || FsError::FileNotFound(format!("File/Directory {path} does not exist."));
        let slot = self.found(caller, path)?.ok_or_else(missing)?;
        self.check_inode(caller, slot, WRITE)?;
        self.edit(Edit::SetTimes(edit::SetTimes {
            path: path.to_owned(),
            modified_ms,
            accessed_ms,
        }));
        Ok(Reply::Void)
    }

    /// Sets the wanted number of replicas of a file; false for a directory and where there is nothing. Copying and deleting follow in the background.
    pub(crate) fn set_replication(&mut self, caller: &Caller, path: &str, replication: u16) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot set replication for {path}"))?;
        self.check_replication_bounds(path, replication, "")?;
        let Some(slot) = self.found(caller, path)? else {
            return Ok(Reply::Bool(false));
        };
        self.check_inode(caller, slot, WRITE)?;
        let Some(file) = self.state.namespace.get(slot).file() else {
            return Ok(Reply::Bool(false));
        };
        let blocks: Vec<u32> = file.blocks.as_slice().to_vec();
        self.check_replication_quota(slot, replication)?;
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

    fn check_replication_quota(&self, slot: Slot, replication: u16) -> Result<(), FsError> {
        if self.state.features.quotas.is_empty() {
            return Ok(());
        }
        let file = self.file(slot);
        let bytes = file
            .blocks
            .as_slice()
            .iter()
            .map(|block| self.state.counted_bytes(file, *block));
        let wanted = Usage::of_bytes(bytes.sum(), replication, self.state.policy_of(slot));
        self.check_quota(slot, wanted - self.state.usage_of_file(slot), None)
    }

    /// Refuses a number of replicas that no file may have. `whose` ends the message.
    pub(crate) fn check_replication_bounds(&self, path: &str, replication: u16, whose: &str) -> Result<(), FsError> {
        let (min, max) = (self.settings.min_replication, self.settings.max_replication);
        // A negative number of the client's is one of the upper half here.
        let shown = replication as i16;
        if shown > 0 && replication > max {
            return Err(FsError::Io(format!(
                "Requested replication factor of {shown} exceeds maximum of {max} for {path}{whose}"
            )));
        }
        if shown < 0 || usize::from(replication) < min {
            return Err(FsError::Io(format!(
                "Requested replication factor of {shown} is less than the required minimum of {min} for {path}{whose}"
            )));
        }
        Ok(())
    }
}
