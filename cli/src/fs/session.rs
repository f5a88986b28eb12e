//! One command at work: the file systems it touches, what it prints, and what it failed on.
//!
//! A command goes through all of its paths; one that fails is reported and makes the exit code 1.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use quarry_dfs_client::{DfsClient, DfsClientConfig, FileStatus};

use super::failure::FsError;
use super::generic::Generic;
use super::glob::{self, Component};
use super::item::{self, Form, Item};
use super::place::{DfsPlace, Place};

/// How a client for a named cluster is configured; without a name, for the one that is meant where none is named.
pub(super) type Clusters = Box<dyn Fn(Option<&str>) -> anyhow::Result<DfsClientConfig> + Send + Sync>;

/// A command's work.
pub(super) struct Session {
    /// The command's name, for messages.
    verb: String,
    clusters: Clusters,
    places: HashMap<Option<String>, Place>,
    generic: Generic,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    failures: usize,
    misused: bool,
    /// What the command answers beyond success and failure.
    pub(super) answer: u8,
}

/// What is done with each path.
#[async_trait]
pub(super) trait Visitor: Send {
    /// Something is there.
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError>;

    /// Nothing is there.
    async fn absent(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        Err(FsError::absent(&item.shown))
    }
}

impl Session {
    /// A command named `verb` that writes to `out` and `err`.
    pub(super) fn new(
        verb: &str,
        clusters: Clusters,
        generic: Generic,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            verb: verb.to_owned(),
            clusters,
            places: HashMap::new(),
            generic,
            out,
            err,
            failures: 0,
            misused: false,
            answer: 0,
        }
    }

    /// Hadoop's generic options.
    pub(super) fn generic(&self) -> &Generic {
        &self.generic
    }

    /// Writes a line to standard output.
    pub(super) fn print(&mut self, line: impl std::fmt::Display) -> Result<(), FsError> {
        writeln!(self.out, "{line}").map_err(FsError::Output)
    }

    /// Writes bytes to standard output.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.out.write_all(bytes).map_err(FsError::Output)
    }

    /// Makes what was written so far appear.
    pub(super) fn flush(&mut self) -> Result<(), FsError> {
        self.out.flush().map_err(FsError::Output)
    }

    /// Tells the user something that is no failure.
    pub(super) fn say(&mut self, line: impl std::fmt::Display) {
        // Nobody is left to be told that standard error is gone.
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{line}");
    }

    /// Reports a failure, after the command's name, and goes on.
    pub(super) fn note<T>(&mut self, outcome: Result<T, FsError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.failures += 1;
                self.misused |= matches!(error, FsError::Usage(_));
                // The reader of standard output has left: nobody is interested in the rest.
                if !error.is_broken_pipe() {
                    self.say_named(&error);
                }
                None
            }
        }
    }

    /// Says something after the command's name.
    pub(super) fn say_named(&mut self, message: &dyn std::fmt::Display) {
        let text = message.to_string();
        let line = text.lines().next().unwrap_or_default();
        self.say(format!("{}: {line}", self.verb));
    }

    /// How many paths failed so far.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    /// Whether the arguments made no sense.
    pub(super) fn is_misused(&self) -> bool {
        self.misused
    }

    /// The exit code so far.
    pub(super) fn code(&self) -> u8 {
        if self.failures > 0 { 1 } else { self.answer }
    }

    /// The cluster at `authority`, or the one that is meant where none is named.
    pub(super) fn cluster(&mut self, authority: Option<&str>) -> Result<Place, FsError> {
        let key = authority.map(str::to_owned);
        if let Some(place) = self.places.get(&key) {
            return Ok(place.clone());
        }
        let config = (self.clusters)(authority).map_err(|error| FsError::Other(format!("{error:#}")))?;
        let place = Place::Dfs(Arc::new(DfsPlace {
            authority: config.namenode.clone(),
            umask: self.generic.umask,
            create: self.generic.create_options(),
            client: DfsClient::new(self.generic.configure(config)),
        }));
        self.places.insert(key, place.clone());
        Ok(place)
    }

    fn place_of(&mut self, parsed: &item::Parsed<'_>) -> Result<Place, FsError> {
        match parsed.scheme {
            Some("file") => Ok(Place::Local),
            _ => self.cluster(parsed.authority),
        }
    }

    /// The one path that an argument names, patterns not looked for, and what is there.
    pub(super) async fn item(&mut self, argument: &str) -> Result<Item, FsError> {
        let parsed = item::parse(argument)?;
        let place = self.place_of(&parsed)?;
        let path = item::absolute(parsed.path, &place.home());
        let status = place.status(&path).await?;
        Ok(Item {
            place,
            shown: argument.to_owned(),
            path,
            status,
        })
    }

    /// The path of this machine that an argument names.
    pub(super) async fn local_item(&mut self, argument: &str) -> Result<Item, FsError> {
        let path = argument.strip_prefix("file:").unwrap_or(argument);
        let path = item::absolute(path, &Place::Local.home());
        Ok(Item {
            status: Place::Local.status(&path).await?,
            place: Place::Local,
            shown: argument.to_owned(),
            path,
        })
    }

    /// The paths that an argument matches, in their order. Where it is no pattern, the one path, there or not.
    ///
    /// # Errors
    /// Nothing matches a pattern.
    pub(super) async fn expand(&mut self, argument: &str) -> Result<Vec<Item>, FsError> {
        if !glob::is_pattern(argument) {
            let mut item = self.item(&glob::unescape(argument)).await?;
            if item.exists() {
                let parsed = item::parse(argument)?;
                item.shown = show(&item.place, &item.path, parsed.form, parsed.scheme);
            }
            return Ok(vec![item]);
        }
        let parsed = item::parse(argument)?;
        let place = self.place_of(&parsed)?;
        let mut found: Vec<FileStatus> = Vec::new();
        for pattern in glob::alternatives(parsed.path)? {
            let pattern = if pattern.starts_with('/') {
                pattern
            } else {
                item::join(&place.home(), &pattern)
            };
            found.extend(matches(&place, &glob::components(&pattern)?).await?);
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        if found.is_empty() {
            return Err(FsError::absent(argument));
        }
        let item = |status: FileStatus| Item {
            shown: show(&place, &status.path, parsed.form, parsed.scheme),
            place: place.clone(),
            path: status.path.clone(),
            status: Some(status),
        };
        Ok(found.into_iter().map(item).collect())
    }

    /// The paths that all arguments match; what cannot be expanded is reported.
    pub(super) async fn expand_all(&mut self, arguments: &[String]) -> Vec<Item> {
        let mut items = Vec::new();
        for argument in arguments {
            let expanded = self.expand(argument).await;
            items.extend(self.note(expanded).unwrap_or_default());
        }
        items
    }

    /// The entries of a directory, in the order of their names.
    pub(super) async fn children(&mut self, directory: &Item) -> Result<Vec<Item>, FsError> {
        let entries = directory.place.list(&directory.path).await?;
        Ok(entries.into_iter().map(|status| directory.child_with(status)).collect())
    }

    /// Has each path that the arguments match visited, and with `recursive` what lies below it.
    pub(super) async fn visit(&mut self, arguments: &[String], recursive: bool, visitor: &mut dyn Visitor) {
        for item in self.expand_all(arguments).await {
            if item.exists() {
                self.walk(item, recursive, visitor).await;
            } else {
                let outcome = visitor.absent(self, &item).await;
                self.note(outcome);
            }
        }
    }

    /// Visits `root` and, with `recursive`, what lies below: a directory before its entries.
    pub(super) async fn walk(&mut self, root: Item, recursive: bool, visitor: &mut dyn Visitor) {
        let mut waiting = vec![root];
        while let Some(item) = waiting.pop() {
            let visited = visitor.visit(self, &item).await;
            if self.note(visited).is_none() || !recursive || !item.is_directory() {
                continue;
            }
            let children = self.children(&item).await;
            waiting.extend(self.note(children).unwrap_or_default().into_iter().rev());
        }
    }
}

