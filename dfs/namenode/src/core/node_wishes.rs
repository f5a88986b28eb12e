//! What administrators said of DataNodes, by uuid: durable, and there before the DataNode is.

use std::collections::BTreeMap;

use super::command::AdminWish;
use super::image::ImageNode;
use super::state::{ApplyError, mismatch};

/// What was said of one DataNode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeWish {
    /// Whether it is to leave.
    pub wish: AdminWish,
    /// Its rack; empty for what the table or the node says.
    pub rack: String,
}

/// What was said, by uuid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeWishes(BTreeMap<String, NodeWish>);

impl NodeWishes {
    /// What was said of a DataNode.
    pub fn get(&self, uuid: &str) -> Option<&NodeWish> {
        self.0.get(uuid)
    }

    /// Sets whether a DataNode is to leave, by the numbers of [`super::edit::SetNodeAdmin`].
    ///
    /// # Errors
    /// For a number of no meaning.
    pub fn set_admin(&mut self, uuid: &str, state: u32, expires_unix_ms: u64) -> Result<(), ApplyError> {
        let wish = match state {
            0 => AdminWish::InService,
            1 => AdminWish::Decommission,
            2 => AdminWish::Maintenance { expires_unix_ms },
            _ => return Err(mismatch("set node", uuid, "its administrative state is unknown")),
        };
        self.change(uuid, |told| told.wish = wish);
        Ok(())
    }

    /// Sets a DataNode's rack.
    pub fn set_rack(&mut self, uuid: &str, rack: &str) {
        self.change(uuid, |told| rack.clone_into(&mut told.rack));
    }

    /// One that says nothing is not kept.
    fn change(&mut self, uuid: &str, change: impl FnOnce(&mut NodeWish)) {
        let mut told = self.0.remove(uuid).unwrap_or_default();
        change(&mut told);
        if told != NodeWish::default() {
            self.0.insert(uuid.to_owned(), told);
        }
    }

    /// The image's form.
    pub fn export(&self) -> impl Iterator<Item = ImageNode> + '_ {
        self.0.iter().map(|(uuid, told)| {
            let (state, expires_unix_ms) = match told.wish {
                AdminWish::InService => (0, 0),
                AdminWish::Decommission => (1, 0),
                AdminWish::Maintenance { expires_unix_ms } => (2, expires_unix_ms),
            };
            ImageNode {
                uuid: uuid.clone(),
                state,
                expires_unix_ms,
                rack: told.rack.clone(),
            }
        })
    }
}
