//! What a command fails on, in the words of HDFS's shell.

use std::fmt;

use quarry_dfs_client as dfs;

/// What a command failed on; its text follows the command's name on standard error.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// A path is not as the command needs it.
    #[error("{0}")]
    Path(Box<PathError>),
    /// The file system refused or could not be reached.
    #[error("{}", in_hdfs_words(.0))]
    Dfs(#[from] dfs::Error),
    /// A local file failed.
    #[error("{path}: {source}")]
    Local {
        /// The local path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Standard output takes no more.
    #[error("Unable to write to output stream.")]
    Output(#[source] std::io::Error),
    /// Something else, told in full.
    #[error("{0}")]
    Other(String),
    /// The arguments make no sense: the command does nothing, and its usage is shown.
    #[error("{0}")]
    Usage(String),
}

/// A path and what is wrong with it, as HDFS's shell words it.
#[derive(Debug, Clone, Default)]
pub struct PathError {
    /// The step that failed, such as `rename`.
    pub operation: Option<&'static str>,
    /// The path as the user sees it.
    pub path: String,
    /// Where it was to go.
    pub target: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// The same path in full, where it helps.
    pub full: Option<String>,
    /// Whether the problem is that there is no such path.
    pub absent: bool,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation {
            write!(f, "{operation} ")?;
        }
        write!(f, "`{}'", self.path)?;
        if let Some(target) = &self.target {
            write!(f, " to `{target}'")?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.full {
            Some(full) if *full != self.path => write!(f, ": `{full}'"),
            _ => Ok(()),
        }
    }
}

impl FsError {
    fn path(path: impl fmt::Display, problem: &str) -> Self {
        Self::Path(Box::new(PathError {
            path: path.to_string(),
            problem: problem.to_owned(),
            ..PathError::default()
        }))
    }

    /// There is no such path.
    pub(super) fn absent(path: impl fmt::Display) -> Self {
        Self::Path(Box::new(PathError {
            path: path.to_string(),
            problem: "No such file or directory".to_owned(),
            absent: true,
            ..PathError::default()
        }))
    }

    /// There is no place for such a path, which is told in full.
    pub(super) fn absent_parent(path: impl fmt::Display, full: String) -> Self {
        Self::Path(Box::new(PathError {
            path: path.to_string(),
            problem: "No such file or directory".to_owned(),
            full: Some(full),
            absent: true,
            ..PathError::default()
        }))
    }

    /// The path exists and must not.
    pub(super) fn exists(path: impl fmt::Display) -> Self {
        Self::path(path, "File exists")
    }

    /// The path is a directory and must not be.
    pub(super) fn is_directory(path: impl fmt::Display) -> Self {
        Self::path(path, "Is a directory")
    }

    /// The path must be a directory.
    pub(super) fn not_a_directory(path: impl fmt::Display) -> Self {
        Self::path(path, "Is not a directory")
    }

    /// The path is wrong in a way of its own.
    pub(super) fn wrong(path: impl fmt::Display, problem: &str) -> Self {
        Self::path(path, problem)
    }

    /// A step from one path to another went wrong.
    pub(super) fn between(
        operation: Option<&'static str>,
        path: impl fmt::Display,
        target: impl fmt::Display,
        problem: &str,
    ) -> Self {
        Self::Path(Box::new(PathError {
            operation,
            path: path.to_string(),
            target: Some(target.to_string()),
            problem: problem.to_owned(),
            ..PathError::default()
        }))
    }

    /// A local failure at `path`.
    pub(super) fn local(path: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.kind() {
            std::io::ErrorKind::NotFound => Self::absent(path),
            _ => Self::Local {
                path: path.to_string(),
                source,
            },
        }
    }

    /// Whether the path is not there.
    pub(super) fn is_absent(&self) -> bool {
        match self {
            Self::Path(error) => error.absent,
            Self::Dfs(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether the reader of standard output has left.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// What the NameNode said, alone, as HDFS's shell shows it; errors of our own in full.
fn in_hdfs_words(error: &dfs::Error) -> String {
    match error.remote_message() {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_errors_read_as_hdfs_words_them() {
        let full = || "hdfs://nn:1/x/y".to_owned();
        assert_eq!(
            FsError::absent_parent("/x/y", full()).to_string(),
            "`/x/y': No such file or directory: `hdfs://nn:1/x/y'"
        );
        assert_eq!(
            FsError::absent_parent(full(), full()).to_string(),
            "`hdfs://nn:1/x/y': No such file or directory"
        );
        assert_eq!(
            FsError::between(Some("rename"), "a", "b", "Input/output error").to_string(),
            "rename `a' to `b': Input/output error"
        );
    }
}
