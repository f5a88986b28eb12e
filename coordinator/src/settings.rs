//! What a session may change with `SET`: an allow-list.
//!
//! Engine options are many, and some lift memory limits, move spill files or undo what distribution relies on. So only those listed here can be
//! set, each checked when it is set.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::config::ConfigOptions;

use crate::error::{Error, Result};

/// Lowers the time limit of a session's statements; a duration such as `30s` or `5m`, or a number of seconds.
pub const STATEMENT_TIMEOUT: &str = "quarry.statement_timeout";

/// Options of DataFusion that a session may set.
const ALLOWED: &[&str] = &[
    "datafusion.catalog.has_header",
    "datafusion.catalog.newlines_in_values",
    "datafusion.execution.batch_size",
    "datafusion.execution.collect_statistics",
    "datafusion.execution.enable_ansi_mode",
    "datafusion.execution.parquet.pushdown_filters",
    "datafusion.execution.parquet.reorder_filters",
    "datafusion.execution.target_partitions",
    "datafusion.execution.time_zone",
    "datafusion.explain.format",
    "datafusion.explain.logical_plan_only",
    "datafusion.explain.physical_plan_only",
    "datafusion.explain.show_schema",
    "datafusion.explain.show_sizes",
    "datafusion.explain.show_statistics",
    "datafusion.optimizer.enable_dynamic_filter_pushdown",
    "datafusion.optimizer.enable_round_robin_repartition",
    "datafusion.optimizer.filter_null_join_keys",
    "datafusion.optimizer.hash_join_single_partition_threshold",
    "datafusion.optimizer.hash_join_single_partition_threshold_rows",
    "datafusion.optimizer.join_reordering",
    "datafusion.optimizer.prefer_existing_sort",
    "datafusion.optimizer.prefer_hash_join",
    "datafusion.optimizer.repartition_aggregations",
    "datafusion.optimizer.repartition_joins",
    "datafusion.optimizer.repartition_sorts",
    "datafusion.optimizer.repartition_windows",
    "datafusion.optimizer.skip_failed_rules",
    "datafusion.optimizer.top_down_join_key_reordering",
    "datafusion.sql_parser.default_null_ordering",
    "datafusion.sql_parser.enable_ident_normalization",
    "datafusion.sql_parser.parse_float_as_decimal",
];

/// Numbers that cost memory or threads are kept within bounds: key, least, most.
const BOUNDED: &[(&str, u64, u64)] = &[
    ("datafusion.execution.batch_size", 1, 1 << 20),
    ("datafusion.execution.target_partitions", 2, 256),
];

/// Settings of one session, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Sets a key, which is compared in lower case.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key is unknown or may not be set, or the value cannot be used.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let key = full_key(key);
        if key == STATEMENT_TIMEOUT {
            parse_timeout(value)?;
        } else {
            check_option(&key, value)?;
        }
        self.values.insert(key, value.to_owned());
        Ok(())
    }

    /// Back to the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key is not one that can be set.
    pub fn reset(&mut self, key: &str) -> Result<()> {
        let key = full_key(key);
        if key != STATEMENT_TIMEOUT && !ALLOWED.contains(&key.as_str()) {
            return Err(refused(&key));
        }
        self.values.remove(&key);
        Ok(())
    }

    /// Everything back to its default.
    pub fn reset_all(&mut self) {
        self.values.clear();
    }

    /// The value that was set for a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(&full_key(key)).map(String::as_str)
    }

    /// All values that were set, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Puts the settings into a session's options.
    ///
    /// # Errors
    /// [`Error::Query`] if an option refuses its value: they were checked when set, so that is not expected.
    pub fn apply(&self, options: &mut ConfigOptions) -> Result<()> {
        for (key, value) in self.values.iter().filter(|(key, _)| *key != STATEMENT_TIMEOUT) {
            options.set(key, value)?;
        }
        Ok(())
    }

    /// The session's time limit for statements, never above the server's.
    #[must_use]
    pub fn statement_timeout(&self, server: Duration) -> Duration {
        let own = self
            .values
            .get(STATEMENT_TIMEOUT)
            .and_then(|value| parse_timeout(value).ok());
        own.map_or(server, |own| own.min(server))
    }
}

