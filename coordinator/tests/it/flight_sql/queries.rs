//! Queries, their errors, their end.

use std::time::Duration;

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, FlightDescriptor};
use futures::StreamExt;
use prost::Message;
use tonic::Code;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn select_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    assert_eq!(rows(&mut client, "select 1 as one, 'a' as two;").await, [["1", "a"]]);
    assert_eq!(
        rows(&mut client, "values (1, null), (2, 'x')").await,
        [["1", "NULL"], ["2", "x"]]
    );
    server.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_and_empty_results_keep_their_schema() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    assert_eq!(rows(&mut client, "select count(*) from lines").await, [["40000"]]);
    let joined = "select c_segment, count(*) from customers join orders on c_key = o_customer group by 1 order by 1";
    assert_eq!(rows(&mut client, joined).await.len(), 3);
    let info = client
        .execute("select c_name from customers where false".into(), None)
        .await
        .unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(schema.field(0).name(), "c_name");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_clients_cannot_read_do_not_leave_the_server() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let sql = "select arrow_cast('a', 'Utf8View') a, arrow_cast('b', 'Dictionary(Int32, Utf8)') b, [arrow_cast('c', 'Utf8View')] c";
    let info = client.execute(sql.into(), None).await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    let types: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert!(
        types
            .iter()
            .all(|name| !name.contains("View") && !name.contains("Dictionary")),
        "{types:?}"
    );
    assert_eq!(text_rows(&batches), [["a", "b", "[c]"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_code_of_their_kind_and_name_the_query() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    for (sql, code) in [
        ("selec 1", Code::InvalidArgument),
        ("", Code::InvalidArgument),
        ("select 1 +", Code::InvalidArgument),
        ("select 'a' + interval '1 day'", Code::InvalidArgument),
        ("select * from nothing", Code::NotFound),
        ("select * from nowhere.t", Code::NotFound),
        ("select * from other.nowhere.t", Code::NotFound),
        ("select nothing from lines", Code::NotFound),
        ("delete from lines", Code::Unimplemented),
        ("update lines set l_part = 1", Code::Unimplemented),
        ("insert into nothing select 1", Code::NotFound),
        ("copy lines to 's3://b/x.csv'", Code::InvalidArgument),
        ("select cast('x' as int)", Code::InvalidArgument),
        ("select 1 / 0", Code::InvalidArgument),
        ("select * from '/etc/passwd'", Code::NotFound),
    ] {
        let (found, message) = failure(&mut client, sql).await;
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains("(query "), "{sql}: {message}");
    }
    let error = query(&mut client, "select\n  a\n from t t t").await.unwrap_err();
    assert!(status(&error).message().contains("Line: 3"), "{error}");
    assert!(status(&error).metadata().get("x-quarry-sqlstate").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_middle_of_a_stream_is_a_status() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let sql = "select l_comment, 1 / (l_order - l_order) from lines";
    let error = query(&mut client, sql).await.unwrap_err();
    assert_eq!(status(&error).code(), Code::InvalidArgument, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_stops_its_query() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let endless = "select value from generate_series(1, 1000000000)";
    let info = client.execute(endless.into(), None).await.unwrap();
    let mut stream = client.do_get(ticket(&info)).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    wait_for_state(&server, "generate_series", "cancelled").await;
}

async fn wait_for_state(server: &Server, text: &str, state: &str) {
    let mut client = server.client().await;
    let sql = format!("select state from system.queries where sql like '%{text}%' and sql not like '%system%'");
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while rows(&mut client, &sql).await != [[state]] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(found.await.is_ok(), "{:?}", rows(&mut client, &sql).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_action_stops_a_query_that_runs_and_one_that_waits() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let endless = "select sum(sin(value) + cos(value)) from generate_series(1, 1000000000)";
    let info = client.execute(endless.into(), None).await.unwrap();
    let mut other = server.client().await;
    let fetched = info.clone();
    let running = tokio::spawn(async move { fetch(&mut other, fetched).await.map(|_| ()) });
    wait_for_state(&server, "1000000000", "running").await;
    cancel(&mut client, &info).await.unwrap();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(status(&error).code(), Code::Cancelled, "{error}");

    let waiting = client.execute("select 17".into(), None).await.unwrap();
    cancel(&mut client, &waiting).await.unwrap();
    assert_eq!(
        status(&fetch(&mut client, waiting.clone()).await.unwrap_err()).code(),
        Code::NotFound
    );
}

async fn cancel(client: &mut Client, info: &FlightInfo) -> Result<(), FlightError> {
    let request = arrow_flight::CancelFlightInfoRequest {
        info: Some(info.clone()),
    };
    let action = Action::new("CancelFlightInfo", request.encode_to_vec());
    let result = client
        .inner_mut()
        .do_action(action)
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let result = arrow_flight::CancelFlightInfoResult::decode(result.body).unwrap();
    assert_eq!(result.status, arrow_flight::CancelStatus::Cancelled as i32);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_fetched_once_and_expires_unfetched() {
    let server = Server::with(|config| config.result_expiry = Duration::from_millis(100)).await;
    let mut client = server.client().await;
    let info = client.execute("select 1".into(), None).await.unwrap();
    wait_for_state(&server, "select 1", "expired").await;
    assert_eq!(
        status(&fetch(&mut client, info).await.unwrap_err()).code(),
        Code::NotFound
    );
    let info = client.execute("select 2".into(), None).await.unwrap();
    fetch(&mut client, info.clone()).await.unwrap();
    assert_eq!(
        status(&fetch(&mut client, info).await.unwrap_err()).code(),
        Code::NotFound
    );
    let forged = TicketStatementQuery {
        statement_handle: "guess".into(),
    };
    let forged = Ticket::new(forged.as_any().encode_to_vec());
    assert!(client.do_get(forged).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_a_time_limit() {
    let server = Server::start().await;
    let mut client = server.client().await;
    update(&mut client, "set quarry.statement_timeout = '200ms'")
        .await
        .unwrap();
    let (code, message) = failure(
        &mut client,
        "select sum(sin(value) + cos(value)) from generate_series(1, 1000000000)",
    )
    .await;
    assert_eq!(code, Code::DeadlineExceeded, "{message}");
    assert!(message.contains("quarry.statement_timeout"), "{message}");
    update(&mut client, "reset quarry.statement_timeout").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_engines_plan_and_analyze_its_figures() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let plan = rows(&mut client, "explain select sum(l_quantity) from lines").await;
    assert_eq!(
        plan.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
        ["logical_plan", "physical_plan"]
    );
    assert!(plan[1][1].contains("AggregateExec"), "{plan:?}");
    let analyzed = rows(&mut client, "explain analyze select sum(l_quantity) from lines").await;
    assert!(
        analyzed[0][1].contains("DataSourceExec") && analyzed[0][1].contains("metrics"),
        "{analyzed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn big_results_come_in_messages_that_clients_accept() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let sql = "select repeat('x', 3000000) from generate_series(1, 8)";
    let batches = query(&mut client, sql).await.unwrap();
    assert!(batches.len() > 1);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_schema_and_poll_answer_without_running() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let command = CommandStatementQuery {
        query: "select 1 as a".into(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let schema = client
        .inner_mut()
        .get_schema(descriptor.clone())
        .await
        .unwrap()
        .into_inner();
    let schema = datafusion::arrow::datatypes::Schema::try_from(&schema).unwrap();
    assert_eq!(schema.field(0).name(), "a");
    let poll = client
        .inner_mut()
        .poll_flight_info(descriptor)
        .await
        .unwrap()
        .into_inner();
    assert!(poll.flight_descriptor.is_none());
    let (_, batches) = fetch(&mut client, poll.info.unwrap()).await.unwrap();
    assert_eq!(text_rows(&batches), [["1"]]);
}

fn statement(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> Result<arrow_flight::PollInfo, tonic::Status> {
    Ok(client.inner_mut().poll_flight_info(descriptor).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polled_query_runs_until_there_is_something_to_fetch() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let long = "select sum(sin(value) + cos(value)) from generate_series(1, 1000000000)";
    let first = poll(&mut client, statement(long)).await.unwrap();
    let info = first.info.clone().unwrap();
    assert!(info.endpoint.is_empty() && first.progress.unwrap() < 1.0, "{first:?}");
    assert_eq!(info.clone().try_decode_schema().unwrap().fields().len(), 1);
    assert!(first.expiration_time.is_some());
    wait_for_state(&server, "1000000000", "running").await;
    let again = poll(&mut client, first.flight_descriptor.unwrap()).await.unwrap();
    cancel(&mut client, &info).await.unwrap();
    let error = poll(&mut client, again.flight_descriptor.unwrap()).await.unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_tells_a_querys_error_and_passes_on_long_results() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let wrong = statement("select 1 / (l_order - l_order) from lines");
    let error = poll(&mut client, wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    let mut answer = poll(&mut client, statement("select * from lines")).await.unwrap();
    while let Some(more) = answer.flight_descriptor {
        answer = poll(&mut client, more).await.unwrap();
    }
    assert_eq!(answer.progress, Some(1.0));
    let (_, batches) = fetch(&mut client, answer.info.unwrap()).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40_000);
    let empty = poll(&mut client, statement("select 1 where false")).await.unwrap();
    assert!(fetch(&mut client, empty.info.unwrap()).await.is_ok());
    let metadata = arrow_flight::sql::CommandGetCatalogs {};
    let metadata = FlightDescriptor::new_cmd(metadata.as_any().encode_to_vec());
    let answer = poll(&mut client, metadata).await.unwrap();
    assert_eq!(
        text_rows(&fetch(&mut client, answer.info.unwrap()).await.unwrap().1),
        [["quarry"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_planner_say_where() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    for (sql, place) in [
        ("select l_order,\n  nothing from lines", "at Line: 2, Column: 3"),
        ("select 1\nfrom lines\nwhere (1 +", "at Line: 3, Column: 11"),
        (
            "select a.l_order from lines a\n join nothing on true",
            "at Line: 2, Column: 7",
        ),
    ] {
        let (_, message) = failure(&mut client, sql).await;
        assert!(message.contains(place), "{sql}: {message}");
    }
}

/// Names of the columns and rows, by a statement and by a prepared one: both tell the same names before rows come.
async fn named(client: &mut Client, sql: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let names = |schema: &datafusion::arrow::datatypes::Schema| {
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect::<Vec<_>>()
    };
    let info = client.execute(sql.into(), None).await.unwrap();
    let (schema, batches) = fetch(client, info).await.unwrap();
    let prepared = client.prepare(sql.into(), None).await.unwrap();
    assert_eq!(names(prepared.dataset_schema().unwrap()), names(&schema), "{sql}");
    assert!(
        batches.iter().all(|batch| names(&batch.schema()) == names(&schema)),
        "{sql}"
    );
    (names(&schema), text_rows(&batches))
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_a_result_may_share_a_name() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let one = "(select 1 as a, 2 as b)";
    for (sql, names, row) in [
        ("select 1, 1".to_owned(), "Int64(1) Int64(1)", "1 1"),
        (format!("select a, a, A from {one} t"), "a a a", "1 1 1"),
        (format!("select *, a from {one} t"), "a b a", "1 2 1"),
        (format!("select a, * from {one} t"), "a a b", "1 1 2"),
        (format!("select *, * from {one} t"), "a b a b", "1 2 1 2"),
        (
            format!("select t.*, t.b, u.* from {one} t cross join {one} u"),
            "a b b a b",
            "1 2 2 1 2",
        ),
        (
            format!("select a as x, b as x from {one} t order by 2, 1"),
            "x x",
            "1 2",
        ),
        (
            format!("select a, b, a + b as a from {one} t where b = 2 order by b limit 1"),
            "a b a",
            "1 2 3",
        ),
        (format!("select a, a from {one} t order by a"), "a a", "1 1"),
        (
            format!("select sum(a), sum(a), count(*), b from {one} t group by b having count(*) = 1"),
            "sum(t.a) sum(t.a) count(*) b",
            "1 1 1 2",
        ),
        (format!("select distinct b, b from {one} t group by 1"), "b b", "2 2"),
        (
            format!("select a + 1, row_number() over (order by a), a + 1 from {one} t"),
            "t.a + Int64(1) row_number() ORDER BY [t.a ASC NULLS LAST] RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW t.a + Int64(1)",
            "2 1 2",
        ),
        (
            format!("with w as {one} select w.a, w.a from w union all select 1, 1 from w where false"),
            "a a",
            "1 1",
        ),
        (format!("(select b, b from {one} t) order by 1"), "b b", "2 2"),
        (
            "select max(l_order), max(l_order) from lines where l_order < 5".to_owned(),
            "max(lines.l_order) max(lines.l_order)",
            "4 4",
        ),
    ] {
        let (found, rows) = named(&mut client, &sql).await;
        assert_eq!(
            (found.join(" "), rows),
            (
                names.to_owned(),
                vec![row.split(' ').map(str::to_owned).collect::<Vec<_>>()]
            ),
            "{sql}"
        );
    }
    let described = rows(&mut client, &format!("describe select a, a from {one} t")).await;
    assert_eq!(described, [["a", "Int64", "NO"], ["a", "Int64", "NO"]]);
    let explained = rows(&mut client, &format!("explain select a, a from {one} t")).await;
    assert!(explained.iter().any(|row| row[1].contains("a#2")), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_name_finds_a_column_it_must_be_its_own() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    for (sql, told) in [
        ("select x from (select 1 as x, 2 as x) t", "unique expression names"),
        ("select 1 as x, 2 as x order by x", "ORDER BY x: several columns"),
        ("select l_order, o_key, nothing from lines, orders", "nothing"),
        ("select l_order from lines a, lines b", "mbiguous"),
        ("create view v as select 1 as x, 2 as x", "unique expression names"),
        ("create table t as select 1 as x, 2 as x", "unique expression names"),
    ] {
        let (_, message) = failure(&mut client, sql).await;
        assert!(message.contains(told), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_go_into_columns_of_one_name() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut prepared = client
        .prepare("select cast(? as bigint) as x, cast(? as bigint) as x".into(), None)
        .await
        .unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2);
    let column = |value| Arc::new(datafusion::arrow::array::Int64Array::from(vec![value])) as _;
    let values = RecordBatch::try_from_iter([("0", column(3)), ("1", column(4))]).unwrap();
    prepared.set_parameters(values).unwrap();
    let info = prepared.execute().await.unwrap();
    let (schema, batches) = fetch(&mut client, info).await.unwrap();
    assert_eq!(
        (schema.field(0).name(), schema.field(1).name()),
        (&"x".to_owned(), &"x".to_owned())
    );
    assert_eq!(text_rows(&batches), [["3", "4"]]);
}
