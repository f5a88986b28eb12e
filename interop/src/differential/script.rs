//! Scripts: steps, and what Apache HDFS answered to them.
//!
//! ```text
//! # a comment
//! > mkdirs /dir 755            a call of the API by the user `quarry` (java/driver has the verbs)
//!   true                       a line that it printed
//! > ann: status /dir/absent    by the user ann; `ann#2` is a second client of hers
//! ! java.io.FileNotFo...       the class and first line of its exception
//! $ fs -ls /                   a program (fs, dfsadmin or fsck): stdout, "! " and stderr, "= " and its exit code
//! $ bob: fs -rm /x             the same in another's name
//! $? dfsadmin -report          of this step only the exit code counts
//! ```
//!
//! Words are split at spaces; "double quotes" keep them together. `$LOCAL` and `$NAMENODE` are filled in.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A script, with one system's answers.
#[derive(Debug, Clone)]
pub struct Script {
    /// The name of the file without `.script`.
    pub name: String,
    /// Its steps in order.
    pub steps: Vec<Step>,
    /// What follows the last step: comments.
    pub rest: Vec<String>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// Comments and empty lines before it.
    pub before: Vec<String>,
    /// The whole line, such as `> ann: mkdirs /dir`.
    pub command: String,
    /// Which occurrence of this line in the script it is, from 1.
    pub nth: usize,
    /// The lines of the answer, with their marks.
    pub answer: Vec<String>,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// It is unreadable, or a line is none of a script.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&name, &text).with_context(|| file.display().to_string())
    }

    /// Takes a script apart.
    ///
    /// # Errors
    /// A line is none of a script.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::new();
        let mut before = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for line in text.lines() {
            if line.starts_with(['>', '$']) {
                let nth = seen.entry(line.to_owned()).or_default();
                *nth += 1;
                steps.push(Step {
                    before: std::mem::take(&mut before),
                    command: line.to_owned(),
                    nth: *nth,
                    answer: Vec::new(),
                });
            } else if line.is_empty() || line.starts_with('#') {
                before.push(line.to_owned());
            } else if line.starts_with("  ") || line.starts_with("! ") || line == "!" || line.starts_with("= ") {
                let step = steps.last_mut().context("an answer before the first step")?;
                step.answer.push(line.to_owned());
            } else {
                bail!("a line starts with '#', '> ', '$ ', '$? ', '  ', '! ' or '= ', but found: {line}");
            }
        }
        Ok(Self {
            name: name.to_owned(),
            steps,
            rest: before,
        })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            for line in step.before.iter().chain([&step.command]).chain(&step.answer) {
                let _ = writeln!(text, "{line}");
            }
        }
        for line in &self.rest {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// What a step asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Who does it.
    pub user: String,
    /// The words: program and arguments.
    pub words: Vec<String>,
    /// Whether only the exit code counts.
    pub only_code: bool,
}

/// Takes the line of a step apart.
///
/// # Errors
/// A quote is not closed, or nothing is asked for.
pub fn command(line: &str) -> Result<Command> {
    let (api, only_code, rest) = match (
        line.strip_prefix("> "),
        line.strip_prefix("$? "),
        line.strip_prefix("$ "),
    ) {
        (Some(rest), _, _) => (true, false, rest),
        (_, Some(rest), _) => (false, true, rest),
        (_, _, Some(rest)) => (false, false, rest),
        _ => bail!("a step starts with '> ', '$ ' or '$? ', but found: {line}"),
    };
    let mut words = split(rest)?;
    let mut user = crate::USER.to_owned();
    if let Some(name) = words.first().and_then(|word| word.strip_suffix(':')) {
        user = name.to_owned();
        words.remove(0);
    }
    if api {
        words.insert(0, "api".to_owned());
    }
    if words.len() < 1 + usize::from(api) {
        bail!("nothing is asked for in: {line}");
    }
    Ok(Command { user, words, only_code })
}

/// Splits at spaces, except between double quotes.
fn split(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (i, part) in text.split('"').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    if text.matches('"').count() % 2 == 1 {
        bail!("a quote is not closed in: {text}");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str =
        "# c\n> mkdirs /a\n  true\n\n> ann: status /b\n! java.io.X: y\n> mkdirs /a\n  true\n$ fs -ls /\n= 0\n# end\n";

    #[test]
    fn a_script_comes_back_as_it_was() {
        let script = Script::parse("s", TEXT).unwrap();
        assert_eq!(script.text(), TEXT);
        assert_eq!(script.steps[2].nth, 2);
        assert_eq!(script.steps[1].answer, ["! java.io.X: y"]);
    }

    #[test]
    fn a_step_has_a_user_and_words() {
        let step = command("> ann#2: create s \"/a b\"").unwrap();
        assert_eq!(
            (step.user.as_str(), step.words.join("|").as_str()),
            ("ann#2", "api|create|s|/a b")
        );
        assert!(command("$? fs -df /").unwrap().only_code);
        assert!(command("> ann:").is_err());
        assert!(command("$ fs -put \"a").is_err());
    }

    #[test]
    fn a_line_that_is_none_of_a_script_is_refused() {
        assert!(Script::parse("s", "mkdirs /a\n").is_err());
        assert!(Script::parse("s", "  true\n").is_err());
    }
}
