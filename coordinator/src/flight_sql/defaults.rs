//! Headers that say how a client's session begins: `catalog`, `schema`, `database`, and settings.
//!
//! The JDBC driver makes such a header of each URL property that it does not know, and sends it with every call. So they are put in force
//! when they are new to the session, and not again: `USE` and `SET` stay as the client said last.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use super::{Inner, status};
use crate::catalog::CATALOG;
use crate::error::{Error, Result};
use crate::session::{Defaults, Session};
use crate::statement::use_schema;

/// Begins a setting's header for clients whose headers cannot have a dot: `x-quarry-statement-timeout`.
const PREFIX: &str = "x-quarry-";

/// What the headers of a call ask for; nothing, for most clients.
///
/// # Errors
/// [`Error::Invalid`] for a value that is no text.
pub(super) fn of(headers: &MetadataMap) -> Result<Defaults> {
    let mut defaults = Defaults::default();
    let mut database = None;
    for header in headers.iter() {
        let KeyAndValueRef::Ascii(name, value) = header else {
            continue;
        };
        let name = name.as_str();
        let slot = match name {
            "catalog" => &mut defaults.catalog,
            "schema" => &mut defaults.schema,
            "database" => &mut database,
            _ => match setting(name) {
                Some(key) => {
                    defaults.settings.insert(key, text(name, value)?);
                    continue;
                }
                None => continue,
            },
        };
        *slot = Some(text(name, value)?);
    }
    // What other systems call a database is a catalog to some of them and a schema to the rest.
    match database {
        Some(database) if database == CATALOG || defaults.schema.is_some() => {
            defaults.catalog.get_or_insert(database);
        }
        Some(database) => defaults.schema = Some(database),
        None => {}
    }
    Ok(defaults)
}

fn text(name: &str, value: &tonic::metadata::AsciiMetadataValue) -> Result<String> {
    let text = value.to_str();
    Ok(text
        .map_err(|_| Error::invalid(format!("header {name}: expected printable ASCII")))?
        .to_owned())
}

/// The key of the setting that a header means. Names of our own answers' headers, sent back, mean none.
fn setting(header: &str) -> Option<String> {
    if [status::QUERY_ID, status::SQLSTATE].contains(&header) {
        return None;
    }
    if let Some(name) = header.strip_prefix(PREFIX) {
        return Some(format!("quarry.{}", name.replace('-', "_")));
    }
    let known = header.starts_with("quarry.") || header.starts_with("datafusion.");
    known.then(|| header.to_owned())
}

impl Inner {
    /// Puts defaults in force that are new to the session.
    ///
    /// # Errors
    /// An unknown catalog, schema or setting: each call fails until the client is set right.
    pub(super) async fn begin(&self, session: Arc<Session>, defaults: Defaults) -> Result<Arc<Session>, Status> {
        if defaults != Defaults::default() && !session.has_defaults(&defaults) {
            self.put_in_force(&session, &defaults)
                .await
                .map_err(|error| status::of(&error))?;
            session.set_defaults(defaults);
        }
        Ok(session)
    }

    async fn put_in_force(&self, session: &Session, defaults: &Defaults) -> Result<()> {
        if let Some(catalog) = &defaults.catalog {
            session.set_catalog(catalog)?;
        }
        if let Some(schema) = &defaults.schema {
            use_schema(schema, &self.dispatcher.catalog, session).await?;
        }
        session.change_settings(|settings| {
            defaults
                .settings
                .iter()
                .try_for_each(|(key, value)| settings.set(key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn defaults(headers: &[(&'static str, &str)]) -> Defaults {
        let mut map = MetadataMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        of(&map).unwrap()
    }

    #[test]
    fn ordinary_headers_say_nothing() {
        let headers = [
            ("user-agent", "x"),
            ("authorization", "Bearer x"),
            (status::QUERY_ID, "q"),
        ];
        assert_eq!(defaults(&headers), Defaults::default());
    }

    #[test]
    fn a_database_is_a_schema_unless_it_is_the_catalog() {
        assert_eq!(defaults(&[("database", "s")]).schema.as_deref(), Some("s"));
        assert_eq!(defaults(&[("database", CATALOG)]).catalog.as_deref(), Some(CATALOG));
        let both = defaults(&[("database", "d"), ("schema", "s")]);
        assert_eq!(
            (both.catalog.as_deref(), both.schema.as_deref()),
            (Some("d"), Some("s"))
        );
    }

    #[test]
    fn settings_have_two_spellings() {
        let headers = [
            ("x-quarry-statement-timeout", "5s"),
            ("datafusion.execution.time_zone", "+01:00"),
        ];
        let settings = defaults(&headers).settings;
        assert_eq!(settings["quarry.statement_timeout"], "5s");
        assert_eq!(settings["datafusion.execution.time_zone"], "+01:00");
    }
}