/// `SET TIME ZONE x` and `SET timezone = x` are what other systems write.
fn full_key(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    match key.as_str() {
        "timezone" | "time.zone" | "time_zone" => "datafusion.execution.time_zone".to_owned(),
        "statement_timeout" => STATEMENT_TIMEOUT.to_owned(),
        _ => key,
    }
}

fn refused(key: &str) -> Error {
    Error::invalid(format!(
        "setting {key} cannot be changed in a session; `SHOW SETTINGS` lists those that can"
    ))
}

fn check_option(key: &str, value: &str) -> Result<()> {
    if !ALLOWED.contains(&key) {
        return Err(refused(key));
    }
    if let Some((_, least, most)) = BOUNDED.iter().find(|(bounded, ..)| *bounded == key) {
        let fits = value
            .parse::<u64>()
            .is_ok_and(|number| (*least..=*most).contains(&number));
        if !fits {
            return Err(Error::invalid(format!(
                "setting {key} is {value:?}; expected a number from {least} to {most}"
            )));
        }
    }
    let tried = ConfigOptions::new().set(key, value);
    tried.map_err(|error| {
        Error::invalid(format!(
            "setting {key} cannot be {value:?}: {}",
            error.strip_backtrace()
        ))
    })
}

/// Keys that can be set.
pub fn keys() -> impl Iterator<Item = &'static str> {
    ALLOWED.iter().copied().chain([STATEMENT_TIMEOUT])
}

fn parse_timeout(value: &str) -> Result<Duration> {
    let (digits, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let factor = match unit.trim() {
        "ms" => Some(Duration::from_millis(1)),
        "" | "s" => Some(Duration::from_secs(1)),
        "m" | "min" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3600)),
        _ => None,
    };
    let timeout = digits
        .parse::<u32>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| factor.checked_mul(number));
    timeout.filter(|timeout| !timeout.is_zero()).ok_or_else(|| {
        Error::invalid(format!(
            "{STATEMENT_TIMEOUT} is {value:?}; expected a time such as '500ms', '30s', '5m' or '1h'"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_allowed_key_is_an_option() {
        let known: Vec<String> = ConfigOptions::new()
            .entries()
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        for key in ALLOWED {
            assert!(known.iter().any(|known| known == key), "{key}");
        }
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let mut settings = Settings::default();
        for key in [
            "datafusion.runtime.memory_limit",
            "datafusion.runtime.temp_directory",
            "distributed.max_tasks_per_stage",
            "datafusion.optimizer.repartition_file_scans",
            "datafusion.catalog.location",
            "datafusion.nothing",
            "quarry.query",
        ] {
            let error = settings.set(key, "1").unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(settings.reset(key).is_err());
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn values_are_checked_when_set() {
        let mut settings = Settings::default();
        assert!(settings.set("datafusion.execution.batch_size", "many").is_err());
        assert!(settings.set("datafusion.execution.batch_size", "0").is_err());
        assert!(
            settings
                .set("datafusion.execution.target_partitions", "100000")
                .is_err()
        );
        assert!(
            settings
                .set("datafusion.optimizer.prefer_hash_join", "perhaps")
                .is_err()
        );
        settings.set("DataFusion.Execution.Batch_Size", "17").unwrap();
        let mut options = ConfigOptions::new();
        settings.apply(&mut options).unwrap();
        assert_eq!(options.execution.batch_size.to_string(), "17");
        settings.reset("datafusion.execution.batch_size").unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_session_lowers_its_timeout_but_does_not_raise_it() {
        let hour = Duration::from_secs(3600);
        let mut settings = Settings::default();
        assert_eq!(settings.statement_timeout(hour), hour);
        for (text, millis) in [("250ms", 250), ("3", 3_000), ("2m", 120_000), ("5h", 3_600_000)] {
            settings.set("statement_timeout", text).unwrap();
            assert_eq!(
                settings.statement_timeout(hour),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for wrong in ["", "0", "-1", "5 fortnights", "999999999999"] {
            assert!(settings.set(STATEMENT_TIMEOUT, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_time_zone_has_its_usual_names() {
        let mut settings = Settings::default();
        settings.set("TimeZone", "+02:00").unwrap();
        assert_eq!(settings.get("datafusion.execution.time_zone"), Some("+02:00"));
    }
}
