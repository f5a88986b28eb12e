//! Paths as the user names them: what they mean, and how they are shown again.

use quarry_dfs_client::FileStatus;

use super::failure::FsError;
use super::place::Place;

/// A path in some file system, how it is shown, and what is there.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The file system.
    pub(super) place: Place,
    /// For messages and listings.
    pub(super) shown: String,
    /// Absolute path.
    pub(super) path: String,
    /// What it was when last asked for; `None` if there is nothing.
    pub(super) status: Option<FileStatus>,
}

/// How an argument names a path, which is also how its matches are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `hdfs://host:port/path`.
    WithAuthority,
    /// `hdfs:///path`, `file:///path`.
    WithScheme,
    /// `/path`.
    Absolute,
    /// `path`, below the home directory.
    Relative,
}

/// An argument taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// `hdfs` or `file`.
    pub(super) scheme: Option<&'static str>,
    /// `host:port` or the name of a nameservice.
    pub(super) authority: Option<&'a str>,
    /// What is left.
    pub(super) path: &'a str,
    /// How it was written.
    pub(super) form: Form,
}

const SCHEMES: [&str; 2] = ["hdfs", "file"];

/// Takes an argument apart.
///
/// # Errors
/// It names another kind of file system.
pub(super) fn parse(argument: &str) -> Result<Parsed<'_>, FsError> {
    let known = SCHEMES.into_iter().find_map(|scheme| {
        let rest = argument.strip_prefix(scheme)?.strip_prefix(':')?;
        Some((scheme, rest))
    });
    let Some((scheme, rest)) = known else {
        return parse_plain(argument);
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (authority, form) = match authority {
        "" => (None, Form::WithScheme),
        name => (Some(name), Form::WithAuthority),
    };
    Ok(Parsed {
        scheme: Some(scheme),
        authority,
        path: if path.is_empty() { "/" } else { path },
        form,
    })
}

fn parse_plain(argument: &str) -> Result<Parsed<'_>, FsError> {
    if let Some((scheme, _)) = argument.split_once("://") {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if is_scheme {
            return Err(FsError::Other(format!("No FileSystem for scheme \"{scheme}\"")));
        }
    }
    Ok(Parsed {
        scheme: None,
        authority: None,
        path: argument,
        form: if argument.starts_with('/') {
            Form::Absolute
        } else {
            Form::Relative
        },
    })
}

