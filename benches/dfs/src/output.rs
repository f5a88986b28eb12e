//! Where a report goes: standard output, and the files that were asked for.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

/// What can be handed in: as Markdown by its `Display`, as JSON with every single figure.
pub trait Results: fmt::Display + Serialize {
    /// The beginning of its files' names: what was measured, and the day.
    fn stem(&self) -> String;
}

/// Where a report goes besides standard output.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OutputArgs {
    /// Write the report and the figures into this folder, named after what was measured and the day
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl OutputArgs {
    /// Prints the report, and writes the files that were asked for.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, report: &impl Results) -> Result<()> {
        print!("{report}");
        self.save(report)
    }

    /// Writes the files that were asked for.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, report: &impl Results) -> Result<()> {
        for path in [&self.json, &self.in_folder(report, "json")].into_iter().flatten() {
            write_file(path, &(serde_json::to_string_pretty(report)? + "\n"))?;
        }
        for path in [&self.markdown, &self.in_folder(report, "md")].into_iter().flatten() {
            write_file(path, &report.to_string())?;
        }
        Ok(())
    }

    /// The file of the report with this ending, if a folder is asked for.
    pub fn in_folder(&self, report: &impl Results, ending: &str) -> Option<PathBuf> {
        let dir = self.out.as_ref()?;
        Some(dir.join(format!("{}.{ending}", report.stem())))
    }
}

/// Writes a file, and says so; its folder is made.
///
/// # Errors
/// It cannot be written.
pub fn write_file(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
