//! Handshake, sessions, settings.

use arrow_flight::{Action, Empty};
use tonic::Code;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_keeps_the_session_over_connections_and_strangers_are_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.handshake("ada", "secret").await.unwrap();
    update(&mut client, "create schema s").await.unwrap();
    update(&mut client, "use s").await.unwrap();
    let token = client.token().unwrap().clone();
    let mut again = server.client().await;
    again.set_token(token);
    update(&mut again, "create view v as select 1").await.unwrap();
    assert_eq!(
        rows(&mut again, "show tables from s").await,
        [["quarry", "s", "v", "VIEW"]]
    );
    let users = rows(&mut again, "select distinct \"user\" from system.queries").await;
    assert_eq!(users, [["ada"]]);
    let mut stranger = server.client().await;
    stranger.set_token("guessed".into());
    assert_eq!(failure(&mut stranger, "select 1").await.0, Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_connections_have_sessions_of_their_own() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    update(&mut one, "create schema s; use s").await.unwrap();
    update(&mut one, "set datafusion.execution.batch_size = 17")
        .await
        .unwrap();
    assert_eq!(rows(&mut one, "show datafusion.execution.batch_size").await[0][1], "17");
    assert_ne!(rows(&mut two, "show datafusion.execution.batch_size").await[0][1], "17");
    update(&mut one, "create view v as select 1").await.unwrap();
    assert_eq!(failure(&mut two, "select * from v").await.0, Code::NotFound);
    update(&mut one, "reset datafusion.execution.batch_size").await.unwrap();
    assert_ne!(rows(&mut one, "show datafusion.execution.batch_size").await[0][1], "17");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_say_how_a_session_begins_and_not_how_it_goes_on() {
    let server = Server::start().await;
    let mut client = server.client().await;
    update(&mut client, "create schema s; create view s.v as select 7 as x")
        .await
        .unwrap();
    let mut client = server.client().await;
    client.set_header("catalog", "quarry");
    client.set_header("schema", "s");
    client.set_header("quarry.statement_timeout", "77s");
    assert_eq!(rows(&mut client, "select x from v").await, [["7"]]);
    assert_eq!(rows(&mut client, "show quarry.statement_timeout").await[0][1], "77s");
    update(&mut client, "use default").await.unwrap();
    assert_eq!(failure(&mut client, "select x from v").await.0, Code::NotFound);
    for (name, value, code) in [
        ("schema", "nowhere", Code::NotFound),
        ("catalog", "nowhere", Code::NotFound),
        ("database", "nowhere", Code::NotFound),
        ("x-quarry-no-such-setting", "1", Code::InvalidArgument),
    ] {
        let mut client = server.client().await;
        client.set_header(name, value);
        assert_eq!(failure(&mut client, "select 1").await.0, code, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_belong_to_the_traces_of_their_clients() {
    let server = Server::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let mut client = server.client().await;
    client.set_header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(rows(&mut client, "select 41 + 1").await, [["42"]]);
    update(&mut client, "create view v as select 41 + 1").await.unwrap();
    let mut other = server.client().await;
    let of_trace = format!("select count(*) from system.queries where sql like '%41 + 1' and trace_id = '{trace}'");
    assert_eq!(rows(&mut other, &of_trace).await, [["2"]]);
    let own = "select count(*) from system.queries where trace_id is null";
    assert_eq!(rows(&mut other, own).await, [["2"]], "this one and the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_users_lets_nobody_else_in() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[users.ada]\npassword = \"right\"\n[users.robot]\ntoken = \"t0ken\"\n",
    )
    .unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::with(|config| config.users_file = Some(file.path().to_owned())).await;
    let mut ada = server.client().await;
    ada.handshake("ada", "right").await.unwrap();
    let who = "select distinct \"user\" from system.sessions order by 1";
    assert_eq!(rows(&mut ada, who).await, [["ada"]]);
    let mut robot = server.client().await;
    robot.set_token("t0ken".to_owned());
    assert_eq!(rows(&mut robot, who).await, [["ada"], ["robot"]]);
    for (user, password) in [("ada", "wrong"), ("eve", "right"), ("robot", "t0ken")] {
        assert!(server.client().await.handshake(user, password).await.is_err(), "{user}");
    }
    let mut anonymous = server.client().await;
    assert_eq!(failure(&mut anonymous, "select 1").await.0, Code::Unauthenticated);
    let mut cookie = server.client().await;
    cookie.set_header("cookie", "arrow_flight_session_id=0123456789abcdef0123456789abcdef");
    assert_eq!(failure(&mut cookie, "select 1").await.0, Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_outside_the_list_are_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for sql in [
        "set datafusion.runtime.memory_limit = '100G'",
        "set distributed.max_tasks_per_stage = 1",
        "set datafusion.execution.batch_size = 0",
        "set datafusion.optimizer.repartition_file_scans = true",
        "use nowhere",
        "reset datafusion.runtime.memory_limit",
    ] {
        let error = update(&mut client, sql).await.expect_err(sql);
        assert!(
            matches!(status(&error).code(), Code::InvalidArgument | Code::NotFound),
            "{sql}: {error}"
        );
    }
    let listed = rows(&mut client, "show settings").await;
    assert!(listed.iter().any(|row| row[0] == "quarry.statement_timeout"));
}

async fn act(client: &mut Client, name: &str, body: Vec<u8>) -> Vec<u8> {
    let mut results = client
        .inner_mut()
        .do_action(Action::new(name, body))
        .await
        .unwrap()
        .into_inner();
    results.message().await.unwrap().unwrap().body.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn session_options_by_action() {
    let server = Server::start().await;
    let mut client = server.client().await;
    update(&mut client, "create schema s").await.unwrap();
    // SetSessionOptionsRequest { session_options: { "schema": { string: "s" } } }, byte by byte.
    let entry = [&b"\x0a\x06schema\x12\x03\x0a\x01s"[..]].concat();
    let request = [&[0x0a, entry.len() as u8][..], &entry].concat();
    assert!(
        act(&mut client, "SetSessionOptions", request.clone()).await.is_empty(),
        "no errors"
    );
    let options = act(&mut client, "GetSessionOptions", Vec::new()).await;
    let text = String::from_utf8_lossy(&options).into_owned();
    assert!(
        text.contains("catalog") && text.contains("quarry") && text.contains("\u{1}s"),
        "{text:?}"
    );
    update(&mut client, "create view v as select 1").await.unwrap();
    assert_eq!(rows(&mut client, "show tables from s").await.len(), 1);
    let unknown = request
        .iter()
        .map(|byte| if *byte == b's' { b'q' } else { *byte })
        .collect();
    assert!(
        !act(&mut client, "SetSessionOptions", unknown).await.is_empty(),
        "an error per option"
    );
    assert_eq!(act(&mut client, "CloseSession", Vec::new()).await, [0x08, 1]);
    assert_eq!(failure(&mut client, "select * from v").await.0, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_listed_and_unknown_ones_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut listed = client.inner_mut().list_actions(Empty {}).await.unwrap().into_inner();
    let mut count = 0;
    while listed.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 8);
    for (name, body, code) in [
        ("BeginTransaction", vec![], Code::Unimplemented),
        ("CreatePreparedStatement", vec![0xff; 40], Code::InvalidArgument),
        ("CancelFlightInfo", vec![], Code::InvalidArgument),
    ] {
        let error = client.inner_mut().do_action(Action::new(name, body)).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_address_needs_the_word() {
    let config = CoordinatorConfig {
        address: "0.0.0.0:0".parse().unwrap(),
        ..CoordinatorConfig::default()
    };
    let error = Coordinator::start(config).await.unwrap_err();
    assert!(error.to_string().contains("insecure"), "{error}");
}
