//! mkdirs, delete and the two renames.

use super::Core;
use super::acl_calls::Modes;
use super::command::{Caller, Reply};
use super::edit::{self, Edit, RetryAnswer};
use super::error::FsError;
use super::inode::Slot;
use super::namespace::{Walk, is_within, last_component, parent_path};
use super::permission::WRITE;
use super::reserved::{RESERVED_NAME, SNAPSHOT_NAME, reserved_name};

/// Owner may write and enter: added to directories made on the way, so that the caller can go on below them.
const IMPLICIT_OWNER_BITS: u16 = 0o300;

fn with_implicit_bits(mode: Modes) -> Modes {
    Modes {
        masked: mode.masked | IMPLICIT_OWNER_BITS,
        unmasked: mode.unmasked | IMPLICIT_OWNER_BITS,
    }
}

impl Core {
    /// Makes a directory and, if asked, its missing parents.
    pub(crate) fn make_directories(
        &mut self,
        caller: &Caller,
        path: &str,
        permission: Modes,
        create_parent: bool,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot create directory {path}"))?;
        let walk = self.state.namespace.walk(path);
        self.check_traverse_to_create(caller, &walk)?;
        if let Some(slot) = walk.target() {
            if self.state.namespace.get(slot).is_directory() {
                return Ok(Reply::Bool(true));
            }
            return Err(FsError::AlreadyExists(format!("Path is not a directory: {path}")));
        }
        self.check_ancestor_write(caller, &walk)?;
        if !create_parent && walk.missing.len() > 1 {
            return Err(parent_missing(path));
        }
        self.check_new_names(&walk)?;
        self.check_names_quota(walk.last(), walk.missing.len())?;
        self.make_missing(caller, &walk, |last| {
            if last {
                permission
            } else {
                with_implicit_bits(permission)
            }
        });
        Ok(Reply::Bool(true))
    }

    /// Makes the missing parents of a file to be created; they take the deepest existing directory's mode.
    pub(crate) fn make_parents(&mut self, caller: &Caller, path: &str) {
        let Some(parent) = parent_path(path) else { return };
        let walk = self.state.namespace.walk(parent);
        let inherited = with_implicit_bits(Modes::plain(self.state.namespace.get(walk.last()).permission));
        self.make_missing(caller, &walk, |_| inherited);
    }

    fn make_missing(&mut self, caller: &Caller, walk: &Walk<'_>, permission: impl Fn(bool) -> Modes) {
        let from = walk.last();
        let group = self
            .state
            .namespace
            .names
            .get(self.state.namespace.get(from).group)
            .to_owned();
        let mut path = self.state.namespace.path_of(from);
        for (n, name) in walk.missing.iter().enumerate() {
            if !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(name);
            let parent = self.state.namespace.walk(&path).last();
            let (mode, acl) = self.inherited(parent, permission(n + 1 == walk.missing.len()), true);
            self.edit(Edit::MakeDirectory(edit::MakeDirectory {
                path: path.clone(),
                inode_id: self.state.next_inode_id,
                owner: caller.user.clone(),
                group: group.clone(),
                permission: u32::from(mode),
            }));
            self.give_inherited(&path, mode, acl);
        }
    }

    /// Refuses names that are too long and directories that are full.
    pub(crate) fn check_new_names(&self, walk: &Walk<'_>) -> Result<(), FsError> {
        if walk.missing.contains(&SNAPSHOT_NAME) {
            let text = format!("\"{SNAPSHOT_NAME}\" is a reserved name.");
            return Err(FsError::IllegalArgument(text));
        }
        if walk.last() == self.state.namespace.root() && walk.missing.first() == Some(&RESERVED_NAME) {
            return Err(reserved_name());
        }
        let limit = self.settings.max_component_length;
        if let Some(name) = walk.missing.iter().find(|name| name.len() > limit) {
            let parent = self.state.namespace.path_of(walk.last());
            return Err(FsError::NameTooLong(format!(
                "The maximum path component name limit of {name} in directory {parent} is exceeded: limit={limit} length={}",
                name.len()
            )));
        }
        self.check_room(walk.last())
    }

