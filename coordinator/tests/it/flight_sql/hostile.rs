//! Statements and bytes that want to take the server down. Each gets an error; the neighbour's query is undisturbed.

use std::time::Duration;

use arrow_flight::FlightDescriptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use super::*;

fn bombs() -> Vec<(&'static str, String)> {
    let repeat = |text: &str, times: usize| text.repeat(times);
    let join = |item: &str, times: usize, with: &str| vec![item; times].join(with);
    let doubling = (1..40).map(|level| {
        format!(
            "c{level} as (select * from c{0} union all select * from c{0})",
            level - 1
        )
    });
    let doubling = doubling.collect::<Vec<_>>().join(", ");
    vec![
        (
            "parentheses",
            format!("select {}1{}", repeat("(", 100_000), repeat(")", 100_000)),
        ),
        ("open parentheses", format!("select {}", repeat("(", 100_000))),
        (
            "subqueries",
            format!("select {}1{}", repeat("(select ", 10_000), repeat(")", 10_000)),
        ),
        (
            "derived tables",
            format!(
                "select * from {}t{}",
                repeat("(select * from ", 5_000),
                repeat(")", 5_000)
            ),
        ),
        ("additions", format!("select {}", join("1", 100_000, " + "))),
        ("ors", format!("select 1 where {}", join("1 = 2", 100_000, " or "))),
        ("concatenations", format!("select {}", join("'a'", 50_000, " || "))),
        ("negations", format!("select {} true", repeat("not ", 100_000))),
        ("minus", format!("select {}1", repeat("- ", 100_000))),
        ("casts", format!("select 1{}", repeat("::int", 50_000))),
        (
            "cases",
            format!(
                "select {}1{}",
                repeat("case when true then ", 10_000),
                repeat(" end", 10_000)
            ),
        ),
        (
            "brackets",
            format!("select {}1{}", repeat("[", 50_000), repeat("]", 50_000)),
        ),
        ("unions", join("select 1", 50_000, " union all ")),
        (
            "joins",
            format!("select 1 from {}", join("(values (1)) t", 50_000, " cross join ")),
        ),
        (
            "commas",
            format!("select 1 from {}", join("information_schema.tables", 5_000, ", ")),
        ),
        (
            "doubling",
            format!("with c0 as (select 1 as x), {doubling} select count(*) from c39"),
        ),
        ("long text", format!("select '{}'", repeat("x", 17 << 20))),
        ("open string", format!("select '{}", repeat("x", 1 << 20))),
        ("zero bytes", "select \0\0\0".to_owned()),
        ("statements", repeat("create schema; ", 1_000)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_get_an_error_and_leave_the_server_up() {
    let server = Server::start().await;
    let mut neighbour = server.client().await;
    for (name, sql) in bombs() {
        let mut client = server.client().await;
        let answer = tokio::time::timeout(Duration::from_secs(120), failure(&mut client, &sql)).await;
        let (code, message) = answer.unwrap_or_else(|_| panic!("{name}: no answer"));
        assert!(
            matches!(code, Code::InvalidArgument | Code::NotFound | Code::Unimplemented),
            "{name}: {code:?} {message}"
        );
        assert!(message.len() < 4_000, "{name}: a message of {} bytes", message.len());
        assert_eq!(rows(&mut neighbour, "select 1").await, [["1"]], "after {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_but_flat_still_works() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let list = (0..20_000)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!("select count(*) from generate_series(1, 100) t where t.value in ({list})");
    assert_eq!(rows(&mut client, &sql).await, [["100"]]);
    let values = (0..5_000)
        .map(|number| format!("({number})"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        rows(&mut client, &format!("select count(*) from (values {values}) t")).await,
        [["5000"]]
    );
    let sum = vec!["1"; 900].join(" + ");
    assert_eq!(rows(&mut client, &format!("select {sum}")).await, [["900"]]);
    let ors = (0..900)
        .map(|number| format!("value = {number}"))
        .collect::<Vec<_>>()
        .join(" or ");
    let sql = format!("select count(*) from generate_series(1, 10) t where {ors}");
    assert_eq!(rows(&mut client, &sql).await, [["10"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_close_at_most_their_connection() {
    let server = Server::start().await;
    for garbage in [
        vec![0_u8; 10_000],
        vec![0xff; 10_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nXX".to_vec(),
    ] {
        let mut socket = tokio::net::TcpStream::connect(server.handle.addr()).await.unwrap();
        let _ = socket.write_all(&garbage).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer))
            .await
            .expect("closed");
    }
    let mut client = server.client().await;
    for command in [vec![], vec![0xff; 100], b"select 1".to_vec()] {
        let error = client
            .inner_mut()
            .get_flight_info(FlightDescriptor::new_cmd(command.clone()))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{command:?}");
        let error = client.inner_mut().do_get(Ticket::new(command)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    assert_eq!(rows(&mut client, "select 1").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_the_memory_limit_fails_alone() {
    let server = Server::with(|config| {
        config.memory_limit = bytesize::ByteSize::mib(32);
        config.spill_limit = bytesize::ByteSize::mib(1);
    })
    .await;
    let mut client = server.client().await;
    let sql = "select sum(place) from (select row_number() over (order by repeat('x', 500), value desc) as place \
               from generate_series(1, 2000000)) s";
    let error = query(&mut client, sql).await.unwrap_err();
    assert_eq!(status(&error).code(), Code::ResourceExhausted, "{error}");
    assert_eq!(rows(&mut client, "select 1").await, [["1"]]);
}
