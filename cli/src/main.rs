//! The binary: parse the command line, put the configuration together, start the log, run one command.

use std::process::ExitCode;

use clap::Parser;
use quarry::args::{Cli, Command, ConfigCommand, with_fs_command};
use quarry::config::{self, Layers, Loaded, Setting};
use quarry::shutdown::end_with_supervisor;
use quarry::{admin, demo, fs, local, roles, sql, telemetry, tpch};

/// Exit status of a command line or a configuration that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse_from(with_fs_command(std::env::args_os()));
    let layers = layers(&cli);
    let (layers, loaded) = match layers.and_then(|layers| Ok((layers.load()?, layers))) {
        Ok((loaded, layers)) => (layers, loaded),
        Err(error) => return fail(USAGE, &error),
    };
    if cli.command.supervised() {
        end_with_supervisor();
    }
    match run(cli, layers, loaded) {
        Ok(code) => code,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("quarry: {error:#}");
    ExitCode::from(code)
}

fn layers(cli: &Cli) -> anyhow::Result<Layers> {
    let file = cli.global.config.clone().or_else(config::usual_file);
    let mut settings = quiet_tools(&cli.command);
    // A variable that is not Unicode cannot be one of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    settings.extend(config::from_environment(variables));
    settings.extend(cli.global.settings()?);
    settings.extend(cli.command.settings());
    Ok(Layers { file, settings })
}

/// A person's tool logs warnings only, and in text, unless the environment or a flag says otherwise.
fn quiet_tools(command: &Command) -> Vec<Setting> {
    if !command.is_tool() || matches!(command, Command::Config(_)) {
        return Vec::new();
    }
    vec![
        Setting::flag("(tool)", "log.filter", "warn"),
        Setting::flag("(tool)", "log.format", "text"),
    ]
}

fn run(cli: Cli, layers: Layers, loaded: Loaded) -> anyhow::Result<ExitCode> {
    if let Command::Config(args) = &cli.command {
        return show_config(&args.command, &loaded);
    }
    let config = loaded.config;
    telemetry::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = |()| ExitCode::SUCCESS;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Namenode(_) => roles::run_namenode(config).await.map(done),
            Command::Datanode(_) => roles::run_datanode(config).await.map(done),
            Command::Worker(_) => roles::run_worker(config).await.map(done),
            Command::Node(_) => roles::run_node(config).await.map(done),
            Command::Coordinator(_) => roles::run_coordinator(config).await.map(done),
            Command::Local(args) => Box::pin(local::run(args, layers)).await.map(done),
            Command::Demo(args) => Box::pin(demo::run(args, layers)).await,
            Command::Fs(args) => fs::run(args, &config.client).await,
            Command::Admin(args) => admin::run(args, &config.client).await,
            Command::Sql(args) => Ok(sql::run(args, &config.client).await),
            Command::Tpch(args) => Box::pin(tpch::run(args, &config.client)).await,
            Command::Config(_) => unreachable!("answered above"),
        }
    });
    // A reader of standard input may still sit in a blocking call: nobody waits for it.
    runtime.shutdown_background();
    outcome
}

fn show_config(command: &ConfigCommand, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Print { origin: false } => print!("{}", toml::to_string_pretty(&loaded.config)?),
        ConfigCommand::Print { origin: true } => {
            for (key, value, origin) in loaded.entries()? {
                println!("{key} = {value}  # {origin}");
            }
        }
        ConfigCommand::Check => return Ok(check(loaded)),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(loaded: &Loaded) -> ExitCode {
    let problems = loaded.problems();
    for problem in &problems {
        eprintln!("quarry: {problem}");
    }
    if problems.is_empty() {
        println!("configuration is valid");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(USAGE)
}
