//! A write ready to run, and how it runs.
//!
//! 1. an intent is noted: from here on, whatever happens, somebody will clean up
//! 2. the staging directory is made, the query runs, its rows become staged files
//! 3. the commit, which is not interrupted any more
//! 4. the staging directory goes, the intent is struck off

use std::sync::Arc;
use std::time::Duration;

use quarry_engine::files::{FileSystem, Location};
use quarry_engine::formats::TableDefinition;
use quarry_engine::formats::manifest::STAGING;
use quarry_engine::id::QueryId;
use quarry_engine::write::{WriteFormat, WriteSpec, WrittenFile, written_files};

use super::super::names::FullName;
use super::super::scope::Scope;
use crate::catalog::{Catalog, CatalogObject, IfExists, ObjectKind};
use crate::error::{Error, Result};
use crate::query::Run;
use crate::writes::clean::{claim, clean};
use crate::writes::commit::Mode;
use crate::writes::copy::CopyTarget;
use crate::writes::external::ExternalTable;
use crate::writes::journal::{Intent, TableRoot};
use crate::writes::managed::ManagedTable;
use crate::writes::{Writes, statement_name};

/// How long files that a statement replaced are kept for queries that read them.
const RETIRED_FOR: Duration = Duration::from_secs(5 * 60);

/// A table that is to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewTable {
    pub(crate) name: FullName,
    pub(crate) exists: IfExists,
    pub(crate) user: String,
}

/// Where rows go.
pub(crate) struct Target {
    location: Location,
    files: Arc<dyn FileSystem>,
    kind: TargetKind,
}

enum TargetKind {
    Managed(ManagedTable, Mode),
    New(ManagedTable, Box<TableDefinition>, NewTable),
    External(ExternalTable, Mode),
    Copy(CopyTarget),
}

impl Target {
    /// A table that is there.
    ///
    /// # Errors
    /// If its location cannot be read.
    pub(crate) fn table(table: &TableDefinition, mode: Mode, scope: &Scope) -> Result<Self> {
        let location = Location::parse(&table.location)?;
        let files = scope.writes.files.get(&location);
        let kind = if table.managed {
            TargetKind::Managed(ManagedTable::new(Arc::clone(&files), &location, table), mode)
        } else {
            let external = ExternalTable::new(Arc::clone(&files), &location, &table.partition_columns);
            TargetKind::External(external, mode)
        };
        Ok(Self { location, files, kind })
    }

    /// A managed table that is to be created.
    ///
    /// # Errors
    /// If its location cannot be read.
    pub(crate) fn create(table: TableDefinition, new: NewTable, scope: &Scope) -> Result<Self> {
        let location = Location::parse(&table.location)?;
        let files = scope.writes.files.get(&location);
        let managed = ManagedTable::new(Arc::clone(&files), &location, &table);
        Ok(Self {
            location,
            files,
            kind: TargetKind::New(managed, Box::new(table), new),
        })
    }

    /// A file or directory of files.
    pub(crate) fn copy(location: Location, single: bool, partition_columns: &[String], scope: &Scope) -> Self {
        let files = scope.writes.files.get(&location);
        let copy = CopyTarget::new(Arc::clone(&files), &location, single, partition_columns);
        Self {
            location,
            files,
            kind: TargetKind::Copy(copy),
        }
    }

    /// How rows of a table are written, but for the staging directory.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for formats that are only read, errors of the file system.
    pub(crate) async fn spec(&self, table: &TableDefinition, scope: &Scope) -> Result<WriteSpec> {
        let format = WriteFormat::of_table(table.format)
            .ok_or_else(|| Error::Unsupported(format!("writing to a table STORED AS {}", table.format.name())))?;
        Ok(WriteSpec {
            staging: String::new(),
            format,
            options: table.options.clone(),
            schema: Arc::clone(&table.schema),
            partition_columns: table.partition_columns.clone(),
            target_bytes: scope.writes.target_bytes(&self.location).await?,
            single: false,
        })
    }

    /// URL of a statement's staging directory: on the same file system as the target, and out of readers' sight.
    pub(crate) fn staging(&self, statement: &str) -> String {
        let path = match &self.kind {
            TargetKind::Copy(_) => self.location.path.rsplit_once('/').map_or("", |(parent, _)| parent),
            _ => &self.location.path,
        };
        let location = Location {
            authority: self.location.authority.clone(),
            path: format!("{path}/{STAGING}/{statement}"),
        };
        location.to_string()
    }

