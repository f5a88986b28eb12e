//! The namespace against a naive model: random operations, every answer compared, and the log replayed at the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::acl_calls::Modes;
use super::command::{CreateArguments, Operation, Reply};
use super::namespace::{is_within, last_component, parent_path};
use super::testscripts::{Script, complete, mkdirs};

/// The naive model: full paths, true for directories.
#[derive(Debug, Clone)]
struct Model(BTreeMap<String, bool>);

impl Model {
    fn new() -> Self {
        Self(BTreeMap::from([("/".to_owned(), true)]))
    }

    fn is_dir(&self, path: &str) -> Option<bool> {
        self.0.get(path).copied()
    }

    /// Whether a file is in the middle of the path.
    fn blocked(&self, path: &str) -> bool {
        let mut at = parent_path(path);
        while let Some(parent) = at {
            if self.is_dir(parent) == Some(false) {
                return true;
            }
            at = parent_path(parent);
        }
        false
    }

    fn parent_exists(&self, path: &str) -> bool {
        parent_path(path).is_some_and(|parent| self.is_dir(parent) == Some(true))
    }

    fn has_entries(&self, path: &str) -> bool {
        self.0.keys().any(|other| other != path && is_within(other, path))
    }

    fn make_parents(&mut self, path: &str) {
        let mut at = parent_path(path);
        while let Some(parent) = at {
            self.0.entry(parent.to_owned()).or_insert(true);
            at = parent_path(parent);
        }
    }

    fn mkdirs(&mut self, path: &str) -> bool {
        if self.blocked(path) || self.is_dir(path) == Some(false) {
            return false;
        }
        self.make_parents(path);
        self.0.insert(path.to_owned(), true);
        true
    }

    fn create(&mut self, path: &str, overwrite: bool) -> bool {
        let in_the_way = self.is_dir(path).is_some_and(|is_dir| is_dir || !overwrite);
        if self.blocked(path) || in_the_way {
            return false;
        }
        self.make_parents(path);
        self.0.insert(path.to_owned(), false);
        true
    }

    /// Err: refused; Ok: the answer.
    fn delete(&mut self, path: &str, recursive: bool) -> Result<bool, ()> {
        if self.blocked(path) || self.has_entries(path) && !recursive {
            return Err(());
        }
        if self.is_dir(path).is_none() || path == "/" {
            return Ok(false);
        }
        self.0.retain(|other, _| !is_within(other, path));
        Ok(true)
    }

    fn relocate(&mut self, from: &str, to: &str) {
        let moved: Vec<(String, bool)> = self
            .0
            .iter()
            .filter(|(path, _)| is_within(path, from))
            .map(|(p, d)| (p.clone(), *d))
            .collect();
        for (path, is_dir) in moved {
            self.0.remove(&path);
            self.0.insert(format!("{to}{}", &path[from.len()..]), is_dir);
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<bool, ()> {
        if self.blocked(from) || self.blocked(to) {
            return Err(());
        }
        if from == "/" || self.is_dir(from).is_none() {
            return Ok(false);
        }
        let into = self.is_dir(to) == Some(true);
        let to = if into {
            format!("{}/{}", to.trim_end_matches('/'), last_component(from))
        } else {
            to.to_owned()
        };
        if from == to {
            return Ok(true);
        }
        if is_within(&to, from) {
            return Ok(false);
        }
        if self.is_dir(&to).is_some() || !self.parent_exists(&to) {
            return Ok(false);
        }
        self.relocate(from, &to);
        Ok(true)
    }

    fn rename2(&mut self, from: &str, to: &str, overwrite: bool) -> bool {
        let Some(is_dir) = self.is_dir(from).filter(|_| from != "/" && to != "/" && from != to) else {
            return false;
        };
        if is_within(to, from) || !self.parent_exists(to) {
            return false;
        }
        if let Some(replaced_is_dir) = self.is_dir(to) {
            if !overwrite || replaced_is_dir != is_dir || self.has_entries(to) {
                return false;
            }
            self.0.remove(to);
        }
        self.relocate(from, to);
        true
    }
}

#[derive(Debug, Clone)]
enum Step {
    Mkdirs(String),
    Create(String, bool),
    Delete(String, bool),
    Rename(String, String),
    Rename2(String, String, bool),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..4)
        .prop_map(|names| format!("/{}", names.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        path().prop_map(Step::Mkdirs),
        (path(), any::<bool>()).prop_map(|(path, overwrite)| Step::Create(path, overwrite)),
        (path(), any::<bool>()).prop_map(|(path, recursive)| Step::Delete(path, recursive)),
        (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        (path(), path(), any::<bool>()).prop_map(|(from, to, overwrite)| Step::Rename2(from, to, overwrite)),
    ]
}

fn play(script: &mut Script, model: &mut Model, step: &Step) {
    match step.clone() {
        Step::Mkdirs(path) => assert_eq!(script.call(mkdirs(&path)).is_ok(), model.mkdirs(&path)),
        Step::Create(path, overwrite) => {
            let arguments = CreateArguments {
                path: path.clone(),
                permission: Modes::plain(0o644),
                holder: "writer".to_owned(),
                create: true,
                overwrite,
                create_parent: true,
                replication: 1,
                block_size: 1,
                storage_policy: String::new(),
                lazy_persist: false,
            };
            let created = script.call(Operation::Create(arguments)).is_ok();
            assert_eq!(created, model.create(&path, overwrite));
            if created {
                script.call(complete(&path, None)).unwrap();
            }
        }
        Step::Delete(path, recursive) => {
            let answer = script.call(Operation::Delete {
                path: path.clone(),
                recursive,
            });
            assert_eq!(answer.map_err(|_| ()), model.delete(&path, recursive).map(Reply::Bool));
        }
        Step::Rename(source, destination) => {
            let expected = model.rename(&source, &destination).map(Reply::Bool);
            assert_eq!(
                script.call(Operation::Rename { source, destination }).map_err(|_| ()),
                expected
            );
        }
        Step::Rename2(source, destination, overwrite) => {
            let expected = model.rename2(&source, &destination, overwrite);
            assert_eq!(
                script
                    .call(Operation::Rename2 {
                        source,
                        destination,
                        overwrite,
                        to_trash: false,
                    })
                    .is_ok(),
                expected
            );
        }
    }
}

fn tree_of(script: &Script) -> BTreeMap<String, bool> {
    let namespace = &script.core.state().namespace;
    let mut tree = BTreeMap::new();
    namespace.visit_tree(namespace.root(), |slot, inode| {
        tree.insert(namespace.path_of(slot), inode.is_directory());
        true
    });
    tree
}

proptest! {
    #[test]
    fn every_answer_is_the_models_and_any_prefix_of_the_log_replays_to_its_moment(steps in prop::collection::vec(step(), 1..60)) {
        let (mut script, mut model) = (Script::new(), Model::new());
        let mut moments = vec![tree_of(&script)];
        for step in &steps {
            play(&mut script, &mut model, step);
            prop_assert_eq!(&tree_of(&script), &model.0, "after {:?}", step);
            moments.resize(script.log.len() + 1, tree_of(&script));
        }
        for (crash, moment) in moments.iter().enumerate() {
            let mut crashed = Script::new();
            crashed.log = script.log[..crash].to_vec();
            prop_assert_eq!(&tree_of(&crashed.restarted()), moment, "crash after {} transactions", crash);
        }
    }
}
