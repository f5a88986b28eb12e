//! Names in statements, resolved against the session.

use datafusion::common::TableReference;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, SchemaName};

use crate::catalog::CATALOG;
use crate::error::{Error, Result};

/// A table or view in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullName {
    /// Schema, normalized.
    pub(crate) schema: String,
    /// Table or view, normalized.
    pub(crate) object: String,
}

/// How names are read in a session.
#[derive(Debug, Clone)]
pub(crate) struct NameRules {
    /// Schema of names without one.
    pub(crate) default_schema: String,
    /// Whether unquoted names are lower-cased.
    pub(crate) normalize: bool,
}

impl NameRules {
    /// Resolves the name of a table or view.
    ///
    /// # Errors
    /// [`Error::NotFound`] for another catalog, [`Error::Invalid`] for a name with too many parts.
    pub(crate) fn table(&self, name: &ObjectName) -> Result<FullName> {
        let reference = object_name_to_table_reference(name.clone(), self.normalize);
        self.reference(&reference.map_err(|error| Error::invalid(format!("name {name}: {}", error.strip_backtrace())))?)
    }

    /// Resolves a reference.
    ///
    /// # Errors
    /// [`Error::NotFound`] for another catalog.
    pub(crate) fn reference(&self, reference: &TableReference) -> Result<FullName> {
        if let Some(catalog) = reference.catalog() {
            known_catalog(catalog)?;
        }
        let schema = reference.schema().unwrap_or(&self.default_schema).to_owned();
        Ok(FullName {
            schema,
            object: reference.table().to_owned(),
        })
    }

    /// Resolves the name of a schema, with or without catalog.
    ///
    /// # Errors
    /// [`Error::NotFound`] for another catalog, [`Error::Invalid`] for a name with too many parts.
    pub(crate) fn schema(&self, name: &ObjectName) -> Result<String> {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
        match parts.as_deref() {
            Some([schema]) => Ok(self.ident(schema)),
            Some([catalog, schema]) => {
                known_catalog(&self.ident(catalog))?;
                Ok(self.ident(schema))
            }
            _ => Err(Error::invalid(format!(
                "schema name {name}: expected schema or {CATALOG}.schema"
            ))),
        }
    }

    /// Resolves the name in `CREATE SCHEMA`.
    ///
    /// # Errors
    /// As [`schema`](Self::schema); [`Error::Unsupported`] with `AUTHORIZATION`.
    pub(crate) fn new_schema(&self, name: &SchemaName) -> Result<String> {
        match name {
            SchemaName::Simple(name) => self.schema(name),
            _ => Err(Error::Unsupported("CREATE SCHEMA ... AUTHORIZATION".to_owned())),
        }
    }

    /// The columns of a `PARTITIONED BY`, which the parser gives as they were written.
    pub(crate) fn columns(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.column(text)).collect()
    }

    /// A column's name as a clause's text has it, perhaps in quotes.
    pub(crate) fn column(&self, text: &str) -> String {
        let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
        let unquoted = |quote: char| {
            let doubled = [quote, quote].iter().collect::<String>();
            within(quote).map(|text| text.replace(&doubled, &quote.to_string()))
        };
        let quoted = unquoted('"').or_else(|| unquoted('`'));
        quoted.unwrap_or_else(|| self.ident(&Ident::new(text)))
    }

    /// One name as it is compared.
    pub(crate) fn ident(&self, ident: &Ident) -> String {
        if self.normalize && ident.quote_style.is_none() {
            ident.value.to_ascii_lowercase()
        } else {
            ident.value.clone()
        }
    }
}

/// # Errors
/// [`Error::NotFound`] for any catalog but the one there is.
pub(crate) fn known_catalog(catalog: &str) -> Result<()> {
    if catalog == CATALOG {
        Ok(())
    } else {
        Err(Error::not_found("catalog", catalog))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_clause_are_named_as_they_would_be_in_a_query() {
        let names = NameRules {
            default_schema: "s".to_owned(),
            normalize: true,
        };
        let written = ["Year", "\"Year\"", "`Month`", "\"a \"\"b\"\"\"", "\"", "\"open"];
        let read = names.columns(&written.map(str::to_owned));
        assert_eq!(read, ["year", "Year", "Month", "a \"b\"", "\"", "\"open"]);
        let as_written = NameRules {
            normalize: false,
            ..names
        };
        assert_eq!(as_written.column("Year"), "Year");
    }
}