    fn intent(&self, statement: &str) -> Intent {
        let root = self.location.to_string();
        let (data, table) = match &self.kind {
            TargetKind::Managed(..) => (Some(root), None),
            TargetKind::New(_, _, new) => {
                let table = TableRoot {
                    root,
                    schema: new.name.schema.clone(),
                    name: new.name.object.clone(),
                    claim: Some(statement.to_owned()),
                };
                (None, Some(table))
            }
            TargetKind::External(..) | TargetKind::Copy(_) => (None, None),
        };
        Intent {
            statement: statement.to_owned(),
            staging: Some(self.staging(statement)),
            data,
            table,
            retired: Vec::new(),
        }
    }

    /// Makes what the tasks need, and finds out early what would fail at the commit.
    async fn prepare(&self, statement: &str) -> Result<()> {
        match &self.kind {
            TargetKind::New(table, ..) => {
                claim(self.files.as_ref(), &self.location, statement).await?;
                table.versions().prepare().await?;
            }
            TargetKind::Copy(copy) => copy.check_free().await?,
            TargetKind::External(..) => self.must_be_directory().await?,
            // Its directory must not come back if another coordinator just dropped it.
            TargetKind::Managed(table, _) => {
                if table.versions().newest().await?.is_none() {
                    return Err(Error::not_found("table at", self.location.to_string()));
                }
            }
        }
        let staging = Location::parse(&self.staging(statement))?;
        self.files.make_directory(&staging.path, true).await?;
        Ok(())
    }

    /// An external table may be a single file: nothing can be added to that.
    async fn must_be_directory(&self) -> Result<()> {
        if self.files.is_file(&self.location.path).await? {
            return Err(Error::invalid(format!(
                "the table is the single file {}: nothing can be added to it; a table over a directory can be written",
                self.location
            )));
        }
        Ok(())
    }
}

/// A write ready to run.
pub(crate) struct Job {
    statement: String,
    target: Target,
    run: Option<Run>,
    writes: Arc<Writes>,
}

impl Job {
    /// Writes the rows of `run`.
    pub(crate) fn new(target: Target, run: Run, query: QueryId, scope: &Scope) -> Self {
        Self {
            run: Some(run),
            ..Self::without_rows(target, query, scope)
        }
    }

    /// Writes no rows.
    pub(crate) fn without_rows(target: Target, query: QueryId, scope: &Scope) -> Self {
        Self {
            statement: statement_name(query),
            target,
            run: None,
            writes: Arc::clone(&scope.writes),
        }
    }

    /// Runs it; the number of rows that were written. The query may be cancelled until the commit begins. Must not be dropped
    /// before it is done: give it a task of its own.
    ///
    /// # Errors
    /// Those of the query, the catalog and the file system. Nothing of the statement is visible then.
    pub(crate) async fn perform(self) -> Result<u64> {
        let intent = self.target.intent(&self.statement);
        let (statement, writes) = (self.statement.clone(), Arc::clone(&self.writes));
        writes.journal.note(&statement, &intent).await?;
        // `IF NOT EXISTS`: another table may have got the name.
        let keeps_another = matches!(&self.target.kind, TargetKind::New(_, _, new) if new.exists == IfExists::Keep);
        let result = Box::pin(self.stage_and_commit()).await;
        // What was staged goes in any case, after a failure also what the commit had begun with.
        let left = match &result {
            Ok(_) if !keeps_another => Intent {
                data: None,
                table: None,
                ..intent
            },
            _ => intent,
        };
        match clean(&left, &writes.files, &writes.catalog, false).await {
            Ok(()) => writes.journal.strike(&statement).await?,
            Err(error) => tracing::warn!(statement, %error, "cannot clean up after a write; the sweeper will"),
        }
        result
    }

    async fn stage_and_commit(self) -> Result<u64> {
        self.target.prepare(&self.statement).await?;
        let written = match self.run {
            Some(run) => written_files(&run.collect().await?)?,
            None => Vec::new(),
        };
        if !self.writes.journal.is_noted(&self.statement).await? {
            return Err(Error::Unavailable(
                "another coordinator took this one for dead and cleaned up; nothing was written, run the statement again"
                    .to_owned(),
            ));
        }
        let commit = Commit {
            statement: &self.statement,
            target: &self.target,
            writes: &self.writes,
            written: &written,
        };
        commit.perform().await?;
        Ok(written.iter().map(|file| file.rows).sum())
    }
}

struct Commit<'a> {
    statement: &'a str,
    target: &'a Target,
    writes: &'a Arc<Writes>,
    written: &'a [WrittenFile],
}

