//! Which paths a pattern names.

use crate::client::{DfsClient, parse};
use crate::error::{Error, Result};
use crate::glob::{self, GlobPattern};
use crate::status::FileStatus;

impl DfsClient {
    /// The files and directories that fit an absolute pattern, in byte order of their paths; see [`GlobPattern`] for
    /// the grammar. `None`: the pattern has no wildcard and there is no such path, for which programs have other words than
    /// for a pattern that fits nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a pattern that cannot be understood, in HDFS's words.
    pub async fn glob(&self, pattern: &str) -> Result<Option<Vec<FileStatus>>> {
        let alternatives = glob::expand(pattern);
        let (mut found, mut wild) = (Vec::new(), alternatives.len() > 1);
        for alternative in &alternatives {
            let components = components(alternative)?;
            wild |= components.iter().any(GlobPattern::has_wildcard);
            found.extend(self.walk(&components).await?);
        }
        if found.is_empty() && !wild {
            return Ok(None);
        }
        found.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        found.dedup_by(|a, b| a.path == b.path);
        Ok(Some(found))
    }

    /// Follows the components down from the root. Directories are read only where a wildcard needs it.
    async fn walk(&self, components: &[GlobPattern]) -> Result<Vec<FileStatus>> {
        let mut candidates = vec![Candidate::known_by_path(String::new())];
        for (i, component) in components.iter().enumerate() {
            let is_last = i + 1 == components.len();
            let mut next = Vec::new();
            for candidate in candidates {
                match component.literal() {
                    Some(name) => next.push(Candidate::known_by_path(format!("{}/{name}", candidate.path))),
                    None => next.extend(self.children(&candidate.path, component, is_last).await?),
                }
            }
            candidates = next;
        }
        let mut found = Vec::new();
        for candidate in candidates {
            match candidate.status {
                Some(status) => found.push(status),
                None => found.extend(self.status_if_there(&candidate.path).await?),
            }
        }
        Ok(found)
    }

    async fn children(&self, path: &str, component: &GlobPattern, is_last: bool) -> Result<Vec<Candidate>> {
        let directory = if path.is_empty() { "/" } else { path };
        let entries = match self.list(directory).await {
            Ok(entries) => entries,
            Err(Error::NotFound { .. } | Error::ParentNotDirectory { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let fits = |entry: &FileStatus| {
            // A file lists itself.
            entry.path != directory && (is_last || entry.is_directory()) && component.matches(entry.name())
        };
        Ok(entries.into_iter().filter(fits).map(Candidate::from).collect())
    }

    async fn status_if_there(&self, path: &str) -> Result<Option<FileStatus>> {
        let path = if path.is_empty() { "/" } else { path };
        match self.status(path).await {
            Err(Error::NotFound { .. } | Error::ParentNotDirectory { .. }) => Ok(None),
            status => status,
        }
    }
}

/// A path that fits the pattern so far.
struct Candidate {
    /// Empty for the root.
    path: String,
    /// As a listing told it; absent where nobody has looked yet.
    status: Option<FileStatus>,
}

impl Candidate {
    fn known_by_path(path: String) -> Self {
        Self { path, status: None }
    }
}

impl From<FileStatus> for Candidate {
    fn from(status: FileStatus) -> Self {
        Self {
            path: status.path.clone(),
            status: Some(status),
        }
    }
}

fn components(pattern: &str) -> Result<Vec<GlobPattern>> {
    let invalid = |message: String| Error::Invalid {
        path: pattern.to_owned(),
        message,
    };
    if !pattern.starts_with('/') {
        parse(pattern)?;
    }
    let components = pattern.split('/').filter(|component| !component.is_empty());
    components
        .map(|component| GlobPattern::new(component).map_err(|e| invalid(e.to_string())))
        .collect()
}
