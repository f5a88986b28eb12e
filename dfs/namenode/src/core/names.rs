//! User and group names, each stored once: inodes keep a number.

use std::collections::BTreeMap;

use super::inode::NameId;

/// The first name of every table.
const SUPERUSER: NameId = match NameId::new(0) {
    Some(id) => id,
    None => unreachable!(),
};

/// The table of names. Names are never dropped: a cluster has few users.
#[derive(Debug, Clone, Default)]
pub struct Names {
    by_id: Vec<Box<str>>,
    ids: BTreeMap<Box<str>, NameId>,
}

impl Names {
    /// The number of `name`, given out at its first use. Once all 16 million numbers are given out, further names get the
    /// superuser's: what is theirs is then in nobody else's reach.
    pub fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let number = u32::try_from(self.by_id.len()).unwrap_or(u32::MAX);
        let Some(id) = NameId::new(number) else {
            return SUPERUSER;
        };
        self.by_id.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    /// The name behind a number.
    pub fn get(&self, id: NameId) -> &str {
        &self.by_id[id.number() as usize]
    }

    /// Number of names.
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The names in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.by_id.iter().map(AsRef::as_ref)
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut table = Self::default();
        for name in names {
            table.intern(name);
        }
        table
    }
}