impl Commit<'_> {
    async fn perform(&self) -> Result<()> {
        match &self.target.kind {
            TargetKind::Managed(table, mode) => {
                let gone = table.commit(self.statement, self.written, mode).await?;
                retire(self.writes, &self.target.location, self.statement, gone).await;
                Ok(())
            }
            TargetKind::New(table, definition, new) => {
                table.commit(self.statement, self.written, &Mode::Append).await?;
                self.publish(definition, new).await
            }
            TargetKind::External(table, mode) => Ok(table.commit(self.statement, self.written, mode).await?),
            TargetKind::Copy(copy) => Ok(copy.commit(self.statement, self.written).await?),
        }
    }

    /// Gives a table its name, and drops the files of the one that had it.
    async fn publish(&self, definition: &TableDefinition, new: &NewTable) -> Result<()> {
        let catalog = &self.writes.catalog;
        let (schema, name) = (&new.name.schema, &new.name.object);
        let replaced = match new.exists {
            IfExists::Replace => managed_root(catalog, schema, name).await?,
            IfExists::Fail | IfExists::Keep => None,
        };
        let object = CatalogObject::Table {
            table: definition.clone(),
        };
        let dropping = match replaced {
            Some(root) => Some(Dropping::note(self.writes, root).await?),
            None => None,
        };
        let created = catalog
            .create_object(schema, name, &object, new.exists, &new.user)
            .await;
        if let Some(dropping) = dropping {
            dropping.finish(self.writes).await;
        }
        created?;
        if self.target.files.entries(&self.target.location.path).await?.is_none() {
            // Taken for dead in this very moment.
            catalog.drop_object(schema, name, ObjectKind::Table, true).await?;
            return Err(Error::Unavailable(
                "another coordinator took this one for dead and cleaned up; nothing was written".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The directory of the managed table of that name, if there is one.
pub(crate) async fn managed_root(catalog: &Catalog, schema: &str, name: &str) -> Result<Option<TableRoot>> {
    let snapshot = catalog.fresh_snapshot().await?;
    let object = match catalog.object(&snapshot, schema, name).await {
        Ok(object) => object,
        // Whatever it was, its files stay.
        Err(Error::CatalogFile { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(match object.as_deref() {
        Some(CatalogObject::Table { table }) if table.managed => Some(TableRoot {
            root: table.location.clone(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            claim: None,
        }),
        _ => None,
    })
}

/// A managed table's files on their way out: noted before the table's name goes, removed after.
pub(crate) struct Dropping {
    note: String,
    intent: Intent,
}

impl Dropping {
    /// Notes that the directory goes once the catalog's table is gone.
    ///
    /// # Errors
    /// If the file system fails.
    pub(crate) async fn note(writes: &Writes, root: TableRoot) -> Result<Self> {
        let dropping = Self {
            note: format!("drop-{}", uuid::Uuid::new_v4().simple()),
            intent: Intent {
                table: Some(root),
                ..Intent::default()
            },
        };
        writes.journal.note(&dropping.note, &dropping.intent).await?;
        Ok(dropping)
    }

    /// Removes the files, unless the table is there after all. What cannot be removed now is left to the sweeper.
    pub(crate) async fn finish(self, writes: &Writes) {
        finish(writes, &self.note, &self.intent).await;
    }
}

async fn finish(writes: &Writes, note: &str, intent: &Intent) {
    let cleaned = async {
        clean(intent, &writes.files, &writes.catalog, false).await?;
        writes.journal.strike(note).await.map_err(Error::from)
    };
    if let Err(error) = cleaned.await {
        tracing::warn!(note, %error, "cannot remove files that are no longer used; the sweeper will");
    }
}

/// Lets files go that a new version no longer names, once queries that read the old one have had their time.
async fn retire(writes: &Arc<Writes>, root: &Location, statement: &str, gone: Vec<String>) {
    if gone.is_empty() {
        return;
    }
    let intent = Intent {
        statement: statement.to_owned(),
        data: Some(root.to_string()),
        retired: gone,
        ..Intent::default()
    };
    let note = format!("retired-{statement}");
    if let Err(error) = writes.journal.note(&note, &intent).await {
        tracing::warn!(statement, %error, "files that were replaced cannot be noted and stay");
        return;
    }
    let writes = Arc::clone(writes);
    tokio::spawn(async move {
        tokio::time::sleep(RETIRED_FOR).await;
        finish(&writes, &note, &intent).await;
    });
}

/// Empties a managed table.
///
/// # Errors
/// [`Error::Invalid`] for an external table, errors of the file system.
pub(crate) async fn truncate(table: &TableDefinition, scope: &Scope) -> Result<()> {
    if !table.managed {
        return Err(Error::invalid(format!(
            "TRUNCATE: the files at {} are not Quarry's: the table is external; INSERT OVERWRITE replaces them",
            table.location
        )));
    }
    let target = Target::table(table, Mode::Overwrite, scope)?;
    Job::without_rows(target, QueryId::draw(), scope)
        .perform()
        .await
        .map(drop)
}
