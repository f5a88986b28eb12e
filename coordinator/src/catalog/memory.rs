//! A catalog store in memory, for tests and for engines without a file system. Nothing survives the process.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::store::{CatalogStore, Creation, Entry, FileVersion, Renaming};
use crate::error::Result;

/// Files and directories of a catalog in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By relative path; directories hold no content.
    nodes: BTreeMap<String, Node>,
    last_id: u64,
}

#[derive(Debug, Clone)]
struct Node {
    content: Option<Bytes>,
    id: u64,
}

impl State {
    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.nodes.get(path).is_some_and(|node| node.content.is_none())
    }

    fn put(&mut self, path: &str, content: Option<Bytes>) {
        self.last_id += 1;
        self.nodes.insert(
            path.to_owned(),
            Node {
                content,
                id: self.last_id,
            },
        );
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[async_trait]
impl CatalogStore for MemoryStore {
    async fn list(&self, directory: &str) -> Result<Option<Vec<Entry>>> {
        let state = self.state.lock();
        if !state.is_directory(directory) {
            return Ok(None);
        }
        let children = state.nodes.iter().filter(|(path, _)| parent(path) == directory);
        let entries = children.map(|(path, node)| Entry {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            is_directory: node.content.is_none(),
            version: FileVersion {
                file_id: node.id,
                modified_ms: 0,
            },
        });
        Ok(Some(entries.collect()))
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        Ok(self.state.lock().nodes.get(path).and_then(|node| node.content.clone()))
    }

    async fn create(&self, path: &str, content: Bytes) -> Result<Creation> {
        let mut state = self.state.lock();
        if !state.is_directory(parent(path)) {
            return Ok(Creation::NoDirectory);
        }
        if state.nodes.contains_key(path) {
            return Ok(Creation::Exists);
        }
        state.put(path, Some(content));
        Ok(Creation::Created)
    }

    async fn replace(&self, path: &str, content: Bytes) -> Result<bool> {
        let mut state = self.state.lock();
        let possible = state.is_directory(parent(path));
        if possible {
            state.put(path, Some(content));
        }
        Ok(possible)
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        let mut state = self.state.lock();
        let before = state.nodes.len();
        let below = format!("{path}/");
        state
            .nodes
            .retain(|other, _| other != path && !other.starts_with(&below));
        Ok(state.nodes.len() < before)
    }

    async fn make_directory(&self, path: &str) -> Result<()> {
        let mut state = self.state.lock();
        if !state.is_directory(path) {
            state.put(path, None);
        }
        Ok(())
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<Renaming> {
        let mut state = self.state.lock();
        if !state.is_directory(parent(to)) {
            return Ok(Renaming::NoDirectory);
        }
        if state.nodes.contains_key(to) {
            return Ok(Renaming::Exists);
        }
        let Some(node) = state.nodes.remove(from) else {
            return Ok(Renaming::NoFile);
        };
        state.nodes.insert(to.to_owned(), node);
        Ok(Renaming::Renamed)
    }

    async fn rename_directory(&self, from: &str, to: &str) -> Result<bool> {
        let mut state = self.state.lock();
        if from.is_empty() || !state.is_directory(from) || state.nodes.contains_key(to) {
            return Ok(false);
        }
        let below = format!("{from}/");
        let moved: Vec<String> = state
            .nodes
            .keys()
            .filter(|path| *path == from || path.starts_with(&below))
            .cloned()
            .collect();
        for path in moved {
            if let Some(node) = state.nodes.remove(&path) {
                state.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
        Ok(true)
    }
}
