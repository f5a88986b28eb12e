//! `quarry sql`: a thin client of Arrow Flight SQL. It plans nothing and holds no result; what it shows, any other
//! Flight SQL client can ask for.
//!
//! Exit codes: 0 all statements ran, 1 a statement failed, 2 usage, 3 no connection, 130 interrupted.

mod client;
mod editor;
mod figures;
mod meta;
mod render;
mod shell;
mod split;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

pub use client::{Answer, Error, SqlClient};
pub use figures::{Figures, Tag};
pub use render::{Format, Renderer};
pub use shell::{Ending, Shell, ShellOptions};
pub use split::{Statement, all as statements};

use crate::config::ClientConfig;
use crate::locate;

/// Exit code when a statement failed.
const FAILED: u8 = 1;
/// Exit code when the input cannot be used.
const USAGE: u8 = 2;
/// Exit code when there is no connection.
const NO_CONNECTION: u8 = 3;
/// Exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Rows that a table shows unless asked for more.
const DEFAULT_MAX_ROWS: usize = 1000;

/// Flags of `quarry sql`.
#[derive(Debug, Clone, Args)]
pub struct SqlArgs {
    /// The coordinator [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, env = "QUARRY_URL", value_name = "HOST:PORT")]
    pub url: Option<String>,
    /// Run these statements and leave; may be repeated
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    pub commands: Vec<String>,
    /// Run the statements of a file and leave, `-` for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Form of results [default: table on a terminal, csv elsewhere]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Rows that a table shows at most, 0 for all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_ROWS)]
    pub max_rows: usize,
    /// The user [default: the operating system's]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Runs `quarry sql`.
pub async fn run(args: SqlArgs, config: &ClientConfig) -> ExitCode {
    let code = match input(&args) {
        Err(error) => complain(USAGE, &error),
        Ok(input) => match connect(config).await {
            Err(error) => complain(NO_CONNECTION, &error),
            Ok(client) => converse(client, input, &args).await,
        },
    };
    ExitCode::from(code)
}

fn complain(code: u8, error: &dyn std::fmt::Display) -> u8 {
    eprintln!("error: {error:#}");
    code
}

async fn connect(config: &ClientConfig) -> anyhow::Result<SqlClient> {
    Ok(SqlClient::connect(&locate::sql_url(config)?, &locate::user(config)).await?)
}

/// Where the statements come from.
enum Input {
    Prompt,
    Texts(Vec<String>),
}

fn input(args: &SqlArgs) -> Result<Input, String> {
    let mut texts = args.commands.clone();
    let piped = args.commands.is_empty() && args.file.is_none() && !std::io::stdin().is_terminal();
    match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            texts.push(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        Some(_) => texts.push(standard_input()?),
        None if piped => texts.push(standard_input()?),
        None => {}
    }
    Ok(if texts.is_empty() {
        Input::Prompt
    } else {
        Input::Texts(texts)
    })
}

fn standard_input() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text)
}

async fn converse(client: SqlClient, input: Input, args: &SqlArgs) -> u8 {
    let terminal = std::io::stdout().is_terminal();
    let format = args
        .format
        .unwrap_or(if terminal { Format::Table } else { Format::Csv });
    let mut shell = Shell::new(
        client,
        ShellOptions {
            format,
            max_rows: args.max_rows,
            timing: false,
        },
    );
    match input {
        Input::Prompt => {
            shell.prompt().await;
            0
        }
        Input::Texts(texts) => {
            for text in texts {
                match shell.script(&text).await {
                    Ending::Done => {}
                    Ending::Failed => return FAILED,
                    Ending::Interrupted => return INTERRUPTED,
                }
            }
            0
        }
    }
}
