//! Transcripts: commands, and what Apache HDFS answered to them.
//!
//! A transcript is script and golden in one file:
//!
//! ```text
//! # a comment
//! $ -ls /dir            a command of FsShell; words are split at spaces, "double quotes" keep them together
//!   Found 1 items       a line of its stdout
//! ! ls: ...             a line of its stderr
//! = 1                   its exit code
//! $? -df /              a command of which only the exit code counts
//! = 0
//! % same A B            our own step: have two local files the same bytes?
//!   true
//! ```
//!
//! `$LOCAL` stands for a local folder. What differs from run to run is replaced on both sides: times by `<time>`, the NameNode's
//! address by `<namenode>`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::data;
use crate::shell::{FsShell, Outcome};

/// What a transcript runs against.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The shell that runs the commands.
    pub shell: &'a mut FsShell,
    /// What `$LOCAL` means.
    pub local: PathBuf,
    /// The NameNode, for its name in messages.
    pub namenode: SocketAddr,
}

impl Scene<'_> {
    /// Runs the commands of `transcript` and returns the transcript with the answers of this run. Answers in the input are ignored.
    ///
    /// # Errors
    /// A malformed line, or a dead shell.
    pub fn replay(&mut self, transcript: &str) -> Result<String> {
        let mut replayed = String::new();
        for line in transcript.lines() {
            if let Some(command) = line.strip_prefix("$? ") {
                let outcome = self.run(command)?;
                writeln!(replayed, "{line}\n= {}", outcome.code)?;
            } else if let Some(command) = line.strip_prefix("$ ") {
                let outcome = self.run(command)?;
                writeln!(replayed, "{line}")?;
                self.write_outcome(&mut replayed, &outcome)?;
            } else if let Some(step) = line.strip_prefix("% ") {
                writeln!(replayed, "{line}\n  {}", self.local_step(step)?)?;
            } else if line.is_empty() || line.starts_with('#') {
                writeln!(replayed, "{line}")?;
            } else if !is_answer(line) {
                bail!("a transcript line starts with '#', '$ ', '$? ', '% ', '  ', '! ' or '= ', but found: {line}");
            }
        }
        Ok(replayed)
    }

    fn run(&mut self, command: &str) -> Result<Outcome> {
        let words: Vec<String> = split_words(command)?
            .into_iter()
            .map(|word| self.fill_in(&word))
            .collect();
        self.shell.run(&words).with_context(|| command.to_owned())
    }

    fn local_step(&self, step: &str) -> Result<String> {
        let words = split_words(step)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["same", a, b] => {
                Ok(data::same_content(Path::new(&self.fill_in(a)), Path::new(&self.fill_in(b)))?.to_string())
            }
            _ => bail!("unknown step of ours '{step}': expected 'same A B'"),
        }
    }

    fn fill_in(&self, word: &str) -> String {
        word.replace("$LOCAL", &self.local.to_string_lossy())
            .replace("$NAMENODE", &self.namenode.to_string())
    }

    fn write_outcome(&self, to: &mut String, outcome: &Outcome) -> Result<()> {
        for line in outcome.out.lines() {
            writeln!(to, "  {}", self.without_accidents(line))?;
        }
        for line in outcome.err.lines() {
            writeln!(to, "! {}", self.without_accidents(line))?;
        }
        Ok(writeln!(to, "= {}", outcome.code)?)
    }

    fn without_accidents(&self, line: &str) -> String {
        let line = line
            .replace(&*self.local.to_string_lossy(), "$LOCAL")
            .replace(&format!("localhost:{}", self.namenode.port()), "<namenode>")
            .replace(&self.namenode.to_string(), "<namenode>");
        mask_times(&line)
    }
}

fn is_answer(line: &str) -> bool {
    line.starts_with("  ") || line.starts_with('!') || line.starts_with("= ")
}

/// Splits at spaces, except between double quotes.
fn split_words(command: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (i, part) in command.split('"').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    match command.matches('"').count() % 2 {
        0 => Ok(words),
        _ => bail!("a quote is not closed in: {command}"),
    }
}

/// Replaces each `2026-11-23 06:20` and `2026-11-23 06:20:11` by `<time>`.
pub(crate) fn mask_times(line: &str) -> String {
    const SHAPES: [&str; 2] = ["dddd-dd-dd dd:dd:dd", "dddd-dd-dd dd:dd"];
    let mut masked = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let time = SHAPES.iter().find(|shape| has_shape(rest, shape));
        let (text, skip) = time.map_or((&rest[..first.len_utf8()], first.len_utf8()), |shape| {
            ("<time>", shape.len())
        });
        masked.push_str(text);
        rest = &rest[skip..];
    }
    masked
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() >= shape.len()
        && shape
            .bytes()
            .zip(text.bytes())
            .all(|(s, t)| if s == b'd' { t.is_ascii_digit() } else { s == t })
}

/// Describes where two transcripts differ, or `None` if they are equal.
pub fn difference(expected: &str, found: &str) -> Option<String> {
    let mut command = "";
    let mut pairs = expected
        .lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(found.lines().map(Some).chain([None]));
    pairs.find_map(|(want, got)| {
        if want == got {
            command = want.filter(|line| line.starts_with(['$', '%'])).unwrap_or(command);
            return None;
        }
        let show = |line: Option<&str>| line.map_or("(end)".to_owned(), str::to_owned);
        Some(format!(
            "after   {command}\nexpected {}\nfound    {}\n\nfound in full:\n{found}",
            show(want),
            show(got)
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_masked_and_other_numbers_are_not() {
        assert_eq!(
            mask_times("- a 12 2026-11-23 06:20 /é-2026-11"),
            "- a 12 <time> /é-2026-11"
        );
        assert_eq!(mask_times("2026-11-23 06:20:11"), "<time>");
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(split_words("-put \"a b\" /x").unwrap(), ["-put", "a b", "/x"]);
        assert!(split_words("-put \"a b").is_err());
    }

    #[test]
    fn a_missing_or_changed_line_is_a_difference() {
        assert_eq!(difference("$ -ls /\n= 0\n", "$ -ls /\n= 0\n"), None);
        assert!(
            difference("$ -ls /\n= 0\n", "$ -ls /\n= 1\n")
                .unwrap()
                .contains("expected = 0\nfound    = 1")
        );
        assert!(
            difference("$ -ls /\n= 0\n", "$ -ls /\n")
                .unwrap()
                .contains("found    (end)")
        );
        assert!(
            difference("$ -ls /\n", "$ -ls /\n= 0\n")
                .unwrap()
                .contains("expected (end)")
        );
    }
}
