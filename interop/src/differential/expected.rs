//! `expected_differences.toml`: where Quarry answers otherwise than Apache HDFS, and why.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::script::Script;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The differences, as the reader of the table meets them.
    #[serde(default, rename = "difference")]
    pub differences: Vec<Difference>,
}

/// One reason, with all operations where it shows.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What it is about, in a few words.
    pub title: String,
    /// Why Quarry answers otherwise.
    pub why: String,
    /// Where it shows.
    #[serde(rename = "step")]
    pub steps: Vec<Occurrence>,
}

/// A step that Quarry answers otherwise.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Occurrence {
    /// The script.
    pub script: String,
    /// The line of the step.
    pub step: String,
    /// Which occurrence of that line.
    #[serde(default = "first")]
    pub nth: usize,
    /// What Quarry answers, line by line. What HDFS answers is in the script.
    pub quarry: Vec<String>,
}

fn first() -> usize {
    1
}

impl Expected {
    /// Reads the file of this checkout.
    ///
    /// # Errors
    /// It is unreadable or malformed.
    pub fn read() -> Result<Self> {
        let file = super::folder().join("expected_differences.toml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        toml::from_str(&text).with_context(|| file.display().to_string())
    }

    /// The listed answer to a step, or `None` if Quarry should answer as HDFS does.
    pub fn quarry_says(&self, script: &str, step: &str, nth: usize) -> Option<&[String]> {
        self.occurrences()
            .find(|(_, it)| it.script == script && it.step == step && it.nth == nth)
            .map(|(_, it)| it.quarry.as_slice())
    }

    /// All occurrences, with their reasons.
    pub fn occurrences(&self) -> impl Iterator<Item = (&Difference, &Occurrence)> {
        self.differences
            .iter()
            .flat_map(|difference| difference.steps.iter().map(move |step| (difference, step)))
    }

    /// Complaints about listed steps that no script has.
    pub fn strangers(&self, scripts: &[Script]) -> Vec<String> {
        self.occurrences()
            .filter(|(_, it)| {
                let script = scripts.iter().find(|script| script.name == it.script);
                !script.is_some_and(|script| script.steps.iter().any(|s| s.command == it.step && s.nth == it.nth))
            })
            .map(|(_, it)| {
                format!(
                    "{}: {}\n  is listed as a difference but is in no script",
                    it.script, it.step
                )
            })
            .collect()
    }
}
