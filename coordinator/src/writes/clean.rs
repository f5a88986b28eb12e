//! Removes what an intent speaks of and nothing uses.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::Result;
use quarry_engine::files::{FileSystem, FileSystems, Location, Renamed, publish};
use quarry_engine::formats::manifest::{STAGING, Versions};

use super::journal::{Intent, TableRoot};
use crate::catalog::{Catalog, CatalogObject};
use crate::error::Error;

/// File in a managed table's directory that names the statement which made it.
const CLAIM: &str = "_quarry_table";

/// Does what `intent` asks for. Doing it twice, or for a statement that was committed, is harmless.
///
/// With `fenced`, the statement's coordinator may yet wake up and go on: its commit is made to fail before its files are removed.
pub(crate) async fn clean(intent: &Intent, files: &FileSystems, catalog: &Catalog, fenced: bool) -> Result<(), Error> {
    if let Some(staging) = &intent.staging {
        let location = Location::parse(staging)?;
        let store = files.get(&location);
        store.delete(&location.path).await?;
        if let Some((shared, _)) = location.path.rsplit_once('/') {
            store.delete_empty(shared).await?;
        }
    }
    if let Some(table) = &intent.table {
        remove_unused_table(table, files, catalog).await?;
    }
    if let Some(root) = &intent.data {
        let location = Location::parse(root)?;
        let store = files.get(&location);
        let table = Remains {
            versions: Versions::new(Arc::clone(&store), &location.path),
            files: store,
            root: location.path,
            intent,
        };
        table.remove(fenced).await?;
    }
    Ok(())
}

/// Removes a managed table's directory, unless the catalog says that it is in use.
async fn remove_unused_table(table: &TableRoot, files: &FileSystems, catalog: &Catalog) -> Result<(), Error> {
    if is_used(table, catalog).await? {
        return Ok(());
    }
    let location = Location::parse(&table.root)?;
    let store = files.get(&location);
    // A statement that found something in the directory has no claim on it, and nothing there is its own.
    if table.claim.is_some() && claimed_by(store.as_ref(), &location).await? != table.claim {
        return Ok(());
    }
    // Out of the way first: whoever creates the table in this moment finds that its files are gone, or is found by the second look.
    let aside = format!("{}.removed-{}", location.path, uuid::Uuid::new_v4().simple());
    if store.rename(&location.path, &aside).await? != Renamed::Done {
        return Ok(());
    }
    if is_used(table, catalog).await? {
        store.rename(&aside, &location.path).await?;
        return Ok(());
    }
    store.delete(&aside).await?;
    Ok(())
}

/// The statement that made a directory its table's.
async fn claimed_by(files: &dyn FileSystem, root: &Location) -> Result<Option<String>> {
    let claim = files.read(&format!("{}/{CLAIM}", root.path)).await?;
    Ok(claim.map(|claim| String::from_utf8_lossy(&claim).into_owned()))
}

/// Makes an empty or missing directory a new table's. Of several statements one succeeds.
///
/// # Errors
/// [`Error::Invalid`] if something is there.
pub(crate) async fn claim(files: &dyn FileSystem, root: &Location, statement: &str) -> Result<(), Error> {
    let taken = || {
        Error::invalid(format!(
            "location {root} is not empty: a new table starts in an empty directory; for files that are there, use CREATE EXTERNAL TABLE"
        ))
    };
    if files.entries(&root.path).await?.is_some_and(|there| !there.is_empty()) {
        return Err(taken());
    }
    files.make_directory(&root.path, true).await?;
    let claim = format!("{}/{CLAIM}", root.path);
    if publish(files, &claim, Bytes::from(statement.to_owned())).await? {
        Ok(())
    } else {
        Err(taken())
    }
}

async fn is_used(table: &TableRoot, catalog: &Catalog) -> Result<bool, Error> {
    let snapshot = catalog.fresh_snapshot().await?;
    // It may have been given another name meanwhile, so every table is looked at, its own name first.
    let mut names = vec![(table.schema.clone(), table.name.clone())];
    for schema in snapshot.schemas() {
        names.extend(
            snapshot
                .objects(schema)
                .map(|object| (schema.to_owned(), object.to_owned())),
        );
    }
    for (schema, object) in names {
        match catalog.object(&snapshot, &schema, &object).await {
            Ok(Some(object)) if lies_at(&object, &table.root) => return Ok(true),
            Ok(_) => {}
            // A file that cannot be understood might be of this table.
            Err(Error::CatalogFile { .. }) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn lies_at(object: &CatalogObject, root: &str) -> bool {
    matches!(object, CatalogObject::Table { table } if table.managed && table.location == root)
}

/// Files in a managed table's directory that might be remains.
struct Remains<'a> {
    files: Arc<dyn FileSystem>,
    versions: Versions,
    root: String,
    intent: &'a Intent,
}

impl Remains<'_> {
    async fn remove(&self, fenced: bool) -> Result<()> {
        if self.files.entries(&self.root).await?.is_none() {
            return Ok(());
        }
        let unused = self.unused().await?;
        if unused.is_empty() {
            return Ok(());
        }
        if !fenced {
            for path in unused {
                self.files.delete(&self.data_path(&path)).await?;
            }
            return Ok(());
        }
        self.remove_fenced(unused).await
    }

    /// Files that an intent speaks of and the newest version does not name, below the data directory.
    async fn unused(&self) -> Result<Vec<String>> {
        let data = self.versions.data();
        if self
            .files
            .entries(&data)
            .await?
            .is_none_or(|entries| entries.is_empty())
        {
            return Ok(Vec::new());
        }
        let newest = self.versions.newest().await?;
        let named = newest
            .as_ref()
            .map(|(_, manifest)| manifest.paths())
            .unwrap_or_default();
        let own = format!("{}-", self.intent.statement);
        let mut unused = Vec::new();
        for file in self.files.list_located(&data).await? {
            let path = file.path[data.len()..].trim_start_matches('/').to_owned();
            let name = path.rsplit('/').next().unwrap_or_default();
            let spoken_of = name.starts_with(&own) || self.intent.retired.contains(&path);
            if spoken_of && !named.contains(path.as_str()) {
                unused.push(path);
            }
        }
        Ok(unused)
    }

    /// Moves the files aside, takes the next version's number so that a commit which is about to take it must look again and will
    /// miss them, and puts back what a commit that came first does name.
    async fn remove_fenced(&self, unused: Vec<String>) -> Result<()> {
        let aside = format!("{}/{STAGING}/removed-{}", self.root, uuid::Uuid::new_v4().simple());
        self.files.make_directory(&aside, true).await?;
        for (number, path) in unused.iter().enumerate() {
            self.files
                .rename(&self.data_path(path), &format!("{aside}/{number}"))
                .await?;
        }
        while let Some((number, manifest)) = self.versions.newest().await? {
            let named = manifest.paths();
            for (number, path) in unused.iter().enumerate() {
                if named.contains(path.as_str()) {
                    self.files
                        .rename(&format!("{aside}/{number}"), &self.data_path(path))
                        .await?;
                }
            }
            if self.versions.publish(number + 1, &manifest).await? {
                break;
            }
        }
        self.files.delete(&aside).await?;
        Ok(())
    }

    fn data_path(&self, path: &str) -> String {
        format!("{}/{path}", self.versions.data())
    }
}
