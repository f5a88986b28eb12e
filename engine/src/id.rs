//! Names of queries.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// One statement's run. Attempts at it share the id; the execution engine draws its own id for each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(Uuid);

impl QueryId {
    /// Draws an id that sorts by the time it was drawn.
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as its UUID.
    #[must_use]
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl FromStr for QueryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = QueryId::draw();
        assert_eq!(id.to_string().parse::<QueryId>().unwrap(), id);
    }

    #[test]
    fn later_ids_sort_later() {
        let first = QueryId::draw();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(first < QueryId::draw());
    }
}