/// How a path that was found is shown: in the form in which it was looked for.
fn show(place: &Place, path: &str, form: Form, scheme: Option<&str>) -> String {
    match (form, scheme) {
        (Form::WithAuthority, _) => place.qualify(path),
        (Form::WithScheme, scheme) => format!("{}://{path}", scheme.unwrap_or("hdfs")),
        (Form::Absolute, _) => path.to_owned(),
        (Form::Relative, _) => item::relative(path, &place.home()),
    }
}

/// What the components of a path match.
async fn matches(place: &Place, components: &[Component]) -> Result<Vec<FileStatus>, FsError> {
    let mut found = vec!["/".to_owned()];
    let mut statuses = Vec::new();
    for (at, component) in components.iter().enumerate() {
        let is_last = at + 1 == components.len();
        let mut next = Vec::new();
        for path in found {
            match component {
                Component::Plain(name) if is_last => statuses.extend(place.status(&item::join(&path, name)).await?),
                Component::Plain(name) => next.push(item::join(&path, name)),
                Component::Pattern(pattern) => {
                    let entries = entries_of(place, &path).await?;
                    let fitting = entries.into_iter().filter(|entry| pattern.matches(entry.name()));
                    if is_last {
                        statuses.extend(fitting);
                    } else {
                        next.extend(fitting.filter(FileStatus::is_directory).map(|entry| entry.path));
                    }
                }
            }
        }
        found = next;
    }
    Ok(statuses)
}

/// The entries of a directory; none of what is a file or not there.
async fn entries_of(place: &Place, path: &str) -> Result<Vec<FileStatus>, FsError> {
    match place.status(path).await? {
        Some(status) if status.is_directory() => place.list(path).await,
        _ => Ok(Vec::new()),
    }
}
