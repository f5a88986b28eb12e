//! Access control lists: their entries, and the pure rules of how one list becomes another. HDFS's rules, which are POSIX.1e's.
//!
//! A list is kept as its *extended* part: named users, the group and named groups of the access scope, and the whole default scope. The rest
//! (owner, mask, other) is in the mode bits, where the mask takes the place of the group's bits.

use super::error::FsError;

/// Most entries of one scope. HDFS's value.
pub const MAX_ENTRIES: usize = 32;

/// Whether an entry rules access or is what new children start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Rules access.
    Access = 0,
    /// New children of the directory get it.
    Default = 1,
}

/// To whom an entry applies. The numbers are the wire's and the log's: persisted, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A named user; without name the owner.
    User = 0,
    /// A named group; without name the file's group.
    Group = 1,
    /// The most that named users and all groups get.
    Mask = 2,
    /// Everybody else.
    Other = 3,
}

/// One entry. The order of entries is that of the fields: scope, kind, name (none first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclEntry {
    /// Access or default.
    pub scope: Scope,
    /// To whom it applies.
    pub kind: Kind,
    /// The user's or group's name.
    pub name: Option<String>,
    /// The three mode bits.
    pub permission: u8,
}

impl Scope {
    /// By its persisted number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Access, Self::Default]
            .into_iter()
            .find(|it| *it as i32 == number)
    }
}

impl Kind {
    /// By its persisted number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::User, Self::Group, Self::Mask, Self::Other]
            .into_iter()
            .find(|it| *it as i32 == number)
    }
}

impl AclEntry {
    /// An entry.
    pub fn new(scope: Scope, kind: Kind, name: Option<&str>, permission: u8) -> Self {
        Self {
            scope,
            kind,
            name: name.map(str::to_owned),
            permission,
        }
    }

    fn same_key(&self, other: &Self) -> bool {
        (self.scope, self.kind, &self.name) == (other.scope, other.kind, &other.name)
    }

    /// As shell and messages write it: `default:user:foo:rwx`.
    pub fn text(&self) -> String {
        let scope = if self.scope == Scope::Default { "default:" } else { "" };
        let kind = match self.kind {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Mask => "mask",
            Kind::Other => "other",
        };
        let name = self.name.as_deref().unwrap_or("");
        let bits: String = [(4, 'r'), (2, 'w'), (1, 'x')]
            .iter()
            .map(|(bit, letter)| if self.permission & bit != 0 { *letter } else { '-' })
            .collect();
        format!("{scope}{kind}:{name}:{bits}")
    }
}

/// Whether a list of one scope says no more than mode bits can.
fn is_minimal(entries: &[AclEntry]) -> bool {
    entries.len() <= 3
}

/// The whole list of an inode: what its mode bits say, its extended entries, in order.
pub fn logical(extended: &[AclEntry], mode: u16) -> Vec<AclEntry> {
    let bits = |shift: u16| ((mode >> shift) & 7) as u8;
    let entry = |kind, permission| AclEntry::new(Scope::Access, kind, None, permission);
    let has_access = extended.first().is_some_and(|first| first.scope == Scope::Access);
    let mut all = vec![entry(Kind::User, bits(6)), entry(Kind::Other, bits(0))];
    all.push(entry(if has_access { Kind::Mask } else { Kind::Group }, bits(3)));
    all.extend_from_slice(extended);
    all.sort();
    all
}

/// Splits a valid whole list into extended entries and mode bits (the sticky bit is the caller's).
pub fn split(list: &[AclEntry]) -> (Vec<AclEntry>, u16) {
    let at = list.partition_point(|entry| entry.scope == Scope::Access);
    let (access, default) = list.split_at(at);
    let find = |kind| access.iter().find(|entry| entry.kind == kind && entry.name.is_none());
    let bits = |kind| find(kind).map_or(0, |entry| u16::from(entry.permission));
    let middle = if is_minimal(access) { Kind::Group } else { Kind::Mask };
    let mode = bits(Kind::User) << 6 | bits(middle) << 3 | bits(Kind::Other);
    let mut extended = Vec::new();
    if !is_minimal(access) {
        let kept = access.iter().filter(|entry| match entry.kind {
            Kind::User => entry.name.is_some(),
            Kind::Group => true,
            Kind::Mask | Kind::Other => false,
        });
        extended.extend(kept.cloned());
    }
    extended.extend_from_slice(default);
    (extended, mode)
}

/// A list in the making: entries but for masks, the masks known, and what was touched.
#[derive(Default)]
struct Builder {
    entries: Vec<AclEntry>,
    masks: [Option<AclEntry>; 2],
    mask_touched: [bool; 2],
    touched: [bool; 2],
}

