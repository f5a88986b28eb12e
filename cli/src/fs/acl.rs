//! `getfacl` and `setfacl`.

use async_trait::async_trait;
use quarry_dfs_client::{AclEntry, AclKind, AclScope, AclStatus};

use super::failure::FsError;
use super::format::{take_first_argument, take_flag};
use super::item::Item;
use super::session::{Session, Visitor};

/// Shows access control lists.
pub(super) async fn getfacl(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let recursive = take_flag(&mut words, "-R");
    let path = take_first_argument(&mut words).ok_or_else(|| usage("<path> is missing"))?;
    check_rest(&words)?;
    session.visit(&[path], recursive, &mut GetFacl).await;
    Ok(())
}

fn usage(text: &str) -> FsError {
    FsError::Usage(text.to_owned())
}

fn check_rest(words: &[String]) -> Result<(), FsError> {
    match words.iter().find(|word| *word != "--") {
        None => Ok(()),
        Some(option) if option.starts_with('-') => Err(FsError::Usage(format!("Illegal option {option}"))),
        Some(_) => Err(usage("Too many arguments")),
    }
}

struct GetFacl;

#[async_trait]
impl Visitor for GetFacl {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        session.print(format_args!("# file: {}", item.shown))?;
        session.print(format_args!("# owner: {}", status.owner))?;
        session.print(format_args!("# group: {}", status.group))?;
        if status.permission & 0o1000 != 0 {
            let letter = if status.permission & 1 != 0 { 't' } else { 'T' };
            session.print(format_args!("# flags: --{letter}"))?;
        }
        let acl = item.place.dfs()?.acl_status(&item.path).await?;
        for line in lines(&acl) {
            session.print(line)?;
        }
        session.print("")
    }
}

fn entry(scope: AclScope, kind: AclKind, permission: u16) -> AclEntry {
    AclEntry {
        scope,
        kind,
        name: None,
        permission: (permission & 7) as u8,
    }
}

/// The whole list, with the entries that the permission bits express.
pub(super) fn complete(acl: &AclStatus) -> Vec<AclEntry> {
    let access = AclScope::Access;
    let (named, default): (Vec<_>, Vec<_>) = acl.entries.iter().cloned().partition(|entry| entry.scope == access);
    let mut entries = vec![entry(access, AclKind::User, acl.permission >> 6)];
    if named.is_empty() {
        entries.push(entry(access, AclKind::Group, acl.permission >> 3));
    } else {
        entries.extend(named);
        entries.push(entry(access, AclKind::Mask, acl.permission >> 3));
    }
    entries.push(entry(access, AclKind::Other, acl.permission));
    entries.extend(default);
    entries
}

/// The list as HDFS shows it; where the mask takes rights away, with what is left.
fn lines(acl: &AclStatus) -> Vec<String> {
    let entries = complete(acl);
    let mask = |scope| {
        entries
            .iter()
            .find(|entry| entry.scope == scope && entry.kind == AclKind::Mask)
    };
    let line = |entry: &AclEntry| {
        let is_masked = matches!(
            (entry.kind, &entry.name),
            (AclKind::Group, _) | (AclKind::User, Some(_))
        );
        let left = mask(entry.scope).map_or(7, |mask| mask.permission) & entry.permission;
        match is_masked && left != entry.permission {
            true => format!("{entry}\t#effective:{}", rights(left)),
            false => entry.to_string(),
        }
    };
    entries.iter().map(line).collect()
}

fn rights(bits: u8) -> String {
    let letter = |bit, letter| if bits & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].into_iter().collect()
}

/// What `setfacl` does.
enum Change {
    RemoveAll,
    RemoveDefault,
    Modify(Vec<AclEntry>),
    Remove(Vec<AclEntry>),
    Replace(Vec<AclEntry>),
}

/// Changes access control lists.
pub(super) async fn setfacl(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let recursive = take_flag(&mut words, "-R");
    let change = take_change(&mut words)?;
    let path = take_first_argument(&mut words).ok_or_else(|| usage("<path> is missing"))?;
    check_rest(&words)?;
    session.visit(&[path], recursive, &mut SetFacl { change }).await;
    Ok(())
}

