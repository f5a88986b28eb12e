//! Paths of the file system: checked and normalized once, where they come in.

use std::fmt;
use std::str::FromStr;

use crate::rpc::exception::{RpcException, class};

/// Longest path, in UTF-16 units as Java counts characters.
pub const MAX_PATH_LENGTH: usize = 8000;
/// Deepest path, in components.
pub const MAX_PATH_DEPTH: usize = 1000;
/// Longest component, in bytes of UTF-8.
pub const MAX_COMPONENT_LENGTH: usize = 255;

/// An absolute path in its one normal form: begins with `/`, has no empty component and no `/` at its end (except the
/// root, which is `/`), no `.` or `..`, no `:` and no NUL, and keeps the three limits of this module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DfsPath(String);

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text breaks a rule of form.
    #[error("Invalid path name {path}: {problem}")]
    Invalid {
        /// The text.
        path: String,
        /// The broken rule.
        problem: &'static str,
    },
    /// The path is longer than [`MAX_PATH_LENGTH`] or deeper than [`MAX_PATH_DEPTH`].
    #[error(
        "Pathname too long. Limit {MAX_PATH_LENGTH} characters, {MAX_PATH_DEPTH} levels; \
         found {length} characters, {depth} levels."
    )]
    TooLong {
        /// UTF-16 units.
        length: usize,
        /// Components.
        depth: usize,
    },
    /// A component is longer than [`MAX_COMPONENT_LENGTH`].
    #[error(
        "The maximum path component name limit of {component} in directory {parent} is exceeded: \
         limit={MAX_COMPONENT_LENGTH} length={}", component.len()
    )]
    ComponentTooLong {
        /// The component.
        component: String,
        /// The path before it.
        parent: String,
    },
}

impl From<PathError> for RpcException {
    fn from(error: PathError) -> Self {
        let class = match error {
            PathError::Invalid { .. } => class::INVALID_PATH,
            PathError::TooLong { .. } => class::IO,
            PathError::ComponentTooLong { .. } => class::PATH_COMPONENT_TOO_LONG,
        };
        Self::application(class, error.to_string())
    }
}