/// The absolute path that `path` means below `home`: single slashes, `.` and `..` resolved, none at the end.
pub(super) fn absolute(path: &str, home: &str) -> String {
    let base = if path.starts_with('/') { "" } else { home };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `path` as seen from `home`: without it in front, or with as many `..` as needed when it lies above.
pub(super) fn relative(path: &str, home: &str) -> String {
    if path == home {
        return ".".to_owned();
    }
    if let Some(below) = path.strip_prefix(&format!("{}/", home.trim_end_matches('/'))) {
        return below.to_owned();
    }
    let above = format!("{}/", path.trim_end_matches('/'));
    match home.strip_prefix(&above) {
        Some(below) => vec![".."; below.split('/').count()].join("/"),
        None => path.to_owned(),
    }
}

/// The last component; empty for the root.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The directory that holds `path`; the root holds itself.
pub(super) fn parent_of(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// The entry `name` of the directory `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

impl Item {
    /// The last component; empty for the root.
    pub(super) fn name(&self) -> &str {
        name_of(&self.path)
    }

    /// The directory that holds it.
    pub(super) fn parent(&self) -> &str {
        parent_of(&self.path)
    }

    /// The path with its file system's name in front.
    pub(super) fn qualified(&self) -> String {
        self.place.qualify(&self.path)
    }

    /// Whether something is there.
    pub(super) fn exists(&self) -> bool {
        self.status.is_some()
    }

    /// Whether a directory is there.
    pub(super) fn is_directory(&self) -> bool {
        self.status.as_ref().is_some_and(FileStatus::is_directory)
    }

    /// Whether a file is there.
    pub(super) fn is_file(&self) -> bool {
        self.status.as_ref().is_some_and(FileStatus::is_file)
    }

    /// What is there.
    ///
    /// # Errors
    /// Nothing is.
    pub(super) fn status(&self) -> Result<&FileStatus, FsError> {
        self.status.as_ref().ok_or_else(|| FsError::absent(&self.shown))
    }

    /// Whether it is written like a directory, whatever is there.
    pub(super) fn looks_like_directory(&self) -> bool {
        let shown = self.shown.as_str();
        ["", ".", ".."].contains(&shown) || ["/", "/.", "/.."].iter().any(|end| shown.ends_with(end))
    }

    /// The entry `name` of this directory; nobody has looked yet whether it is there.
    pub(super) fn child(&self, name: &str) -> Self {
        let shown = match self.shown.as_str() {
            "." | "" => name.to_owned(),
            shown if shown.ends_with('/') => format!("{shown}{name}"),
            shown => format!("{shown}/{name}"),
        };
        Self {
            place: self.place.clone(),
            shown,
            path: join(&self.path, name),
            status: None,
        }
    }

    /// The entry that `status` describes.
    pub(super) fn child_with(&self, status: FileStatus) -> Self {
        let mut child = self.child(status.name());
        child.status = Some(status);
        child
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_become_absolute_paths() {
        let path = |argument| absolute(argument, "/user/ann");
        assert_eq!(path("/a/b/"), "/a/b");
        assert_eq!(path("//a///b"), "/a/b");
        assert_eq!(path("/a/./b/../c"), "/a/c");
        assert_eq!(path("a"), "/user/ann/a");
        assert_eq!(path(""), "/user/ann");
        assert_eq!(path("."), "/user/ann");
        assert_eq!(path("../bob"), "/user/bob");
        assert_eq!(path("/"), "/");
        assert_eq!(path("/.."), "/..");
    }

    #[test]
    fn urls_name_their_file_system() {
        let parsed = parse("hdfs://nn:8020/x").unwrap();
        assert_eq!(
            (parsed.authority, parsed.path, parsed.form),
            (Some("nn:8020"), "/x", Form::WithAuthority)
        );
        let parsed = parse("hdfs:///x").unwrap();
        assert_eq!(
            (parsed.authority, parsed.path, parsed.form),
            (None, "/x", Form::WithScheme)
        );
        assert_eq!(parse("hdfs://nn:8020").unwrap().path, "/");
        assert_eq!(parse("file:/x").unwrap().path, "/x");
        assert_eq!(parse("a:b").unwrap().form, Form::Relative);
        let error = parse("s3a://bucket/x").unwrap_err();
        assert_eq!(error.to_string(), "No FileSystem for scheme \"s3a\"");
    }

    #[test]
    fn relative_paths_are_shown_as_such() {
        assert_eq!(relative("/user/ann/a/b", "/user/ann"), "a/b");
        assert_eq!(relative("/user/ann", "/user/ann"), ".");
        assert_eq!(relative("/user", "/user/ann"), "..");
        assert_eq!(relative("/elsewhere", "/user/ann"), "/elsewhere");
    }

    #[test]
    fn children_are_shown_below_their_parents() {
        let item = |shown: &str, path: &str| Item {
            place: Place::Local,
            shown: shown.into(),
            path: path.into(),
            status: None,
        };
        assert_eq!(item("/", "/").child("a").shown, "/a");
        assert_eq!(item(".", "/user/ann").child("a").shown, "a");
        let deep = item("x/y", "/user/ann/x/y").child("z");
        assert_eq!(
            (deep.shown.as_str(), deep.path.as_str(), deep.parent()),
            ("x/y/z", "/user/ann/x/y/z", "/user/ann/x/y")
        );
        assert!(item("a/", "/a").looks_like_directory() && !item("a", "/a").looks_like_directory());
    }
}