fn take_change(words: &mut Vec<String>) -> Result<Change, FsError> {
    let mut take = |option| take_flag(words, option);
    let (all, default) = (take("-b"), take("-k"));
    let (modify, remove, replace) = (take("-m"), take("-x"), take("--set"));
    let takes_list = modify || remove || replace;
    if (all || default) && takes_list {
        return Err(usage("Specified flags contains both remove and modify flags"));
    }
    match (all, default) {
        (true, _) => return Ok(Change::RemoveAll),
        (_, true) => return Ok(Change::RemoveDefault),
        _ if !takes_list => return Err(usage("Expected one of -b, -k, -m, -x or --set options")),
        _ => {}
    }
    match words.iter().filter(|word| *word != "--").count() {
        0 => return Err(usage("Missing arguments: <acl_spec> <path>")),
        1 => return Err(usage("Missing either <acl_spec> or <path>")),
        _ => {}
    }
    let spec = take_first_argument(words).unwrap_or_default();
    let entries =
        AclEntry::parse_list(&spec, !remove).map_err(|error| FsError::Usage(FsError::from(error).to_string()))?;
    if entries.is_empty() {
        return Err(usage("Missing <acl_spec> entry"));
    }
    Ok(match (modify, remove) {
        (true, _) => Change::Modify(entries),
        (_, true) => Change::Remove(entries),
        _ => Change::Replace(entries),
    })
}

struct SetFacl {
    change: Change,
}

#[async_trait]
impl Visitor for SetFacl {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let (dfs, path) = (item.place.dfs()?, item.path.as_str());
        // Files in a tree have no default entries.
        let fitting = |entries: &[AclEntry]| -> Vec<AclEntry> {
            let fits = |entry: &&AclEntry| item.is_directory() || entry.scope == AclScope::Access;
            entries.iter().filter(fits).cloned().collect()
        };
        match &self.change {
            Change::RemoveAll => dfs.remove_acl(path).await?,
            Change::RemoveDefault => dfs.remove_default_acl(path).await?,
            Change::Modify(entries) => match fitting(entries) {
                entries if entries.is_empty() => {}
                entries => dfs.modify_acl_entries(path, &entries).await?,
            },
            Change::Remove(entries) => match fitting(entries) {
                entries if entries.is_empty() => {}
                entries => dfs.remove_acl_entries(path, &entries).await?,
            },
            Change::Replace(entries) => dfs.set_acl(path, &fitting(entries)).await?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;
    use super::*;

    #[test]
    fn lists_are_shown_with_what_the_mask_leaves() {
        let acl = AclStatus {
            owner: "ann".into(),
            group: "staff".into(),
            sticky: false,
            permission: 0o750,
            entries: AclEntry::parse_list(
                "user:bob:rwx,group::r-x,default:user::rwx,default:mask::r--,default:group::rw-,default:other::---",
                true,
            )
            .unwrap(),
        };
        let expected = [
            "user::rwx",
            "user:bob:rwx\t#effective:r-x",
            "group::r-x",
            "mask::r-x",
            "other::---",
            "default:user::rwx",
            "default:mask::r--",
            "default:group::rw-\t#effective:r--",
            "default:other::---",
        ];
        assert_eq!(lines(&acl), expected);
    }

    #[test]
    fn without_entries_the_bits_are_the_list() {
        let acl = AclStatus {
            owner: "ann".into(),
            group: "staff".into(),
            sticky: false,
            permission: 0o640,
            entries: vec![],
        };
        assert_eq!(lines(&acl), ["user::rw-", "group::r--", "other::---"]);
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        for (words, message) in [
            (&["/x"][..], "Expected one of -b, -k, -m, -x or --set options"),
            (&["-m"], "Missing arguments: <acl_spec> <path>"),
            (&["-m", "/x"], "Missing either <acl_spec> or <path>"),
            (
                &["-b", "-m", "user:a:rwx", "/x"],
                "Specified flags contains both remove and modify flags",
            ),
            (&["-b"], "<path> is missing"),
            (&["-b", "/x", "/y"], "Too many arguments"),
        ] {
            let ran = testing::run("setfacl", words).await;
            assert_eq!(ran.err.lines().next(), Some(format!("setfacl: {message}").as_str()));
        }
    }
}