impl Builder {
    /// An entry that was there before.
    fn keep(&mut self, entry: &AclEntry) {
        match entry.kind {
            Kind::Mask => self.masks[entry.scope as usize] = Some(entry.clone()),
            _ => self.entries.push(entry.clone()),
        }
    }

    /// An entry that the caller gave.
    fn give(&mut self, entry: &AclEntry) {
        self.touched[entry.scope as usize] = true;
        self.mask_touched[entry.scope as usize] |= entry.kind == Kind::Mask;
        self.keep(entry);
    }

    /// An entry that the caller took away.
    fn take(&mut self, entry: &AclEntry) {
        self.touched[entry.scope as usize] = true;
        self.mask_touched[entry.scope as usize] |= entry.kind == Kind::Mask;
    }

    /// A default scope needs owner, group and other: those not given are copied from the access scope.
    fn fill_default(&mut self) {
        if !self.entries.iter().any(|entry| entry.scope == Scope::Default) {
            return;
        }
        let plain = |entry: &AclEntry, scope, kind| entry.scope == scope && entry.kind == kind && entry.name.is_none();
        for kind in [Kind::User, Kind::Group, Kind::Other] {
            if self.entries.iter().any(|entry| plain(entry, Scope::Default, kind)) {
                continue;
            }
            let access = self.entries.iter().find(|entry| plain(entry, Scope::Access, kind));
            if let Some(permission) = access.map(|entry| entry.permission) {
                self.entries.push(AclEntry::new(Scope::Default, kind, None, permission));
            }
        }
    }

