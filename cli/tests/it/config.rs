//! Where configuration comes from, which layer wins, and what is refused.

use crate::support::Home;

const KEY: &str = "namenode.default_replication";
const ENV: &str = "QUARRY__NAMENODE__DEFAULT_REPLICATION";

fn with_file(text: &str) -> (Home, String) {
    let home = Home::new();
    let file = home.path("quarry.toml");
    std::fs::write(&file, text).unwrap();
    (home, file.to_str().unwrap().to_owned())
}

/// The line of `config print --origin` for a key.
fn printed(home: &Home, args: &[&str], env: Option<&str>) -> String {
    let mut command = home.command(args);
    command.args(["config", "print", "--origin"]);
    env.map(|value| command.env(ENV, value));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find(|line| line.starts_with(KEY)).unwrap().to_owned()
}

#[test]
fn later_layers_win_and_the_origin_is_shown() {
    let (home, file) = with_file("[namenode]\ndefault_replication = 2\n");
    assert!(printed(&home, &[], None).ends_with("# default"));
    let from_file = printed(&home, &["--config", &file], None);
    assert_eq!(from_file, format!("{KEY} = 2  # file {file}"));
    let from_environment = printed(&home, &["--config", &file], Some("4"));
    assert_eq!(from_environment, format!("{KEY} = 4  # environment {ENV}"));
    let flag = format!("{KEY}=5");
    let from_flag = printed(&home, &["--config", &file, "--set", &flag], Some("4"));
    assert_eq!(from_flag, format!("{KEY} = 5  # flag --set {flag}"));
}

#[test]
fn the_users_own_file_is_found() {
    let home = Home::new();
    std::fs::create_dir_all(home.path(".config/quarry")).unwrap();
    std::fs::write(
        home.path(".config/quarry/quarry.toml"),
        "[namenode]\ndefault_replication = 7\n",
    )
    .unwrap();
    assert!(printed(&home, &[], None).starts_with(&format!("{KEY} = 7  # file ")));
}

#[test]
fn what_is_printed_can_be_read_back() {
    let home = Home::new();
    let text = home.run(&["config", "print"]).ok();
    let file = home.path("printed.toml");
    std::fs::write(&file, &text).unwrap();
    assert_eq!(
        home.run(&["--config", file.to_str().unwrap(), "config", "print"]).ok(),
        text
    );
}

#[test]
fn unknown_keys_are_refused_by_name_in_every_layer() {
    let (home, file) = with_file("[namenode]\ndefault_replicaton = 2\n");
    let ran = home.run(&["--config", &file, "config", "print"]);
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stderr().contains("default_replicaton") && ran.stderr().contains(&file),
        "{}",
        ran.stderr()
    );
    assert!(ran.stderr().contains("line 2"), "{}", ran.stderr());

    let ran = home.run(&["--set", "nosuch.key=1", "config", "print"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("nosuch"), "{}", ran.stderr());

    let output = home
        .command(&["config", "print"])
        .env("QUARRY__WORKER__TREADS", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("QUARRY__WORKER__TREADS") && message.contains("treads"),
        "{message}"
    );
}

#[test]
fn values_have_types_and_units() {
    let home = Home::new();
    let ran = home.run(&[
        "--set",
        "worker.memory_limit=3GiB",
        "--set",
        "worker.drain_timeout=90s",
        "config",
        "print",
    ]);
    let text = ran.ok();
    assert!(text.contains("memory_limit = \"3.0 GiB\""), "{text}");
    assert!(text.contains("drain_timeout = \"1m 30s\""), "{text}");

    let ran = home.run(&["--set", "worker.memory_limit=plenty", "config", "print"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("worker.memory_limit=plenty"), "{}", ran.stderr());
}

#[test]
fn check_looks_at_the_sections_that_are_configured() {
    let home = Home::new();
    assert_eq!(home.run(&["config", "check"]).ok(), "configuration is valid\n");
    let ran = home.run(&["--set", "worker.namenode=nowhere", "config", "check"]);
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stderr().contains("[worker]") && ran.stderr().contains("nowhere"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn nonsense_on_the_command_line_is_a_usage_error() {
    let home = Home::new();
    assert_eq!(home.run(&["frobnicate"]).code(), 2);
    assert_eq!(home.run(&["--set", "novalue", "config", "print"]).code(), 2);
    assert_eq!(
        home.run(&["--config", "/nonexistent/quarry.toml", "config", "print"])
            .code(),
        2
    );
}

#[test]
fn the_documentation_shows_every_key_with_its_default() {
    let output = Home::new()
        .command(&["config", "print"])
        .env_remove("TMPDIR")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let page = include_str!("../../../docs/configuration.md");
    let shown = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    assert_eq!(
        printed, shown,
        "put what `quarry config print` says into docs/configuration.md"
    );
}