    fn check_room(&self, directory: Slot) -> Result<(), FsError> {
        let limit = self.settings.max_directory_items;
        let items = self
            .state
            .namespace
            .get(directory)
            .children()
            .map_or(0, |children| children.len());
        if items < limit {
            return Ok(());
        }
        let path = self.state.namespace.path_of(directory);
        Err(FsError::TooManyEntries(format!(
            "The directory item limit of {path} is exceeded: limit={limit} items={}",
            items + 1
        )))
    }

    /// Deletes a file or tree; false if there was nothing.
    pub(crate) fn delete(&mut self, caller: &Caller, path: &str, recursive: bool) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot delete {path}"))?;
        let walk = self.state.namespace.walk(path);
        self.check_traverse(caller, &walk)?;
        let Some(slot) = walk.target() else {
            return Ok(Reply::Bool(false));
        };
        let has_entries = self
            .state
            .namespace
            .get(slot)
            .children()
            .is_some_and(|children| !children.is_empty());
        if has_entries && !recursive {
            return Err(FsError::NotEmpty(format!(
                "`{path} is non empty': Directory is not empty"
            )));
        }
        if slot == self.state.namespace.root() {
            return Ok(Reply::Bool(false));
        }
        self.check_unlink(caller, slot)?;
        self.check_remove_below(caller, slot)?;
        self.edit(Edit::Delete(edit::Delete { path: path.to_owned() }));
        self.remember(caller, RetryAnswer::True, 0);
        Ok(Reply::Bool(true))
    }

    /// The old rename: answers false where [`Self::rename2`] fails, and moves into an existing directory.
    pub(crate) fn rename(&mut self, caller: &Caller, source: &str, destination: &str) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot rename {source}"))?;
        let from = self.state.namespace.walk(source);
        self.check_traverse(caller, &from)?;
        self.check_traverse_to_create(caller, &self.state.namespace.walk(destination))?;
        let destination = self.destination_of_rename(source, destination);
        let to = self.state.namespace.walk(&destination);
        self.check_traverse_to_create(caller, &to)?;
        self.check_rename_access(caller, &from, &to)?;
        let Some(slot) = from.target().filter(|slot| *slot != self.state.namespace.root()) else {
            return Ok(Reply::Bool(false));
        };
        if source == destination {
            return Ok(Reply::Bool(true));
        }
        if is_within(&destination, source) || to.missing.len() != 1 {
            return Ok(Reply::Bool(false));
        }
        self.check_new_names(&to)?;
        self.check_rename_quota(slot, to.last(), None)?;
        self.do_rename(caller, source, &destination, RetryAnswer::True);
        Ok(Reply::Bool(true))
    }

    /// An existing directory gets the source as an entry.
    fn destination_of_rename(&self, source: &str, destination: &str) -> String {
        let existing = self.state.namespace.find(destination);
        let into = existing.filter(|slot| self.state.namespace.get(*slot).is_directory());
        match into {
            Some(_) if source != "/" => {
                format!("{}/{}", destination.trim_end_matches('/'), last_component(source))
            }
            _ => destination.to_owned(),
        }
    }

    /// The caller may take the source out of its directory and put something in the destination's.
    fn check_rename_access(&self, caller: &Caller, from: &Walk<'_>, to: &Walk<'_>) -> Result<(), FsError> {
        match from.target() {
            Some(slot) => self.check_unlink(caller, slot)?,
            None if from.missing.len() == 1 => self.check_inode(caller, from.last(), WRITE)?,
            None => {}
        }
        self.check_ancestor_write(caller, to)
    }

    fn do_rename(&mut self, caller: &Caller, source: &str, destination: &str, answer: RetryAnswer) {
        let rename = edit::Rename {
            source: source.to_owned(),
            destination: destination.to_owned(),
        };
        self.edit(Edit::Rename(rename));
        self.remember(caller, answer, 0);
    }

    /// The new rename: exact destination, an error for every refusal, atomic replacement if asked.
    pub(crate) fn rename2(
        &mut self,
        caller: &Caller,
        source: &str,
        destination: &str,
        overwrite: bool,
        to_trash: bool,
    ) -> Result<Reply, FsError> {
        self.check_writable(|| format!("Cannot rename {source}"))?;
        let from = self.state.namespace.walk(source);
        self.check_traverse(caller, &from)?;
        let to = self.state.namespace.walk(destination);
        self.check_traverse_to_create(caller, &to)?;
        self.check_rename_access(caller, &from, &to)?;
        if let Some(slot) = from.target().filter(|_| to_trash) {
            self.check_remove_below(caller, slot)?;
        }
        let slot = from
            .target()
            .ok_or_else(|| FsError::FileNotFound(format!("rename source {source} is not found.")))?;
        self.check_rename_places(slot, source, destination, &to)?;
        let replaced = to.target();
        match replaced {
            Some(replaced) => self.check_replaceable(slot, source, replaced, destination, overwrite)?,
            None => self.check_new_names(&to)?,
        }
        let new_parent = match replaced {
            Some(replaced) => self.state.namespace.get(replaced).parent,
            None => to.last(),
        };
        self.check_rename_quota(slot, new_parent, replaced)?;
        if replaced.is_some() {
            self.edit(Edit::Delete(edit::Delete {
                path: destination.to_owned(),
            }));
        }
        self.do_rename(caller, source, destination, RetryAnswer::Void);
        Ok(Reply::Void)
    }

    fn check_rename_places(&self, slot: Slot, source: &str, destination: &str, to: &Walk<'_>) -> Result<(), FsError> {
        if slot == self.state.namespace.root() {
            return Err(FsError::Io("rename source cannot be the root".to_owned()));
        }
        if source == destination {
            return Err(FsError::AlreadyExists(format!(
                "The source {source} and destination {destination} are the same"
            )));
        }
        if to.target() == Some(self.state.namespace.root()) {
            return Err(FsError::Io("rename destination cannot be the root".to_owned()));
        }
        if is_within(destination, source) {
            return Err(FsError::Io(format!(
                "Rename destination {destination} is a directory or file under source {source}"
            )));
        }
        if to.missing.len() > 1 {
            // HDFS names the destination here, not its parent.
            return Err(FsError::FileNotFound(format!(
                "rename destination parent {destination} not found."
            )));
        }
        if !to.missing.is_empty() && !self.state.namespace.get(to.last()).is_directory() {
            let parent = parent_path(destination).unwrap_or("/");
            return Err(FsError::ParentNotDirectory(format!(
                "rename destination parent {parent} is a file."
            )));
        }
        Ok(())
    }

    fn check_replaceable(
        &self,
        slot: Slot,
        source: &str,
        replaced: Slot,
        destination: &str,
        overwrite: bool,
    ) -> Result<(), FsError> {
        let (moved, old) = (self.state.namespace.get(slot), self.state.namespace.get(replaced));
        if moved.is_directory() != old.is_directory() {
            return Err(FsError::Io(format!(
                "Source {source} and destination {destination} must both be directories"
            )));
        }
        if !overwrite {
            return Err(FsError::AlreadyExists(format!(
                "rename destination {destination} already exists"
            )));
        }
        if old.children().is_some_and(|children| !children.is_empty()) {
            return Err(FsError::Io(format!(
                "rename destination directory is not empty: {destination}"
            )));
        }
        Ok(())
    }
}

pub(crate) fn parent_missing(path: &str) -> FsError {
    let parent = parent_path(path).unwrap_or("/");
    FsError::FileNotFound(format!("Parent directory doesn't exist: {parent}"))
}
