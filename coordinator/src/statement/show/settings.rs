//! `SHOW ALL`, `SHOW SETTINGS`, `SHOW key`.

use super::{Row, row};
use crate::error::{Error, Result};
use crate::settings::{STATEMENT_TIMEOUT, keys};
use crate::statement::scope::Scope;

pub(super) fn all(scope: &Scope) -> Vec<Row> {
    keys().filter_map(|key| one(scope, key).ok()).collect()
}

pub(super) fn one(scope: &Scope, name: &str) -> Result<Row> {
    if let Some(value) = scope.settings.get(name) {
        return Ok(row([name.to_owned(), value.to_owned()]));
    }
    if name.eq_ignore_ascii_case(STATEMENT_TIMEOUT) {
        let seconds = format!("{}s", scope.statement_timeout.as_secs());
        return Ok(row([STATEMENT_TIMEOUT.to_owned(), seconds]));
    }
    let wanted = if name.eq_ignore_ascii_case("timezone") {
        "datafusion.execution.time_zone"
    } else {
        name
    };
    let entries = scope.view.base.config_options().entries();
    let entry = entries.into_iter().find(|entry| entry.key.eq_ignore_ascii_case(wanted));
    let entry = entry.ok_or_else(|| Error::not_found("setting", name))?;
    Ok(row([entry.key, entry.value.unwrap_or_default()]))
}
