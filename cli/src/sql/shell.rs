//! Statements and meta-commands, from a text or from the prompt, with their results on standard output and everything
//! else on standard error.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use futures::TryStreamExt;

use super::client::{Answer, Error, SqlClient};
use super::editor::{Editor, Line};
use super::meta::{self, Meta};
use super::render::{Format, Renderer};
use super::split::{self, Statement};

/// What a session shows and how.
#[derive(Debug, Clone, Copy)]
pub struct ShellOptions {
    /// Form of results.
    pub format: Format,
    /// Rows that a table shows at most, 0 for all.
    pub max_rows: usize,
    /// Whether each statement's time is shown.
    pub timing: bool,
}

/// A conversation with one coordinator.
#[derive(Debug)]
pub struct Shell {
    client: SqlClient,
    options: ShellOptions,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every statement ran.
    Done,
    /// A statement failed; those after it were not run.
    Failed,
    /// The user interrupted a statement; those after it were not run.
    Interrupted,
}

/// How a statement ended.
enum Outcome {
    Done(Shown),
    Failed(Error),
    Cancelled,
}

/// What a statement left on the screen.
enum Shown {
    Rows,
    Affected(i64),
    Nothing,
}

impl Shell {
    /// A conversation over an open session.
    pub fn new(client: SqlClient, options: ShellOptions) -> Self {
        Self { client, options }
    }

    /// Runs the statements of a text, or its one meta-command, up to the first that fails.
    pub async fn script(&mut self, text: &str) -> Ending {
        if let Some(command) = text.trim().strip_prefix('\\') {
            let worked = self.meta(command).await.unwrap_or(true);
            return if worked { Ending::Done } else { Ending::Failed };
        }
        let statements = split::all(text);
        let several = statements.len() > 1;
        for statement in statements {
            let ending = self.statement(statement, several).await;
            if ending != Ending::Done {
                return ending;
            }
        }
        Ending::Done
    }

    /// Reads and answers until the user leaves.
    pub async fn prompt(&mut self) {
        let mut editor = match Editor::open() {
            Ok(editor) => editor,
            Err(error) => return eprintln!("error: the terminal cannot be used: {error}"),
        };
        println!("Connected to {}. \\? for help, \\q to leave.", self.client.url());
        loop {
            let (back, line) = editor.read().await;
            editor = back;
            match line {
                Line::Text(text) => {
                    if let Some(command) = text.trim().strip_prefix('\\') {
                        if self.meta(command).await.is_none() {
                            return;
                        }
                    } else {
                        self.script(&text).await;
                    }
                }
                Line::Discarded => {}
                Line::End => return,
            }
        }
    }

    /// Runs a meta-command: `None` to leave, else whether it worked.
    async fn meta(&mut self, command: &str) -> Option<bool> {
        let answer = match meta::parse(command) {
            Meta::Quit => return None,
            Meta::Help => {
                println!("{}", meta::HELP);
                Ok(())
            }
            Meta::Timing => {
                self.options.timing = !self.options.timing;
                println!("Timing is {}.", if self.options.timing { "on" } else { "off" });
                Ok(())
            }
            Meta::MaxRows(rows) => {
                self.options.max_rows = rows;
                Ok(())
            }
            Meta::Format(format) => {
                self.options.format = format;
                Ok(())
            }
            Meta::Tables => meta::tables(&mut self.client)
                .await
                .and_then(|batches| self.show(&batches)),
            Meta::Describe(name) => meta::describe(&mut self.client, &name)
                .await
                .and_then(|batches| self.show(&batches)),
            Meta::Unknown(problem) => Err(problem),
        };
        Some(answer.map_err(|problem| eprintln!("error: {problem}")).is_ok())
    }

    fn show(&self, batches: &[arrow::array::RecordBatch]) -> Result<(), String> {
        let Some(first) = batches.first() else { return Ok(()) };
        let mut renderer = self.renderer(&first.schema()).map_err(|error| error.to_string())?;
        for batch in batches {
            renderer.batch(batch).map_err(|error| error.to_string())?;
        }
        renderer.finish().map(|_| ()).map_err(|error| error.to_string())
    }

    fn renderer(&self, schema: &arrow::datatypes::SchemaRef) -> Result<Renderer<std::io::Stdout>, Error> {
        Renderer::new(self.options.format, schema, self.options.max_rows, stdout()).map_err(unwritten)
    }

    async fn statement(&mut self, statement: Statement<'_>, one_of_several: bool) -> Ending {
        let begin = Instant::now();
        match self.cancellable(statement.text).await {
            Outcome::Done(shown) => {
                self.report(&shown, begin.elapsed());
                Ending::Done
            }
            Outcome::Failed(error) => {
                let place = if one_of_several {
                    format!(" in the statement at line {}", statement.line)
                } else {
                    String::new()
                };
                eprintln!("error{place}: {error}");
                Ending::Failed
            }
            Outcome::Cancelled => {
                eprintln!("cancelled");
                Ending::Interrupted
            }
        }
    }

    /// Ctrl-C drops the call or the stream, and with it the query on the server.
    async fn cancellable(&mut self, text: &str) -> Outcome {
        tokio::select! {
            outcome = self.answer(text) => outcome.map_or_else(Outcome::Failed, Outcome::Done),
            _ = tokio::signal::ctrl_c() => Outcome::Cancelled,
        }
    }

    async fn answer(&mut self, text: &str) -> Result<Shown, Error> {
        let Answer {
            schema,
            affected,
            mut batches,
        } = self.client.execute(text).await?;
        if schema.fields().is_empty() {
            while batches.try_next().await?.is_some() {}
            return Ok(affected.map_or(Shown::Nothing, Shown::Affected));
        }
        let mut renderer = self.renderer(&schema)?;
        while let Some(batch) = batches.try_next().await? {
            renderer.batch(&batch).map_err(unwritten)?;
        }
        renderer.finish().map_err(unwritten)?;
        Ok(Shown::Rows)
    }

    fn report(&self, shown: &Shown, elapsed: Duration) {
        let person = std::io::stderr().is_terminal();
        match shown {
            Shown::Affected(rows) if person && *rows > 0 => eprintln!("OK, {rows} rows"),
            Shown::Affected(_) | Shown::Nothing if person => eprintln!("OK"),
            Shown::Rows | Shown::Affected(_) | Shown::Nothing => {}
        }
        if self.options.timing {
            eprintln!("Time: {:.1} ms", elapsed.as_secs_f64() * 1000.0);
        }
        // A closed pipe shows at the next write.
        let _ = stdout().flush();
    }
}

fn unwritten(error: arrow::error::ArrowError) -> Error {
    Error::Protocol(format!("the result cannot be written: {error}"))
}
