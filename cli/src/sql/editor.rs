//! The prompt: line editing with history, and statements that go on until their `;`.

use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Helper};

use super::split;
use crate::locate;

/// Statements kept between sessions.
const HISTORY: usize = 10_000;

/// What the user typed.
#[derive(Debug)]
pub(super) enum Line {
    /// One or more statements, or a meta-command.
    Text(String),
    /// Ctrl-C: forget what was typed.
    Discarded,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// The prompt's editor.
pub(super) struct Editor {
    inner: rustyline::Editor<Statements, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// Takes the terminal, with the history of earlier sessions.
    pub(super) fn open() -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .auto_add_history(true)
            .build();
        let mut inner = rustyline::Editor::with_config(config)?;
        inner.set_helper(Some(Statements));
        let history = locate::state_dir().map(|dir| dir.join("sql_history"));
        if let Some(path) = &history {
            // Absent at the first start; unreadable is no reason to refuse the prompt.
            let _ = inner.load_history(path);
        }
        Ok(Self { inner, history })
    }

    /// Reads one input. The editor moves to a blocking thread and comes back with the line.
    pub(super) async fn read(mut self) -> (Self, Line) {
        let task = tokio::task::spawn_blocking(move || {
            let line = self.read_blocking();
            (self, line)
        });
        task.await.expect("the line editor does not panic")
    }

    fn read_blocking(&mut self) -> Line {
        match self.inner.readline("quarry> ") {
            Ok(text) => {
                self.save();
                Line::Text(text)
            }
            Err(ReadlineError::Interrupted) => Line::Discarded,
            Err(_) => Line::End,
        }
    }

    fn save(&mut self) {
        if let Some(path) = &self.history {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = self.inner.append_history(path);
        }
    }
}

/// Decides whether Enter ends the input: after a meta-command, or when nothing is left open after the last `;`.
struct Statements;

impl Validator for Statements {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_finished(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

fn is_finished(input: &str) -> bool {
    let text = input.trim();
    text.is_empty() || text.starts_with('\\') || split::split(text).rest.is_none()
}

impl Helper for Statements {}
impl Hinter for Statements {
    type Hint = String;
}
impl Highlighter for Statements {}
impl Completer for Statements {
    type Candidate = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_on_until_the_semicolon() {
        for finished in ["", "\\dt", "select 1;", "select ';';", "select 1; select 2; "] {
            assert!(is_finished(finished), "{finished}");
        }
        for open in ["select", "select ';", "select 1; select", "/* a;"] {
            assert!(!is_finished(open), "{open}");
        }
    }
}
