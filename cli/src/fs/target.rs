//! What a path argument means: absolute, relative to the user's home, or a URL that also names the cluster.

/// A path in the file system, and how the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// As written, for messages and listings.
    pub(super) shown: String,
    /// Absolute path.
    pub(super) path: String,
}

/// The `host:port` of `hdfs://host:port/path`, if the argument has one.
pub(super) fn authority(argument: &str) -> Option<String> {
    let rest = argument.strip_prefix("hdfs://")?;
    let host = rest.split('/').next().unwrap_or_default();
    (!host.is_empty()).then(|| host.to_owned())
}

impl Target {
    /// Reads an argument; a relative path begins at `/user/<user>`.
    pub(super) fn parse(argument: &str, user: &str) -> Self {
        let path = match argument.strip_prefix("hdfs://") {
            Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => argument,
        };
        let path = match path {
            "" | "." => format!("/user/{user}"),
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => format!("/user/{user}/{relative}"),
        };
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        Self {
            shown: argument.to_owned(),
            path: path.to_owned(),
        }
    }

    /// The last component; empty for the root.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The entry `name` of this directory.
    pub(super) fn child(&self, name: &str) -> Self {
        let join = |base: &str| format!("{}/{name}", base.trim_end_matches('/'));
        Self {
            shown: join(&self.shown),
            path: join(&self.path),
        }
    }

    /// The directory that holds it; the root holds itself.
    pub(super) fn parent(&self) -> &str {
        match self.path.rfind('/') {
            None | Some(0) => "/",
            Some(at) => &self.path[..at],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(argument: &str) -> String {
        Target::parse(argument, "ann").path
    }

    #[test]
    fn arguments_become_absolute_paths() {
        assert_eq!(path("/a/b/"), "/a/b");
        assert_eq!(path("a"), "/user/ann/a");
        assert_eq!(path(""), "/user/ann");
        assert_eq!(path("hdfs://nn:8020/x"), "/x");
        assert_eq!(path("hdfs:///x"), "/x");
        assert_eq!(path("hdfs://nn:8020"), "/");
        assert_eq!(path("/"), "/");
    }

    #[test]
    fn a_url_names_its_cluster() {
        assert_eq!(authority("hdfs://nn:8020/x").as_deref(), Some("nn:8020"));
        assert_eq!(authority("hdfs:///x"), None);
        assert_eq!(authority("/x"), None);
    }

    #[test]
    fn children_and_parents() {
        let root = Target::parse("/", "ann");
        assert_eq!(
            (root.child("a").path.as_str(), root.parent(), root.name()),
            ("/a", "/", "")
        );
        let deep = Target::parse("x/y", "ann");
        assert_eq!((deep.parent(), deep.name()), ("/user/ann/x", "y"));
        assert_eq!(deep.child("z").shown, "x/y/z");
    }
}
