//! `COPY ... TO`.

use std::collections::BTreeMap;

use datafusion::sql::parser::{CopyToSource, CopyToStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Statement, Value};
use quarry_engine::files::Location;
use quarry_engine::write::{WriteFormat, WriteSpec};

use super::super::parse::{Parsed, parse};
use super::super::scope::Scope;
use super::Planned;
use super::arrange;
use super::job::Target;
use crate::error::{Error, Result};

/// Plans a `COPY`.
///
/// # Errors
/// [`Error::Invalid`] for a target that is not `hdfs://`, [`Error::Unsupported`] for formats that cannot be written, errors of the query.
pub(super) async fn plan(copy: CopyToStatement, scope: &Scope) -> Result<Planned> {
    let location = scope.writable_location(&copy.target)?;
    let format = format(&copy, &location)?;
    let rows = scope.plan(source(copy.source, scope)?).await?;
    let partition_columns = scope.names.columns(&copy.partitioned_by);
    let schema = arrange::partition_last(arrange::columns_of(&rows)?.as_ref(), &partition_columns)?;
    arrange::check_types(&schema, format)?;
    let input = arrange::by_name(rows, &schema)?;
    let single = partition_columns.is_empty() && !copy.target.ends_with('/') && ending(&location).is_some();
    let spec = WriteSpec {
        staging: String::new(),
        format,
        options: options(&copy.options),
        schema,
        partition_columns: partition_columns.clone(),
        target_bytes: scope.writes.target_bytes(&location).await?,
        single,
    };
    let target = Target::copy(location, single, &partition_columns, scope);
    Ok(Planned { input, spec, target })
}

fn source(source: CopyToSource, scope: &Scope) -> Result<DfStatement> {
    match source {
        CopyToSource::Query(query) => Ok(DfStatement::Statement(Box::new(Statement::Query(query)))),
        CopyToSource::Relation(table) => {
            let mut statements = parse(&format!("SELECT * FROM {table}"), &scope.limits)?;
            match statements.pop_front() {
                Some(Parsed::Sql(query)) => Ok(query),
                _ => Err(Error::Internal("no query for a table".to_owned())),
            }
        }
    }
}

fn format(copy: &CopyToStatement, location: &Location) -> Result<WriteFormat> {
    let name = match (&copy.stored_as, ending(location)) {
        (Some(name), _) => name.as_str(),
        (None, Some(ending)) => ending,
        (None, None) => {
            let problem =
                "COPY: the target's name does not end with a format's; say STORED AS PARQUET, CSV, JSON or ARROW";
            return Err(Error::invalid(problem));
        }
    };
    WriteFormat::parse(name)
        .ok_or_else(|| Error::Unsupported(format!("COPY ... STORED AS {name} (PARQUET, CSV, JSON and ARROW are)")))
}

/// What follows the dot in the last part of a path.
fn ending(location: &Location) -> Option<&str> {
    let name = location.path.rsplit('/').next()?;
    name.rsplit_once('.')
        .map(|(_, ending)| ending)
        .filter(|ending| !ending.is_empty())
}

fn options(given: &[(String, Value)]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
        other => other.to_string(),
    };
    given.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}
