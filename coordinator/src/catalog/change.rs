//! Changing and renaming what is there.

use super::store::Renaming;
use super::{Catalog, CatalogObject, INFORMATION_SCHEMA, ObjectKind, SYSTEM_SCHEMA, broken, lock, object_path, record};
use crate::error::{Error, Result};

impl Catalog {
    /// Replaces an object by what `change` makes of it, in one step; others' changes of the same object come before or after. Durable when
    /// it returns.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] if it is of another kind, the change's own errors, errors of the store.
    pub async fn alter_object(
        &self,
        schema: &str,
        object: &str,
        kind: ObjectKind,
        user: &str,
        change: impl FnOnce(CatalogObject) -> Result<CatalogObject>,
    ) -> Result<()> {
        let path = object_path(schema, object)?;
        let altered = lock::locked(self.store.as_ref(), &path, async {
            let missing = || Error::not_found(kind.name(), format!("{schema}.{object}"));
            let before = self.load(&path).await?.ok_or_else(missing)?;
            expect_kind(&before, kind, schema, object)?;
            let after = change(before)?;
            let content = record::encode(&after, user).map_err(|problem| broken(&path, problem))?;
            let replaced = self.store.replace(&path, content).await?;
            if replaced { Ok(()) } else { Err(missing()) }
        });
        let altered = altered.await;
        self.changed().await;
        altered
    }

    /// Renames a table or view, also into another schema, in one step. Its statistics go with it. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::Invalid`] if the object is of the other kind or a schema is built in, errors of
    /// the store.
    pub async fn rename_object(&self, from: (&str, &str), to: (&str, &str), kind: ObjectKind) -> Result<()> {
        for schema in [from.0, to.0] {
            if schema == SYSTEM_SCHEMA || schema == INFORMATION_SCHEMA {
                return Err(Error::invalid(format!(
                    "schema {schema} is built in; nothing in it can be renamed"
                )));
            }
        }
        let (source, target) = (object_path(from.0, from.1)?, object_path(to.0, to.1)?);
        let missing = || Error::not_found(kind.name(), format!("{}.{}", from.0, from.1));
        let renamed = lock::locked(self.store.as_ref(), &source, async {
            let object = self.load(&source).await?.ok_or_else(missing)?;
            expect_kind(&object, kind, from.0, from.1)?;
            if !self.has_schema(to.0).await? {
                return Err(Error::not_found("schema", to.0));
            }
            match self.store.rename_file(&source, &target).await? {
                Renaming::Renamed => Ok(()),
                Renaming::NoFile => Err(missing()),
                Renaming::NoDirectory => Err(Error::not_found("schema", to.0)),
                Renaming::Exists => Err(Error::already_exists("table or view", format!("{}.{}", to.0, to.1))),
            }
        });
        let renamed = renamed.await;
        self.changed().await;
        renamed?;
        self.move_statistics(from, to).await;
        self.changed().await;
        Ok(())
    }
}

fn expect_kind(found: &CatalogObject, kind: ObjectKind, schema: &str, object: &str) -> Result<()> {
    match found.kind() {
        Some(found) if found == kind => Ok(()),
        found => {
            let other = if found == Some(ObjectKind::View) {
                "VIEW"
            } else {
                "TABLE"
            };
            Err(Error::invalid(format!(
                "{schema}.{object} is not a {}; use ALTER {other}",
                kind.name()
            )))
        }
    }
}