impl DfsPath {
    /// The root directory.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Checks and normalizes: empty components and a `/` at the end disappear.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(invalid(text, "expected an absolute path, one that begins with '/'"));
        }
        let mut path = Self(String::with_capacity(text.len()));
        path.append(text, text)?;
        Ok(path)
    }

    /// The path below this one that `relative` (one component or several) leads to.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        if relative.starts_with('/') {
            return Err(invalid(
                relative,
                "expected a relative path, one that does not begin with '/'",
            ));
        }
        let mut path = Self(if self.is_root() { String::new() } else { self.0.clone() });
        path.append(relative, relative)?;
        Ok(path)
    }

    /// Appends the components of `text`; `whole` is what error messages show.
    fn append(&mut self, text: &str, whole: &str) -> Result<(), PathError> {
        for component in text.split('/').filter(|c| !c.is_empty()) {
            check_component(component, &self.0, whole)?;
            self.0.push('/');
            self.0.push_str(component);
        }
        if self.0.is_empty() {
            self.0.push('/');
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), PathError> {
        // UTF-16 never takes more units than UTF-8 takes bytes: counting is left out for almost every path.
        if self.0.len() <= MAX_PATH_DEPTH {
            return Ok(());
        }
        let (length, depth) = (self.0.encode_utf16().count(), self.depth());
        if length > MAX_PATH_LENGTH || depth > MAX_PATH_DEPTH {
            return Err(PathError::TooLong { length, depth });
        }
        Ok(())
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root directory.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The names on the way from the root; none for the root itself.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/').filter(|c| !c.is_empty())
    }

    /// How many components there are.
    pub fn depth(&self) -> usize {
        if self.is_root() {
            0
        } else {
            self.0.bytes().filter(|b| *b == b'/').count()
        }
    }

    /// The directory that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            _ if self.is_root() => None,
            Some(0) | None => Some(Self::root()),
            Some(at) => Some(Self(self.0[..at].to_owned())),
        }
    }

    /// The last component; none for the root.
    pub fn name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(&ancestor.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn invalid(path: &str, problem: &'static str) -> PathError {
    PathError::Invalid {
        path: path.to_owned(),
        problem,
    }
}

fn check_component(component: &str, parent: &str, whole: &str) -> Result<(), PathError> {
    if component == "." || component == ".." {
        return Err(invalid(whole, "'.' and '..' have no meaning on the server"));
    }
    // HDFS has always refused ':', because its own path syntax gives it a meaning.
    if component.contains([':', '\0']) {
        return Err(invalid(whole, "names must not contain ':' or NUL"));
    }
    if component.len() > MAX_COMPONENT_LENGTH {
        let parent = if parent.is_empty() { "/" } else { parent };
        return Err(PathError::ComponentTooLong {
            component: component.to_owned(),
            parent: parent.to_owned(),
        });
    }
    Ok(())
}

impl fmt::Display for DfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DfsPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl AsRef<str> for DfsPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> DfsPath {
        DfsPath::parse(text).unwrap()
    }

    #[test]
    fn one_normal_form() {
        for (text, normal) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b"),
            ("/ö/x y", "/ö/x y"),
        ] {
            assert_eq!(path(text).as_str(), normal);
        }
    }

    #[test]
    fn illegal_paths_are_refused_with_the_class_that_hdfs_uses() {
        for text in ["", "a", "./a", "/a/./b", "/a/../b", "/..", "/a:b", "/a\0b"] {
            let error = RpcException::from(DfsPath::parse(text).unwrap_err());
            assert_eq!(error.class, "org.apache.hadoop.fs.InvalidPathException", "{text:?}");
        }
        let error = RpcException::from(DfsPath::parse(&format!("/d/{}", "x".repeat(256))).unwrap_err());
        assert_eq!(
            error.class,
            "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"
        );
        assert!(
            error
                .message
                .ends_with("in directory /d is exceeded: limit=255 length=256"),
            "{error}"
        );
    }

    #[test]
    fn limits_are_exact() {
        assert!(DfsPath::parse(&"/a".repeat(1000)).is_ok());
        let error = DfsPath::parse(&"/a".repeat(1001)).unwrap_err();
        assert_eq!(
            error,
            PathError::TooLong {
                length: 2002,
                depth: 1001
            }
        );
        assert_eq!(RpcException::from(error).class, "java.io.IOException");
        let long = format!("/{}", "x".repeat(199)).repeat(40);
        assert!(DfsPath::parse(&long).is_ok());
        assert!(matches!(
            DfsPath::parse(&format!("{long}/x")),
            Err(PathError::TooLong { length: 8002, .. })
        ));
        assert!(DfsPath::parse(&format!("/{}", "x".repeat(255))).is_ok());
    }

    #[test]
    fn characters_are_counted_as_java_does() {
        // 60 three-byte characters per component: 24,400 bytes but 8,000 - 93 UTF-16 units.
        assert!(DfsPath::parse(&format!("/{}", "漢".repeat(60)).repeat(130)).is_ok());
        assert!(DfsPath::parse(&format!("/{}", "漢".repeat(60)).repeat(132)).is_err());
    }

    #[test]
    fn walking() {
        let p = path("/a/b/c");
        assert_eq!(p.components().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((p.name(), p.depth()), (Some("c"), 3));
        assert_eq!(p.parent().unwrap(), path("/a/b"));
        assert_eq!(path("/a").parent().unwrap(), DfsPath::root());
        assert_eq!(
            (
                DfsPath::root().parent(),
                DfsPath::root().name(),
                DfsPath::root().depth()
            ),
            (None, None, 0)
        );
        assert!(p.starts_with(&path("/a")) && p.starts_with(&p) && p.starts_with(&DfsPath::root()));
        assert!(!path("/ab").starts_with(&path("/a")));
        assert_eq!(p.join("d//e").unwrap(), path("/a/b/c/d/e"));
        assert_eq!(DfsPath::root().join("").unwrap(), DfsPath::root());
        assert!(p.join("/d").is_err() && p.join("..").is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_normal_path_or_an_error(text in "[/.:a-cö\\x00]{0,40}") {
            if let Ok(p) = DfsPath::parse(&text) {
                prop_assert_eq!(&DfsPath::parse(p.as_str()).unwrap(), &p);
                let rebuilt = p.components().try_fold(DfsPath::root(), |dir, name| dir.join(name)).unwrap();
                prop_assert_eq!(rebuilt, p.clone());
                prop_assert_eq!(p.depth(), p.components().count());
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = DfsPath::parse(&text);
            let _ = DfsPath::root().join(&text);
        }
    }
}