    /// Adds the masks: the caller's, the old one of an untouched scope, else the union of what it masks.
    fn add_masks(&mut self) -> Result<(), FsError> {
        for scope in [Scope::Access, Scope::Default] {
            let n = scope as usize;
            let of_scope = || self.entries.iter().filter(move |entry| entry.scope == scope);
            if of_scope().next().is_none() {
                continue;
            }
            let needed = of_scope().any(|entry| entry.name.is_some());
            let given = self.masks[n].clone();
            if given.is_none() && needed && self.mask_touched[n] {
                return Err(invalid("mask is required and cannot be deleted."));
            }
            let mask = match given {
                Some(mask) if !self.touched[n] || self.mask_touched[n] => mask,
                None if !needed => continue,
                _ => {
                    let masked = of_scope().filter(|entry| entry.kind == Kind::Group || entry.name.is_some());
                    let union = masked.fold(0, |bits, entry| bits | entry.permission);
                    AclEntry::new(scope, Kind::Mask, None, union)
                }
            };
            self.entries.push(mask);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<AclEntry>, FsError> {
        self.fill_default();
        self.add_masks()?;
        self.entries.sort();
        validate(&self.entries)?;
        Ok(self.entries)
    }
}

fn invalid(problem: impl std::fmt::Display) -> FsError {
    FsError::Acl(format!("Invalid ACL: {problem}"))
}

fn validate(sorted: &[AclEntry]) -> Result<(), FsError> {
    for pair in sorted.windows(2) {
        if pair[0].same_key(&pair[1]) {
            return Err(invalid("multiple entries with same scope, type and name."));
        }
    }
    for entry in sorted {
        if entry.name.is_some() && matches!(entry.kind, Kind::Mask | Kind::Other) {
            let text = format!("this entry type must not have a name: {}.", entry.text());
            return Err(invalid(text));
        }
    }
    let has = |kind| {
        sorted
            .iter()
            .any(|entry| entry.scope == Scope::Access && entry.kind == kind && entry.name.is_none())
    };
    if !(has(Kind::User) && has(Kind::Group) && has(Kind::Other)) {
        return Err(invalid("the user, group and other entries are required."));
    }
    check_count(sorted)
}

fn check_count(entries: &[AclEntry]) -> Result<(), FsError> {
    for (scope, name) in [(Scope::Access, "access"), (Scope::Default, "default")] {
        let count = entries.iter().filter(|entry| entry.scope == scope).count();
        if count > MAX_ENTRIES {
            let text = format!("ACL has {count} {name} entries, which exceeds maximum of {MAX_ENTRIES}.");
            return Err(invalid(text));
        }
    }
    Ok(())
}

/// Checks what a caller gave, as far as it can be checked by itself.
fn check_spec(spec: &[AclEntry]) -> Result<Vec<AclEntry>, FsError> {
    check_count(spec)?;
    let mut sorted = spec.to_vec();
    sorted.sort();
    if sorted.windows(2).any(|pair| pair[0].same_key(&pair[1])) {
        return Err(invalid("multiple entries with same scope, type and name."));
    }
    Ok(sorted)
}

/// Adds entries to a list, in place of those with the same scope, kind and name.
///
/// # Errors
/// When the result is no valid list.
pub fn merge(existing: &[AclEntry], spec: &[AclEntry]) -> Result<Vec<AclEntry>, FsError> {
    let spec = check_spec(spec)?;
    let mut builder = Builder::default();
    for entry in existing {
        if !spec.iter().any(|given| given.same_key(entry)) {
            builder.keep(entry);
        }
    }
    spec.iter().for_each(|entry| builder.give(entry));
    builder.finish()
}

/// Removes the entries that have the scope, kind and name of one in `spec`.
///
/// # Errors
/// When the result is no valid list.
pub fn remove(existing: &[AclEntry], spec: &[AclEntry]) -> Result<Vec<AclEntry>, FsError> {
    let spec = check_spec(spec)?;
    let mut builder = Builder::default();
    for entry in existing {
        if spec.iter().any(|given| given.same_key(entry)) {
            builder.take(entry);
        } else {
            builder.keep(entry);
        }
    }
    builder.finish()
}

/// Replaces the scopes that `spec` has entries of.
///
/// # Errors
/// When the result is no valid list.
pub fn replace(existing: &[AclEntry], spec: &[AclEntry]) -> Result<Vec<AclEntry>, FsError> {
    let spec = check_spec(spec)?;
    let mut builder = Builder::default();
    spec.iter().for_each(|entry| builder.give(entry));
    let touched = builder.touched;
    for entry in existing.iter().filter(|entry| !touched[entry.scope as usize]) {
        builder.keep(entry);
    }
    builder.finish()
}

/// Removes the default scope.
pub fn without_default(existing: &[AclEntry]) -> Vec<AclEntry> {
    let access = existing.iter().filter(|entry| entry.scope == Scope::Access);
    access.cloned().collect()
}

/// Extended entries and mode of a new child, made with `mode`, of a directory with a default scope.
pub fn inherit(parents: &[AclEntry], mode: u16, is_directory: bool) -> (Vec<AclEntry>, u16) {
    let default: Vec<&AclEntry> = parents.iter().filter(|entry| entry.scope == Scope::Default).collect();
    let minimal = default.len() <= 3;
    let bits = |shift: u16| ((mode >> shift) & 7) as u8;
    let access = default.iter().map(|entry| {
        let most = match entry.kind {
            Kind::User if entry.name.is_none() => bits(6),
            Kind::Group if minimal => bits(3),
            Kind::Mask => bits(3),
            Kind::Other => bits(0),
            Kind::User | Kind::Group => 7,
        };
        AclEntry {
            scope: Scope::Access,
            permission: entry.permission & most,
            ..(*entry).clone()
        }
    });
    let mut list: Vec<AclEntry> = access.collect();
    if is_directory {
        list.extend(default.into_iter().cloned());
    }
    let (extended, new_mode) = split(&list);
    (extended, new_mode | (mode & 0o1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<AclEntry> {
        let entries = text.split(',').filter(|part| !part.is_empty()).map(|part| {
            let (scope, rest) = match part.strip_prefix("default:") {
                Some(rest) => (Scope::Default, rest),
                None => (Scope::Access, part),
            };
            let fields: Vec<&str> = rest.split(':').collect();
            let kind = match fields[0] {
                "user" => Kind::User,
                "group" => Kind::Group,
                "mask" => Kind::Mask,
                _ => Kind::Other,
            };
            let permission = fields.get(2).map_or(0, |bits| {
                let of = |letter, bit| if bits.contains(letter) { bit } else { 0 };
                of('r', 4) | of('w', 2) | of('x', 1)
            });
            AclEntry::new(scope, kind, Some(fields[1]).filter(|name| !name.is_empty()), permission)
        });
        entries.collect()
    }

    fn text(list: &[AclEntry]) -> String {
        list.iter().map(AclEntry::text).collect::<Vec<_>>().join(",")
    }

    fn after(result: Result<Vec<AclEntry>, FsError>) -> (String, u16) {
        match result {
            Ok(list) => {
                let (extended, mode) = split(&list);
                (text(&extended), mode)
            }
            Err(error) => (error.to_string(), 0),
        }
    }

    // The expectations of these tests are Apache HDFS 3.5's answers to the same steps.

    #[test]
    fn modify_computes_the_mask_unless_it_is_given() {
        let one = logical(&[], 0o755);
        let one = merge(&one, &parse("user:foo:rwx"));
        assert_eq!(after(one), ("user:foo:rwx,group::r-x".to_owned(), 0o775));
        let two = merge(
            &logical(&parse("user:foo:rwx,group::r-x"), 0o775),
            &parse("user:foo:r--,group:bar:r-x,mask::r--"),
        );
        assert_eq!(after(two), ("user:foo:r--,group::r-x,group:bar:r-x".to_owned(), 0o745));
        let three = merge(
            &logical(&parse("user:foo:r--,group::r-x,group:bar:r-x"), 0o745),
            &parse("group:baz:rwx"),
        );
        assert_eq!(
            after(three),
            ("user:foo:r--,group::r-x,group:bar:r-x,group:baz:rwx".to_owned(), 0o775)
        );
    }

    #[test]
    fn removing_entries_recomputes_the_mask_and_keeps_it_where_it_is_needed() {
        let list = logical(&parse("group::r-x,group:bar:r-x,group:baz:rwx"), 0o775);
        assert_eq!(
            after(remove(&list, &parse("mask::"))).0,
            "Invalid ACL: mask is required and cannot be deleted."
        );
        assert_eq!(
            after(remove(&list, &parse("group:bar:,group:baz:"))),
            ("group::r-x".to_owned(), 0o755)
        );
        assert_eq!(
            after(remove(&list, &parse("group:bar:,group:baz:,mask::"))),
            (String::new(), 0o755)
        );
        assert_eq!(
            after(remove(&list, &parse("user::"))).0,
            "Invalid ACL: the user, group and other entries are required."
        );
    }

    #[test]
    fn a_default_scope_is_completed_from_the_access_scope() {
        let list = merge(&logical(&[], 0o755), &parse("default:user:foo:rwx"));
        let all = "default:user::rwx,default:user:foo:rwx,default:group::r-x,default:mask::rwx,default:other::r-x";
        assert_eq!(after(list), (all.to_owned(), 0o755));
        let list = replace(
            &logical(&parse(all), 0o755),
            &parse("default:user::rwx,default:group::r--,default:other::---"),
        );
        let minimal = "default:user::rwx,default:group::r--,default:other::---";
        assert_eq!(after(list), (minimal.to_owned(), 0o755));
    }

    #[test]
    fn what_is_no_list_is_refused_in_hdfs_words() {
        let list = logical(&[], 0o644);
        for (spec, expected) in [
            ("user:foo:r-x", "the user, group and other entries are required."),
            (
                "user::rw-,user:foo:r-x,user:foo:rwx,group::r--,other::r--",
                "multiple entries with same scope, type and name.",
            ),
            (
                "user::rw-,group::r--,other::r--,mask:x:r--",
                "this entry type must not have a name: mask:x:r--.",
            ),
        ] {
            let error = replace(&list, &parse(spec)).unwrap_err();
            assert_eq!(error, FsError::Acl(format!("Invalid ACL: {expected}")));
        }
        let many: Vec<AclEntry> = (0..29)
            .map(|n| AclEntry::new(Scope::Access, Kind::User, Some(&format!("u{n}")), 4))
            .collect();
        assert_eq!(
            after(merge(&list, &many)).0,
            "Invalid ACL: ACL has 33 access entries, which exceeds maximum of 32."
        );
        assert!(merge(&list, &many[1..]).is_ok());
    }

    #[test]
    fn children_inherit_filtered_by_the_mode_that_they_are_made_with() {
        let parents =
            parse("default:user::rwx,default:user:foo:rwx,default:group::r-x,default:mask::rwx,default:other::r-x");
        let (extended, mode) = inherit(&parents, 0o666, false);
        assert_eq!((text(&extended).as_str(), mode), ("user:foo:rwx,group::r-x", 0o664));
        let (extended, mode) = inherit(&parents, 0o777, true);
        assert_eq!(mode, 0o775);
        assert!(text(&extended).starts_with("user:foo:rwx,group::r-x,default:user::rwx"));
        let minimal = parse("default:user::rwx,default:group::r--,default:other::---");
        assert_eq!(inherit(&minimal, 0o666, false), (vec![], 0o640));
        let (extended, mode) = inherit(&minimal, 0o777, true);
        assert_eq!((extended, mode), (minimal, 0o740));
    }

    #[test]
    fn splitting_undoes_the_whole_list() {
        for (extended, mode) in [("", 0o750), ("user:a:r--,group::rwx", 0o771), ("group::r-x", 0o777)] {
            let extended = parse(extended);
            assert_eq!(split(&logical(&extended, mode)), (extended, mode));
        }
    }
}
