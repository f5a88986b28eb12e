//! `safemode`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quarry_dfs_wire::proto::dfs_v1 as pb;

use super::link::{self, Link};

/// Pause between two questions whether safe mode is off.
const PAUSE: Duration = Duration::from_millis(500);

/// Flags of `safemode`.
#[derive(Debug, Clone, Args)]
pub struct SafeModeArgs {
    /// What to do
    #[arg(value_enum, ignore_case = true)]
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Tell whether it is on
    Get,
    /// Switch it on
    Enter,
    /// Switch it off
    Leave,
    /// Wait until it is off
    Wait,
    /// Switch it off although blocks are missing
    #[value(name = "forceExit", alias = "force-exit")]
    ForceExit,
}

/// Shows or changes safe mode.
pub(super) async fn run(link: &mut Link, args: &SafeModeArgs, json: bool) -> anyhow::Result<ExitCode> {
    let action = match args.action {
        Action::Get | Action::Wait => pb::SafeModeAction::Get,
        Action::Enter => pb::SafeModeAction::Enter,
        Action::Leave => pb::SafeModeAction::Leave,
        Action::ForceExit => pb::SafeModeAction::ForceExit,
    };
    let mut state = ask(link, action).await?;
    while args.action == Action::Wait && state.on {
        tokio::time::sleep(PAUSE).await;
        state = ask(link, action).await?;
    }
    if json {
        super::print_json(&serde_json::json!({ "on": state.on, "text": state.text }))?;
    } else {
        println!("Safe mode is {}", if state.on { "ON" } else { "OFF" });
        if state.on && !state.text.is_empty() {
            println!("{}", state.text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(link: &mut Link, action: pb::SafeModeAction) -> anyhow::Result<pb::SafeModeResponse> {
    let request = link.request(pb::SafeModeRequest { action: action.into() })?;
    link::answer(link.service().await?.safe_mode(request).await)
}
