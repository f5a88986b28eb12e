//! The directory tree: path walking, linking and unlinking. Knows nothing of permissions, leases or replicas.

use std::cmp::Ordering;

use super::inode::{Arena, Body, Inode, NameId, ROOT_INODE_ID, Slot};
use super::names::Names;

/// The tree of inodes and the table of user and group names.
#[derive(Debug, Clone)]
pub struct Namespace {
    arena: Arena,
    root: Slot,
    /// Owner and group names.
    pub names: Names,
}

/// The outcome of following a path from the root.
#[derive(Debug, Clone)]
pub struct Walk<'p> {
    /// Existing inodes along the path, root first; never empty.
    pub found: Vec<Slot>,
    /// Components that do not exist, in order; empty when the path exists.
    pub missing: Vec<&'p str>,
}

impl Walk<'_> {
    /// The deepest existing inode.
    pub fn last(&self) -> Slot {
        *self.found.last().expect("a walk starts at the root")
    }

    /// The inode that the whole path names.
    pub fn target(&self) -> Option<Slot> {
        self.missing.is_empty().then(|| self.last())
    }
}

/// The components of an absolute, normalized path.
pub fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// The parent of an absolute, normalized path; `None` for the root.
pub fn parent_path(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// The last component; empty for the root.
pub fn last_component(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

/// Whether `path` is `ancestor` or lies below it.
pub fn is_within(path: &str, ancestor: &str) -> bool {
    ancestor == "/"
        || path
            .strip_prefix(ancestor)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Namespace {
    /// A tree with only the root directory in it.
    pub fn new(owner: &str, group: &str, permission: u16) -> Self {
        let mut names = Names::default();
        let (owner, group) = (names.intern(owner), names.intern(group));
        let mut arena = Arena::default();
        let root = arena.insert(Inode {
            id: ROOT_INODE_ID,
            parent: Slot(0),
            name: "".into(),
            modified_ms: 0.into(),
            accessed_ms: 0.into(),
            owner,
            group,
            permission,
            body: Body::Directory(Box::default()),
        });
        Self { arena, root, names }
    }

    /// The root directory.
    pub fn root(&self) -> Slot {
        self.root
    }

    /// The inode at `slot`.
    pub fn get(&self, slot: Slot) -> &Inode {
        self.arena.get(slot)
    }

    /// The inode at `slot`, for change of anything but its name, parent or entries.
    pub fn get_mut(&mut self, slot: Slot) -> &mut Inode {
        self.arena.get_mut(slot)
    }

    /// Number of files and directories, the root included.
    pub fn count(&self) -> usize {
        self.arena.count()
    }

    /// The entry `name` of directory `parent`.
    pub fn child(&self, parent: Slot, name: &str) -> Option<Slot> {
        let children = self.get(parent).children()?;
        children
            .find(|slot| self.compare(slot, name))
            .ok()
            .map(|(_, slot)| slot)
    }

    /// Entries of directory `parent` whose names come after `start_after`, in byte order.
    pub fn children_after(&self, parent: Slot, start_after: &str) -> impl Iterator<Item = Slot> + '_ {
        let children = self.get(parent).children();
        let from = children.map(|children| match children.find(|slot| self.compare(slot, start_after)) {
            Ok((at, _)) => (at, 1),
            Err(at) => (at, 0),
        });
        let skip_equal = from.map_or(0, |(_, skip)| skip);
        children
            .into_iter()
            .flat_map(move |children| from.into_iter().flat_map(move |(at, _)| children.iter_from(at)))
            .skip(skip_equal)
    }

    fn compare(&self, slot: Slot, name: &str) -> Ordering {
        self.get(slot).name.as_bytes().cmp(name.as_bytes())
    }

    /// Follows `path` (absolute, normalized) as far as it exists. A file in the middle ends the walk there.
    pub fn walk<'p>(&self, path: &'p str) -> Walk<'p> {
        let mut found = vec![self.root];
        let mut names = components(path);
        let mut missing = Vec::new();
        for name in names.by_ref() {
            match self.child(found[found.len() - 1], name) {
                Some(slot) => found.push(slot),
                None => {
                    missing.push(name);
                    break;
                }
            }
        }
        missing.extend(names);
        Walk { found, missing }
    }

    /// The inode that `path` names.
    pub fn find(&self, path: &str) -> Option<Slot> {
        self.walk(path).target()
    }

    /// The path of an inode.
    pub fn path_of(&self, slot: Slot) -> String {
        let mut names = Vec::new();
        let mut at = slot;
        while at != self.root {
            let inode = self.get(at);
            names.push(&*inode.name);
            at = inode.parent;
        }
        if names.is_empty() {
            return "/".to_owned();
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }

    /// Puts a new inode under its parent. The name must be free there.
    pub fn link(&mut self, inode: Inode) -> Slot {
        let parent = inode.parent;
        let place = self.place_for(parent, &inode.name);
        let slot = self.arena.insert(inode);
        self.children_mut(parent).insert(place, slot);
        slot
    }

    /// As [`Self::link`], quick for an inode whose name comes after all others of its directory; none if the name is taken.
    pub fn link_in_order(&mut self, inode: Inode) -> Option<Slot> {
        let parent = inode.parent;
        let last = self.get(parent).children()?.last();
        if last.is_some_and(|last| self.compare(last, &inode.name) != Ordering::Less) {
            return match self.child(parent, &inode.name) {
                Some(_) => None,
                None => Some(self.link(inode)),
            };
        }
        let slot = self.arena.insert(inode);
        self.children_mut(parent).push(slot);
        Some(slot)
    }

    fn place_for(&self, parent: Slot, name: &str) -> super::children::Position {
        let children = self
            .get(parent)
            .children()
            .expect("entries are linked under directories only");
        children
            .find(|slot| self.compare(slot, name))
            .expect_err("a name is linked once")
    }

    fn children_mut(&mut self, parent: Slot) -> &mut super::children::Children {
        match &mut self.arena.get_mut(parent).body {
            Body::Directory(children) => children,
            Body::File(_) => unreachable!("entries are linked under directories only"),
        }
    }

    fn detach(&mut self, slot: Slot) {
        let (parent, name) = (self.get(slot).parent, self.get(slot).name.clone());
        let children = self.get(parent).children().expect("a parent is a directory");
        let (at, _) = children
            .find(|other| self.compare(other, &name))
            .expect("an inode is among its parent's entries");
        self.children_mut(parent).remove(at);
    }

    /// Moves an inode to another parent and name, which must be free there.
    pub fn relink(&mut self, slot: Slot, parent: Slot, name: &str) {
        self.detach(slot);
        let place = self.place_for(parent, name);
        let inode = self.get_mut(slot);
        inode.parent = parent;
        inode.name = name.into();
        self.children_mut(parent).insert(place, slot);
    }

    /// Removes an inode and everything below it, handing each removed inode to `removed` (parents before children).
    pub fn remove_tree(&mut self, slot: Slot, mut removed: impl FnMut(Inode)) {
        self.detach(slot);
        let mut pending = vec![slot];
        while let Some(next) = pending.pop() {
            let inode = self.arena.remove(next);
            if let Some(children) = inode.children() {
                pending.extend(children.iter());
            }
            removed(inode);
        }
    }

    /// Visits `slot` and everything below it, parents before children, until `visit` says no.
    pub fn visit_tree(&self, slot: Slot, mut visit: impl FnMut(Slot, &Inode) -> bool) {
        let mut pending = vec![slot];
        while let Some(next) = pending.pop() {
            let inode = self.get(next);
            if !visit(next, inode) {
                return;
            }
            if let Some(children) = inode.children() {
                pending.extend(children.iter().rev());
            }
        }
    }

    /// Owner and group of an inode as text.
    pub fn owner_and_group(&self, inode: &Inode) -> (&str, &str) {
        (self.names.get(inode.owner), self.names.get(inode.group))
    }

    /// The number of a user or group name.
    pub fn intern(&mut self, name: &str) -> NameId {
        self.names.intern(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_helpers() {
        assert_eq!(parent_path("/"), None);
        assert_eq!(parent_path("/a"), Some("/"));
        assert_eq!(parent_path("/a/b"), Some("/a"));
        assert_eq!(last_component("/a/b"), "b");
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a"));
    }

    #[test]
    fn walk_stops_at_a_file_and_reports_what_is_missing() {
        let mut tree = Namespace::new("u", "g", 0o755);
        let (owner, group) = (tree.intern("u"), tree.intern("g"));
        let file = Inode {
            id: 1,
            parent: tree.root(),
            name: "f".into(),
            modified_ms: 0.into(),
            accessed_ms: 0.into(),
            owner,
            group,
            permission: 0o644,
            body: Body::File(Default::default()),
        };
        let slot = tree.link(file);
        let walk = tree.walk("/f/x/y");
        assert_eq!((walk.last(), walk.missing.as_slice()), (slot, &["x", "y"][..]));
        assert_eq!(tree.find("/f"), Some(slot));
        assert_eq!(tree.path_of(slot), "/f");
    }
}
